"""How the event log's API is used here: what an append is given, and how everything is read."""

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from msgspec.json import Decoder

from bench.log.events import CAUSE, ENCODE, KINDS, PER_STREAM, event, stream
from bench.log.subject import NotOffered
from eventstore import NewEvent, SqliteStore, new_id

__all__ = ["as_it_is", "chain_us", "grow", "new_event", "read_everything", "typed"]


def new_event(number: int, correlation_id: str, causation_id: str = CAUSE) -> NewEvent:
    """An event as a job records it, with both ids and its encoding; `CAUSE` is an event of another log."""
    made = event(number)
    return NewEvent(
        event_id=new_id(),
        type=type(made).__name__,
        data=ENCODE(made),
        correlation_id=correlation_id,
        causation_id=causation_id,
    )


_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    name: Decoder(kind).decode for name, kind in KINDS.items()
}


def typed(type_name: str, version: int) -> Callable[[bytes], Any]:
    """A decoder: each event in its type."""
    return _DECODERS[type_name]


def as_it_is(type_name: str, version: int) -> Callable[[bytes], bytes]:
    """A decoder that decodes nothing."""
    return bytes


async def read_everything(
    store: SqliteStore,
    each: Callable[[Any], object] | None = None,
    *,
    decoder: Callable[[str, int], Callable[[bytes], Any]] = typed,
    verify: bool = False,
) -> int:
    """The whole log from first to last, decoded; how many events there were."""
    number = 0
    async for batch in store.replay(decoder, verify=verify):
        if each is None:
            for _ in batch:
                number += 1
        else:
            for event, _ in batch:
                each(event)
                number += 1
    return number


async def grow(store: SqliteStore, start: int, end: int) -> int:
    """Append the events from `start` up to `end`, whole streams, 20 of them at a time; their payloads' size."""
    size = 0
    for begin in range(start, end, 20 * PER_STREAM):
        appends = []
        for first in range(begin, min(begin + 20 * PER_STREAM, end), PER_STREAM):
            name = stream(first)
            events: list[NewEvent] = []
            for number in range(first, min(first + PER_STREAM, end)):
                # As in a job, where each event answers the one before.
                cause = events[-1].event_id if events else CAUSE
                events.append(new_event(number, name, cause))
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
    rows = [
        (
            number,
            number,
            7,
            number % 3,
            1_760_000_000_000,
            UUID(new_id()).bytes,
            number,
            number,
            b"",
            ENCODE(event(number)),
        )
        for number in range(1, batch + 1)
    ]
    took = []
    for _ in range(repeats):
        start, chain = time.perf_counter(), module.Chain()
        frames = []
        marks = []
        for row in rows:
            frame = module.encode_frame(row)
            frames.append(frame)
            marks.append(module.adler32(frame))
        chain.extend(frames)
        took.append((time.perf_counter() - start) / batch * 1e6)
    return min(took)
