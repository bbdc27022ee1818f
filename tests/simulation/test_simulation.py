"""Seeded storms over the daemon's dispatcher, lanes and actors; a failing seed is named and can be run by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caf.actors import render
from caf.job import is_over
from tests.simulation.many import run_piece, run_seed, tell

SEEDS = 600
SEEDS_A_TEST = 20
ROOT = Path(__file__).parents[2]

FAULTS = [
    *["crash before effect", "crash in effect", "crash after effect", "crash before append"],
    *["crash after append", "crash at a step", "redelivery", "news twice", "late news", "reordered wake-ups"],
    *[
        "slow append",
        "slow read",
        "disk full",
        "log busy",
        "machine",
        "clock jump",
        "held back",
        "job in use",
    ],
    *["slow work", "hung work", "transient failure", "lasting failure", "defect", "lasting defect"],
    *["submit twice", "submit again", "submit again refused", "answer twice", "late answer", "retry refused"],
    *["drain", "interrupted", "pause", "cancel", "resume", "take up again", "approve", "post refused"],
]
EVENTS = [
    *["AttemptStarted", "StageStarted", "StageCompleted", "StageFailed", "StageInterrupted"],
    *["PoseCoverageMeasured", "QCPassed", "QCFailed", "RepairDecided", "Escalated", "EscalationAnswered"],
    *["JobSubmitted", "JobCompleted", "JobCancelled", "JobAborted", "HandoffApproved", "HandoffPrepared"],
    *["Posted", "QueuePaused", "QueueUnpaused"],
]


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_whatever_happens_no_promise_is_broken(first: int) -> None:
    _, wrong = run_piece(first, SEEDS_A_TEST)
    assert wrong == []


@pytest.mark.parametrize("seed", [1_087_193, 2_055_742])
def test_what_once_broke_a_promise_does_no_more(seed: int) -> None:
    """1,087,193: an answered event came again, its file could not be removed, and that was taken for done.

    2,055,742: a question about an earlier attempt came while a later one waited for its gate; the answer went past it.
    """
    assert run_seed(seed)[1] == []


@pytest.mark.parametrize("seed", range(2000, 2010, 2))
def test_once_faults_stop_and_people_answer_every_job_ends(seed: int) -> None:
    simulation, problems = run_seed(seed)
    assert problems == []
    assert all(is_over(entries[-1].job) for entries in simulation.jobs().values())


@pytest.mark.parametrize("seed", range(2001, 2011, 2))
def test_once_faults_stop_every_job_ends_or_waits_for_a_person_with_a_reason(seed: int) -> None:
    simulation, problems = run_seed(seed)
    assert problems == []
    for entries in simulation.jobs().values():
        job = entries[-1].job
        assert is_over(job) or (job.status == "waiting" and job.escalation and job.escalation.detail)


def test_every_kind_of_fault_really_happens_and_every_kind_of_event_is_recorded() -> None:
    """A simulator that never crashes, or never retries, proves nothing."""
    missing = {*FAULTS, *EVENTS}
    for seed in range(200):
        simulation, _ = run_seed(seed)
        missing -= {name for name, times in simulation.happened.items() if times}
        missing -= {event.type for event in simulation.log.read_all()}
        if not missing:
            break
    assert missing == set()


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    stories = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "30"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert stories[0] == stories[1]
    assert b"JobSubmitted" in stories[0]


def test_a_seed_tells_the_same_story_whatever_ran_before() -> None:
    alone = run_seed(10)[0].log.verify().head_digest
    run_piece(100, 5)
    assert run_seed(10)[0].log.verify().head_digest == alone


def test_many_seeds_end_with_what_happened_and_their_rate() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--jobs", "20", "--processes", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "seeds/s" in done.stdout
    assert "0 broken promises" in done.stdout


def test_a_broken_promise_is_told_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "_next", lambda *given: [])
    _, wrong = run_piece(0, 3)
    seed = int(wrong[0].partition(":")[0].removeprefix("seed "))
    assert tell(seed) == 1
    assert "BROKEN" in capsys.readouterr().out
