"""What a fault tells its caller in place of the truth."""

from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import structs

from eventstore import Appended, EventStore, RecordedEvent

__all__ = ["followed", "joined", "repeat_of"]


def joined(first: Appended, last: Appended) -> Appended:
    """The answer to an append that was recorded in parts, as if it had been one."""
    return structs.replace(last, first_version=first.first_version, first_position=first.first_position)


def repeat_of(first: RecordedEvent, last: RecordedEvent) -> Appended:
    """The answer to an append that is taken for a repeat of these events and those between."""
    return Appended(
        stream=first.stream,
        first_version=first.version,
        last_version=last.version,
        first_position=first.position,
        last_position=last.position,
        repeated=True,
    )


async def followed(
    store: EventStore, after_position: int, category: str | None, news: Callable[[], Awaitable[object]]
) -> AsyncIterator[RecordedEvent]:
    """A subscription that reads what there is whenever it is told that there may be more."""
    while True:
        async for event in store.read_all(after_position=after_position, category=category):
            after_position = event.position
            yield event
        await news()
