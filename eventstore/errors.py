"""Errors of the event store; every one says what is wrong and where, and what to do about it.

EventStoreError
├── VersionConflict    the stream is not at the version the caller expected
├── DuplicateEvent     an event id is already recorded with other content
├── InvalidArgument    a name, an id or a number that no store accepts
├── StoreClosed        used after it was closed
├── StoreReadOnly      opened for reading, or the file or folder cannot be written
├── StoreFull          the disk is full, or the file may not grow
├── StoreBusy          another process held the log longer than the time-out
├── StoreNotFound      there is no log at that path
├── StoreIncompatible  not an event log, or one written by a newer version
├── StoreCorrupt       the file is damaged
└── WrongLoop          used in another event loop than the one that opened it
"""
# ruff: noqa: N818 - the names say the condition, as event stores everywhere call them

__all__ = [
    "DuplicateEvent",
    "EventStoreError",
    "InvalidArgument",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupt",
    "StoreFull",
    "StoreIncompatible",
    "StoreNotFound",
    "StoreReadOnly",
    "VersionConflict",
    "WrongLoop",
]


class EventStoreError(Exception):
    """What is wrong and where (`message`), and what to do (`remedy`)."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class VersionConflict(EventStoreError):
    """Somebody else appended first: the stream is at `actual`, the caller expected `expected`."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(
            f"Stream {stream!r} is at version {actual}, not at {expected} as expected.",
            remedy="Read the stream again, decide anew and append with its present version.",
        )
        self.stream = stream
        self.expected = expected
        self.actual = actual


class DuplicateEvent(EventStoreError):
    """`event_id` cannot be recorded: it is taken by another event, or comes twice in one append.

    `position` is where the id is recorded, None if the append itself holds it twice.
    """

    def __init__(self, event_id: str, position: int | None, why: str) -> None:
        super().__init__(
            f"Event {event_id} cannot be appended: {why}.",
            remedy="Give every event its own id; repeat an append only whole and unchanged.",
        )
        self.event_id = event_id
        self.position = position


class InvalidArgument(EventStoreError):
    """A name, an id or a number that no store accepts."""


class StoreClosed(EventStoreError):
    """The store was closed while or before it was used."""

    def __init__(self) -> None:
        super().__init__("The event store is closed.", remedy="Open it again.")


class StoreReadOnly(EventStoreError):
    """Nothing can be written: opened for reading, or the file or folder is write-protected."""


class StoreFull(EventStoreError):
    """The disk is full or the file may not grow; nothing of the append was recorded."""


class StoreBusy(EventStoreError):
    """Another process held the log longer than the time-out; nothing was recorded."""


class StoreNotFound(EventStoreError):
    """There is no log at that path."""


class StoreIncompatible(EventStoreError):
    """The file is not an event log, or one that a newer version wrote."""


class StoreCorrupt(EventStoreError):
    """The file is damaged; what can still be read is not to be trusted unverified."""


class WrongLoop(EventStoreError):
    """The store belongs to the event loop that opened it; this is another one, thread or process."""

    def __init__(self) -> None:
        super().__init__(
            "The event store was opened in another event loop, and nothing was done.",
            remedy="Open one in each event loop, thread and process; they share the log.",
        )
