"""Logs in memory with one planted fault each."""

import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    Batch,
    Checkpoint,
    DuplicateEvent,
    MemoryLog,
    NewEvent,
    RecordedEvent,
    Unreadable,
    VerifyReport,
    VersionConflict,
    Witness,
    category_of,
)
from eventstore.chain import new_of
from eventstore.ids import id_bytes
from tests.eventstore.faults.answers import joined


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


class RemembersIdsOfRefusedAppends(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if any(e.event_id in self.seen and e.event_id not in self._by_id for e in events):
            raise DuplicateEvent(events[0].event_id, None, "it was here once")
        self.seen.update(event.event_id for event in events)
        return super().planted(stream, events, expected, checkpoint)


class RecordsLargeAppendsInParts(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) <= 1000:
            return super().planted(stream, events, expected, checkpoint)
        first = super().planted(stream, events[:1000], expected, None)
        last = self.planted(stream, events[1000:], ANY, checkpoint)
        return joined(first, last)


class ForgetsOldIds(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        while len(self._by_id) > 10_000:
            del self._by_id[next(iter(self._by_id))]
        return super().planted(stream, events, expected, checkpoint)


class ComparesIdsOnly(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        old = self._by_id.get(events[0].event_id) if len(events) == 1 else None
        if old is None or old.stream != stream:
            return super().planted(stream, events, expected, checkpoint)
        return super().planted(stream, [new_of(old)], expected, checkpoint)


class KnowsIdsOfTheirStreamOnly(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        everywhere = dict(self._by_id)
        self._by_id = {key: event for key, event in everywhere.items() if event.stream == stream}
        try:
            return super().planted(stream, events, expected, checkpoint)
        finally:
            self._by_id = everywhere | self._by_id


class LeavesAGapForARefusal(Faulty):
    """As an AUTOINCREMENT or a sequence does that is taken from before the check."""

    gap = 0

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            answer = super().planted(stream, events, expected, checkpoint)
        except VersionConflict:
            self.gap += len(events)
            raise
        first, last = answer.first_position + self.gap, answer.last_position + self.gap
        return structs.replace(answer, first_position=first, last_position=last)


class CountsVersionsFromZero(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        return structs.replace(
            answer, first_version=answer.first_version - 1, last_version=answer.last_version - 1
        )


class AnswersRepeatsWithTheHead(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if answer.repeated:
            return structs.replace(answer, last_position=self.head())
        return answer


class CreatesAStreamForAnEmptyAppend(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if not events and checkpoint is None:
            self._streams.setdefault(stream, []).extend(self._events[-1:])
        return answer


class IgnoresTheVersionOfAnEmptyAppend(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream, events, expected if events else ANY, checkpoint)


class SharesOneCheckpointAmongNamesThatDifferInCase(Faulty):
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        super().save_checkpoint(structs.replace(checkpoint, consumer=checkpoint.consumer.lower()))


class TakesCheckpointsBeyondTheHead(Faulty):
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._checkpoints[checkpoint.consumer] = checkpoint.position


class CutsDataAtAMebibyte(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        cut = [structs.replace(event, data=event.data[: 1 << 20]) for event in events]
        return super().planted(stream, cut, expected, checkpoint)


class StripsNames(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream.strip() or stream, events, expected, checkpoint)


class NormalizesUnicode(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(unicodedata.normalize("NFC", stream), events, expected, checkpoint)


class TakesAnyId(Faulty):
    def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        mended = [
            event if id_bytes(event.event_id) else structs.replace(event, event_id=str(uuid.uuid4()))
            for event in events
        ]
        return super().append(stream, mended, **options)


class LosesCausation(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        bare = [structs.replace(event, causation_id=None) for event in events]
        return super().planted(stream, bare, expected, checkpoint)


class MatchesCorrelationInAnyCase(Faulty):
    def read_all(self, *, correlation_id: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        for event in super().read_all(**{**options, "limit": None}):
            if correlation_id is None or (event.correlation_id or "").lower() == correlation_id.lower():
                yield event


class LimitsBeforeItFilters(Faulty):
    def read_all(
        self, *, limit: int | None = None, category: str | None = None, **options: Any
    ) -> Iterator[RecordedEvent]:
        found = list(super().read_all(limit=limit, **options))
        return (event for event in found if category in (None, category_of(event.stream)))


class TurnsAroundTheFirstOnes(Faulty):
    """Backward reading that takes the oldest `limit` and turns those around."""

    def read(self, stream: str, *, backward: bool = False, **options: Any) -> Iterator[RecordedEvent]:
        found = list(super().read(stream, **options))
        return iter(found[::-1] if backward else found)


class ReadsBackwardFromTheStart(Faulty):
    """Backward reading that forgets where to stop."""

    def read_all(
        self, *, after_position: int = 0, backward: bool = False, **options: Any
    ) -> Iterator[RecordedEvent]:
        after = 0 if backward else after_position
        return super().read_all(after_position=after, backward=backward, **options)


class SkipsAnEventNowAndThen(Faulty):
    def read_all(self, **options: Any) -> Iterator[RecordedEvent]:
        return (event for event in super().read_all(**options) if event.position % 4096)


class StopsAReplayAtWhatCannotBeDecoded(Faulty):
    def replay(self, *words: Any, **options: Any) -> Iterator[Batch]:
        for batch in super().replay(*words, **options):
            for event in batch.events():
                if isinstance(event, Unreadable):
                    return
            yield batch


class DropsWhatCannotBeDecoded(Faulty):
    def replay(self, decoder: Any, **options: Any) -> Iterator[Batch]:
        def known(kind: str, version: int) -> Any:
            try:
                return decoder(kind, version)
            except ValueError:
                return bytes

        return super().replay(known, **options)


class ReplaysFromTheStart(Faulty):
    def replay(self, *words: Any, after_position: int = 0, **options: Any) -> Iterator[Batch]:
        return super().replay(*words, after_position=min(after_position, 0), **options)


class VerifiesWithoutLooking(Faulty):
    def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        return super().verify()


class BreaksTheChain(Faulty):
    def _record(self, stream: str, events: Sequence[NewEvent]) -> None:
        super()._record(stream, events)
        self._events[-1] = structs.replace(self._events[-1], checksum=0)


FAULTY_LOGS: list[type[MemoryLog]] = [
    AnswersRepeatsWithTheHead,
    BreaksTheChain,
    CheckpointsOnlyForward,
    ChecksVersionBeforeRepeats,
    ComparesIdsOnly,
    CountsVersionsFromZero,
    CreatesAStreamForAnEmptyAppend,
    CutsDataAtAMebibyte,
    CutsLongReads,
    DropsWhatCannotBeDecoded,
    ForgetsOldIds,
    IgnoresExpectedVersion,
    IgnoresNoStream,
    IgnoresTheVersionOfAnEmptyAppend,
    KnowsIdsOfTheirStreamOnly,
    LeavesAGapForARefusal,
    LimitsBeforeItFilters,
    LosesCausation,
    LosesCheckpointOfRepeats,
    LosesMetadata,
    MatchesCorrelationInAnyCase,
    MergesStreamsThatDifferInCase,
    NormalizesUnicode,
    ReadsBackwardFromTheStart,
    ReadsTheEventItWasToldToReadAfter,
    RecordsAConflictedPart,
    RecordsLargeAppendsInParts,
    RecordsRepeatsAgain,
    RefusesRepeats,
    RemembersIdsOfRefusedAppends,
    ReplaysFromTheStart,
    SavesCheckpointOfRefused,
    SharesOneCheckpointAmongNamesThatDifferInCase,
    SkipsAnEventNowAndThen,
    StopsAReplayAtWhatCannotBeDecoded,
    StripsNames,
    TakesAPrefixForACategory,
    TakesAnyId,
    TakesCheckpointsBeyondTheHead,
    TurnsAroundTheFirstOnes,
    VerifiesWithoutLooking,
]
