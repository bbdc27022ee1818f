"""What must be true of a simulated log as a whole, of what was said about it, and of its read models."""

from collections import Counter
from typing import TYPE_CHECKING

from caf.events import JobSubmitted, StageInterrupted
from tests.simulation.checkers import Problems, check
from tests.simulation.rows import rebuilt

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["WHOLE", "problems_of"]


def no_acknowledged_event_is_lost(simulation: "Simulation") -> Problems:
    recorded = {event.event_id for event in simulation.log.read_all()}
    if lost := set(simulation.acknowledged) - recorded:
        yield f"{len(lost)} events were acknowledged and are not there"


def no_acknowledged_job_is_lost(simulation: "Simulation") -> Problems:
    for job_id, event_id in simulation.promised.items():
        submitted = [
            entry.recorded.event_id
            for entry in simulation.entries(job_id)
            if isinstance(entry.event, JobSubmitted)
        ]
        if event_id not in submitted:
            yield f"{job_id} was acknowledged and is not there"


def no_event_is_there_twice(simulation: "Simulation") -> Problems:
    ids = Counter(event.event_id for event in simulation.log.read_all())
    if twice := [event_id for event_id, times in ids.items() if times > 1]:
        yield f"{twice} are there twice"


def positions_have_no_gap(simulation: "Simulation") -> Problems:
    positions = [event.position for event in simulation.log.read_all()]
    if positions != list(range(1, len(positions) + 1)):
        yield f"the positions are {positions}"


def the_chain_of_digests_holds(simulation: "Simulation") -> Problems:
    if not simulation.log.verify().ok:
        yield "the chain of digests is broken"


def an_interruption_is_recorded_once(simulation: "Simulation") -> Problems:
    """One life of a daemon ends each piece of work at most once."""
    bounds = [*simulation.starts, simulation.log.head()]
    for job_id, entries in simulation.jobs().items():
        seen: set[object] = set()
        for entry in entries:
            if isinstance(entry.event, StageInterrupted):
                event, at = entry.event, entry.recorded.position
                life = sum(start < at for start in bounds)
                place = life, event.attempt_id, event.stage, event.gate
                if place in seen:
                    yield f"{job_id}: {event.attempt_id} {event.stage} was interrupted twice at position {at}"
                seen.add(place)


def rows_that_grew_equal_rebuilt_ones(simulation: "Simulation") -> Problems:
    if simulation.rows is None:
        return
    simulation.rows.catch_up(simulation, simulation.chance)
    live, fresh = simulation.rows.dump(), rebuilt(simulation)
    for table in live:
        if live[table] != fresh[table]:
            yield f"the rows of {table} differ from a rebuild"


WHOLE = (
    no_acknowledged_event_is_lost,
    no_acknowledged_job_is_lost,
    no_event_is_there_twice,
    positions_have_no_gap,
    the_chain_of_digests_holds,
    an_interruption_is_recorded_once,
    rows_that_grew_equal_rebuilt_ones,
)


def problems_of(simulation: "Simulation") -> list[str]:
    """Everything that is wrong with a seed that came to rest, each with the name of the promise."""
    found = list(simulation.broken)
    for checker in WHOLE:
        found += [f"{checker.__name__}: {problem}" for problem in checker(simulation)]
    for job_id, entries in simulation.jobs().items():
        found += [f"{job_id}: {problem}" for problem in check(entries)]
    return found
