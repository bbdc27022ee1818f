"""Turns a batch of requests into one transaction, and knows the end of every stream while it does."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final

from eventstore._rows import COLUMNS, Names, to_event
from eventstore.chain import GENESIS, link
from eventstore.checks import check_checkpoint, id_bytes, repeated_append
from eventstore.errors import EventStoreError, InvalidArgument, VersionConflict
from eventstore.model import ANY, Appended, Checkpoint, NewEvent, RecordedEvent

__all__ = ["Answer", "Ledger", "Request"]

Answer = Appended | EventStoreError

_ROW: Final = "(?,?,?,?,?,?,?,?,?,?,?)"
_INSERTS: Final = {
    count: f"INSERT INTO events ({COLUMNS}) VALUES {','.join([_ROW] * count)}"  # noqa: S608
    for count in (256, 64, 16, 4, 1)
}
"""One statement for many rows costs half of many statements; few sizes keep the prepared ones few."""
_PAGE: Final = 4096
_LONG_WAL_PAGES: Final = 4096
"""16 MiB."""
_READERS_MS: Final = 500
_CACHED_NAMES: Final = 100_000
_NEW_STREAM: Final = "INSERT INTO streams (name) VALUES (?)"
_SAVE: Final = (
    "INSERT INTO checkpoints (consumer, position, saved_at_ms) VALUES (?, ?, ?) ON CONFLICT (consumer)"
    " DO UPDATE SET position = excluded.position, saved_at_ms = excluded.saved_at_ms"
)


class Request:
    """One append on its way to the disk; nobody wants it any more once `answer` is done.

    `answer` is None where the caller takes the answers from the ledger itself.
    """

    __slots__ = ("answer", "checkpoint", "events", "expected_version", "ids", "size", "stream")

    def __init__(
        self,
        stream: str,
        events: Sequence[NewEvent],
        ids: list[bytes],
        expected_version: int,
        checkpoint: Checkpoint | None = None,
        answer: "asyncio.Future[Appended] | None" = None,
    ) -> None:
        self.stream = stream
        self.events = events
        self.ids = ids
        self.expected_version = expected_version
        self.checkpoint = checkpoint
        self.answer = answer
        self.size = 0
        for event in events:
            self.size += len(event.data) + len(event.metadata) + 150


class _Repeated(Exception):  # noqa: N818 - a signal inside this module
    """An event id of the batch is recorded already: look before every append."""


class Ledger:
    """The writer's view of the log: where it ends, where its streams end, and the keys of names.

    Everything it remembers holds as long as the log ends where it ended: the log only grows, and what
    others append moves its end.
    """

    def __init__(self, connection: sqlite3.Connection, busy_s: float, clock_ms: Callable[[], int]) -> None:
        self._db = connection
        self._busy_s = busy_s
        self._clock_ms = clock_ms
        self._head = 0
        self._digest = GENESIS
        self._streams: dict[str, tuple[int, int]] = {}
        self._types: dict[tuple[str, int], int] = {}
        self._correlations: dict[str, int] = {}
        self._causes: dict[str, bytes | str] = {}
        self._long_wal_pages = _LONG_WAL_PAGES
        self.wal_pages = 0
        """About how many pages were written to the WAL since the last checkpoint."""

    @property
    def digest(self) -> bytes:
        """The last event's."""
        return self._digest

    def apply(self, batch: Sequence[Request], *, wait: bool) -> Sequence[Answer]:
        """Write the batch into a transaction and leave that open; one answer for each request, in order.

        A refused request leaves the others alone. Raises `sqlite3.Error` or `EventStoreError`, and leaves
        no transaction, if nothing at all can be written; with SQLITE_BUSY at once unless `wait`.
        """
        self._begin(wait)
        try:
            try:
                return self._apply(batch, careful=False)
            except _Repeated:
                self._roll_back()
                self._begin(wait)
                return self._apply(batch, careful=True)
        except BaseException:
            self._roll_back()
            raise

    def commit(self) -> None:
        """Make what was applied durable, or take all of it back and raise `sqlite3.Error`."""
        try:
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def checkpoint_wal(self) -> None:
        """Move into the database what no reader needs in the WAL any more.

        Where readers follow each other without a gap the WAL is never free to start again from its
        beginning: once it is long, wait a moment for those who use it; later ones read past it. If one of
        them does not end, that is tried again only when the WAL is twice as long.
        """
        _, pages, _ = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages <= self._long_wal_pages:
            return
        self._db.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
        try:
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._db.execute("PRAGMA busy_timeout = 0")
        self._long_wal_pages = 2 * pages if busy else _LONG_WAL_PAGES

    def _begin(self, wait: bool) -> None:
        wait_s = 0.0001
        deadline = time.monotonic() + self._busy_s if wait else 0.0
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

    def _roll_back(self) -> None:
        self._forget()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _look_at_the_end(self) -> None:
        head = self._db.execute("SELECT max(position) FROM events").fetchone()[0] or 0
        if head != self._head:
            self._forget()
            self._head = head
            row = self._db.execute("SELECT digest FROM events WHERE position = ?", (head,)).fetchone()
            self._digest = row[0] if row else GENESIS
        elif len(self._streams) + len(self._correlations) + len(self._causes) > _CACHED_NAMES:
            self._forget_names()

    def _forget(self) -> None:
        self._head = -1
        self._forget_names()

    def _forget_names(self) -> None:
        self._streams.clear()
        self._causes.clear()
        self._types.clear()
        self._correlations.clear()

    def _apply(self, batch: Sequence[Request], *, careful: bool) -> Sequence[Answer]:
        self._look_at_the_end()
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
            if request.events and not answer.repeated:
                self._write(request, answer.first_version, now_ms, rows)
                size += request.size
        self._insert(rows)
        for checkpoint in checkpoints:
            self._db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, now_ms))
        self.wal_pages += 5 + size // _PAGE
        return answers

    def _decide(self, request: Request, careful: bool, pending: list[object]) -> Appended:
        stream, count, expected = request.stream, len(request.events), request.expected_version
        version = (self._streams.get(stream) or self._stream(stream))[1]
        conflict = expected not in (ANY, version)
        if careful or conflict:
            # The same append may have come just before in this batch.
            self._insert(pending)
            known = [self._find(event_id) for event_id in request.ids]
            answer = repeated_append(stream, request.events, known)
            if answer is not None:
                return answer
        if conflict:
            raise VersionConflict(stream, expected, version)
        head = self._head
        return Appended(
            stream=stream,
            first_version=version + 1,
            last_version=version + count,
            first_position=head + 1,
            last_position=head + count,
            repeated=False,
        )

    def _find(self, event_id: bytes) -> RecordedEvent | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM events WHERE event_id = ?", (event_id,)).fetchone()  # noqa: S608
        return None if row is None else to_event(row, Names(self._db))

    def _write(self, request: Request, version: int, now_ms: int, rows: list[object]) -> None:
        """Add the request's rows to `rows`."""
        stream = request.stream
        key = self._streams.get(stream, (0, 0))[0] or self._new_key(_NEW_STREAM, (stream,))
        position, digest = self._head, self._digest
        for event, event_id in zip(request.events, request.ids, strict=True):
            position += 1
            digest = link(digest, position, stream, version, now_ms, event)
            kind, correlation, cause = (
                (event.type, event.type_version),
                event.correlation_id,
                event.causation_id,
            )
            rows += (
                position,
                key,
                version,
                self._types.get(kind) or self._type_key(kind),
                now_ms,
                event_id,
                None
                if correlation is None
                else self._correlations.get(correlation) or self._correlation_key(correlation),
                None if cause is None else self._causes.get(cause) or self._cause(cause),
                event.metadata,
                digest,
                event.data,
            )
            version += 1
        self._head, self._digest = position, digest
        self._streams[stream] = (key, version - 1)

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

    def _cause(self, name: str) -> bytes | str:
        raw = self._causes[name] = id_bytes(name) or name
        return raw

    def _type_key(self, kind: tuple[str, int]) -> int:
        sql = "SELECT type_key FROM types WHERE type = ? AND type_version = ?"
        row = self._db.execute(sql, kind).fetchone()
        insert = "INSERT INTO types (type, type_version) VALUES (?, ?)"
        key = self._types[kind] = row[0] if row else self._new_key(insert, kind)
        return key

    def _correlation_key(self, name: str) -> int:
        sql = "SELECT correlation_key FROM correlations WHERE correlation_id = ?"
        row = self._db.execute(sql, (name,)).fetchone()
        insert = "INSERT INTO correlations (correlation_id) VALUES (?)"
        key = self._correlations[name] = row[0] if row else self._new_key(insert, (name,))
        return key

    def _new_key(self, sql: str, values: tuple[str | int, ...]) -> int:
        key = self._db.execute(sql, values).lastrowid
        assert key is not None
        return key
