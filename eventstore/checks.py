"""What every store refuses before it touches anything, so that all refuse the same."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from eventstore._compiled import native
from eventstore.errors import DuplicateEvent, InvalidArgument
from eventstore.ids import id_bytes, id_text
from eventstore.model import ANY, Appended, Checkpoint, NewEvent, RecordedEvent, Witness

__all__ = [
    "MAX_INTEGER",
    "check_append",
    "check_checkpoint",
    "check_filter",
    "check_range",
    "check_text",
    "check_time",
    "check_witness",
    "events_of",
    "repeated_append",
]

MAX_NAME_BYTES: Final = 1024
MAX_INTEGER: Final = 2**63 - 1
MAX_EVENT_BYTES: Final = 256 * 1024 * 1024
"""Well below what SQLite can hold in one value (1,000,000,000 bytes)."""
_TIMES_MS: Final = range(-62_135_596_800_000, 253_402_300_800_000)
"""The years 1 to 9999, which is what a datetime holds, and so an export."""
_DIGEST_BYTES: Final = 32


def _check_name(name: str, what: str) -> None:
    # A subclass may be equal to other text than it is, and is encoded otherwise by some.
    if name.__class__ is not str:
        raise InvalidArgument(f"{what} {name!r} is no str.", remedy="Use str(...) of what names it.")
    _check_text_of_name(name, what)


@lru_cache(maxsize=4096)
def _check_text_of_name(name: str, what: str) -> None:
    # The sqlite3 shell cuts text at a NUL, and a lone surrogate has no bytes at all.
    if not name or "\0" in name:
        raise InvalidArgument(
            f"{what} {name!r} is empty or holds a NUL character.", remedy="Use a name that people can read."
        )
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{what} {name!r} is not valid Unicode.", remedy="Use a valid name.") from None
    if size > MAX_NAME_BYTES:
        raise InvalidArgument(
            f"{what} {name[:40]!r}… is {size} bytes long.", remedy=f"Use at most {MAX_NAME_BYTES} bytes."
        )


def _is_whole(number: Any, least: int = 0, most: int = MAX_INTEGER) -> bool:
    """Whether it is a whole number within these; what is only equal to one, as True and 1.0 are, is none."""
    return number.__class__ is int and least <= number <= most


def check_text(text: str, what: str) -> None:
    """Raise `InvalidArgument` for what no text of a log can be equal to or not: no str, or no Unicode."""
    why: Exception | None = None
    if text.__class__ is str:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            why = error
        else:
            return
    raise InvalidArgument(f"{what} {text!r} is no valid text.", remedy="Use a str of valid Unicode.") from why


def check_filter(category: str | None, correlation_id: str | None = None) -> None:
    """The same of what a reader asks for."""
    for text, what in ((category, "Category"), (correlation_id, "Correlation id")):
        if text is not None:
            check_text(text, what)


def events_of(events: Sequence[NewEvent]) -> tuple[NewEvent, ...]:
    """Those of an append, which its caller can no longer change."""
    try:
        return tuple(events)
    except TypeError as error:
        raise InvalidArgument(f"{events!r} are no events.", remedy="Append a list of NewEvent.") from error


def _check_event(event: NewEvent) -> bytes:
    if not isinstance(event, NewEvent | RecordedEvent):
        raise InvalidArgument(f"{event!r} is no event.", remedy="Append a list of NewEvent.")
    raw = id_bytes(event.event_id) if event.event_id.__class__ is str else None
    if raw is None:
        raise InvalidArgument(
            f"Event id {event.event_id!r} is not a UUID in canonical form.",
            remedy="Use str(uuid.UUID(...)): lower case, with dashes.",
        )
    _check_name(event.type, "Event type")
    # A version that is a float or a bool would be kept as a whole number, but chained as what it is.
    if not _is_whole(event.type_version, 1):
        raise InvalidArgument(
            f"Type version {event.type_version!r} of {event.type!r} is no positive int.",
            remedy="Count from 1.",
        )
    if event.correlation_id is not None:
        _check_name(event.correlation_id, "Correlation id")
    if event.causation_id is not None:
        _check_name(event.causation_id, "Causation id")
    if event.data.__class__ is not bytes or event.metadata.__class__ is not bytes:
        raise InvalidArgument(
            f"Data or metadata of event {event.event_id} is no bytes.", remedy="Encode what you append."
        )
    if len(event.data) + len(event.metadata) > MAX_EVENT_BYTES:
        raise InvalidArgument(
            f"Event {event.event_id} is larger than {MAX_EVENT_BYTES} bytes.",
            remedy="Keep large data in a file and its digest in the event.",
        )
    return raw


def check_append(
    stream: str, events: tuple[NewEvent, ...], expected_version: int, checkpoint: Checkpoint | None
) -> list[bytes]:
    """The events' ids as bytes.

    Raises `InvalidArgument` or `DuplicateEvent` for what cannot be recorded in any state of the log.
    """
    ids: list[bytes] | None = None
    if native is not None:
        try:
            ids = native.sound_ids(stream, events)
        except AttributeError:
            # What is no event has none of its fields; below it is told what it is.
            ids = None
    if ids is None:
        _check_name(stream, "Stream name")
    if not _is_whole(expected_version, ANY):
        raise InvalidArgument(
            f"Expected version {expected_version!r} of {stream!r} is not a version.",
            remedy="Use ANY, NO_STREAM or the version that was read.",
        )
    if checkpoint is not None:
        check_checkpoint(checkpoint)
    if ids is not None:
        return ids
    ids = [_check_event(event) for event in events]
    if len(ids) > 1 and len(set(ids)) < len(ids):
        twice = next(raw for index, raw in enumerate(ids) if raw in ids[:index])
        raise DuplicateEvent(id_text(twice), None, "the append holds its id twice")
    return ids


def check_checkpoint(checkpoint: Checkpoint, head: int = MAX_INTEGER) -> None:
    """Raise `InvalidArgument` for a checkpoint that would make its consumer skip events."""
    if not isinstance(checkpoint, Checkpoint):
        raise InvalidArgument(f"{checkpoint!r} is no checkpoint.", remedy="Give a Checkpoint.")
    _check_name(checkpoint.consumer, "Consumer name")
    if not _is_whole(checkpoint.position, 0, head):
        raise InvalidArgument(
            f"Checkpoint {checkpoint.position!r} of {checkpoint.consumer!r} is beyond the head {head}.",
            remedy="Save the position of an event that was read.",
        )


def check_range(after: int, limit: int | None) -> None:
    """Raise `InvalidArgument` for a start or limit that is negative or no number."""
    for number in (after,) if limit is None else (after, limit):
        if not _is_whole(number):
            raise InvalidArgument(
                f"Cannot read {limit!r} events after {after!r}.", remedy="Use ints from 0 on, or no limit."
            )


def check_time(now_ms: Any) -> int:
    """What a clock says; raises `InvalidArgument` for what is no time, or one that nobody can write down."""
    if now_ms.__class__ is not int or now_ms not in _TIMES_MS:
        raise InvalidArgument(
            f"The store's clock says {now_ms!r}, which is no time in milliseconds.",
            remedy="Give a clock_ms that returns an int, milliseconds since the Unix epoch.",
        )
    return int(now_ms)


def check_witness(witness: Witness | None) -> None:
    """Raise `InvalidArgument` for a witness that proves nothing."""
    if witness is None:
        return
    if not isinstance(witness, Witness):
        raise InvalidArgument(f"{witness!r} is no witness.", remedy="Give a Witness.")
    position, digest = witness.position, witness.digest
    if not _is_whole(position) or digest.__class__ is not bytes or not 1 <= len(digest) <= _DIGEST_BYTES:
        raise InvalidArgument(
            f"The witness {digest!r} of position {position!r} proves nothing.",
            remedy=f"Give a position, and 1 to {_DIGEST_BYTES} bytes of the digest there.",
        )


def _same(new: NewEvent, old: RecordedEvent) -> bool:
    return (
        new.type == old.type
        and new.type_version == old.type_version
        and new.data == old.data
        and new.correlation_id == old.correlation_id
        and new.causation_id == old.causation_id
        and new.metadata == old.metadata
    )


def repeated_append(
    stream: str, events: Sequence[NewEvent], known: Sequence[RecordedEvent | None]
) -> Appended | None:
    """The answer to an append that was recorded before; None if none of its ids is known.

    `known[i]` is the recorded event under the id of `events[i]`. Raises `DuplicateEvent` if the ids are
    known but the append is not the same.
    """
    first: RecordedEvent | None = None
    for index, (new, old) in enumerate(zip(events, known, strict=True)):
        if old is None:
            continue
        if first is None:
            first = old
        if old.stream != stream or not _same(new, old):
            raise DuplicateEvent(
                new.event_id, old.position, f"position {old.position} has its id and other content"
            )
        if first is not known[0] or old.version != first.version + index:
            raise DuplicateEvent(
                new.event_id, old.position, f"position {old.position} has it, but not the whole append"
            )
    if first is None:
        return None
    last = known[-1]
    if last is None or len(known) != last.version - first.version + 1 or None in known:
        raise DuplicateEvent(
            first.event_id, first.position, f"position {first.position} has it, but not the whole append"
        )
    return Appended(
        stream=stream,
        first_version=first.version,
        last_version=last.version,
        first_position=first.position,
        last_position=last.position,
        repeated=True,
    )
