"""Turns a batch of requests into one transaction, and knows the end of every stream while it does."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventstore._rows import COLUMNS, Names, to_event
from eventstore.chain import GENESIS, link
from eventstore.checks import check_checkpoint, id_bytes, repeated_append
from eventstore.errors import EventStoreError, InvalidArgument, VersionConflict
from eventstore.model import ANY, Appended, Checkpoint, NewEvent, RecordedEvent

if TYPE_CHECKING:
    from eventstore._writer import Answer, Request

__all__ = ["Ledger"]

_ROW: Final = "(?,?,?,?,?,?,?,?,?,?,?)"
_INSERTS: Final = {
    count: f"INSERT INTO events ({COLUMNS}) VALUES {','.join([_ROW] * count)}"  # noqa: S608
    for count in (256, 64, 16, 4, 1)
}
"""One statement for many rows costs half of many statements; few sizes keep the prepared ones few."""
_PAGE: Final = 4096
_CACHED_NAMES: Final = 100_000
_SAVE: Final = (
    "INSERT INTO checkpoints (consumer, position, saved_at_ms) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (consumer) DO UPDATE SET position = ?2, saved_at_ms = ?3"
)


class _Repeated(Exception):  # noqa: N818 - a signal inside this module
    """An event id of the batch is recorded already: look before every append."""


class Ledger:
    """The writer's view of the log: where it ends, where its streams end, and the keys of names.

    Everything it remembers holds as long as the log ends where it ended: the log only grows, and what
    others append moves its end.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, busy_s: float, clock_ms: Callable[[], int]
    ) -> None:
        self._db = connection
        self._path = path
        self._busy_s = busy_s
        self._clock_ms = clock_ms
        self._head = 0
        self._digest = GENESIS
        self._streams: dict[str, tuple[int, int]] = {}
        self._types: dict[tuple[str, int], int] = {}
        self._correlations: dict[str, int] = {}
        self.wal_pages = 0
        """About how many pages were written to the WAL since the last checkpoint."""

    def commit(self, batch: "list[Request]") -> "Sequence[Answer]":
        """Record the batch in one transaction and sync it; one answer for each request, in order.

        A refused request leaves the others alone. Raises `sqlite3.Error` or `EventStoreError` if nothing
        at all was recorded.
        """
        try:
            return self._transaction(batch, careful=False)
        except _Repeated:
            return self._transaction(batch, careful=True)

    def checkpoint_wal(self) -> None:
        """Move what readers no longer need in the WAL into the database, and its file's growth to an end."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.wal_pages = 0

    def _transaction(self, batch: "list[Request]", *, careful: bool) -> "Sequence[Answer]":
        self._begin()
        try:
            self._look_at_the_end()
            answers = self._apply(batch, careful)
            self._db.execute("COMMIT")
        except BaseException:
            self._forget()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return answers

    def _begin(self) -> None:
        wait_s = 0.0001
        deadline = time.monotonic() + self._busy_s
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(wait_s)
                wait_s = min(wait_s * 1.5, 0.005)
            else:
                return

    def _look_at_the_end(self) -> None:
        head = self._db.execute("SELECT max(position) FROM events").fetchone()[0] or 0
        if head != self._head:
            self._forget()
            self._head = head
            row = self._db.execute("SELECT digest FROM events WHERE position = ?", (head,)).fetchone()
            self._digest = row[0] if row else GENESIS
        elif max(len(self._streams), len(self._correlations), len(self._types)) > _CACHED_NAMES:
            self._forget_names()

    def _forget(self) -> None:
        self._head = -1
        self._forget_names()

    def _forget_names(self) -> None:
        self._streams.clear()
        self._types.clear()
        self._correlations.clear()

    def _apply(self, batch: "list[Request]", careful: bool) -> "Sequence[Answer]":
        now_ms = self._clock_ms()
        answers: list[Answer] = []
        rows: list[object] = []
        checkpoints: list[Checkpoint] = []
        size = 0
        for request in batch:
            try:
                answer = self._decide(request, careful, rows)
                if request.checkpoint is not None:
                    check_checkpoint(request.checkpoint, max(self._head, answer.last_position))
                    checkpoints.append(request.checkpoint)
            except EventStoreError as error:
                answers.append(error)
                continue
            answers.append(answer)
            if not answer.repeated and request.events:
                size += self._write(request, answer.first_version, now_ms, rows)
        self._insert(rows)
        for checkpoint in checkpoints:
            self._db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, now_ms))
        self.wal_pages += 5 + size // _PAGE
        return answers

    def _decide(self, request: "Request", careful: bool, pending: list[object]) -> Appended:
        stream, events = request.stream, request.events
        version = self._stream(stream)[1]
        conflict = request.expected_version not in (ANY, version)
        if careful or conflict:
            # The same append may have come just before in this batch.
            self._insert(pending)
            known = [self._find(event_id) for event_id in request.ids]
            answer = repeated_append(stream, events, known)
            if answer is not None:
                return answer
        if conflict:
            raise VersionConflict(stream, request.expected_version, version)
        return Appended(
            stream=stream,
            first_version=version + 1,
            last_version=version + len(events),
            first_position=self._head + 1,
            last_position=self._head + len(events),
            repeated=False,
        )

    def _find(self, event_id: bytes) -> RecordedEvent | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM events WHERE event_id = ?", (event_id,)).fetchone()  # noqa: S608
        return None if row is None else to_event(row, Names(self._db))

    def _write(self, request: "Request", version: int, now_ms: int, rows: list[object]) -> int:
        """Add the request's rows to `rows`; returns their size in bytes, about."""
        stream = request.stream
        key = self._stream_key(stream)
        position, digest, size = self._head, self._digest, 0
        for event, event_id in zip(request.events, request.ids, strict=True):
            position += 1
            digest = link(digest, position, stream, version, now_ms, event)
            correlation, cause = event.correlation_id, event.causation_id
            rows += (
                position,
                key,
                version,
                self._type_key(event),
                now_ms,
                event_id,
                None if correlation is None else self._correlation_key(correlation),
                None if cause is None else id_bytes(cause) or cause,
                event.metadata,
                digest,
                event.data,
            )
            version += 1
            size += len(event.data) + len(event.metadata) + 150
        self._head, self._digest = position, digest
        self._streams[stream] = (key, version - 1)
        return size

    def _insert(self, rows: list[object]) -> None:
        start, width = 0, 11
        try:
            for count, statement in _INSERTS.items():
                step = count * width
                while len(rows) - start >= step:
                    self._db.execute(statement, rows[start : start + step])
                    start += step
        except sqlite3.IntegrityError as error:
            if "event_id" in str(error):
                raise _Repeated from error
            raise
        except sqlite3.DataError as error:
            raise InvalidArgument(f"An event is too large: {error}.", remedy="Make it smaller.") from error
        rows.clear()

    def _stream(self, name: str) -> tuple[int, int]:
        """Key and version; (0, 0) for a stream that has no event."""
        known = self._streams.get(name)
        if known is None:
            known = (0, 0)
            row = self._db.execute("SELECT stream_key FROM streams WHERE name = ?", (name,)).fetchone()
            if row is not None:
                sql = "SELECT max(version) FROM events WHERE stream_key = ?"
                known = (row[0], self._db.execute(sql, row).fetchone()[0] or 0)
                self._streams[name] = known
        return known

    def _stream_key(self, name: str) -> int:
        key = self._stream(name)[0]
        return key or self._new_key("INSERT INTO streams (name) VALUES (?)", (name,))

    def _type_key(self, event: NewEvent) -> int:
        name = (event.type, event.type_version)
        key = self._types.get(name)
        if key is None:
            sql = "SELECT type_key FROM types WHERE type = ? AND type_version = ?"
            row = self._db.execute(sql, name).fetchone()
            insert = "INSERT INTO types (type, type_version) VALUES (?, ?)"
            key = self._types[name] = row[0] if row else self._new_key(insert, name)
        return key

    def _correlation_key(self, name: str) -> int:
        key = self._correlations.get(name)
        if key is None:
            sql = "SELECT correlation_key FROM correlations WHERE correlation_id = ?"
            row = self._db.execute(sql, (name,)).fetchone()
            insert = "INSERT INTO correlations (correlation_id) VALUES (?)"
            key = self._correlations[name] = row[0] if row else self._new_key(insert, (name,))
        return key

    def _new_key(self, sql: str, values: tuple[str | int, ...]) -> int:
        key = self._db.execute(sql, values).lastrowid
        assert key is not None
        return key
