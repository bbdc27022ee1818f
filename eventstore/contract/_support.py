"""What the contract's tests share."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import anyio.lowlevel

from eventstore.ids import new_id
from eventstore.model import Appended, Checkpoint, NewEvent, RecordedEvent
from eventstore.store import EventStore

__all__ = [
    "Contract",
    "appended",
    "collect",
    "events",
    "let_others",
    "mark",
    "new",
    "refused",
    "same",
]

_E = TypeVar("_E", bound=Exception)


class Contract:
    """Subclass it and say how the store is opened."""

    guard_s: float = 60
    """After so long a test that waits for an event has failed; for a store that is far away, say more."""

    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        """A store that keeps what it keeps in `folder`; opened again on the same folder it goes on."""
        raise AssertionError("A contract's subclass says how its store is opened.")


def new(
    data: bytes = b"{}",
    *,
    type: str = "Happened",  # noqa: A002 - the field's name
    event_id: str | None = None,
    type_version: int = 1,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    metadata: bytes = b"",
) -> NewEvent:
    """An event with a fresh id, unless told."""
    return NewEvent(
        event_id=event_id or new_id(),
        type=type,
        type_version=type_version,
        data=data,
        correlation_id=correlation_id,
        causation_id=causation_id,
        metadata=metadata,
    )


def events(count: int) -> list[NewEvent]:
    """So many events, numbered in their data from 0."""
    return [new(b"%d" % number) for number in range(count)]


def mark(consumer: str, position: int) -> Checkpoint:
    """A checkpoint."""
    return Checkpoint(consumer=consumer, position=position)


def appended(
    stream: str, first: int, last: int, first_position: int, last_position: int, *, repeated: bool
) -> Appended:
    """The answer that an append must give."""
    return Appended(
        stream=stream,
        first_version=first,
        last_version=last,
        first_position=first_position,
        last_position=last_position,
        repeated=repeated,
    )


async def collect(found: AsyncIterator[RecordedEvent], count: int | None = None) -> list[RecordedEvent]:
    """All events, or as soon as there are `count`."""
    got: list[RecordedEvent] = []
    if count == 0:
        return got
    async for event in found:
        got.append(event)
        if len(got) == count:
            break
    return got


async def let_others(turn: int) -> None:
    """Now and then, also where a store answers without waiting; not each time, to look the more often."""
    if turn % 8 == 0:
        await anyio.lowlevel.checkpoint()


async def refused(kind: type[_E], work: Awaitable[object]) -> _E:
    """The error of this kind that `work` must end with."""
    try:
        result = await work
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was due, but {result!r} came back.")


def same(got: Sequence[object], wanted: Sequence[object]) -> None:
    """Fails where they differ, and says where first; to show all of it takes a test runner minutes."""
    nothing = object()
    for index, (one, other) in enumerate(zip_longest(got, wanted, fillvalue=nothing)):
        if one != other:
            told = ["nothing" if value is nothing else f"{value!r:.200}" for value in (one, other)]
            raise AssertionError(
                f"{len(got)} came where {len(wanted)} are due; the first that differs, at {index}: "
                f"{told[0]}, where {told[1]} is due."
            )
