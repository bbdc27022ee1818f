"""Turns appends into rows: knows the end of the log and of its streams, decides, and writes.

Two ways lead into the log. `plan` decides a batch from memory alone, and `write` then needs the connection only,
with one statement in the ordinary case: so that one batch can be decided while another is on its way to the disk.
Whatever is not ordinary (a name never seen, an id that may be known, a conflict, another process) takes the other
way, `apply`, which decides inside of a transaction, with all that the database knows.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from eventstore._batch import Rows, new_inserter, new_rows
from eventstore._ids import IdIndex
from eventstore._keys import First, Keys, Stream
from eventstore._plan import Answer, Outdated, Plan, Request, answer_to
from eventstore._rows import CHECKED, COLUMNS, Firsts, Names, to_event
from eventstore._scan import SLICE_BYTES, new_scan
from eventstore._schema import PAGE_BYTES, is_busy
from eventstore._statements import INSERT_CHUNKS, pieces
from eventstore.chain import GENESIS, SEGMENT, Chain, Mark
from eventstore.checks import check_checkpoint, check_time, repeated_append
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
_NONE: Final[dict[int, First]] = {}


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
        self._inserter = new_inserter(connection)
        self._pending = new_rows()
        """Decided in the open transaction, and not yet inserted."""
        self.ids = IdIndex(connection)
        self.wal_pages = 0
        """About how many pages were written to the WAL since the last checkpoint."""

    def close(self) -> None:
        """Close the connection; without it nothing can be written any more."""
        self._inserter.close()
        self._db.close()

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

        None if the first one cannot be decided from memory, or if that fails. What is planned is taken for written
        from then on: if `write` fails, `undo`.
        """
        if self._head == _NOBODY_KNOWS:
            return None
        taken: list[Request] = []
        try:
            plan = Plan(check_time(self._clock_ms()))
            taken = plan.requests
            return self._fill(plan, waiting, events, size)
        except Exception:  # noqa: BLE001 - whatever it is (a clock that fails), `apply` will meet it again and say so
            waiting.extendleft(reversed(taken))
            self._forget()
            return None

    def _fill(self, plan: Plan, waiting: deque[Request], events: int, size: int) -> Plan | None:
        """Take into the plan what can be decided from memory; None if that is nothing."""
        keys, tail, fresh = self._keys, self.ids.tail, self.ids.fresh
        rows, requests, answers = plan.rows, plan.requests, plan.answers
        streams, types, correlations = keys.streams, keys.types, keys.correlations
        head, last, room = self._head, self._head + events, size
        while waiting:
            request = waiting[0]
            if request.answer is not None and request.answer.done():
                waiting.popleft()
                continue
            count, checkpoint = len(request.events), request.checkpoint
            room -= request.size
            if requests and (head + count > last or room < 0):
                break
            stream = streams.get(request.stream)
            if stream is None or request.expected_version not in (ANY, stream.version):
                break
            if not count or count > events or request.size > size:
                break
            if checkpoint is not None and checkpoint.position > head + count:
                break
            answer = answer_to(request, stream.version, head)
            if not rows.add_plain(
                request.events,
                request.ids,
                stream,
                head,
                plan.now_ms,
                types,
                correlations,
                tail,
                fresh,
                plan.chunks,
                _NONE,
            ):
                break
            waiting.popleft()
            requests.append(request)
            answers.append(answer)
            if checkpoint is not None:
                plan.checkpoints.append(checkpoint)
            head += count
        if not requests:
            return None
        plan.pages = 2 + len(plan.chunks) + (size - room) // PAGE_BYTES
        plan.count = len(rows)
        # Here, not where it is written: hashing lets go of the interpreter's lock, and that thread had to wait for it.
        self._seal(rows, 0)
        self._head = head
        return plan

    def write(self, plan: Plan) -> None:
        """Write and commit a plan, in any thread that owns the connection.

        Raises `Outdated`, `sqlite3.Error`; then nothing is written.
        """
        db = self._db
        # Before anything is in the tables all ids are in memory, and were seen when this was planned.
        if self.ids.indexed and self.ids.any_known([one for request in plan.requests for one in request.ids]):
            raise Outdated
        try:
            if not plan.checkpoints and not plan.chunks:
                self._insert(plan.rows)
                return
            db.execute("BEGIN IMMEDIATE")
            self._insert_chunks(plan.chunks)
            self._insert(plan.rows)
            for checkpoint in plan.checkpoints:
                db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, plan.now_ms))
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise Outdated from error
            raise

    def _seal(self, rows: Rows, start: int) -> None:
        """Go on with the chain by the rows from `start` on; where that ends a segment, they get the digest."""
        joined = rows.joined if not start else lambda first, last: rows.joined(start + first, start + last)
        for index, digest in self._chain.follow(len(rows) - start, joined):
            rows.seal(start + index, digest)

    def undo(self, plan: Plan) -> None:
        """Forget the last plan, which was not written; the chain stays led on by it until the end is looked at."""
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
        if self._head not in (_NOBODY_KNOWS, self._chain.position):
            # A plan had led it on that was not written.
            self._resume_chain(self._head)
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
            row = self._db.execute("SELECT mark FROM events WHERE position = ?", (start,)).fetchone()
            mark = row and row[0]
        if not isinstance(mark, bytes) or len(mark) != 4 + len(GENESIS):
            raise StoreCorrupt(
                f"The digest at position {start} is not whole.", remedy="Restore a backup; verify the log."
            )
        self._chain = Chain(start, mark[4:])
        self._follow_chain(start)

    def _follow_chain(self, position: int) -> None:
        """Go on with the chain by what is recorded after a position, where it stands."""
        sql = f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position"  # noqa: S608
        with closing(Names(self._db)) as names, closing(new_scan(self._db, sql)) as scan:
            firsts = Firsts(names)
            firsts.resume(self._db, position)
            more = True
            while more:
                columns, more = scan.fetch((self._chain.position,), SLICE_BYTES, CHECKED)
                if columns[0]:
                    frames = firsts.frames(columns, scan)
                    self._chain.follow(len(frames), frames.joined)

    def _apply(self, batch: Sequence[Request]) -> Sequence[Answer]:
        self._look_at_the_end()
        now_ms = check_time(self._clock_ms())
        ids = [event_id for request in batch for event_id in request.ids]
        careful = self.ids.any_known(ids)
        answers: list[Answer] = []
        self._pending = new_rows()
        checkpoints: list[Checkpoint] = []
        size = 0
        for request in batch:
            try:
                answer = self._decide(request, careful)
                if request.checkpoint is not None:
                    check_checkpoint(request.checkpoint, max(self._head, answer.last_position))
                    checkpoints.append(request.checkpoint)
            except EventStoreError as error:
                answers.append(error)
                continue
            answers.append(answer)
            if request.events and not answer.repeated:
                self._write(request, now_ms)
                size += request.size
        self._insert(self._pending)
        for checkpoint in checkpoints:
            self._db.execute(_SAVE, (checkpoint.consumer, checkpoint.position, now_ms))
        self.wal_pages += 3 + size // PAGE_BYTES
        return answers

    def _decide(self, request: Request, careful: bool) -> Appended:
        stream, expected = request.stream, request.expected_version
        version = self._keys.stream(stream).version
        tail = self.ids.tail
        if careful or any(event.event_id in tail for event in request.events):
            # The same append may have come just before in this batch.
            self._insert(self._pending)
            self._pending = new_rows()
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

    def _write(self, request: Request, now_ms: int) -> None:
        """Add the request's rows to those that are pending, and the names that are new to the database."""
        stream, firsts = self._keys.record(request.stream, request.events, self._head)
        chunks: list[tuple[int, int, int]] = []
        start = len(self._pending)
        self._add(request, stream, self._head, now_ms, self._pending, chunks, firsts)
        self._insert_chunks(chunks)
        self._seal(self._pending, start)
        self._head += len(request.events)

    def _add(
        self,
        request: Request,
        stream: Stream,
        position: int,
        now_ms: int,
        rows: Rows,
        chunks: list[tuple[int, int, int]],
        firsts: dict[int, First] = _NONE,
    ) -> None:
        """The rows of its events, which come after `position`, and their stream's new chunks."""
        keys, ids = self._keys, self.ids
        rows.add(
            request.events,
            request.ids,
            stream,
            position,
            now_ms,
            keys.types,
            keys.correlations,
            ids.tail,
            ids.fresh,
            chunks,
            firsts,
        )

    def _insert(self, rows: Rows) -> None:
        try:
            if rows:
                self._inserter.insert(rows)
        except sqlite3.DataError as error:
            raise InvalidArgument(f"An event is too large: {error}.", remedy="Make it smaller.") from error

    def _insert_chunks(self, chunks: list[tuple[int, int, int]]) -> None:
        for count, part in pieces(len(chunks), INSERT_CHUNKS):
            self._db.execute(INSERT_CHUNKS[count], [value for chunk in chunks[part] for value in chunk])
