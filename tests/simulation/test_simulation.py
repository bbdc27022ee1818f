"""Seeded storms over the pure core; a failing seed is named and can be run by itself."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from caf import policy
from caf.actors import render, supervisor
from caf.job import is_over
from tests.simulation import simulator
from tests.simulation.checkers import check, check_at_rest
from tests.simulation.simulator import Simulation

SEEDS_A_TEST = 25
TESTS = 12


def stormy(seed: int) -> Simulation:
    simulation = Simulation(seed)
    simulation.run()
    return simulation


@pytest.mark.parametrize("first", range(0, SEEDS_A_TEST * TESTS, SEEDS_A_TEST))
def test_whatever_happens_every_job_ends_or_waits_with_a_reason_and_its_log_is_sound(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        simulation = stormy(seed)
        for job_id in simulation.specs:
            entries = simulation.entries(job_id)
            problems = check(entries) + check_at_rest(entries, simulation.edge.files)
            story = [f"{entry.recorded.version} {entry.recorded.type}" for entry in entries]
            assert not problems, f"seed {seed}, {job_id}: {problems}\n{story}"
        assert simulation.log.verify().ok, f"seed {seed}"


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_an_answer_brings_every_waiting_job_on_until_all_are_over(seed: int) -> None:
    simulation = stormy(seed)
    for action in ("retry", "proceed", "abort"):
        for job_id in simulation.specs:
            if simulation.job(job_id).status == "waiting":
                simulation.say(job_id, action)
        simulation.settle()
    for job_id in simulation.specs:
        entries = simulation.entries(job_id)
        assert is_over(entries[-1].job), f"seed {seed}, {job_id} is {entries[-1].job.status}"
        assert check(entries) + check_at_rest(entries, simulation.edge.files) == [], f"seed {seed}, {job_id}"


@pytest.mark.parametrize("seed", range(2000, 2005))
def test_a_seed_tells_the_same_story_every_time(seed: int) -> None:
    assert stormy(seed).log.verify().head_digest == stormy(seed).log.verify().head_digest


def test_the_storms_contain_what_they_are_meant_to_contain() -> None:
    """A simulator that never crashes, or never retries, proves nothing."""
    happened: Counter[str] = Counter()
    for seed in range(60):
        simulation = stormy(seed)
        happened["crash"] += simulation.crashes
        happened["redelivery"] += simulation.redelivered
        happened["conflict"] += simulation.conflicts
        for job_id in simulation.specs:
            entries = simulation.entries(job_id)
            happened.update(entry.recorded.type for entry in entries)
            happened[entries[-1].job.status] += 1
            happened["several attempts"] += len(entries[-1].job.attempts) > 2
    expected = [
        "crash", "redelivery", "conflict", "several attempts", "completed", "cancelled", "aborted", "waiting",
        "QCFailed", "StageFailed", "Escalated", "EscalationAnswered", "HandoffPrepared",
    ]  # fmt: skip
    assert [name for name in expected if happened[name] < 5] == [], happened


def planted_problems(seed: int) -> Iterator[str]:
    simulation = Simulation(seed)
    simulation.run()
    for job_id in simulation.specs:
        entries = simulation.entries(job_id)
        yield from check(entries) + check_at_rest(entries, simulation.edge.files)


@pytest.mark.parametrize(
    ("place", "name", "fault", "caught_by"),
    [
        (policy, "attempts_left", lambda job: 1, "attempts_stay_within_the_budget"),
        (
            policy,
            "outcome_known",
            lambda *given: False,
            "a_deterministic_engine_is_never_asked_the_same_again",
        ),
        (simulator, "derived_id", lambda *given: str(uuid.uuid4()), "nothing_is_decided_twice"),
        (simulator, "is_over", lambda job: False, "nothing_after_the_end"),
        (supervisor, "_question_path", lambda job: "elsewhere.json", "its question is not on disk"),
        (render, "_next", lambda *given: [], "stands still"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_fault_is_caught_by_the_checker_for_it(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, fault: Callable[..., Any], caught_by: str
) -> None:
    monkeypatch.setattr(place, name, fault)
    assert any(caught_by in problem for seed in range(80) for problem in planted_problems(seed))
