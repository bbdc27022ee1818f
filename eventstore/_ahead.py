"""Reads a log to be verified: while some rows are checked and handled, the next are already being hashed.

A thread that needs no interpreter does that, where it is compiled: a thread of Python's would wait for the interpreter
each time it has hashed something. Nothing is known of a row before it is its turn: whatever is not plain in what was
read ahead (an end, damage, a name that is missing) is forgotten, and read again then.
"""

from contextlib import suppress
from typing import Any, Final

from eventstore._compiled import CRYPTO, SQLITE
from eventstore._frames import Columns, Frames
from eventstore._rows import CHECKED, COLUMNS, DATA, MARK, Firsts, Names
from eventstore._scan import SLICE_BYTES, Ahead, Scan
from eventstore.verify import Verifier

__all__ = ["ROWS", "Part", "Parts"]

ROWS: Final = f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608
"""What to make the scan of."""
_THREADED: Final = SQLITE and CRYPTO


class Part:
    """Rows that follow each other, as columns."""

    __slots__ = ("ahead", "archived", "columns", "frames", "more")

    def __init__(self, columns: Columns, archived: bool, more: bool) -> None:
        self.columns = columns
        self.archived = archived
        """Whether the data of some lies in archives."""
        self.more = more
        """Whether there may be rows behind them."""
        self.frames: Frames | None = None
        self.ahead: Ahead | None = None

    def take(self) -> tuple[Frames, tuple[list[bytes], Any] | None]:
        """Their frames, and what else `Verifier.feed` takes with them."""
        if self.ahead is not None:
            frames, digests, running = self.ahead.take()
            return frames, (digests, running)
        assert self.frames is not None
        return self.frames, None


class Parts:
    """One pass over the log for a verifier."""

    def __init__(self, verifier: Verifier, names: Names, wanted: tuple[int, ...] = CHECKED) -> None:
        """`wanted` are the columns that are needed, at least those that are `CHECKED`."""
        self._verifier = verifier
        self._firsts = Firsts(names, strict=True)
        self._wanted = wanted
        self._following: Part | None = None

    def read(self, scan: Scan, after: int, count: int) -> Part:
        """The next rows, which come after a position: up to so many. Raises `sqlite3.Error`."""
        part, self._following = self._following, None
        return part or self._read(scan, after, count)

    def check(self, part: Part, scan: Scan, names: Names, ahead: int) -> Columns:
        """The rows that were read, those before the first fault; up to `ahead` may be read beyond them.

        Raises `StoreCorrupt` or `sqlite3.Error` if a name cannot be read; nothing is fed then.
        """
        columns, verifier = part.columns, self._verifier
        self._firsts.names = names
        before = verifier.good
        if not columns[0]:
            return columns
        if part.frames is None and part.ahead is None:
            self._begin(part, scan)
        following = self._read_ahead(part, scan, ahead) if ahead and _THREADED else None
        frames, hashed = part.take()
        if not verifier.feed(columns, frames, columns[MARK], hashed):
            good = verifier.good - before
            return tuple(column[:good] if column else column for column in columns)
        if following is not None:
            with suppress(Exception):
                self._begin(following, scan)
                self._following = following
        return columns

    def _read(self, scan: Scan, after: int, count: int) -> Part:
        columns, cut = scan.fetch((after, count), SLICE_BYTES, self._wanted)
        return Part(columns, scan.lacks(DATA), cut or len(columns[0]) == count)

    def _read_ahead(self, part: Part, scan: Scan, count: int) -> Part | None:
        """The rows behind these; none if there are too few: more may be there once it is their turn."""
        if part.more:
            with suppress(Exception):
                following = self._read(scan, part.columns[0][-1], count)
                return following if following.more else None
        return None

    def _begin(self, part: Part, scan: Scan) -> None:
        """Have the frames made of what was read last."""
        if _THREADED and part.more and not part.archived:
            part.ahead = self._firsts.ahead(part.columns, scan, *self._verifier.running())
        else:
            part.frames = self._firsts.frames(part.columns, scan)
