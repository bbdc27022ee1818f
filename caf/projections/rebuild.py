"""All rows folded again from the first event on, in a file that nobody else looks into."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final

import anyio.to_thread

from caf.events.codec import decoder
from caf.projections.rows import COLUMNS, Changes, RowCache
from caf.projections.tables import make
from eventstore import LETS_OTHERS_RUN, Batch, EventStore

__all__ = ["Rebuild"]

_TOGETHER: Final = 1_000
"""Events that are folded and written together. Their rows, and those of as many events before, are in memory: with
more of them a processor's own cache no longer holds what the fold comes back to."""


class Rebuild:
    """New rows in a file of their own beside the old ones, or in memory.

    A thread of its own writes what was folded, while the next events are read and folded.
    """

    def __init__(self, beside: Path | None) -> None:
        self._path: Path | None = None
        if beside is not None:
            for left in beside.parent.glob(f"{beside.name}.new-*"):
                # Of a process that was killed; one that is still at work has it open all the same.
                with contextlib.suppress(OSError):
                    left.unlink()
            self._path = beside.with_name(f"{beside.name}.new-{os.getpid()}")
        self.connection = sqlite3.connect(
            ":memory:" if self._path is None else self._path, isolation_level=None, check_same_thread=False
        )
        self._writer = ThreadPoolExecutor(1, "rebuild")
        self._writing: Future[None] | None = None
        try:
            # Whatever ends this process, the file is worth nothing then.
            self.connection.execute("PRAGMA journal_mode = OFF")
            self.connection.execute("PRAGMA synchronous = OFF")
            self.connection.execute("PRAGMA cache_size = -65536")
            self.connection.execute("BEGIN")
            make(self.connection)
        except BaseException:
            self.close()
            raise
        self._rows = RowCache(self.connection)

    async def fold(self, store: EventStore) -> None:
        """Fold the whole log. Raises `sqlite3.Error`."""
        batches: list[Batch] = []
        async for batch in store.replay(decoder, columns=COLUMNS):
            batches.append(batch)
            if sum(map(len, batches)) >= _TOGETHER:
                await anyio.to_thread.run_sync(self._fold, batches)
                batches = []
        await anyio.to_thread.run_sync(self._end, batches)

    def _fold(self, batches: Sequence[Batch]) -> None:
        changes = Changes()
        self._rows.fold(chain.from_iterable(batches), changes)
        self._wait()
        # What is in the cache from before is written now, so that it may be forgotten and loaded again.
        self._rows.turn_over()
        if LETS_OTHERS_RUN:
            self._writing = self._writer.submit(changes.write, self.connection)
        else:
            changes.write(self.connection)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _end(self, batches: Sequence[Batch]) -> None:
        self._fold(batches)
        self._wait()
        self.connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the new rows, wherever they are now."""
        self._writer.shutdown()
        self.connection.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
