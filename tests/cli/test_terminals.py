"""What is printed can be read on any terminal: narrow, wide, without colour, without Unicode, or none."""

import json
import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Caf
from tests.docs.small_log import COSTUME, REPAIRED, STEADY

VERBS = (["jobs"], ["inbox"], ["show", REPAIRED], ["events"], ["parameters"], ["sql", "SELECT * FROM stages"])


def on_a_terminal(workspace: Path, columns: int, *arguments: str, **environment: str) -> str:
    """What `caf` prints to a terminal so many columns wide."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "caf.cli", *arguments, "--workspace", str(workspace)]
        if arguments[0] not in ("parameters", "workflow")
        else [sys.executable, "-m", "caf.cli", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", **environment},
    )
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end was closed
            piece = b""
        if not piece:
            break
        said += piece
    os.close(master)
    assert process.wait(TIMEOUT_S) == 0, said.decode()
    return said.decode()


def test_tables_fit_the_terminal(log_of_five: Path) -> None:
    for verb in (["jobs"], ["inbox"], ["parameters"], ["sql", "SELECT job_id, stage, status FROM stages"]):
        for columns in (80, 200):
            said = on_a_terminal(log_of_five, columns, *verb, NO_COLOR="1")
            assert max(len(line) for line in said.splitlines()) <= columns


def test_on_a_narrow_terminal_each_cell_has_its_line_and_can_be_copied(log_of_five: Path) -> None:
    lines = on_a_terminal(log_of_five, 40, "inbox").splitlines()
    assert f"job: {COSTUME}" in lines
    assert "reason: IDENTITY_CONFLICT" in lines


def test_no_width_of_the_terminal_breaks_what_will_be_copied(log_of_five: Path) -> None:
    for columns in (40, 60, 80, 100, 120, 200):
        for verb in ("jobs", "inbox"):
            said = on_a_terminal(log_of_five, columns, verb, NO_COLOR="1")
            assert COSTUME in said, (columns, said)
        assert "IDENTITY_CONFLICT" in said, (columns, said)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_escape_sequence_is_printed_where_none_is_wanted(
    log_of_five: Path, environment: dict[str, str]
) -> None:
    for verb in VERBS:
        assert "\x1b" not in on_a_terminal(log_of_five, 100, *verb, **environment).replace("\x1b[?25h", "")


def test_what_others_wrote_moves_no_cursor(caf: Caf, log_of_five: Path) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\rgood"
    caf("cancel", COSTUME, "--reason", hostile)
    nodes = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "__CAF_FRAME_IMAGE__"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "x": f"{hostile}.safetensors"}},
    }
    file = log_of_five / "wanted.json"
    file.write_text(json.dumps({"workflow_id": f"a\n{hostile}", "nodes": nodes}))
    plain = {"NO_COLOR": "1", "TERM": "dumb"}
    for call in (["status", COSTUME], ["workflow", "lint", str(file)]):
        said = on_a_terminal(log_of_five, 120, *call, **plain)
        assert "owned" in said
        assert not [letter for letter in said.replace("\r\n", "") if not letter.isprintable()], (call, said)


@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
)
def test_letters_that_the_output_cannot_say_are_escaped(
    caf: Caf, log_of_five: Path, environment: dict[str, str]
) -> None:
    assert caf("cancel", COSTUME, "--reason", "猫🐈 is ill").code == 0
    for verb in (["events"], ["show", STEADY], ["jobs"], ["inbox"], ["--help"]):
        ran = caf(*verb, **environment)
        assert (ran.code, ran.err) == (0, "")
    told = [json.loads(line) for line in caf("events", "--json", **environment).out.splitlines()]
    assert told[-1]["data"]["reason"] == "猫🐈 is ill"
    assert caf("replay", COSTUME, "--json", **environment).json()["status"] == "cancelled"


def test_off_a_terminal_rows_are_lines_of_cells_between_tabs(caf: Caf, log_of_five: Path) -> None:
    rows = [line.split("\t") for line in caf("jobs").out.splitlines()]
    assert len(rows) == 5
    assert {len(row) for row in rows} == {6}
