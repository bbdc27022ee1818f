"""The contract has teeth: stores with one planted fault each fail it."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    DuplicateEvent,
    EventStore,
    EventStoreError,
    MemoryLog,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    VersionConflict,
    category_of,
)
from eventstore.contract import EventStoreContract

GUARD_S = 60.0


class Faulty(MemoryLog):
    """A log whose faults are planted by overriding."""

    def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        return self.planted(stream, events, expected_version, checkpoint)

    def planted(
        self, stream: str, events: Sequence[NewEvent], expected: int, checkpoint: Checkpoint | None
    ) -> Appended:
        return super().append(stream, events, expected_version=expected, checkpoint=checkpoint)


class IgnoresExpectedVersion(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream, events, ANY, checkpoint)


class IgnoresNoStream(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream, events, expected or ANY, checkpoint)


class RefusesRepeats(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if answer.repeated:
            raise DuplicateEvent(events[0].event_id, answer.first_position, "it is there")
        return answer


class ChecksVersionBeforeRepeats(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if expected not in (ANY, self.version(stream)):
            raise VersionConflict(stream, expected, self.version(stream))
        return super().planted(stream, events, expected, checkpoint)


class RecordsRepeatsAgain(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        self._by_id.clear()
        return super().planted(stream, events, expected, checkpoint)


class RecordsAConflictedPart(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            return super().planted(stream, events, expected, checkpoint)
        except DuplicateEvent:
            super().planted(stream, [e for e in events if e.event_id not in self._by_id], ANY, None)
            raise


class LosesCheckpointOfRepeats(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        known = events and all(event.event_id in self._by_id for event in events)
        return super().planted(stream, events, expected, None if known else checkpoint)


class SavesCheckpointOfRefused(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if checkpoint is not None:
            self._checkpoints[checkpoint.consumer] = checkpoint.position
        return super().planted(stream, events, expected, checkpoint)


class CheckpointsOnlyForward(Faulty):
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        if checkpoint.position >= self.checkpoint(checkpoint.consumer):
            super().save_checkpoint(checkpoint)


class LosesMetadata(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        bare = [structs.replace(event, metadata=b"") for event in events]
        return super().planted(stream, bare, expected, checkpoint)


class MergesStreamsThatDifferInCase(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream.lower(), events, expected, checkpoint)


class CutsLongReads(Faulty):
    def read(self, *words: Any, **options: Any) -> Iterator[RecordedEvent]:
        return iter(list(super().read(*words, **options))[:4096])


class ReadsTheEventItWasToldToReadAfter(Faulty):
    def read_all(self, *, after_position: int = 0, **options: Any) -> Iterator[RecordedEvent]:
        return super().read_all(after_position=max(after_position - 1, 0), **options)


class TakesAPrefixForACategory(Faulty):
    def read_all(self, *, category: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        found = super().read_all(**options)
        return (event for event in found if category_of(event.stream).startswith(category or ""))


class BreaksTheChain(Faulty):
    def _record(self, stream: str, events: Sequence[NewEvent]) -> None:
        super()._record(stream, events)
        self._events[-1] = structs.replace(self._events[-1], checksum=0)


class SwallowsWakeUps(MemoryStore):
    def _wake(self) -> None:
        if self._closed:
            super()._wake()


class SkipsAheadWhenItGoesLive(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in self.read_all(after_position=after_position, category=category):
            yield event
        await anyio.lowlevel.checkpoint()
        async for event in super().subscribe(after_position=self.log.head(), category=category):
            yield event


class RepeatsWhenItGoesLive(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        head = self.log.head()
        async for event in self.read_all(after_position=after_position, category=category):
            yield event
        async for event in super().subscribe(after_position=min(head, after_position), category=category):
            yield event


class RecordsBeforeItCanBeCancelled(MemoryStore):
    """One event at a time, with a wait between: half an append is left behind."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        if expected_version != ANY or checkpoint is not None or len(events) < 2:
            return await super().append(
                stream, events, expected_version=expected_version, checkpoint=checkpoint
            )
        first = await super().append(stream, events[:1])
        last = await super().append(stream, events[1:])
        return structs.replace(last, first_version=first.first_version, first_position=first.first_position)


class IsUsableWhenClosed(MemoryStore):
    async def aclose(self) -> None:
        self._wake()


FAULTY_LOGS: list[type[MemoryLog]] = [
    BreaksTheChain,
    CheckpointsOnlyForward,
    ChecksVersionBeforeRepeats,
    CutsLongReads,
    IgnoresExpectedVersion,
    IgnoresNoStream,
    LosesCheckpointOfRepeats,
    LosesMetadata,
    MergesStreamsThatDifferInCase,
    ReadsTheEventItWasToldToReadAfter,
    RecordsAConflictedPart,
    RecordsRepeatsAgain,
    RefusesRepeats,
    SavesCheckpointOfRefused,
    TakesAPrefixForACategory,
]
FAULTY_STORES: list[Callable[[], MemoryStore]] = [
    IsUsableWhenClosed,
    RecordsBeforeItCanBeCancelled,
    RepeatsWhenItGoesLive,
    SkipsAheadWhenItGoesLive,
    SwallowsWakeUps,
]


async def first_failure(make: Callable[[], MemoryStore], folder: Path, guard_s: float = 1.0) -> str | None:
    """The first test of the contract that the store fails; to wait longer than the guard is to fail."""

    class Run(EventStoreContract):
        def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
            return make()

    run = Run()
    for name in sorted(dir(run), key=lambda name: "waits" in name or "woken" in name):
        if not name.startswith("test_"):
            continue
        try:
            with anyio.fail_after(guard_s):
                await getattr(run, name)(folder)
        except (AssertionError, EventStoreError, TimeoutError, ExceptionGroup, IndexError):
            return name
    return None


@pytest.mark.parametrize("fault", FAULTY_LOGS, ids=lambda fault: fault.__name__)
async def test_a_log_with_a_planted_fault_fails_the_contract(fault: type[MemoryLog], tmp_path: Path) -> None:
    assert await first_failure(lambda: MemoryStore(fault()), tmp_path) is not None


@pytest.mark.parametrize("make", FAULTY_STORES, ids=lambda make: make.__name__)
async def test_a_store_with_a_planted_fault_fails_the_contract(
    make: Callable[[], MemoryStore], tmp_path: Path
) -> None:
    assert await first_failure(make, tmp_path) is not None


async def test_the_store_without_a_fault_passes(tmp_path: Path) -> None:
    assert await first_failure(functools.partial(MemoryStore, Faulty()), tmp_path / "shared") is not None, (
        "a log shared by all tests is a fault too"
    )
    assert await first_failure(lambda: MemoryStore(Faulty()), tmp_path, GUARD_S) is None
