"""The queue's order, and up to where everything was answered, among many jobs that come, end and go."""

import random

import pytest

from caf.daemon.backlog import Backlog, Due, Unsettled
from caf.lanes import AGEING_MS


def due(job_id: str, *, priority: int = 0, over: bool = False, late: bool = False) -> Due:
    return Due(job_id=job_id, priority=priority, over=over, position=1, late=late)


def taken(backlog: Backlog, *, stands: bool = False) -> list[str]:
    found = []
    while (first := backlog.take(stands=stands)) is not None:
        found.append(first.job_id)
    return found


def test_what_wants_its_documents_goes_first_and_what_is_long_over_last() -> None:
    backlog = Backlog()
    backlog.add(due("long-over", over=True, late=True), 0)
    backlog.add(due("new", priority=5), 0)
    backlog.add(due("over", over=True), 0)
    assert taken(backlog) == ["over", "new", "long-over"]


def test_a_higher_priority_goes_first_until_the_other_has_waited_a_step_longer() -> None:
    backlog = Backlog()
    backlog.add(due("patient"), 0)
    backlog.add(due("too-late", priority=1), AGEING_MS)
    backlog.add(due("in-time", priority=1), AGEING_MS - 1)
    assert taken(backlog) == ["in-time", "patient", "too-late"]


def test_while_the_queue_stands_nothing_is_begun() -> None:
    backlog = Backlog()
    backlog.add(due("new"), 0)
    backlog.add(due("over", over=True), 0)
    assert taken(backlog, stands=True) == ["over"]
    assert list(backlog) == ["new"]


def test_a_job_that_ends_while_it_waits_only_wants_its_documents_from_then_on() -> None:
    backlog = Backlog()
    backlog.add(due("first"), 0)
    backlog.add(due("cancelled"), 0)
    backlog.note_over("cancelled")
    assert taken(backlog, stands=True) == ["cancelled"]
    assert taken(backlog) == ["first"]


@pytest.mark.parametrize("seed", range(20))
def test_jobs_are_taken_in_the_order_of_the_line_whatever_came_before(seed: int) -> None:
    chance, backlog = random.Random(seed), Backlog()
    for number in range(200):
        job_id = f"job-{chance.randrange(40)}"
        if job_id in backlog:
            if chance.random() < 0.3:
                backlog.note_over(job_id)
        else:
            backlog.add(
                due(job_id, priority=chance.randint(-2, 2), over=chance.random() < 0.2), number * 50_000
            )
        if chance.random() < 0.3:
            line = backlog.line()
            first = backlog.take(stands=False)
            assert first is not None
            assert first.job_id == line[0].job_id
    assert [item.job_id for item in backlog.line()] == taken(backlog)


@pytest.mark.parametrize("seed", range(20))
def test_the_lowest_position_is_that_of_the_jobs_that_are_not_settled(seed: int) -> None:
    chance, unsettled, known = random.Random(seed), Unsettled(), dict[str, int]()
    for position in range(300):
        job_id = f"job-{chance.randrange(20)}"
        if job_id in known and chance.random() < 0.6:
            unsettled.settle(job_id)
            del known[job_id]
        elif job_id not in known:
            known[job_id] = position
            unsettled.add(job_id, position)
        assert unsettled.lowest() == (min(known.values()) if known else None)
