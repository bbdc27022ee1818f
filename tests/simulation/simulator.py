"""The simulator: actors in any order, people who interfere, crashes at the worst moments; then calm."""

import random
import uuid
from typing import Any, Final, NamedTuple

from caf import commands
from caf.actors.effects import Cause, Effect, MeasureStage, RunStage
from caf.actors.loop import ACTORS, Actor
from caf.contracts.times import timestamp
from caf.errors import RefusedError
from caf.events import STAGES, Event, Failure, JobSubmitted
from caf.events.codec import derived_id
from caf.job import INITIAL, Job, is_over
from caf.log import Entry, entry_of, new_events, stream_of
from eventstore import Checkpoint, DuplicateEvent, MemoryLog, VersionConflict
from tests.simulation.world import any_job
from tests.support.edge import InventedEdge, share

__all__ = ["Simulation"]

STORMY_TICKS: Final = 250
CALM_TICKS: Final = 20_000


class Faults(NamedTuple):
    """How likely each thing is, at every opportunity."""

    crash_before_effect: float = 0.03
    crash_after_effect: float = 0.04
    crash_before_checkpoint: float = 0.04
    redelivery: float = 0.05
    transient_failure: float = 0.08
    interference: float = 0.04
    meanwhile: float = 0.2
    clock_jump: float = 0.05


CALM: Final = Faults(0, 0, 0, 0, 0, 0, 0, 0)


class CrashError(Exception):
    """The process is gone: what it had only in its head is lost."""


class Simulation:
    """Several jobs under one seed. `run` is the storm and the calm after it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.faults = Faults()
        self.now_ms = 1_700_000_000_000
        self.log = MemoryLog(clock_ms=self._clock)
        self.edge = InventedEdge(score=self._score, fails=self._fails)
        self.handled: dict[tuple[str, str], int] = {}
        self.specs: dict[str, JobSubmitted] = {}
        self.crashes = self.redelivered = self.refused = self.conflicts = 0
        for number in range(self.chance.randint(1, 3)):
            spec = any_job(self.chance, number)
            self.specs[spec.job_id] = spec
            self._append_as_a_person(spec.job_id, [spec])

    def run(self) -> None:
        for _ in range(STORMY_TICKS):
            self.tick()
        self.settle()

    def settle(self) -> None:
        """No more faults, no more people: every actor answers everything there is."""
        self.faults = CALM
        for _ in range(CALM_TICKS):
            if not self._waiting_mailboxes():
                return
            self.tick()
        raise AssertionError(f"seed {self.seed}: the actors never come to rest")

    def tick(self) -> None:
        if self._happens(self.faults.interference):
            self._somebody_interferes(self.chance.choice(list(self.specs)))
        if self._happens(self.faults.redelivery) and self.handled:
            self._redeliver(*self.chance.choice(sorted(self.handled)))
        mailboxes = self._waiting_mailboxes()
        if not mailboxes:
            return
        actor, job_id = self.chance.choice(mailboxes)
        try:
            self._serve(actor, job_id)
        except CrashError:
            self.crashes += 1
            self.handled = {}

    def entries(self, job_id: str) -> list[Entry]:
        job, found = INITIAL, []
        for recorded in self.log.read(stream_of(job_id)):
            found.append(entry_of(job, recorded))
            job = found[-1].job
        return found

    def job(self, job_id: str) -> Job:
        return self.entries(job_id)[-1].job

    def say(self, job_id: str, action: str) -> None:
        """A person answers or cancels; what is refused is told to them and to nobody else."""
        job = self.job(job_id)
        try:
            if action == "cancel":
                events = commands.cancel(job, by="ada", reason="enough")
            else:
                correction: dict[str, Any] = {
                    "from_stage": self.chance.choice([None, *STAGES]),
                    "source": "/clips/other.mp4" if self._happens(0.2) else None,
                    "parameters": {"frame": {"denoise": 0.2}} if self._happens(0.2) else None,
                }
                events = commands.answer(
                    job, action=action, by="ada", **(correction if action == "retry" else {})
                )
        except RefusedError:
            self.refused += 1
            return
        self._append_as_a_person(job_id, events)

    def _waiting_mailboxes(self) -> list[tuple[Actor, str]]:
        return [
            (actor, job_id)
            for actor in ACTORS
            for job_id in self.specs
            if self._next(actor, job_id) < self.log.version(stream_of(job_id))
        ]

    def _next(self, actor: Actor, job_id: str) -> int:
        """How many of a job's entries an actor has dealt with, as far as it remembers."""
        key = (actor.name, job_id)
        if key not in self.handled:
            position = self.log.checkpoint(f"{actor.name}/{job_id}")
            self.handled[key] = sum(
                recorded.position <= position for recorded in self.log.read(stream_of(job_id))
            )
        return self.handled[key]

    def _redeliver(self, actor: str, job_id: str) -> None:
        """Everything after some point comes again, as to a consumer whose checkpoint was put back."""
        version = self.chance.randint(0, self.handled[actor, job_id])
        position = (
            next(self.log.read(stream_of(job_id), after_version=version - 1)).position if version else 0
        )
        self.log.save_checkpoint(Checkpoint(consumer=f"{actor}/{job_id}", position=position))
        self.handled[actor, job_id] = version
        self.redelivered += 1

    def _serve(self, actor: Actor, job_id: str) -> None:
        entry = self.entries(job_id)[self._next(actor, job_id)]
        cause = Cause(
            event_id=entry.recorded.event_id,
            version=entry.recorded.version,
            recorded_at=timestamp(entry.recorded.recorded_at_ms),
        )
        known = self.log.version(stream_of(job_id))
        reaction = actor.react(entry.job, entry.event, cause)
        events = [item for item in reaction if not isinstance(item, Effect)]
        for effect in reaction:
            if isinstance(effect, Effect):
                long = isinstance(effect, RunStage | MeasureStage)
                if long and is_over(self.job(job_id)) and not is_over(entry.job):
                    break
                self._maybe_crash(self.faults.crash_before_effect)
                events += self.edge.do(effect, entry.job)
                self._maybe_crash(self.faults.crash_after_effect)
        if reaction:
            if self._happens(self.faults.meanwhile):
                self._somebody_interferes(job_id)
            self._record(actor, job_id, entry, events, known)
        self.handled[actor.name, job_id] = entry.recorded.version

    def _record(self, actor: Actor, job_id: str, entry: Entry, events: list[Event], known: int) -> None:
        consumer = f"{actor.name}/{job_id}"
        checkpoint = Checkpoint(consumer=consumer, position=entry.recorded.position)
        cause = entry.recorded.event_id
        ids = [derived_id(actor.name, cause, index) for index in range(len(events))]
        records = new_events(events, ids, job_id=job_id, causation_id=cause)
        while True:
            if is_over(self.job(job_id)) and not is_over(entry.job):
                self.log.save_checkpoint(checkpoint)
                return
            try:
                self.log.append(stream_of(job_id), records, expected_version=known)
            except VersionConflict as conflict:
                self.conflicts += 1
                known = conflict.actual
            except DuplicateEvent:
                break
            else:
                break
        self._maybe_crash(self.faults.crash_before_checkpoint)
        self.log.save_checkpoint(checkpoint)

    def _somebody_interferes(self, job_id: str) -> None:
        self.say(job_id, self.chance.choice(["proceed"] * 3 + ["retry"] * 6 + ["abort", "cancel"]))

    def _append_as_a_person(self, job_id: str, events: list[Event]) -> None:
        ids = [str(uuid.UUID(int=self.chance.getrandbits(128), version=4)) for _ in events]
        self.log.append(stream_of(job_id), new_events(events, ids, job_id=job_id, causation_id=None))

    def _clock(self) -> int:
        self.now_ms += 3
        if self._happens(self.faults.clock_jump):
            self.now_ms += self.chance.choice([-3_600_000, 3_600_000])
        return self.now_ms

    def _score(self, metric: str, sha256: str) -> float | None:
        luck = share(self.seed, metric, sha256)
        return None if luck < 0.07 else luck * 0.9 if luck < 0.35 else 1.0

    def _fails(self, effect: RunStage) -> Failure | None:
        if self._happens(self.faults.transient_failure):
            return Failure(kind="worker_died", message="It died.", remedy="Again.", transient=True)
        if share(self.seed, "lasting", effect.stage, effect.parameters) < 0.03:
            return Failure(kind="not_a_video", message="It is no video.", remedy="Give a video.")
        return None

    def _happens(self, likelihood: float) -> bool:
        return likelihood > 0 and self.chance.random() < likelihood

    def _maybe_crash(self, likelihood: float) -> None:
        if self._happens(likelihood):
            raise CrashError
