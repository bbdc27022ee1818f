"""What is printed into a pipe that closes, a disk that is full or nowhere ends in silence or in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Caf, Ran
from tests.docs.small_log import COSTUME, STEADY

FULL = Path("/dev/full")
"""Every write to it finds no room."""


def start(workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "caf.cli", *arguments, "--workspace", str(workspace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def read_one_line(workspace: Path, *arguments: str) -> tuple[int, bytes]:
    """The exit code and stderr of `caf ... | head -1`."""
    process = start(workspace, *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(TIMEOUT_S), said


def shell(workspace: Path, line: str) -> Ran:
    """A line of sh with `caf` in it."""
    done = subprocess.run(
        ["sh", "-c", f'caf() {{ "{sys.executable}" -m caf.cli "$@"; }}; {line}'],
        env={**os.environ, "CAF_WORKSPACE": str(workspace)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("form", [[], ["--json"], [STEADY]])
def test_following_ends_quietly_when_its_reader_has_gone_though_nothing_more_is_recorded(
    log_of_five: Path, form: list[str]
) -> None:
    assert read_one_line(log_of_five, "events", "--follow", *form) == (1, b"")


def test_following_ends_when_its_reader_went_before_the_first_event(log_of_five: Path) -> None:
    process = start(log_of_five, "events", "--follow", "--after", "100000")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 1


@pytest.mark.parametrize(
    "verb",
    [
        "events",
        "events --json",
        "jobs",
        "jobs --json",
        f"show {STEADY}",
        "sql 'SELECT * FROM stages'",
        "--help",
    ],
)
def test_a_reader_that_reads_nothing_hears_nothing(log_of_five: Path, verb: str) -> None:
    ran = shell(log_of_five, f"caf {verb} | head -n 0")
    assert (ran.out, ran.err) == ("", "")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("verb", ["jobs", "jobs --json", "events", "verify"])
def test_output_into_a_full_disk_is_told_in_a_sentence(log_of_five: Path, verb: str) -> None:
    ran = shell(log_of_five, f"caf {verb} >/dev/full")
    assert ran.code == 75
    assert "No space left" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_the_exit_code_is_told_even_where_the_sentence_cannot_be(log_of_five: Path) -> None:
    assert shell(log_of_five, "caf show no-such-job 2>/dev/full").code == 2
    assert shell(log_of_five, "caf shwo 2>/dev/full").code == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_harm_neither_the_verb_nor_the_log(log_of_five: Path, caf: Caf, closed: str) -> None:
    before = (log_of_five / ".caf" / "log.db").read_bytes()
    assert shell(log_of_five, f"caf jobs {closed}").code == 0
    assert shell(log_of_five, f"caf show no-such-job {closed}").code == 2
    assert (log_of_five / ".caf" / "log.db").read_bytes() == before
    assert shell(log_of_five, f"caf resume {COSTUME} {closed}").code == 4
    assert caf("verify").code == 0


def test_a_run_goes_on_when_nobody_listens_to_its_progress(caf: Caf, clip: Path, workspace: Path) -> None:
    ran = shell(workspace, f"caf run {clip} --job-id quiet-job 2>&1 >/dev/null | head -n 1")
    assert ran.out.startswith("JobSubmitted")
    assert caf("jobs", "--json").json()[0]["status"] in ("completed", "waiting")
