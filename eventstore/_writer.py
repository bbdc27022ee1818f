"""The one writer of a store: a thread that owns its connection and commits whatever waits, together."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from eventstore._ledger import Ledger
from eventstore._lock import FileLock
from eventstore._schema import connect_writer, explain
from eventstore.errors import EventStoreError
from eventstore.model import Appended, Checkpoint, NewEvent

__all__ = ["Answer", "Request", "Writer"]

Answer = Appended | EventStoreError

_BATCH_REQUESTS: Final = 1024
_BATCH_BYTES: Final = 8 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 1000
"""SQLite's own default for wal_autocheckpoint: 4 MB of WAL."""


class Request:
    """One append on its way to the disk; `wanted` turns false when its caller has gone."""

    __slots__ = ("checkpoint", "events", "expected_version", "ids", "stream", "token", "wanted")

    def __init__(
        self,
        stream: str,
        events: Sequence[NewEvent],
        ids: list[bytes],
        expected_version: int,
        checkpoint: Checkpoint | None,
        token: object,
    ) -> None:
        self.stream = stream
        self.events = events
        self.ids = ids
        self.expected_version = expected_version
        self.checkpoint = checkpoint
        self.token = token
        self.wanted = True


class Writer:
    """Commits requests in the order in which they came, as many at a time as are waiting.

    `deliver` is called in the writer's thread once a batch is on disk (or was refused), with an answer to
    each request whose caller still waits, and how many requests left the queue.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str,
        busy_s: float,
        clock_ms: Callable[[], int],
        deliver: Callable[[list[tuple[Request, Answer]], int], None],
    ) -> None:
        self._path = path
        self._deliver = deliver
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._lock = FileLock(path, busy_s)
        try:
            with self._locked():
                self._connection = connect_writer(path, synchronous, busy_s)
            self._ledger = Ledger(self._connection, path, busy_s, clock_ms)
        except BaseException:
            self._lock.close()
            raise
        # A daemon, so that a store that nobody closed cannot keep the interpreter from ending; what it
        # then breaks off in the middle was not acknowledged.
        self._thread = threading.Thread(target=self._run, name=f"eventstore {path.name}", daemon=True)
        self._thread.start()

    def put(self, request: Request) -> None:
        """Queue it; returns at once."""
        self._queue.put(request)

    def close(self) -> None:
        """Commit what is queued and end the thread; waits for both."""
        self._queue.put(None)
        self._thread.join()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _run(self) -> None:
        open_ = True
        try:
            while open_:
                batch, open_ = self._next_batch()
                if batch:
                    wanted = [request for request in batch if request.wanted]
                    answers = self._commit(wanted) if wanted else ()
                    self._deliver(list(zip(wanted, answers, strict=True)), len(batch))
                    if self._ledger.wal_pages >= _CHECKPOINT_PAGES:
                        self._checkpoint()
        finally:
            # The last connection to close checkpoints and removes the WAL: no less a writer than others.
            with contextlib.suppress(EventStoreError):
                self._lock.acquire()
            self._connection.close()
            self._lock.close()

    def _next_batch(self) -> tuple[list[Request], bool]:
        request = self._queue.get()
        batch: list[Request] = []
        size = 0
        while request is not None:
            batch.append(request)
            size += sum(len(event.data) for event in request.events)
            if len(batch) >= _BATCH_REQUESTS or size >= _BATCH_BYTES:
                return batch, True
            try:
                request = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[Request]) -> Sequence[Answer]:
        try:
            with self._locked():
                return self._ledger.commit(batch)
        except EventStoreError as error:
            return [error] * len(batch)
        except sqlite3.Error as error:
            fault = explain(error, self._path)
            fault.__cause__ = error
            return [fault] * len(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must not wait for ever
            fault = EventStoreError(f"The writer of {self._path} failed: {error!r}.", remedy="Report this.")
            fault.__cause__ = error
            return [fault] * len(batch)

    def _checkpoint(self) -> None:
        # A checkpoint that fails (a full disk) leaves a longer WAL and is tried again after the next
        # append, which will say what is wrong if it cannot be written either.
        with contextlib.suppress(EventStoreError, sqlite3.Error), self._locked():
            self._ledger.checkpoint_wal()
