"""Stores in a file with one planted fault each, in what two of them that have it open know of each other.

Each comes as the contract that opens it, as those in `files`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import anyio
from msgspec.structs import replace

from eventstore import (
    ANY,
    Appended,
    Batch,
    Checkpoint,
    DuplicateEvent,
    InvalidArgument,
    NewEvent,
    RecordedEvent,
    SqliteStore,
    VerifyReport,
    VersionConflict,
    Witness,
)
from tests.eventstore.faults.answers import repeat_of
from tests.eventstore.faults.files import WithoutAFault


class _Knowing(SqliteStore):
    """Knows what it appended itself, and how far the log went when it was first used."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.own: set[str] = set()
        self.since: int | None = None

    async def first_head(self) -> int:
        if self.since is None:
            self.since = await self.head()
        return self.since

    async def knows(self, event: RecordedEvent) -> bool:
        return event.position <= await self.first_head() or event.event_id in self.own

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        await self.first_head()
        self.own |= {event.event_id for event in events}
        return await super().append(stream, events, **options)


class _DeafInACategory(_Knowing):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            if category is None or await self.knows(event):
                yield event


class _OwnCorrelations(_Knowing):
    async def read_all(
        self, *, correlation_id: str | None = None, **options: Any
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().read_all(correlation_id=correlation_id, **options):
            if correlation_id is None or await self.knows(event):
                yield event


class _OwnCategories(_Knowing):
    async def read_all(self, *, category: str | None = None, **options: Any) -> AsyncIterator[RecordedEvent]:
        async for event in super().read_all(category=category, **options):
            if category is None or await self.knows(event):
                yield event


class _OwnHead(SqliteStore):
    """Holds checkpoints against the head that its own appends left."""

    known = 0

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        self.known = max(self.known, answer.last_position)
        return answer

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        if checkpoint.position > self.known:
            raise InvalidArgument("That lies beyond the head.", remedy="Wait.")
        await super().save_checkpoint(checkpoint)


class _VerifiedOnce(SqliteStore):
    report: VerifyReport | None = None

    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        if self.report is None or witness is not None:
            self.report = await super().verify(witness=witness)
        return self.report


class _VerifiedSince(_Knowing):
    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        report = await super().verify(witness=witness)
        return replace(report, events=report.events - await self.first_head())


class _OwnReplay(_Knowing):
    last = 0

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        self.last = max(self.last, answer.last_position)
        return answer

    async def replay(self, *words: Any, **options: Any) -> AsyncIterator[Batch]:
        known = max(await self.first_head(), self.last)
        async for batch in super().replay(*words, **options):
            if batch.positions[0] <= known:
                yield batch


class _TakingTheBell(SqliteStore):
    """When it closes, subscribers of all others on its file wait for ever."""

    closed: ClassVar[dict[str, int]] = {}

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        before = self.closed.get(str(self.path))
        async for event in super().subscribe(after_position=after_position, category=category):
            if self.closed.get(str(self.path)) != before:
                await anyio.sleep_forever()
            yield event

    async def aclose(self) -> None:
        self.closed[str(self.path)] = self.closed.get(str(self.path), 0) + 1
        await super().aclose()


class _KnownVersions(SqliteStore):
    """Holds an empty append against the version that it knows."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.versions: dict[str, int] = {}

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expected_version: int = ANY, **options: Any
    ) -> Appended:
        if events or expected_version == ANY:
            answer = await super().append(stream, events, expected_version=expected_version, **options)
            self.versions[stream] = answer.last_version
            return answer
        if stream not in self.versions:
            self.versions[stream] = await self.version(stream)
        if self.versions[stream] != expected_version:
            raise VersionConflict(stream, expected_version, self.versions[stream])
        return await super().append(stream, events, **options)


class _Trusting(_Knowing):
    """Takes a single event for a repeat of what another store wrote under its id, if that looks alike."""

    def alike(self, old: RecordedEvent, event: NewEvent) -> bool:
        return True

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        written = set(self.own)
        try:
            return await super().append(stream, events, **options)
        except DuplicateEvent as error:
            self.own = written
            if len(events) != 1 or error.position is None or events[0].event_id in written:
                raise
            async for old in self.read_all(after_position=error.position - 1, limit=1):
                if old.stream == stream and self.alike(old, events[0]):
                    return repeat_of(old, old)
            raise


class _TrustingInData(_Trusting):
    def alike(self, old: RecordedEvent, event: NewEvent) -> bool:
        return old.data == event.data


class _Cutting(_Knowing):
    async def read(self, stream: str, **options: Any) -> AsyncIterator[RecordedEvent]:
        async for event in super().read(stream, **options):
            yield event if event.event_id in self.own else replace(event, data=event.data[:65_536])


class _CachingCheckpoints(SqliteStore):
    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.kept: dict[str, int] = {}

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        checkpoint: Checkpoint | None = None,
        **options: Any,
    ) -> Appended:
        answer = await super().append(stream, events, checkpoint=checkpoint, **options)
        if checkpoint is not None:
            self.kept[checkpoint.consumer] = checkpoint.position
        return answer

    async def checkpoint(self, consumer: str) -> int:
        return self.kept.get(consumer, await super().checkpoint(consumer))


class IsDeafToOthersInACategory(WithoutAFault):
    kind = _DeafInACategory


class FindsOnlyItsOwnCorrelations(WithoutAFault):
    kind = _OwnCorrelations


class FindsOnlyItsOwnInACategory(WithoutAFault):
    kind = _OwnCategories


class HoldsCheckpointsAgainstItsOwnHead(WithoutAFault):
    kind = _OwnHead


class VerifiesOnce(WithoutAFault):
    kind = _VerifiedOnce


class VerifiesSinceItWasOpened(WithoutAFault):
    kind = _VerifiedSince


class ReplaysUpToItsOwn(WithoutAFault):
    kind = _OwnReplay


class DeafensOthersWhenItCloses(WithoutAFault):
    kind = _TakingTheBell


class HoldsEmptyAppendsAgainstWhatItKnows(WithoutAFault):
    kind = _KnownVersions


class ComparesNothingThatOthersWrote(WithoutAFault):
    kind = _Trusting


class ComparesOnlyTheDataThatOthersWrote(WithoutAFault):
    kind = _TrustingInData


class CutsLargeEventsWhenItIsOpenedAgain(WithoutAFault):
    kind = _Cutting


class RemembersCheckpointsThatOthersChange(WithoutAFault):
    kind = _CachingCheckpoints
