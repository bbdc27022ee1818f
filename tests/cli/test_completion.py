"""The shell completes verbs and the ids of jobs, and is never told anything but that."""

from pathlib import Path

from tests.cli.conftest import Caf
from tests.docs.small_log import STEADY


def completed(caf: Caf, *words: str) -> list[str]:
    asked = caf(
        COMP_WORDS=" ".join(("caf", *words)), COMP_CWORD=str(len(words)), _CAF_COMPLETE="bash_complete"
    )
    assert (asked.code, asked.err) == (0, ""), asked
    return [line.partition(",")[2] for line in asked.out.splitlines() if line]


def test_verbs_are_completed(caf: Caf) -> None:
    assert completed(caf, "sub") == ["submit"]
    assert {"run", "serve", "backup", "config"} <= set(completed(caf, ""))


def test_jobs_are_completed_for_every_verb_that_takes_one(caf: Caf, log_of_five: Path) -> None:
    assert caf("jobs").code == 0
    for verb in ("show", "status", "cancel", "answer", "resume", "retry", "events", "replay"):
        assert completed(caf, verb, "stea") == [STEADY]
    assert completed(caf, "show", "%") == []


def test_where_there_are_no_jobs_nothing_is_completed(caf: Caf, workspace: Path) -> None:
    assert completed(caf, "show", "s") == []
    assert not workspace.exists()


def test_the_script_for_the_shell_is_printed(caf: Caf) -> None:
    for shell in ("bash", "zsh", "fish"):
        asked = caf(_CAF_COMPLETE=f"{shell}_source")
        assert "_CAF_COMPLETE" in asked.out
