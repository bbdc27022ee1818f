"""Why a job is not running: one answer for every job, from what the daemon knows at that moment."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from caf.daemon.dispatcher import Dispatcher, Held
from caf.errors import CafError
from caf.lanes import Place
from caf.ports import Clock

__all__ = ["Standing", "standing", "waits", "without_daemon"]

Kind = Literal["runs", "lane", "turn", "paused", "held", "person", "stopping", "over", "working", "no_daemon"]


class Standing(Struct, frozen=True, kw_only=True):
    """Where a job stands."""

    kind: Kind
    why: str
    """A sentence."""
    for_ms: int | None = None
    """How long it has been so; None where that is not known."""
    before: tuple[str, ...] = ()
    """The jobs that come first."""
    lane: str | None = None
    stage: str | None = None


def standing(job_id: str, row: Mapping[str, Any], dispatcher: Dispatcher, clock: Clock) -> Standing:
    """Where a job stands; `row` is its row of the read model `jobs`."""
    now_ms = clock.monotonic_ms()
    if job_id in dispatcher.active:
        return _under_way(job_id, dispatcher, now_ms)
    settled = _settled(row)
    held = dispatcher.held.get(job_id)
    if settled is not None and job_id not in dispatcher.due and (held is None or _is_elsewhere(held)):
        return settled
    if held is not None:
        return _held(held, now_ms)
    line = dispatcher.line()
    before = tuple(due.job_id for due in line)
    before = before[: before.index(job_id)] if job_id in before else ()
    due = dispatcher.due.get(job_id)
    for_ms = now_ms - due.since_ms if due else None
    if dispatcher.draining:
        return Standing(
            kind="stopping", why="the daemon is stopping; it goes on at the next start", for_ms=for_ms
        )
    paused = _paused(dispatcher)
    if paused is not None:
        return Standing(kind="paused", why=paused, for_ms=for_ms, before=before)
    stall = dispatcher.stall
    if stall is not None and stall.until_ms > now_ms:
        why = f"none is begun for now: {_again(stall.fault, stall.until_ms, now_ms)}"
        return Standing(kind="held", why=why, for_ms=for_ms, before=before)
    ahead = f"{_jobs(len(before))} before it" if before else "it is the next one"
    why = f"waits to be begun: {len(dispatcher.active)} of {dispatcher.jobs_at_once} are under way, {ahead}"
    return Standing(kind="turn", why=why, for_ms=for_ms, before=before)


def waits(dispatcher: Dispatcher, clock: Clock) -> dict[str, str]:
    """The jobs under way of which nothing runs, and why."""
    now_ms = clock.monotonic_ms()
    found = {job_id: _under_way(job_id, dispatcher, now_ms) for job_id in dispatcher.active}
    return {job_id: stands.why for job_id, stands in found.items() if stands.kind != "runs"}


def without_daemon(row: Mapping[str, Any], *, silent: int | None = None) -> Standing:
    """The same where no daemon runs, or none that can be asked: the process `silent`."""
    settled = _settled(row)
    if settled is not None:
        return settled
    if silent is not None:
        why = f"the daemon (process {silent}) cannot be asked: it is starting, or has no HTTP API"
        return Standing(kind="working", why=why)
    return Standing(
        kind="no_daemon",
        why="no daemon serves this workspace, and nothing works on it unless caf run or caf resume does",
    )


def _under_way(job_id: str, dispatcher: Dispatcher, now_ms: int) -> Standing:
    for lane in dispatcher.lanes.all:
        for place in lane.running:
            if place.turn.job_id == job_id:
                return Standing(
                    kind="runs",
                    why=f"its {_work(place)} runs in the {lane.name} lane",
                    for_ms=now_ms - place.since_ms,
                    lane=lane.name,
                    stage=place.turn.stage,
                )
        for place in lane.waiting:
            if place.turn.job_id == job_id:
                return Standing(
                    kind="paused" if dispatcher.daemon.paused else "lane",
                    why=_paused(dispatcher) or _line(place, [item.turn.job_id for item in lane.running]),
                    for_ms=now_ms - place.since_ms,
                    before=place.before,
                    lane=lane.name,
                    stage=place.turn.stage,
                )
    for place, other in dispatcher.lanes.twins.waiting:
        if place.turn.job_id == job_id:
            return Standing(
                kind="lane",
                why=f"its {_work(place)} would give the same as that of {other}, which is under way: it waits for that",
                for_ms=now_ms - place.since_ms,
                before=(other, *place.before),
                stage=place.turn.stage,
            )
    return Standing(kind="working", why="it is under way, between two stages")


def _line(place: Place, running: list[str]) -> str:
    now = f"{', '.join(running)} {'has' if len(running) == 1 else 'have'} it" if running else "it is free"
    ahead = f"{_jobs(len(place.before))} before it" if place.before else "it is the next one"
    return f"its {_work(place)} waits for the {place.lane} lane: {now}, {ahead}"


def _is_elsewhere(held: Held) -> bool:
    """Another process has worked on the job, and seen to all that came of it."""
    return isinstance(held.fault, CafError) and held.fault.kind == "job_busy"


def _held(held: Held, now_ms: int) -> Standing:
    times = "once" if held.due.tries == 1 else f"{held.due.tries} times"
    return Standing(
        kind="held",
        why=f"could not be worked on ({times}): {_again(held.fault, held.until_ms, now_ms)}",
        for_ms=now_ms - held.due.since_ms,
    )


def _again(fault: Exception, until_ms: int, now_ms: int) -> str:
    told = fault.message if isinstance(fault, CafError) else str(fault)
    return f"{told} It is tried again in {max(0, until_ms - now_ms) / 1000:.0f} s"


def _paused(dispatcher: Dispatcher) -> str | None:
    paused = dispatcher.daemon.paused
    if paused is None:
        return None
    said = f": {paused.reason}" if paused.reason else ""
    return f"the queue was paused by {paused.by}{said}; it goes on with: caf unpause"


def _settled(row: Mapping[str, Any]) -> Standing | None:
    status = row["status"]
    if status == "waiting":
        return Standing(kind="person", why=f"waits for a person: {row['reason']}")
    if status in ("completed", "cancelled", "aborted"):
        why = f"it is {status}" + (f": {row['reason']}" if row["reason"] else "")
        return Standing(kind="over", why=why)
    return None


def _work(place: Place) -> str:
    return f"{place.turn.stage}{' QC' if place.turn.gate else ' stage'}"


def _jobs(count: int) -> str:
    return "1 job is" if count == 1 else f"{count} jobs are"
