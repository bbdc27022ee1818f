"""Stores in memory with one small fault each, of the kind that a hasty store has: in what is rare, long or odd."""

import time
import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    Batch,
    Checkpoint,
    DuplicateEvent,
    MemoryLog,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    StoreBusy,
    VerifyReport,
    VersionConflict,
    Witness,
    category_of,
)
from eventstore.chain import new_of
from eventstore.replay import COLUMNS
from tests.eventstore.faults.logs import Faulty

__all__ = ["HANGING_STORES", "SUBTLE_LOGS", "SUBTLE_STORES"]


class FindsCorrelationsLate(Faulty):
    """By an index that lacks the last event."""

    def read_all(self, *, correlation_id: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        for event in super().read_all(correlation_id=correlation_id, **options):
            if correlation_id is None or event.position < self.head():
                yield event


class CutsLongCorrelations(Faulty):
    def read_all(self, *, correlation_id: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        found = super().read_all(correlation_id=correlation_id, **options)
        return found if correlation_id is None else islice(found, 5_000)


class ReadsOneTooFewBackward(Faulty):
    def read(
        self, stream: str, *, limit: int | None = None, backward: bool = False, **options: Any
    ) -> Iterator[RecordedEvent]:
        if backward and limit is not None and limit > 2_048:
            limit -= 1
        return super().read(stream, limit=limit, backward=backward, **options)


class ReadsTenThousandWhereNoLimitIsGiven(Faulty):
    def read_all(self, *, limit: int | None = None, **options: Any) -> Iterator[RecordedEvent]:
        return super().read_all(limit=10_000 if limit is None else limit, **options)


class KeepsTimesInSeconds(MemoryLog):
    def __init__(self) -> None:
        super().__init__(clock_ms=lambda: int(time.time()))


class KeepsTheTimeOfItsOpening(MemoryLog):
    def __init__(self) -> None:
        opened_ms = time.time_ns() // 1_000_000
        super().__init__(clock_ms=lambda: opened_ms)


class ComparesTheFirstEventOfARepeat(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) > 1 and events[0].event_id in self._by_id:
            known = [self._by_id.get(event.event_id) for event in events]
            same = [new_of(old) if old else new for old, new in zip(known[1:], events[1:], strict=True)]
            events = [events[0], *same]
        return super().planted(stream, events, expected, checkpoint)


class LosesTheCheckpointOfARepeatWithAnOldVersion(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        known = any(event.event_id in self._by_id for event in events)
        old = known and expected not in (ANY, self.version(stream))
        return super().planted(stream, events, expected, None if old else checkpoint)


class NormalizesConsumers(Faulty):
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        name = unicodedata.normalize("NFC", checkpoint.consumer)
        super().save_checkpoint(structs.replace(checkpoint, consumer=name))

    def checkpoint(self, consumer: str) -> int:
        return super().checkpoint(unicodedata.normalize("NFC", consumer))


class SaysTheVersionForThePosition(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            return super().planted(stream, events, expected, checkpoint)
        except DuplicateEvent as error:
            old = self._by_id.get(error.event_id)
            raise DuplicateEvent(error.event_id, old and old.version, "it is there") from error


class SaysThatAnEmptyStreamIsBeforeItsBeginning(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            return super().planted(stream, events, expected, checkpoint)
        except VersionConflict as error:
            raise VersionConflict(stream, expected, error.actual or -1) from error


class CutsLongMetadata(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        cut = [structs.replace(event, metadata=event.metadata[:65_535]) for event in events]
        return super().planted(stream, cut, expected, checkpoint)


class DropsTheMetadataOfEmptyEvents(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        cut = [event if event.data else structs.replace(event, metadata=b"") for event in events]
        return super().planted(stream, cut, expected, checkpoint)


class ReplaysAPrefixForACategory(Faulty):
    def replay(self, decoder: Any, *, category: str | None = None, **options: Any) -> Iterator[Batch]:
        if category and not options.get("verify"):
            names = {category_of(name) for name in self._streams}
            category = next((name for name in names if name.startswith(category)), category)
        return super().replay(decoder, category=category, **options)


class ReplaysColumnsInItsOwnOrder(Faulty):
    def replay(self, decoder: Any, *, columns: Any = ("position",), **options: Any) -> Iterator[Batch]:
        if all(name in COLUMNS for name in columns):
            columns = sorted(set(columns), key=COLUMNS.index)
        return super().replay(decoder, columns=columns, **options)


class TakesOnlyWholeWitnesses(Faulty):
    def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        if witness is not None:
            witness = structs.replace(witness, digest=witness.digest.ljust(32, b"\0"))
        return super().verify(witness=witness)


class HearsOtherwise(MemoryStore):
    """Something is amiss with an event on its way to a subscriber."""

    def heard(self, event: RecordedEvent) -> RecordedEvent:
        raise NotImplementedError

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            yield self.heard(event)


class SubscribersGetNoMetadata(HearsOtherwise):
    def heard(self, event: RecordedEvent) -> RecordedEvent:
        return structs.replace(event, metadata=b"")


class SubscribersGetTheFirstTypeVersion(HearsOtherwise):
    def heard(self, event: RecordedEvent) -> RecordedEvent:
        return structs.replace(event, type_version=1)


class SubscribersGetTheBeginningOfLargeEvents(HearsOtherwise):
    def heard(self, event: RecordedEvent) -> RecordedEvent:
        return structs.replace(event, data=event.data[: 32 * 1024])


class SubscribesToAPrefixOfACategory(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position):
            if category is None or event.stream.startswith(category):
                yield event


class LosesARareCategory(MemoryStore):
    """Where a slice of others brings nothing of it, it takes that for the end."""

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        others = 0
        async for event in super().subscribe(after_position=after_position):
            if category is None or category_of(event.stream) == category:
                others = 0
                yield event
            else:
                others += 1
                if others == 2_048:
                    await anyio.sleep_forever()


class SubscribesToACategoryFromTheHeadAtMost(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        start = after_position if category is None else min(after_position, self.log.head())
        async for event in super().subscribe(after_position=start, category=category):
            yield event


class ReplaysWhenItIsClosed(MemoryStore):
    async def replay(self, *words: Any, **options: Any) -> AsyncIterator[Batch]:
        for batch in self.log.replay(*words, **options):
            yield batch


class SavesTheCheckpointFirst(MemoryStore):
    """In a step of its own."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        plain = expected_version == ANY and not any(event.event_id in self.log._by_id for event in events)
        if plain and checkpoint is not None and events and checkpoint.position <= self.log.head():
            await self.save_checkpoint(checkpoint)
            checkpoint = None
        return await super().append(stream, events, expected_version=expected_version, checkpoint=checkpoint)


class RemembersWhatACancelledCallerBegan(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.begun: set[str] = set()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        if self.begun & {event.event_id for event in events}:
            raise StoreBusy("This is being appended.", remedy="Wait.")
        ids = {event.event_id for event in events}
        await anyio.lowlevel.checkpoint()
        self.begun |= ids
        answer = await super().append(stream, events, **options)
        self.begun -= ids
        return answer


SUBTLE_LOGS: list[type[MemoryLog]] = [
    ComparesTheFirstEventOfARepeat,
    CutsLongCorrelations,
    CutsLongMetadata,
    DropsTheMetadataOfEmptyEvents,
    FindsCorrelationsLate,
    KeepsTheTimeOfItsOpening,
    KeepsTimesInSeconds,
    LosesTheCheckpointOfARepeatWithAnOldVersion,
    NormalizesConsumers,
    ReadsOneTooFewBackward,
    ReadsTenThousandWhereNoLimitIsGiven,
    ReplaysAPrefixForACategory,
    ReplaysColumnsInItsOwnOrder,
    SaysThatAnEmptyStreamIsBeforeItsBeginning,
    SaysTheVersionForThePosition,
    TakesOnlyWholeWitnesses,
]
SUBTLE_STORES: list[type[MemoryStore]] = [
    LosesARareCategory,
    RemembersWhatACancelledCallerBegan,
    ReplaysWhenItIsClosed,
    SavesTheCheckpointFirst,
    SubscribersGetNoMetadata,
    SubscribersGetTheBeginningOfLargeEvents,
    SubscribersGetTheFirstTypeVersion,
    SubscribesToACategoryFromTheHeadAtMost,
    SubscribesToAPrefixOfACategory,
]
HANGING_STORES: list[type[MemoryStore]] = [LosesARareCategory]
