"""Stores in memory with no fault, which do in another way what they promise: the contract must let them pass."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import anyio
import anyio.lowlevel

from eventstore import Appended, Batch, Checkpoint, MemoryLog, MemoryStore, NewEvent, StoreClosed
from eventstore.checks import events_of
from eventstore.replay import Decoders, batch_of

__all__ = ["CHECKS"]


class AnswersWithoutWaiting(MemoryStore):
    """Has everything at hand, and lets nobody else run meanwhile."""

    async def _turn(self) -> MemoryLog:
        if self._closed:
            raise StoreClosed
        return self.log

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        return (await self._turn()).append(stream, events, **options)


class AnswersLate(MemoryStore):
    """As one that is far away."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        return answer


class EndsReplaysWithAnEmptyBatch(MemoryStore):
    async def replay(self, decoder: Any, **options: Any) -> AsyncIterator[Batch]:
        async for batch in super().replay(decoder, **options):
            yield batch
        yield batch_of([], options.get("columns", ("position",)), Decoders(decoder))


class RecordsBehindACancelledCaller(MemoryStore):
    """What it has begun it ends, however long the caller has gone."""

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, checkpoint: Checkpoint | None = None, **options: Any
    ) -> Appended:
        events = events_of(events)
        with anyio.CancelScope(shield=True):
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            answer = await super().append(stream, events, checkpoint=checkpoint, **options)
        await anyio.lowlevel.checkpoint()
        return answer


CHECKS: Final[dict[type[MemoryStore], tuple[str, ...]]] = {
    AnswersLate: (
        "test_a_cancelled_append_can_be_made_again",
        "test_many_writers_leave_no_gap",
        "test_readers_see_a_prefix",
        "test_thousands_that_append_at_once_are_all_answered",
    ),
    AnswersWithoutWaiting: (
        "test_a_large_append_is_seen_whole_or_not_at_all",
        "test_a_large_or_heavy_append_is_seen_whole_or_not_at_all",
        "test_events_and_their_checkpoint_are_seen_together",
        "test_large_append_whole_whatever_else_it_asks",
        "test_readers_see_a_prefix",
        "test_verification_finds_no_fault_in_what_others_are_writing",
    ),
    EndsReplaysWithAnEmptyBatch: (
        "test_a_replay_begins_after_a_position_and_keeps_to_a_category",
        "test_a_replay_begins_after_a_position_that_can_be",
        "test_no_number_is_too_large_to_begin_after",
    ),
    RecordsBehindACancelledCaller: (
        "test_a_cancelled_append_can_be_made_again",
        "test_a_cancelled_append_is_recorded_whole_or_not_at_all",
        "test_a_cancelled_append_saves_its_checkpoint_with_its_events_or_not_at_all",
        "test_a_cancelled_caller_takes_no_other_along",
        "test_whatever_is_cancelled_leaves_the_store_usable",
    ),
}
"""Those that watch, cancel or count what such a store does in its own way."""
