"""A person's answer is taken as it was meant, or refused at once with what may be said; never dropped."""

from pathlib import Path

import pytest

from tests.cli.conftest import Caf, Ran
from tests.clips import make_clip, make_picture
from tests.docs.small_log import BROKEN, COSTUME, SILENT, STEADY


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("motion.nope=1", "nope"),
        ("motion.pose_weight=9", "0 to 1"),
        ("motion.pose_weight=abc", "'abc'"),
        ("motion.pose_weight=nan", "'nan'"),
        ("motion.pose_weight=1e999", "'1e999'"),
        ("wobble.x=1", "wobble"),
    ],
)
def test_a_parameter_that_the_engine_has_not_is_refused_before_it_is_recorded(
    caf: Caf, log_of_five: Path, setting: str, words: str
) -> None:
    refused(caf("answer", COSTUME, "retry", "--set", setting), 65, words)
    assert COSTUME in [row["job_id"] for row in caf("inbox", "--json").json()]


def test_an_answer_without_or_with_a_wrong_word_changes_nothing(caf: Caf, log_of_five: Path) -> None:
    before = caf("events", "--json").out
    refused(caf("answer", COSTUME), 2)
    refused(caf("answer", COSTUME, "maybe"), 2, "proceed")
    refused(caf("answer", COSTUME, "retry", "--from", "encore"), 2, "motion")
    refused(caf("answer", COSTUME, "retry", "--from", "video"), 2, "cannot go on from video")
    refused(caf("answer", COSTUME, "retry", "--source", "no-such.mp4"), 65, "no-such.mp4")
    refused(caf("answer", COSTUME, "retry", "--reference", log_of_five), 65, str(log_of_five))
    refused(caf("answer", COSTUME, "abort", "--reference", log_of_five / "clip.mp4"), 2, "retry")
    refused(caf("answer", COSTUME, "proceed", "--set", "motion.pose_weight=1"), 2, "retry")
    refused(caf("answer", BROKEN, "proceed"), 2, "gave nothing to go on with")
    refused(caf("answer", STEADY, "proceed"), 2, "is completed; it asks nothing")
    assert caf("events", "--json").out == before


def test_how_a_job_goes_on_is_told_with_its_workspace(caf: Caf, log_of_five: Path, tmp_path: Path) -> None:
    elsewhere = ("--workspace", log_of_five)
    for verb in (("answer", SILENT, "proceed"), ("retry", STEADY, "--from", "video")):
        told = caf(*verb, *elsewhere, CAF_WORKSPACE=str(tmp_path)).err.strip()
        assert "daemon" in told
        assert told.endswith(f" --workspace {log_of_five}")


def test_a_second_answer_is_refused(caf: Caf, log_of_five: Path) -> None:
    assert caf("answer", SILENT, "proceed").code == 0
    refused(caf("answer", SILENT, "abort"), 2, "asks nothing")
    assert caf("answer", COSTUME, "abort").code == 0
    assert caf("resume", COSTUME).code == 1
    refused(caf("answer", COSTUME, "retry"), 2, "is aborted; it asks nothing")
    assert caf("verify").code == 0


def test_an_answer_may_name_its_question(caf: Caf, log_of_five: Path) -> None:
    [row] = [row for row in caf("inbox", "--json").json() if row["job_id"] == SILENT]
    question = row["question"]
    assert f"(question {question})" in caf("show", SILENT).out
    refused(caf("answer", SILENT, "proceed", "--question", str(question - 1)), 2, f"asks question {question}")
    assert caf("answer", SILENT, "proceed", "--question", str(question)).code == 0


def test_each_answer_leads_on(caf: Caf, hanging: Path, tmp_path: Path) -> None:
    """The same job asked again and again: with what was wrong, with what is right, and at last let pass."""
    costume = make_picture(tmp_path / "costume.png", seed=9, subject=True)
    other = make_clip(tmp_path / "other.mp4", frames=12, fps=24, audio=True)
    note = tmp_path / "note.png"
    note.write_text("meow")
    job = "asks-much"
    assert caf("run", hanging, "--job-id", job, "--reference", costume, "--require-costume").code == 4
    assert caf("answer", job, "retry", "--reference", note).code == 0
    asked = caf("resume", job, "--json")
    assert asked.code == 4
    assert "note.png" in asked.json()["user_action_required"]["required_artifact"]
    assert caf("answer", job, "retry", "--reference", costume, "--source", other).code == 0
    assert caf("resume", job).code == 4
    assert f"source     {other}" in caf("show", job).out
    assert caf("answer", job, "retry", "--set", "frame.sharpen=0.5").code == 0
    assert caf("resume", job).code == 4
    parameters = caf("replay", job, "--json").json()["job"]["attempts"][-1]["parameters"]
    assert parameters["frame"]["sharpen"] == 0.5
    for _ in range(4):
        if caf("jobs", "--status", "completed").out:
            break
        assert caf("answer", job, "proceed").code == 0
        assert caf("resume", job).code in (0, 4)
    assert caf("jobs", "--json").json()[0]["status"] == "completed"
    assert caf("verify").code == 0
