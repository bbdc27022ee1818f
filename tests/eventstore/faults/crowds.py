"""Stores in memory with one planted fault each, in what becomes of appends that wait together."""

from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel

from eventstore import Appended, EventStoreError, MemoryStore, NewEvent, StoreClosed
from eventstore.checks import events_of
from eventstore.errors import VersionConflict
from tests.eventstore.faults.answers import joined


class BatchesWithoutAFault(MemoryStore):
    """Commits together what waits."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.batch: list[Any] = []

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = events_of(events)
        if self._closed:
            raise StoreClosed
        request = [stream, events, options, None]
        self.batch.append(request)
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            if request in self.batch:
                self.batch.remove(request)
            raise
        self.commit_all()
        answer = request[3]
        if isinstance(answer, BaseException):
            raise answer
        assert answer is not None
        return answer

    def commit_all(self) -> None:
        batch, self.batch = self.batch, []
        if batch:
            self.commit(batch)

    async def aclose(self) -> None:
        self.commit_all()
        await super().aclose()

    def commit(self, batch: list[Any]) -> None:
        for request in batch:
            request[3] = self.one(request, batch)

    def one(self, request: Any, batch: list[Any]) -> Any:
        stream, events, options, _ = request
        try:
            return self.log.append(stream, events, **options)
        except EventStoreError as error:
            return error


class SavesCheckpointsOfWhatABatchRefuses(BatchesWithoutAFault):
    def one(self, request: Any, batch: list[Any]) -> Any:
        answer = super().one(request, batch)
        mark = request[2].get("checkpoint")
        if isinstance(answer, VersionConflict) and len(batch) > 1 and mark is not None:
            self.log._checkpoints[mark.consumer] = mark.position
        return answer


class SavesOnlyTheLastCheckpointOfABatch(BatchesWithoutAFault):
    def commit(self, batch: list[Any]) -> None:
        marked = [request for request in batch if request[2].get("checkpoint") is not None]
        for request in batch:
            if request in marked[:-1] and len(batch) > 8:
                request[2] = {key: value for key, value in request[2].items() if key != "checkpoint"}
        super().commit(batch)


class SavesOneCheckpointOfABatchForStreamsThatItKnows(BatchesWithoutAFault):
    def commit(self, batch: list[Any]) -> None:
        if all(request[0].__class__ is str and self.log._streams.get(request[0]) for request in batch):
            for request in batch[1:]:
                request[2] = {key: value for key, value in request[2].items() if key != "checkpoint"}
        super().commit(batch)


class ShiftsAnswersBehindACancelledCaller(MemoryStore):
    """Whoever still waits is given the next answer that is there."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.waiting: list[object] = []
        self.answers: list[Appended] = []

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer, me = await super().append(stream, events, **options), object()
        self.waiting.append(me)
        self.answers.append(answer)
        try:
            await anyio.lowlevel.checkpoint()
            return self.answers.pop(self.waiting.index(me))
        finally:
            self.waiting.remove(me)


class RefusesWhatWaitsWhenItCloses(MemoryStore):
    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = events_of(events)
        return (await self._turn()).append(stream, events, **options)


class ForgetsTheLastOfABatchOf128(BatchesWithoutAFault):
    def commit(self, batch: list[Any]) -> None:
        super().commit(batch)
        if len(batch) == 128:
            self.log._events[-1:] = []
            batch[-1][3] = batch[-2][3]


class AcceptsOneExpectedVersionTwiceInABatchWithAnotherBetween(BatchesWithoutAFault):
    """The versions that a batch was expected to find are those before it."""

    def commit(self, batch: list[Any]) -> None:
        before = {
            request[0]: self.log.version(request[0])
            for request in batch
            if 0 < len(request[0]) < 1000 and request[0].__class__ is str and request[0].isprintable()
        }
        for index, request in enumerate(batch):
            expected = request[2].get("expected_version", -1)
            between = any(
                other[0] == request[0] and other[2].get("expected_version", -1) == -1
                for other in batch[:index]
            )
            if between and expected == before.get(request[0]):
                request[2] = {**request[2], "expected_version": -1}
        super().commit(batch)


class RecordsCheckpointsOfRepeatsInABatchLate(BatchesWithoutAFault):
    """They are forgotten where the same append is in the batch."""

    def one(self, request: Any, batch: list[Any]) -> Any:
        stream, events, options, _ = request
        same = len(batch) < 100 and [
            other for other in batch if other[1] and other[1] == events and other is not request
        ]
        if same and batch.index(request) > 0:
            options = {key: value for key, value in options.items() if key != "checkpoint"}
        return super().one([stream, events, options, None], batch)


class LetsALargeAppendBePassed(MemoryStore):
    """Appends of more than 4,096 events are recorded in pieces, between which others come and readers look."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = events_of(events)
        if len(events) <= 4_096 or self.log._by_id.get(events[0].event_id):
            return await super().append(stream, events, **options)
        mark = options.pop("checkpoint", None)
        first = await super().append(stream, events[:4_096], **options)
        second = await super().append(stream, events[4_096:], checkpoint=mark)
        return joined(first, second)


class LetsAHeavyAppendBePassed(MemoryStore):
    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = events_of(events)
        heavy = len(events) > 1 and sum(len(getattr(e, "data", b"") or b"") for e in events) > 2**20
        if not heavy or self.log._by_id.get(events[0].event_id):
            return await super().append(stream, events, **options)
        mark = options.pop("checkpoint", None)
        first = await super().append(stream, events[:1], **options)
        second = await super().append(stream, events[1:], checkpoint=mark)
        return joined(first, second)


class StaysOpenWhenItsBlockRaises(MemoryStore):
    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            await self.aclose()
