"""A log as lines of JSON, and back: CloudEvents 1.0, one event a line, with positions and chain kept.

The line's own attributes are extensions of CloudEvents (https://cloudevents.io): `stream`, `version`,
`position`, `typeversion`, `correlationid`, `causationid`, `metadata`, `checksum` (8 hexadecimal digits). `data` is the
event's data as it was, byte for byte, if that is JSON on one line; otherwise it is in `data_base64`, and
metadata that is not text in `metadatabase64`.
"""

import base64
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from anyio.to_thread import run_sync

from eventstore._backup import new_log, new_path, verified
from eventstore._ledger import Ledger
from eventstore._plan import Answer
from eventstore._refill import Place, refill
from eventstore._schema import explain
from eventstore.chain import checksum_of
from eventstore.checks import MAX_INTEGER, check_append
from eventstore.errors import EventStoreError, InvalidArgument, StoreCorrupt
from eventstore.model import NewEvent, RecordedEvent, VerifyReport
from eventstore.store import EventStore

__all__ = ["export_lines", "import_log"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stored shape: exported files live for ever; only new optional fields may be added."""

    specversion: str
    id: str
    source: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    stream: str
    version: int
    position: int
    checksum: str
    typeversion: int = 1
    correlationid: str | None = None
    causationid: str | None = None
    metadata: str | None = None
    metadatabase64: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode
_check_json = msgspec.json.Decoder().decode


async def export_lines(store: EventStore, *, after_position: int = 0) -> AsyncIterator[bytes]:
    """One line for each event, each with its newline, in the order of positions."""
    async for event in store.read_all(after_position=after_position):
        yield _encode(_to_line(event)) + b"\n"


async def import_log(lines: Iterable[bytes], path: str | Path) -> VerifyReport:
    """Make a new log at `path` of all the lines of an export; what it returns was read back and verified.

    The log appears there whole or not at all. Raises `InvalidArgument` with the number of the first line that
    is not right, or if there is a file at `path` already, `StoreFull`, `StoreReadOnly`.
    """
    given: Any = lines
    if not isinstance(given, Iterable):
        raise InvalidArgument(f"{lines!r} are no lines.", remedy="Give the lines of an export.")
    return await run_sync(_import, lines, new_path(path))


def _is_one_json_line(data: bytes) -> bool:
    if not data or b"\n" in data or b"\r" in data or data[:1].isspace() or data[-1:].isspace():
        return False
    try:
        _check_json(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What is nested more deeply than can be read is no JSON to those who would read it.
        return False
    return True


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _time(event: RecordedEvent) -> datetime:
    try:
        return _EPOCH + event.recorded_at_ms * _MS
    except OverflowError as error:
        raise StoreCorrupt(
            f"Position {event.position} has no time that can be written: {event.recorded_at_ms} ms.",
            remedy="Verify the log; other positions can be exported.",
        ) from error


def _to_line(event: RecordedEvent) -> _Line:
    plain = _is_one_json_line(event.data)
    text = _text(event.metadata) if event.metadata else None
    odd = event.metadata and text is None
    return _Line(
        specversion="1.0",
        id=event.event_id,
        source="/streams/" + quote(event.stream, safe=""),
        type=event.type,
        time=_time(event),
        stream=event.stream,
        version=event.version,
        position=event.position,
        checksum=f"{event.checksum:08x}",
        typeversion=event.type_version,
        correlationid=event.correlation_id,
        causationid=event.causation_id,
        metadata=text,
        metadatabase64=base64.b64encode(event.metadata).decode() if odd else None,
        datacontenttype="application/json" if plain else None,
        data=msgspec.Raw(event.data) if plain else msgspec.UNSET,
        data_base64=None if plain else base64.b64encode(event.data).decode(),
    )


def _from_line(line: _Line) -> NewEvent:
    plain = b"" if line.data is msgspec.UNSET else bytes(line.data)
    data = plain or base64.b64decode(line.data_base64 or "", validate=True)
    if line.metadatabase64 is None:
        metadata = (line.metadata or "").encode()
    else:
        metadata = base64.b64decode(line.metadatabase64, validate=True)
    return NewEvent(
        event_id=line.id,
        type=line.type,
        type_version=line.typeversion,
        data=data,
        correlation_id=line.correlationid,
        causation_id=line.causationid,
        metadata=metadata,
    )


def _parsed(lines: Iterable[Any]) -> Iterator[tuple[int, _Line, NewEvent]]:
    for number, raw in enumerate(lines, 1):
        if isinstance(raw, bytes) and not raw.strip():
            continue
        try:
            line = _decode(raw)
            event = _from_line(line)
            _check_place(line, event)
        except InvalidArgument as error:
            raise InvalidArgument(
                f"Line {number}: {error.message}", remedy="Import the lines of an export, as they are."
            ) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidArgument(
                f"Line {number} is no exported event: {error}.", remedy="Export the log again."
            ) from error
        yield number, line, event


def _check_place(line: _Line, event: NewEvent) -> None:
    """Raise `InvalidArgument` for what can stand at no place of a log."""
    if line.specversion != "1.0":
        raise InvalidArgument(
            f"It is a CloudEvent of version {line.specversion}, and 1.0 is known.",
            remedy="Use the version that exported it.",
        )
    if not 1 <= line.version <= MAX_INTEGER:
        raise InvalidArgument(f"It has version {line.version}; they count from 1.", remedy="Export it again.")
    check_append(line.stream, (event,), line.version - 1, None)


def _import(lines: Iterable[bytes], path: Path) -> VerifyReport:
    with new_log(path) as work:
        try:
            with closing(refill(work, _parsed(lines), _placed)) as batches:
                for batch, answers, ledger in batches:
                    _check(batch, answers, ledger)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        return verified(work)


def _placed(parsed: tuple[int, _Line, NewEvent]) -> Place:
    _, line, event = parsed
    return Place(event, line.stream, line.version, (line.time - _EPOCH) // _MS)


def _check(batch: list[tuple[int, _Line, NewEvent]], answers: Sequence[Answer], ledger: Ledger) -> None:
    """Raise `InvalidArgument` for the first line that is not where, or not what, it says that it is."""
    for (number, line, _), answer in zip(batch, answers, strict=True):
        if isinstance(answer, EventStoreError):
            raise InvalidArgument(f"Line {number}: {answer.message}", remedy="Export the log again.")
        if answer.last_position != line.position or answer.repeated:
            raise InvalidArgument(
                f"Line {number} has position {line.position}, but {answer.last_position} is due.",
                remedy="Import all lines of an export, in their order.",
            )
    first = batch[0][1].position
    for (number, line, _), mark in zip(batch, ledger.marks(first, first + len(batch) - 1), strict=True):
        if f"{checksum_of(mark):08x}" != line.checksum:
            raise InvalidArgument(
                f"Line {number} does not fit its checksum: something was changed.",
                remedy="Export the log again.",
            )
