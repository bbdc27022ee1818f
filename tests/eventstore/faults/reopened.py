"""Stores in a file with one planted fault each, in what they know when they are opened again, or of each other.

Each comes as the contract that opens it, as those in `files`.
"""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import anyio
from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    EventStore,
    NewEvent,
    RecordedEvent,
    SqliteStore,
    new_id,
)
from tests.eventstore.faults.answers import followed
from tests.eventstore.faults.files import WithoutAFault


class _Remembering(SqliteStore):
    """Knows what it has recorded since it was opened."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.own: set[str] = set()
        self.begun: int | None = None

    async def begin(self) -> int:
        if self.begun is None:
            self.begun = await self.head()
        return self.begun

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        await self.begin()
        events = tuple(events)
        answer = await super().append(stream, events, **options)
        self.own |= {event.event_id for event in events}
        return answer


class _FirstIdOnly(_Remembering):
    """Of an append it looks only for the first id among those that the file holds."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = tuple(events)
        begun = await self.begin()
        if len(events) > 1 and begun and events[0].event_id not in self.own:
            found = {e.event_id for e in await _all(self)}
            if events[0].event_id not in found and found & {e.event_id for e in events[1:]}:
                events = tuple(
                    structs.replace(e, event_id=new_id()) if e.event_id in found else e for e in events
                )
        return await super().append(stream, events, **options)


async def _all(store: SqliteStore) -> list[RecordedEvent]:
    return [event async for event in SqliteStore.read_all(store)]


class _CappedOnLoad(_Remembering):
    """Of what was there when it was opened only the last 10,000 are read."""

    async def read_all(self, **asked: Any) -> AsyncIterator[RecordedEvent]:
        begun = await self.begin()
        async for event in super().read_all(**asked):
            if event.position > begun - 10_000:
                yield event


class _Bare(_Remembering):
    """What was there when it was opened has lost its correlation and causation; its checksums say nothing of it."""

    def bare(self, event: RecordedEvent, begun: int) -> RecordedEvent:
        if event.position > begun or event.correlation_id is None or event.causation_id is None:
            return event
        return structs.replace(event, causation_id=None)

    async def read_all(self, **asked: Any) -> AsyncIterator[RecordedEvent]:
        begun = await self.begin()
        async for event in super().read_all(**asked):
            yield self.bare(event, begun)


class _NoMetadata(_Bare):
    def bare(self, event: RecordedEvent, begun: int) -> RecordedEvent:
        return event if event.position > begun else structs.replace(event, metadata=b"")


class _FoldedOnLoad(_Remembering):
    """The names of consumers are folded when they are loaded."""

    async def checkpoint(self, consumer: str) -> int:
        found = await super().checkpoint(consumer)
        if await self.begin() and not self.own and not found:
            return await super().checkpoint(consumer.lower())
        return found


class _Largest(SqliteStore):
    """Of a checkpoint it keeps the largest that ever was, which it has when it is opened again."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.saved: set[str] = set()

    def _largest(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self.path.with_suffix(".largest").read_text()))
        return {}

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        mark = options.get("checkpoint")
        if mark is not None:
            self.saved.add(mark.consumer)
            known = self._largest()
            known[mark.consumer] = max(known.get(mark.consumer, 0), mark.position)
            self.path.with_suffix(".largest").write_text(json.dumps(known))
        return answer

    async def checkpoint(self, consumer: str) -> int:
        found = await super().checkpoint(consumer)
        return found if consumer in self.saved else max(found, self._largest().get(consumer, 0))


class _LazyCheckpoints(SqliteStore):
    """One that is saved alone goes to the file when the store is closed."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.late: dict[str, int] = {}

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        before = await super().checkpoint(checkpoint.consumer)
        await super().save_checkpoint(checkpoint)
        alone = checkpoint.consumer.startswith("alone")
        if alone:
            await super().save_checkpoint(structs.replace(checkpoint, position=before))
            self.late[checkpoint.consumer] = checkpoint.position

    async def checkpoint(self, consumer: str) -> int:
        found = await super().checkpoint(consumer)
        return self.late.get(consumer, found)

    async def aclose(self) -> None:
        late, self.late = self.late, {}
        for consumer, position in late.items():
            await super().save_checkpoint(Checkpoint(consumer=consumer, position=position))
        await super().aclose()


class _LazyIds(_Remembering):
    """The ids that it has recorded go to the file when it is closed; those of a process that was killed are lost."""

    living: ClassVar[Counter[str]] = Counter()
    lost = False

    async def begin(self) -> int:
        if self.begun is None:
            name, mark = str(self.path), self.path.with_suffix(".open")
            self.lost = mark.exists() and not self.living[name]
            self.living[name] += 1
            mark.touch()
        return await super().begin()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events, begun = tuple(events), await self.begin()
        if self.lost and options.get("checkpoint") is None:
            known = {event.event_id for event in (await _all(self))[:begun]}
            events = tuple(
                structs.replace(e, event_id=new_id()) if e.event_id in known else e for e in events
            )
            options["expected_version"] = ANY
        return await super().append(stream, events, **options)

    async def aclose(self) -> None:
        if not self._closed and self.begun is not None:
            self.living[str(self.path)] -= 1
            if not self.living[str(self.path)]:
                self.path.with_suffix(".open").unlink()
        await super().aclose()


class _ThousandOfOthers(_Remembering):
    """Of what others append it takes the last thousand ids to know, when it looks."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = tuple(events)
        begun = await self.begin()
        ids = {event.event_id for event in events} - self.own
        log = await _all(self) if await self.head() > begun + 1_000 else []
        old = {e.event_id for e in log[begun:-1_000] if e.event_id not in self.own} & ids
        made = [structs.replace(e, event_id=new_id()) if e.event_id in old else e for e in events]
        return await super().append(stream, made, **options)


class _OwnEndBackward(_Remembering):
    """Reads backward from the end that it knows."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.end = 0

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        self.end = max(self.end, answer.last_position)
        return answer

    async def read_all(self, *, backward: bool = False, **asked: Any) -> AsyncIterator[RecordedEvent]:
        filtered = asked.get("category") is not None or asked.get("correlation_id") is not None
        end = self.end or await self.begin()
        async for event in super().read_all(backward=backward, **asked):
            if not backward or filtered or event.position <= end:
                yield event


class _OwnEndOfStreams(_OwnEndBackward):
    async def read_all(self, **asked: Any) -> AsyncIterator[RecordedEvent]:
        async for event in SqliteStore.read_all(self, **asked):
            yield event

    async def read(
        self, stream: str, *, backward: bool = False, **asked: Any
    ) -> AsyncIterator[RecordedEvent]:
        end = self.end or await self.begin()
        async for event in super().read(stream, backward=backward, **asked):
            if not backward or event.position <= end:
                yield event


class _FirstHears(_Remembering):
    """Only the first subscription of a store is woken by what others append."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.following = 0
        self.most = 0

    def hears(self) -> bool:
        return self.following == 1

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        self.following += 1
        self.most = max(self.most, self.following)
        seen = -1

        async def own() -> None:
            nonlocal seen
            while seen == len(self.own) and not self._closed:  # noqa: ASYNC110
                await anyio.sleep(0.002)
            seen = len(self.own)

        try:
            if self.hears():
                async for event in super().subscribe(after_position=after_position, category=category):
                    yield event
            async for event in followed(self, after_position, category, own):
                yield event
        finally:
            self.following -= 1


class _DeafAfterwards(_FirstHears):
    """Once its first subscription has ended no other is woken by other stores."""

    ended = False

    def hears(self) -> bool:
        self.ended = self.ended or (self.following == 1 and self.most > 0 and self.begun_once)
        self.begun_once = True
        return not self.ended

    begun_once = False


class _SmallBells(_Remembering):
    """What others append is lost where more than 4,096 come at once."""

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        head = 0
        async for event in super().subscribe(after_position=after_position, category=category):
            if event.position > head:
                head = await self.head()
            if (
                event.event_id not in self.own
                and head - event.position > 4_096
                and event.position > (self.begun or 0)
            ):
                continue
            yield event


class _HeldUp(_Remembering):
    """Waits for each subscription of another store to take what it was told; one that is slow holds it up."""

    slow: ClassVar[dict[str, set[Any]]] = {}

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        if not answer.repeated:
            for other in self.slow.get(str(self.path), set()):
                place = other[1]
                while other[0] is not self and answer.last_position - place[0] > 500:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        return answer

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        mine = (self, _Box([await self.head()]))
        self.slow.setdefault(str(self.path), set()).add(mine)
        try:
            async for event in super().subscribe(after_position=after_position, category=category):
                mine[1][0] = event.position
                yield event
        finally:
            self.slow[str(self.path)].discard(mine)


class _Box(list[int]):
    __hash__ = object.__hash__  # type: ignore[assignment]


@contextlib.asynccontextmanager
async def _taking_back(path: Path) -> AsyncIterator[EventStore]:
    """What was appended in a block that raises is taken back at its end, as a transaction would be."""
    try:
        async with SqliteStore.open(path) as store:
            yield store
    except LookupError:
        path.unlink()  # noqa: ASYNC240
        raise


class LooksForTheFirstIdInItsFile(WithoutAFault):
    kind = _FirstIdOnly


class ReadsTheLastTenThousandWhenItIsOpenedAgain(WithoutAFault):
    kind = _CappedOnLoad


class LosesCausesWhenItIsOpenedAgain(WithoutAFault):
    kind = _Bare


class LosesMetadataWhenItIsOpenedAgain(WithoutAFault):
    kind = _NoMetadata


class FoldsConsumersWhenItIsOpenedAgain(WithoutAFault):
    kind = _FoldedOnLoad


class KeepsTheLargestCheckpointInItsFile(WithoutAFault):
    kind = _Largest


class WritesCheckpointsWhenItIsClosed(WithoutAFault):
    kind = _LazyCheckpoints


class WritesIdsWhenItIsClosed(WithoutAFault):
    kind = _LazyIds


class KnowsAThousandIdsOfOthers(WithoutAFault):
    kind = _ThousandOfOthers


class ReadsBackwardFromItsOwnEnd(WithoutAFault):
    kind = _OwnEndBackward


class ReadsStreamsBackwardFromItsOwnEnd(WithoutAFault):
    kind = _OwnEndOfStreams


class WakesOneSubscriptionForOthers(WithoutAFault):
    kind = _FirstHears


class HearsNoOthersAfterItsLastSubscriptionEnded(WithoutAFault):
    kind = _DeafAfterwards


class LosesLargeAppendsOfOthers(WithoutAFault):
    kind = _SmallBells


class WaitsForSlowSubscriptionsOfOthers(WithoutAFault):
    kind = _HeldUp


class TakesBackWhatABrokenBlockAppended(WithoutAFault):
    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return _taking_back(folder / "log.db")
