"""Logs in memory with one planted fault each, that shows at one number, one size or one count only."""

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from eventstore import ANY, Appended, Batch, Checkpoint, MemoryLog, RecordedEvent
from eventstore.contract import new
from eventstore.replay import Decoders, batch_of
from tests.eventstore.faults.answers import joined
from tests.eventstore.faults.logs import Faulty

WORD = 2**32


class TakesExpectedVersionsModuloAWord(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        expected = expected if expected == ANY else expected % WORD
        return super().planted(stream, events, expected, checkpoint)


class ReadsAfterPositionsModuloAWord(MemoryLog):
    def read_all(self, *, after_position: int = 0, **asked: Any) -> Iterator[RecordedEvent]:
        return super().read_all(after_position=after_position % WORD, **asked)


class ReadsAfterVersionsModuloAWord(MemoryLog):
    def read(self, stream: str, *, after_version: int = 0, **asked: Any) -> Iterator[RecordedEvent]:
        return super().read(stream, after_version=after_version % WORD, **asked)


class TakesLimitsModuloAWord(MemoryLog):
    def read(self, stream: str, *, limit: int | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        return super().read(stream, limit=limit and limit % WORD, **asked)

    def read_all(self, *, limit: int | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        return super().read_all(limit=limit and limit % WORD, **asked)


class TakesALimitOf31BitsForNone(MemoryLog):
    def read_all(self, *, limit: int | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        return (
            super().read_all(limit=min(limit, 2**31 - 1) if limit != 2**31 else 0, **asked)
            if limit
            else super().read_all(limit=limit, **asked)
        )


class EndsAReadAtAFullPage(MemoryLog):
    """Of 256: what lies behind is only asked for where a page was not full."""

    def read_all(self, *, limit: int | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        found = list(super().read_all(limit=limit, **asked))
        return iter(found[:-1] if limit is None and found and len(found) % 256 == 0 else found)


class RepeatsTheLastOfAFullPage(MemoryLog):
    def read(self, stream: str, *, backward: bool = False, **asked: Any) -> Iterator[RecordedEvent]:
        found = list(super().read(stream, backward=backward, **asked))
        return iter(found + found[-1:] if backward and len(found) == 100 else found)


class KeepsLimitsToAThousand(MemoryLog):
    def read_all(self, *, limit: int | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        if limit is not None and asked.get("correlation_id") is None:
            limit = min(limit, 1_000)
        return super().read_all(limit=limit, **asked)


class ForgetsWhereToStopBehindTheFirstPageBackward(MemoryLog):
    def read_all(
        self, *, after_position: int = 0, backward: bool = False, **asked: Any
    ) -> Iterator[RecordedEvent]:
        limit = asked.get("limit")
        found = list(super().read_all(after_position=after_position, backward=backward, **asked))
        if backward and len(found) > 500 and (limit is None or limit > 500):
            return super().read_all(after_position=0, backward=True, **asked)
        return iter(found)


class ForgetsWhereToStopInAStreamBackward(MemoryLog):
    def read(
        self, stream: str, *, after_version: int = 0, backward: bool = False, **asked: Any
    ) -> Iterator[RecordedEvent]:
        found = list(super().read(stream, after_version=after_version, backward=backward, **asked))
        if backward and len(found) > 500:
            return super().read(stream, after_version=0, backward=True, **asked)
        return iter(found)


class LosesTheLastOfAnAppendOf512(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) == 512:
            answer = super().planted(stream, events[:-1], expected, checkpoint)
            return structs.replace(
                answer, last_version=answer.last_version + 1, last_position=answer.last_position + 1
            )
        return super().planted(stream, events, expected, checkpoint)


class TurnsAppendsOf64And1(Faulty):
    """Those of 65 events are written as 64 and one, and the one first."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) == 65:
            events = [events[-1], *events[:-1]]
        return super().planted(stream, events, expected, checkpoint)


class CutsDataOfExactly64KiB(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        cut = [structs.replace(e, data=b"") if len(e.data) == 65_536 else e for e in events]
        return super().planted(stream, cut, expected, checkpoint)


class CutsMetadataAt65535(Faulty):
    """Its length is kept in two bytes."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        cut = [
            structs.replace(e, metadata=e.metadata[:65_535]) if len(e.metadata) <= 65_537 else e
            for e in events
        ]
        return super().planted(stream, cut, expected, checkpoint)


class KeepsTypesInAByte(Faulty):
    """The 257th type is the first one."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.types: list[tuple[str, int]] = []

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        made = []
        for event in events:
            kind = (event.type, event.type_version)
            if kind not in self.types:
                self.types.append(kind)
            name, version = self.types[self.types.index(kind) % 256]
            made.append(structs.replace(event, type=name, type_version=version))
        return super().planted(stream, made, expected, checkpoint)


class ForgetsTheOldestOfAThousandStreams(Faulty):
    """Any version that is expected holds there."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if stream in list(self._streams)[:-1_000]:
            expected = ANY
        return super().planted(stream, events, expected, checkpoint)


class KeepsAThousandCorrelations(MemoryLog):
    def read_all(self, *, correlation_id: str | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        kept = list(dict.fromkeys(e.correlation_id for e in self._events if e.correlation_id))[-1_000:]
        if correlation_id is not None and correlation_id not in kept:
            return iter(())
        return super().read_all(correlation_id=correlation_id, **asked)


class ExpectsNothingOfLargeAppends(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream, events, ANY if len(events) > 1_000 else expected, checkpoint)


class ExpectsNothingWhereNothingIsAppended(Faulty):
    """But for streams that are there."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(
            stream, events, ANY if not events and not self.version(stream) else expected, checkpoint
        )


class RefusesALargeAppendInPieces(Faulty):
    """Of 4,096 events; those before the one that is refused stay."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) <= 4_096 or self._by_id.get(events[0].event_id):
            return super().planted(stream, events, expected, checkpoint)
        first = super().planted(stream, events[:4_096], expected, None)
        return joined(first, self.planted(stream, events[4_096:], ANY, checkpoint))


class RefusesHeavyAppendsInPieces(Faulty):
    """The first event of more than 64 KiB is written alone."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        heavy = len(events) > 1 and len(events[0].data) > 65_536 and events[0].event_id not in self._by_id
        if not heavy:
            return super().planted(stream, events, expected, checkpoint)
        first = super().planted(stream, events[:1], expected, None)
        return joined(first, self.planted(stream, events[1:], ANY, checkpoint))


class EndsAReplayOfACategoryInAPageWithoutIt(MemoryLog):
    def replay(self, decoder: Any, *, category: str | None = None, **asked: Any) -> Iterator[Batch]:
        columns = asked.get("columns", ("position",))
        for batch in super().replay(decoder, category=category, **asked):
            found = [self._events[position - 1] for position in batch.positions]
            if category is not None:
                before = asked.get("after_position", 0)
                for index, event in enumerate(found):
                    if event.position > before + 2_048:
                        found = found[:index]
                        break
                    before = event.position
            if found:
                yield batch_of(found, columns, Decoders(decoder))


class ReadsAPageOfEightMebibytes(MemoryLog):
    """And takes what is behind for the next page, which it forgets."""

    def read_all(self, **asked: Any) -> Iterator[RecordedEvent]:
        size = 0
        for event in super().read_all(**asked):
            yield event
            size += len(event.data)
            if size > 8 * 2**20 and event.position < self.head() and len(event.data) < 2**23:
                return


class SavesCheckpointsAsEvents(MemoryLog):
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        super().save_checkpoint(checkpoint)
        if checkpoint.position:
            super().append("checkpoints", [new(checkpoint.consumer.encode())])
