"""What a stage hands to a server outside is in the log before the server has it, so that a restart finds it again."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from caf.actors.effects import RunStage
from caf.errors import RefusedError
from caf.events import PromptSubmitted
from caf.events.codec import derived_id
from caf.job import is_over
from caf.log import Entry, fold, new_event, stream_of
from eventstore import DuplicateEvent, EventStore, VersionConflict

__all__ = ["Handover", "Previews", "Tick"]

Tick = Callable[[str, str, int, int | None], None]
"""Called with job id, what is being done, units done, units in all: telemetry, never recorded."""

Show = Callable[[str, str, bytes], None]
"""Called with job id, MIME type and a picture: telemetry, never recorded."""

PROMPT: Final = "render/prompt"
MOST_PREVIEWS: Final = 16


class Preview(NamedTuple):
    """A picture of what is being made."""

    number: int
    """Another one for each picture that was shown."""
    mime: str
    picture: bytes


class Previews:
    """The newest picture of what each job is making, in memory alone; of a few jobs."""

    def __init__(self) -> None:
        self.newest: dict[str, Preview] = {}
        """By job id, the oldest job first."""
        self._shown = 0

    def show(self, job_id: str, mime: str, picture: bytes) -> None:
        """Keep this one of the job and forget the one before it."""
        self.newest.pop(job_id, None)
        self._shown += 1
        self.newest[job_id] = Preview(number=self._shown, mime=mime, picture=picture)
        while len(self.newest) > MOST_PREVIEWS:
            del self.newest[next(iter(self.newest))]


class Handover:
    """The notes of one stage's run; see `caf.ports.Outside`."""

    def __init__(
        self, store: EventStore, effect: RunStage, entry: Entry, *, workspace_id: str, tick: Tick, show: Show
    ) -> None:
        self.job_id: str = entry.job.spec.job_id
        self.attempt_id: str = effect.attempt_id
        self.workspace_id = workspace_id
        self._store = store
        self._effect = effect
        self._cause = entry.recorded.event_id
        self._tick = tick
        self._show = show
        self._version = entry.job.version

    async def known(self) -> Mapping[str, str]:
        """Key to handle of everything that this attempt's stage handed over so far, the newest of each key."""
        job = await fold(self._store, self.job_id)
        self._version = job.version
        return {
            prompt.key: prompt.handle
            for attempt in job.attempts
            if attempt.id == self._effect.attempt_id
            for prompt in attempt.prompts
            if prompt.stage == self._effect.stage
        }

    async def submitted(self, key: str, handle: str) -> None:
        """Record it, on top of whatever came meanwhile. Raises `RefusedError` when the job is over by now."""
        event = PromptSubmitted(
            stage=self._effect.stage,
            attempt_id=self._effect.attempt_id,
            engine=self._effect.engine,
            handle=handle,
            key=key,
        )
        record = new_event(
            event,
            event_id=derived_id(f"{PROMPT}/{key}/{handle}", self._cause, 0),
            job_id=self.job_id,
            causation_id=self._cause,
        )
        while True:
            try:
                await self._store.append(stream_of(self.job_id), [record], expected_version=self._version)
            except VersionConflict:
                job = await fold(self._store, self.job_id)
                if is_over(job):
                    raise RefusedError(
                        f"Job {self.job_id} is {job.status}; nothing more of it is rendered.",
                        remedy="",
                        kind="job_over",
                    ) from None
                self._version = job.version
            except DuplicateEvent:
                return
            else:
                self._version += 1
                return

    def doing(self, what: str, done: int, total: int | None) -> None:
        """What goes on out there, for people."""
        self._tick(self.job_id, what, done, total)

    def preview(self, mime: str, picture: bytes) -> None:
        """A picture of what is being made, for people."""
        self._show(self.job_id, mime, picture)
