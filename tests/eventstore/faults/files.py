"""Stores in a file with one planted fault each, in what outlives a process or passes between two.

Each comes as the contract that opens it, at the top of a module, as the contract's own processes load it by name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

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
)
from eventstore.contract import DurableContract

FLUSH_S = 0.05


class _Wrong(SqliteStore):
    """A store that is right, for others to go wrong."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        return await self.planted(stream, tuple(events), expected_version, checkpoint)

    async def planted(
        self, stream: str, events: tuple[NewEvent, ...], expected: int, checkpoint: Checkpoint | None
    ) -> Appended:
        return await super().append(stream, events, expected_version=expected, checkpoint=checkpoint)


class _Early(_Wrong):
    """Answers from memory and writes behind its callers' backs."""

    waits_for_close = True

    async def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if self._closed:
            raise StoreClosed
        state = self.__dict__
        lock = state.setdefault("_order", asyncio.Lock())
        async with lock:
            if "_head" not in state:
                state["_head"], state["_versions"], state["_late"] = await self.head(), {}, []
                state["_task"] = asyncio.ensure_future(self._write_later())
            versions = state["_versions"]
            if stream not in versions:
                versions[stream] = await self.version(stream)
            first, version = state["_head"] + 1, versions[stream] + 1
            state["_head"] += len(events)
            versions[stream] += len(events)
            state["_late"].append((stream, events, checkpoint))
        return Appended(
            stream=stream,
            first_version=version,
            last_version=version + len(events) - 1,
            first_position=first,
            last_position=first + len(events) - 1,
            repeated=False,
        )

    async def _write_later(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._write_all()

    async def _write_all(self) -> None:
        late, self.__dict__["_late"] = self.__dict__["_late"], []
        for stream, events, checkpoint in late:
            await super().planted(stream, events, ANY, checkpoint)

    async def aclose(self) -> None:
        task = self.__dict__.pop("_task", None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if self.waits_for_close:
                await self._write_all()
        await super().aclose()


class _Forgetful(_Early):
    waits_for_close = False


class _Deaf(_Wrong):
    """Is only woken by what it writes itself."""

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        position = after_position
        own = self.__dict__.setdefault("_own", asyncio.Condition())
        while True:
            async for event in self.read_all(after_position=position, category=category):
                position = event.position
                yield event
            async with own:
                await own.wait()

    async def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = await super().planted(stream, events, expected, checkpoint)
        own = self.__dict__.setdefault("_own", asyncio.Condition())
        async with own:
            own.notify_all()
        return answer


class _Stale(_Wrong):
    """Answers for versions from its own memory of them."""

    async def version(self, stream: str) -> int:
        seen: dict[str, int] = self.__dict__.setdefault("_seen", {})
        if stream not in seen:
            seen[stream] = await super().version(stream)
        return seen[stream]


class _Blind(_Wrong):
    """Knows the ids of its own appends alone."""

    async def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        own = self.__dict__.setdefault("_own_ids", set())
        answer = await super().planted(stream, events, expected, checkpoint)
        if answer.repeated and not own.issuperset(event.event_id for event in events):
            raise EventStoreError("UNIQUE constraint failed", remedy="")
        own.update(event.event_id for event in events)
        return answer


class _Amnesiac(_Wrong):
    """Keeps checkpoints in memory."""

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.__dict__.setdefault("_kept", {})[checkpoint.consumer] = checkpoint.position

    async def checkpoint(self, consumer: str) -> int:
        kept: dict[str, int] = self.__dict__.get("_kept", {})
        return kept.get(consumer, await super().checkpoint(consumer))


class _Halved(_Wrong):
    """Commits each event by itself."""

    async def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) < 2 or expected != ANY:
            return await super().planted(stream, events, expected, checkpoint)
        first = await super().planted(stream, events[:1], expected, None)
        last = await super().planted(stream, events[1:], ANY, checkpoint)
        return Appended(
            stream=stream,
            first_version=first.first_version,
            last_version=last.last_version,
            first_position=first.first_position,
            last_position=last.last_position,
            repeated=False,
        )


class _InAFile(DurableContract):
    kind: type[SqliteStore] = SqliteStore

    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return self._open(folder / "log.db")

    @asynccontextmanager
    async def _open(self, path: Path) -> AsyncIterator[EventStore]:
        async with self.kind.open(path) as store:
            yield store


class AcknowledgesWhatIsOnlyInMemory(_InAFile):
    kind = _Early


class LosesWhatWaitsWhenItCloses(_InAFile):
    kind = _Forgetful


class IsNotWokenByOtherProcesses(_InAFile):
    kind = _Deaf


class RemembersVersionsThatOthersChange(_InAFile):
    kind = _Stale


class KnowsItsOwnIdsAlone(_InAFile):
    kind = _Blind


class KeepsCheckpointsInMemory(_InAFile):
    kind = _Amnesiac


class CommitsHalfAnAppend(_InAFile):
    kind = _Halved


class WithoutAFault(_InAFile):
    kind = _Wrong


FAULTY_FILES: list[type[_InAFile]] = [
    AcknowledgesWhatIsOnlyInMemory,
    CommitsHalfAnAppend,
    IsNotWokenByOtherProcesses,
    KeepsCheckpointsInMemory,
    KnowsItsOwnIdsAlone,
    LosesWhatWaitsWhenItCloses,
    RemembersVersionsThatOthersChange,
]
