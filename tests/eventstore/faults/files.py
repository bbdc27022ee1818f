"""Stores in a file with one planted fault each, in what outlives a process or passes between two.

Each comes as the contract that opens it, at the top of a module, as the contract's own processes load it by name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    EventStore,
    EventStoreError,
    NewEvent,
    RecordedEvent,
    SqliteStore,
    StoreClosed,
    VersionConflict,
    new_id,
)
from eventstore.contract import DurableContract
from tests.eventstore.faults.answers import followed, joined

FLUSH_S = 0.05


class _Early(SqliteStore):
    """Answers from memory and writes behind its callers' backs."""

    waits_for_close = True

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.first = asyncio.Lock()
        self.known: int | None = None
        self.versions: dict[str, int] = {}
        self.late: list[tuple[str, Sequence[NewEvent], dict[str, Any]]] = []
        self.task: asyncio.Task[None] | None = None

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        if self._closed:
            raise StoreClosed
        async with self.first:
            if self.known is None:
                self.known = await self.head()
                self.task = asyncio.create_task(self._write_later())
            if stream not in self.versions:
                self.versions[stream] = await self.version(stream)
            position, version = self.known + 1, self.versions[stream] + 1
            self.known += len(events)
            self.versions[stream] += len(events)
            self.late.append((stream, events, {"checkpoint": options.get("checkpoint")}))
        return Appended(
            stream=stream,
            first_version=version,
            last_version=version + len(events) - 1,
            first_position=position,
            last_position=position + len(events) - 1,
            repeated=False,
        )

    async def _write_later(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._write_all()

    async def _write_all(self) -> None:
        late, self.late = self.late, []
        for stream, events, options in late:
            await super().append(stream, events, **options)

    async def aclose(self) -> None:
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if self.waits_for_close:
                await self._write_all()
        await super().aclose()


class _Forgetful(_Early):
    waits_for_close = False


class _Deaf(SqliteStore):
    """Is only woken by what it writes itself."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.own = asyncio.Condition()

    async def _until_woken(self) -> None:
        async with self.own:
            await self.own.wait()

    def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        return followed(self, after_position, category, self._until_woken)

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        async with self.own:
            self.own.notify_all()
        return answer


class _Stale(SqliteStore):
    """Answers for versions from its own memory of them."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.seen: dict[str, int] = {}

    async def version(self, stream: str) -> int:
        if stream not in self.seen:
            self.seen[stream] = await super().version(stream)
        return self.seen[stream]


class _Blind(SqliteStore):
    """Knows the ids of its own appends alone."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.own: set[str] = set()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        ids = {event.event_id for event in events}
        answer = await super().append(stream, events, **options)
        if answer.repeated and not ids <= self.own:
            raise EventStoreError("UNIQUE constraint failed", remedy="")
        self.own |= ids
        return answer


class _Amnesiac(SqliteStore):
    """Keeps checkpoints in memory."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.kept: dict[str, int] = {}

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.kept[checkpoint.consumer] = checkpoint.position

    async def checkpoint(self, consumer: str) -> int:
        return self.kept.get(consumer, await super().checkpoint(consumer))


class _Halved(SqliteStore):
    """Commits each event by itself."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        if options or len(events) < 2:
            return await super().append(stream, events, **options)
        first = await super().append(stream, events[:1])
        return joined(first, await super().append(stream, events[1:]))


class _Checking(SqliteStore):
    """Checks the version itself, and then appends to whatever has become of the stream."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.one = asyncio.Lock()

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expected_version: int = ANY, **options: Any
    ) -> Appended:
        async with self.one:
            version = await self.version(stream)
            if expected_version not in (ANY, version):
                known = {event.event_id async for event in self.read(stream)}
                if not events or not {event.event_id for event in events} <= known:
                    raise VersionConflict(stream, expected_version, version)
            return await super().append(stream, events, **options)


class _Recent(SqliteStore):
    """Knows the ids of its own appends, and of the last thousand events that were there before."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.since: int | None = None

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        if self.since is None:
            self.since = await self.head() - 1_000
        answer = await super().append(stream, events, **options)
        if answer.repeated and answer.first_position <= self.since:
            return await super().append(stream, [replace(event, event_id=new_id()) for event in events])
        return answer


class _Curt(SqliteStore):
    """Brings of what others append only the beginning."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.own: set[str] = set()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        self.own |= {event.event_id for event in events}
        return await super().append(stream, events, **options)

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            yield event if event.event_id in self.own else replace(event, data=event.data[:8_192])


class _Later(SqliteStore):
    """Saves the checkpoint once the events are there."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        checkpoint: Checkpoint | None = None,
        **options: Any,
    ) -> Appended:
        answer = await super().append(stream, events, **options)
        if checkpoint is not None:
            await asyncio.sleep(FLUSH_S)
            await super().append("-", (), checkpoint=checkpoint)
        return answer


class WithoutAFault(DurableContract):
    """The contract of a store in a file; those below only say which."""

    kind: type[SqliteStore] = SqliteStore

    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return self.kind.open(folder / "log.db")


class AcknowledgesWhatIsOnlyInMemory(WithoutAFault):
    kind = _Early


class LosesWhatWaitsWhenItCloses(WithoutAFault):
    kind = _Forgetful


class IsNotWokenByOtherProcesses(WithoutAFault):
    kind = _Deaf


class RemembersVersionsThatOthersChange(WithoutAFault):
    kind = _Stale


class KnowsItsOwnIdsAlone(WithoutAFault):
    kind = _Blind


class KeepsCheckpointsInMemory(WithoutAFault):
    kind = _Amnesiac


class CommitsHalfAnAppend(WithoutAFault):
    kind = _Halved


class ChecksVersionsForItselfAlone(WithoutAFault):
    kind = _Checking


class ForgetsOldIdsWhenItIsOpenedAgain(WithoutAFault):
    kind = _Recent


class CutsWhatOthersAppend(WithoutAFault):
    kind = _Curt


class SavesTheCheckpointAfterwards(WithoutAFault):
    kind = _Later


FAULTY_FILES: list[type[WithoutAFault]] = [
    AcknowledgesWhatIsOnlyInMemory,
    ChecksVersionsForItselfAlone,
    CommitsHalfAnAppend,
    CutsWhatOthersAppend,
    ForgetsOldIdsWhenItIsOpenedAgain,
    IsNotWokenByOtherProcesses,
    KeepsCheckpointsInMemory,
    KnowsItsOwnIdsAlone,
    LosesWhatWaitsWhenItCloses,
    RemembersVersionsThatOthersChange,
    SavesTheCheckpointAfterwards,
]
