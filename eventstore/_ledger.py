"""Turns appends into rows: knows the end of the log and of its streams, decides, and writes.

Two ways lead into the log. `plan` decides a batch from memory alone, and `write` then needs the connection only,
with one statement in the ordinary case: so that one batch can be decided while another is on its way to the disk.
Whatever is not ordinary (a name never seen, an id that may be known, a conflict, another process) takes the other
way, `apply`, which decides inside of a transaction, with all that the database knows.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType
from typing import Any, Final

from eventstore._ids import IdIndex, fold_ids
from eventstore._keys import First, Keys, Stream
from eventstore._plan import Answer, Outdated, Plan, Request, answer_to
from eventstore._rows import CHUNK_BITS, COLUMNS, MARK, Firsts, Names, to_event
from eventstore._schema import PAGE_BYTES, is_busy
from eventstore._statements import INSERT_CHUNKS, INSERTS, WIDTH, insert_unless, pieces
from eventstore.chain import GENESIS, SEGMENT, Chain, Mark, adler32, encode_frame, seal, stored_cause
from eventstore.checks import check_checkpoint, repeated_append
from eventstore.errors import EventStoreError, InvalidArgument, StoreCorrupt, VersionConflict
from eventstore.model import ANY, Appended, Checkpoint, RecordedEvent

__all__ = ["Ledger"]

_LONG_WAL_PAGES: Final = 16 * 1024 * 1024 // PAGE_BYTES
_READERS_MS: Final = 500
_SAVE: Final = (
    "INSERT INTO checkpoints (consumer, position, saved_at_ms) VALUES (?, ?, ?) ON CONFLICT (consumer)"
    " DO UPDATE SET position = excluded.position, saved_at_ms = excluded.saved_at_ms"
)
_NOBODY_KNOWS: Final = -1
_NONE: Final[Mapping[int, First]] = MappingProxyType({})


class Ledger:
    """The writer's view of the log.

    Everything it remembers holds as long as the log ends where it ended: the log only grows, and what
    others append moves its end.
    """

    def __init__(self, connection: sqlite3.Connection, busy_s: float, clock_ms: Callable[[], int]) -> None:
        self._db = connection
        self._busy_s = busy_s
        self._clock_ms = clock_ms
        self._head = _NOBODY_KNOWS
        self._chain = Chain()
        self._keys = Keys(connection)
        self._long_wal_pages = _LONG_WAL_PAGES
        self.ids = IdIndex(connection)
        self.wal_pages = 0
        """About how many pages were written to the WAL since the last checkpoint."""

    @property
    def head(self) -> int:
        """The last event's position, as far as is known here."""
        return self._head

    def marks(self, first: int, last: int) -> list[Mark]:
        """What the chain keeps with the events of these positions."""
        sql = "SELECT mark FROM events WHERE position BETWEEN ? AND ? ORDER BY position"
        return [mark for (mark,) in self._db.execute(sql, (first, last))]

    def plan(self, waiting: deque[Request], events: int, size: int) -> Plan | None:
        """Decide the first of `waiting` and take them out of there, up to so many events and bytes.

        None if the first one cannot be decided from memory. What is planned is taken for written from then
        on: if `write` fails, `undo`.
        """
        if self._head == _NOBODY_KNOWS:
            return None
        plan = Plan(self._clock_ms(), self.ids.tables)
        frames = plan.frames
        head, room = self._head, size
        while waiting:
            request = waiting[0]
            if request.answer is not None and request.answer.done():
                waiting.popleft()
                continue
            count = len(request.events)
            room -= request.size
            if plan.requests and (len(frames) + count > events or room < 0):
                break
            stream = self._keys.streams.get(request.stream)
            if stream is None or request.expected_version not in (ANY, stream.version):
                break
            if (
                not count
                or count > events
                or request.size > size
                or not self._is_plain(request, stream, head + count)
            ):
                break
            waiting.popleft()
            plan.requests.append(request)
            plan.answers.append(answer_to(request, stream.version, head))
            if request.checkpoint is not None:
                plan.checkpoints.append(request.checkpoint)
            self._add_rows(request, stream, head, plan.now_ms, plan.rows, frames, plan.chunks)
            head += count
        if not plan.requests:
            return None
        plan.pages = 2 + len(plan.chunks) + (size - room) // PAGE_BYTES
        plan.count = len(frames)
        self._head = head
        return plan

    def _is_plain(self, request: Request, stream: Stream, head: int) -> bool:
        """True if memory is enough to decide it, its stream's version aside."""
        tail, types, correlations = self.ids.tail, self._keys.types, self._keys.correlations
        if request.checkpoint is not None and request.checkpoint.position > head:
            return False
        for event in request.events:
            if event.event_id in tail or (event.type, event.type_version) not in types:
                return False
            if correlations.get(event.correlation_id, -1) not in stream.correlations:
                return False
        return True

    def write(self, plan: Plan) -> None:
        """Write and commit a plan, in any thread that owns the connection.

        Raises `Outdated`, `sqlite3.Error`; then nothing is written.
        """
        db, before = self._db, self._chain.copy()
        self._seal(plan.frames, plan.rows)
        folds: list[int] = []
        if plan.tables:
            folds = fold_ids([event_id for request in plan.requests for event_id in request.ids])
        try:
            if plan.count in INSERTS and not plan.checkpoints and not plan.chunks:
                self._insert_new(plan, folds)
                return
            db.execute("BEGIN IMMEDIATE")
            self._insert_chunks(plan.chunks)
            self._insert_new(plan, folds)
            for checkpoint in plan.checkpoints:
                db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, plan.now_ms))
            db.execute("COMMIT")
        except BaseException as error:
            self._chain = before
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise Outdated from error
            raise

    def _seal(self, frames: list[bytes], rows: list[Any]) -> None:
        """Go on with the chain by the last rows; where that ends a segment, their marks hold the digest."""
        start = len(rows) - WIDTH * len(frames) + MARK
        for index, digest in self._chain.extend(frames):
            place = start + WIDTH * index
            rows[place] = seal(rows[place], digest)

    def _insert_new(self, plan: Plan, folds: list[int]) -> None:
        if not plan.tables:
            self._insert(plan.rows)
            return
        for count, part in pieces(plan.count, INSERTS):
            rows = plan.rows[part.start * WIDTH : part.stop * WIDTH]
            statement = insert_unless(count, plan.tables)
            if self._db.execute(statement, folds[part] + rows).rowcount != count:
                raise Outdated

    def undo(self, plan: Plan) -> None:
        """Forget the last plan, which was not written."""
        self._keys.forget()
        if self._head != _NOBODY_KNOWS:
            self._head -= plan.count
            self.ids.undo([event.event_id for request in plan.requests for event in request.events])

    def _forget(self) -> None:
        """Know nothing any more but what the database says."""
        self._head = _NOBODY_KNOWS
        self._keys.forget()

    def apply(self, batch: Sequence[Request], *, wait: bool) -> Sequence[Answer]:
        """Write the batch into a transaction and leave that open; one answer for each request, in order.

        A refused request leaves the others alone. Raises `sqlite3.Error` or `EventStoreError`, and leaves
        no transaction, if nothing at all can be written; with SQLITE_BUSY at once unless `wait`.
        """
        self._begin(wait)
        try:
            return self._apply(batch)
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
                if not is_busy(error) or time.monotonic() >= deadline:
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
        if head == self._head:
            self._keys.forget_if_many()
            return
        known, self._head = self._head, _NOBODY_KNOWS
        self._keys.forget()
        if known == _NOBODY_KNOWS:
            self.ids.load(head)
            self._resume_chain(head)
        else:
            # Others have appended: all that was known before still holds.
            self.ids.follow(known)
            self._follow_chain(known)
        self._head = head

    def _resume_chain(self, head: int) -> None:
        start = head - head % SEGMENT
        mark: object = b"\0" * 4 + GENESIS
        if start:
            (mark,) = self._db.execute("SELECT mark FROM events WHERE position = ?", (start,)).fetchone()
        if not isinstance(mark, bytes) or len(mark) != 4 + len(GENESIS):
            raise StoreCorrupt(
                f"The digest at position {start} is not whole.", remedy="Restore a backup; verify the log."
            )
        self._chain = Chain(start, mark[4:])
        self._follow_chain(start)

    def _follow_chain(self, position: int) -> None:
        sql = f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position"  # noqa: S608
        rows = self._db.execute(sql, (position,)).fetchall()
        with closing(Names(self._db)) as names:
            firsts = Firsts(names)
            firsts.resume(self._db, position)
            self._chain.extend([encode_frame(frame) for frame in firsts.frames(rows)])

    def _apply(self, batch: Sequence[Request]) -> Sequence[Answer]:
        self._look_at_the_end()
        now_ms = self._clock_ms()
        ids = [event_id for request in batch for event_id in request.ids]
        careful = self.ids.any_known(fold_ids(ids))
        answers: list[Answer] = []
        rows: list[Any] = []
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
                self._write(request, now_ms, rows)
                size += request.size
        self._insert(rows)
        for checkpoint in checkpoints:
            self._db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, now_ms))
        self.wal_pages += 3 + size // PAGE_BYTES
        return answers

    def _decide(self, request: Request, careful: bool, pending: list[Any]) -> Appended:
        stream, expected = request.stream, request.expected_version
        version = self._keys.stream(stream).version
        tail = self.ids.tail
        if careful or any(event.event_id in tail for event in request.events):
            # The same append may have come just before in this batch.
            self._insert(pending)
            pending.clear()
            known = [self._find(event.event_id) for event in request.events]
            answer = repeated_append(stream, request.events, known)
            if answer is not None:
                return answer
        if expected not in (ANY, version):
            raise VersionConflict(stream, expected, version)
        return answer_to(request, version, self._head)

    def _find(self, event_id: str) -> RecordedEvent | None:
        position = self.ids.find(event_id)
        if position is None:
            return None
        row = self._db.execute(f"SELECT {COLUMNS} FROM events WHERE position = ?", (position,)).fetchone()  # noqa: S608
        with closing(Names(self._db)) as names:
            return to_event(row, names)

    def _write(self, request: Request, now_ms: int, rows: list[Any]) -> None:
        """Add the request's rows to `rows`, and the names that are new to the database."""
        stream, firsts = self._keys.record(request.stream, request.events, self._head)
        frames: list[bytes] = []
        chunks: list[tuple[int, int, int]] = []
        self._add_rows(request, stream, self._head, now_ms, rows, frames, chunks, firsts)
        self._insert_chunks(chunks)
        self._seal(frames, rows)
        self._head += len(request.events)

    def _add_rows(
        self,
        request: Request,
        stream: Stream,
        position: int,
        now_ms: int,
        rows: list[Any],
        frames: list[bytes],
        chunks: list[tuple[int, int, int]],
        firsts: Mapping[int, First] = _NONE,
    ) -> None:
        """The rows of events after `position`, their frames and their stream's new chunks."""
        key, version = stream.key, stream.version
        types, correlations = self._keys.types, self._keys.correlations
        tail, fresh = self.ids.tail, self.ids.fresh
        for event, event_id in zip(request.events, request.ids, strict=True):
            position += 1
            version += 1
            if position >> CHUNK_BITS != stream.chunk:
                stream.chunk = position >> CHUNK_BITS
                chunks.append((key, stream.chunk, version))
            cause = event.causation_id
            row = (
                position,
                key,
                version,
                types[event.type, event.type_version],
                now_ms,
                event_id,
                correlations[event.correlation_id],
                None if cause is None else stored_cause(cause, position, tail.get(cause)),
                event.metadata,
                event.data,
            )
            frame = encode_frame((*row, *firsts[position]) if position in firsts else row)
            frames.append(frame)
            rows += row
            rows.append(adler32(frame))
            tail[event.event_id] = position
            fresh.append(event_id)
        stream.version = version

    def _insert(self, rows: list[Any]) -> None:
        try:
            for count, part in pieces(len(rows) // WIDTH, INSERTS):
                self._db.execute(INSERTS[count], rows[part.start * WIDTH : part.stop * WIDTH])
        except sqlite3.DataError as error:
            raise InvalidArgument(f"An event is too large: {error}.", remedy="Make it smaller.") from error

    def _insert_chunks(self, chunks: list[tuple[int, int, int]]) -> None:
        for count, part in pieces(len(chunks), INSERT_CHUNKS):
            self._db.execute(INSERT_CHUNKS[count], [value for chunk in chunks[part] for value in chunk])
