"""How the event log's API is used here: what an append is given, and how everything is read."""

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

from bench.log.events import CAUSE, ENCODE, PER_STREAM, event, new_id, stream
from bench.log.subject import NotOffered
from eventstore import NewEvent, RecordedEvent, SqliteStore

__all__ = ["chain_us", "grow", "new_event", "read_everything"]


def new_event(number: int, correlation_id: str) -> NewEvent:
    """An event as a job records it, with both ids and its encoding."""
    made = event(number)
    return NewEvent(
        event_id=new_id(),
        type=type(made).__name__,
        data=ENCODE(made),
        correlation_id=correlation_id,
        causation_id=CAUSE,
    )


async def read_everything(store: SqliteStore, each: Callable[[RecordedEvent], object] | None) -> int:
    """The whole log from first to last: the fastest way that the store offers. How many there were."""
    number = 0
    async for recorded in store.read_all():
        if each is not None:
            each(recorded)
        number += 1
    return number


async def grow(store: SqliteStore, start: int, end: int) -> int:
    """Append the events from `start` up to `end`, whole streams, 20 of them at a time; their payloads' size."""
    size = 0
    for begin in range(start, end, 20 * PER_STREAM):
        appends = []
        for first in range(begin, min(begin + 20 * PER_STREAM, end), PER_STREAM):
            name = stream(first)
            events = [new_event(number, name) for number in range(first, min(first + PER_STREAM, end))]
            size += sum(len(made.data) for made in events)
            appends.append(store.append(name, events))
        await asyncio.gather(*appends)
    return size


def chain_us(batch: int = 256, repeats: int = 40) -> float:
    """What the chain of digests costs an event, in µs: the least of some batches, as nothing else counts.

    From the fields, which an append has anyway, to what is stored.
    """
    # The one place here that looks behind the public face: a log without this chain has no figure.
    module: Any = import_module("eventstore.chain")
    if not hasattr(module, "Chain"):
        raise NotOffered("no running chain")
    events = [(f"job-{number}", new_event(number, f"job-{number}")) for number in range(batch)]
    fields = [
        (name, UUID(made.event_id).bytes, made.type, name, UUID(CAUSE).bytes, made.data)
        for name, made in events
    ]
    took = []
    for _ in range(repeats):
        start, chain = time.perf_counter(), module.Chain()
        chain.extend(
            [
                module.encode_frame(
                    (number, name, 7, own_id, kind, 1, thread, cause, 1_760_000_000_000, b"", data)
                )
                for number, (name, own_id, kind, thread, cause, data) in enumerate(fields, 1)
            ]
        )
        took.append((time.perf_counter() - start) / batch * 1e6)
    return min(took)
