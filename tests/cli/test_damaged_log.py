"""A log that is damaged, lost or closed to us is told in a sentence, and nothing is written over it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Caf, Ran
from tests.docs.small_log import COSTUME, SILENT, STEADY

READING = (
    ["jobs"],
    ["show", STEADY],
    ["events"],
    ["replay", STEADY],
    ["inbox"],
    ["verify"],
    ["sql", "SELECT 1"],
)
WRITING = (
    ["rebuild"],
    ["resume", COSTUME],
    ["cancel", SILENT],
    ["answer", COSTUME, "abort"],
    ["handoff", "scan"],
)


def noise(log: Path) -> None:
    log.write_bytes(bytes(range(7, 251)) * 400)


def half(log: Path) -> None:
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])


def short(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:10])


def empty(log: Path) -> None:
    log.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "code", "word"),
    [
        (noise, 65, "not an event log"),
        (half, 1, "damaged"),
        (short, 65, "not an event log"),
        (empty, 65, "lost"),
    ],
)
def test_a_damaged_log_is_told_and_never_written_over(
    caf: Caf, log_of_five: Path, clip: Path, damage: Callable[[Path], None], code: int, word: str
) -> None:
    log = log_of_five / ".caf" / "log.db"
    damage(log)
    before = log.read_bytes()
    for verb in (*READING, *WRITING, ["run", str(clip)]):
        ran = caf(*verb)
        assert (ran.code, word in ran.err, "Traceback" in ran.err) == (code, True, False), (verb, ran)
    assert log.read_bytes() == before


def test_a_folder_in_the_log_s_place_is_told(caf: Caf, log_of_five: Path) -> None:
    log = log_of_five / ".caf" / "log.db"
    log.unlink()
    log.mkdir()
    for verb in (["jobs"], ["resume", COSTUME]):
        ran = caf(*verb)
        assert (ran.code, "folder" in ran.err) == (65, True)


def test_an_empty_log_in_a_workspace_without_artifacts_is_a_beginning(caf: Caf, workspace: Path) -> None:
    (workspace / ".caf").mkdir(parents=True)
    (workspace / ".caf" / "log.db").touch()
    assert caf("rebuild").code == 0
    assert caf("jobs", "--json").json() == []


def unprivileged(workspace: Path, *arguments: str) -> Ran:
    """`caf` where permissions count; they do not for root with all its capabilities."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permissions do not count for root, and there is no setpriv")
        without = "-dac_override,-dac_read_search"
        prefix = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "caf.cli", *arguments, "--workspace", str(workspace)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("closed", "verbs"),
    [
        (".caf/log.db", (*READING, *WRITING)),
        (".caf", (*READING[:2], *WRITING[:2])),
        (".", (*READING[:1], *WRITING[:1])),
    ],
)
def test_what_may_not_be_read_is_named(
    log_of_five: Path, closed: str, verbs: Sequence[Sequence[str]]
) -> None:
    place = log_of_five / closed
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        for verb in verbs:
            ran = unprivileged(log_of_five, *verb)
            assert (ran.code, "Traceback" in ran.err) == (65, False), (verb, ran)
            assert str(log_of_five) in ran.err
    finally:
        place.chmod(mode)


def test_a_log_that_may_only_be_read_is_read_and_refuses_what_would_be_recorded(
    caf: Caf, log_of_five: Path
) -> None:
    caf("jobs")
    log = log_of_five / ".caf" / "log.db"
    log.chmod(0o444)
    before = log.read_bytes()
    for verb in READING:
        assert unprivileged(log_of_five, *verb).code == 0
    refused = unprivileged(log_of_five, "cancel", SILENT)
    assert (refused.code, "cannot be written" in refused.err) == (65, True)
    assert log.read_bytes() == before
