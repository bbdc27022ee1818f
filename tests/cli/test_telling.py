"""An event's line says what is special about it; everything stands in `caf events --json`."""

import signal
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from caf.cli.__main__ import main
from caf.cli.options import said_again
from caf.cli.progress import View
from caf.cli.tables import print_table
from caf.cli.telling import tell
from caf.engines.parameters import PARAMETERS
from caf.events import JobCancelled, QueuePaused
from caf.qc.examination import Examination
from tests.support.jobs import attempt


def test_an_attempt_tells_only_the_parameters_that_are_not_the_usual_ones() -> None:
    usual = {"motion": {"pose_weight": 0.0}, "video": {"resolution_policy": "letterbox"}}
    assert tell(attempt(parameters=usual)) == "run-0001 from artifact with defaults"
    repaired = {**usual, "motion": {"pose_weight": 0.95}}
    assert tell(attempt(2, from_stage="motion", parameters=repaired)) == (
        "run-0002 from motion with motion.pose_weight=0.95"
    )


def test_many_parameters_are_counted() -> None:
    nodes = {str(number): {"seed": number} for number in range(30)}
    assert tell(attempt(parameters=nodes)) == (
        "run-0001 from artifact with 0.seed=0, 1.seed=1, 2.seed=2, 3.seed=3 and 26 more"
    )


def test_the_range_of_a_parameter_has_no_exponent() -> None:
    ranges = {spec.name: spec.range for spec in PARAMETERS}
    assert ranges["max_frames"] == "0 to 1000000"
    assert ranges["exposure"] == "-3 to 3"
    assert ranges["max_crop"] == "0 to 0.3"


HOSTILE = "ill\n2026-01-01 JobCompleted\r\x1b[2J\x1b]0;mine\x07\x9b31m\u202e"
SAID = "ill 2026-01-01 JobCompleted  [2J ]0;mine  31m "


def test_free_text_can_neither_begin_a_line_nor_steer_the_terminal() -> None:
    assert tell(JobCancelled(by="me", reason=HOSTILE)) == f"by me: {SAID}"
    assert tell(QueuePaused(by="me", reason=HOSTILE)) == f"by me: {SAID}"
    assert tell(JobCancelled(by="me", reason="猫 is ill, naïve 🐈")) == "by me: 猫 is ill, naïve 🐈"


@pytest.mark.parametrize("terminal", [True, False])
def test_nor_can_the_cell_of_a_table(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_table(["job", "why"], [["one\ttwo", HOSTILE]], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[terminal:]] == [["one", "two", *SAID.split()]]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_name_of_a_node_is_no_markup_for_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", shown)
    with View() as view:
        view.tick("job", "render · frame-000001: 7 Load [/image] [red]", 1, 10)
    assert "Load [/image] [red]" in shown.getvalue()


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (
            ["resume", "a-job"],
            "caf: interrupted; what was recorded is kept. Go on with: caf resume a-job --workspace",
        ),
        (["qc", "clip.mp4"], "caf: interrupted\n"),
    ],
)
def test_ctrl_c_says_how_to_go_on_only_where_something_can(
    verb: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(work: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.delenv("CAF_WORKSPACE", raising=False)
    monkeypatch.setattr("caf.cli.run.run_async", stopped)
    monkeypatch.setattr("caf.cli.tool.run_async", stopped)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit, match="130"):
            main([*verb, "--workspace", str(tmp_path)])
    finally:
        signal.signal(signal.SIGINT, handler)
    assert capsys.readouterr().err.lstrip("\n").startswith(told)


def test_a_further_command_names_the_workspace_unless_it_is_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CAF_WORKSPACE", raising=False)
    assert said_again(Path()) == ""
    assert said_again(Path("my work")) == " --workspace 'my work'"
    monkeypatch.setenv("CAF_WORKSPACE", "/srv/caf")
    assert said_again(Path("/srv/caf")) == ""
    assert said_again(Path()) == " --workspace ."


def test_frames_are_counted_against_the_clip_and_not_against_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = {"clip.mp4": 700, "cat.png": 1, "source.mp4": 300}
    totals: list[int | None] = []

    class Probed:
        async def call(self, task: str, request: Any, doing: str, *, total: int | None = None) -> Any:
            if task == "probe":
                return SimpleNamespace(frames=frames[Path(request.path).name])
            totals.append(total)
            return Examination(frames=0, duration_s=0.0, metrics=())

    monkeypatch.setattr("caf.cli.tool.run_tool", lambda work, config, *, quiet: anyio.run(work, Probed()))
    named = {name: str(tmp_path / name) for name in frames}
    for more in ([], ["--reference", named["cat.png"]], ["--against", named["source.mp4"]]):
        with pytest.raises(SystemExit, match="0"):
            main(["qc", named["clip.mp4"], *more, "--json", "--workspace", str(tmp_path)])
    assert totals == [700, 700, 700]
