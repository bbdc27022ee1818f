"""The rows of a batch with their frames, and what writes them into the table of events."""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from eventstore._compiled import SQLITE, native
from eventstore._keys import First, Stream
from eventstore._rows import CHUNK_BITS
from eventstore._statements import INSERTS, WIDTH, pieces
from eventstore.chain import adler32, encode_frame, seal, stored_cause
from eventstore.model import NewEvent

__all__ = ["Inserter", "Rows", "new_inserter", "new_rows"]


class Rows:
    """Rows that are ready for the table, none at first."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        """`WIDTH` of them for each row."""
        self._frames: list[bytes] = []

    def __len__(self) -> int:
        return len(self._frames)

    def add(
        self,
        events: tuple[NewEvent, ...],
        ids: list[bytes],
        stream: Stream,
        position: int,
        now_ms: int,
        types: dict[tuple[str, int], int],
        correlations: dict[str | None, int | None],
        tail: dict[str, int],
        fresh: list[bytes],
        chunks: list[tuple[int, int, int]],
        firsts: dict[int, First],
    ) -> None:
        """The rows of an append that comes after `position`: `tail`, `fresh` and the stream know it then.

        A chunk of the stream that begins with it goes to `chunks`. `firsts`: the names that events at some
        positions bring.
        """
        key, version, values = stream.key, stream.version, self.values
        for event, event_id in zip(events, ids, strict=True):
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
            self._frames.append(frame)
            values += row
            values.append(adler32(frame))
            tail[event.event_id] = position
            fresh.append(event_id)
        stream.version = version

    def add_plain(
        self,
        events: tuple[NewEvent, ...],
        ids: list[bytes],
        stream: Stream,
        position: int,
        now_ms: int,
        types: dict[tuple[str, int], int],
        correlations: dict[str | None, int | None],
        tail: dict[str, int],
        fresh: list[bytes],
        chunks: list[tuple[int, int, int]],
        firsts: dict[int, First],
    ) -> bool:
        """The same if memory is enough to decide it; else False, and nothing is added."""
        for event in events:
            if event.event_id in tail or (event.type, event.type_version) not in types:
                return False
            if correlations.get(event.correlation_id, -1) not in stream.correlations:
                return False
        self.add(events, ids, stream, position, now_ms, types, correlations, tail, fresh, chunks, firsts)
        return True

    def joined(self, start: int, stop: int) -> bytes:
        """The bytes of the frames from `start` up to `stop`."""
        return b"".join(self._frames[start:stop])

    def seal(self, index: int, digest: bytes) -> None:
        """Keep the digest with the row that ends a segment."""
        place = WIDTH * (index + 1) - 1
        self.values[place] = seal(self.values[place], digest)

    def sums(self) -> list[int]:
        """The checksum of each frame."""
        return [*map(adler32, self._frames)]


class Inserter:
    """Writes rows through a connection; to be closed before that."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def insert(self, rows: Rows) -> None:
        """Write the rows, in the open transaction or in one of their own. Raises `sqlite3.Error`."""
        db, count = self._db, len(rows)
        own = count not in INSERTS and not db.in_transaction
        if own:
            db.execute("BEGIN IMMEDIATE")
        try:
            for some, part in pieces(count, INSERTS):
                db.execute(INSERTS[some], rows.values[part.start * WIDTH : part.stop * WIDTH])
            if own:
                db.execute("COMMIT")
        except BaseException:
            if own and db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the connection."""


_SQLITE: Final = native if SQLITE else None
new_rows: Final[Callable[[], Rows]] = Rows if _SQLITE is None else _SQLITE.Rows
"""`Rows`, compiled where that is at hand."""


def new_inserter(connection: sqlite3.Connection) -> Inserter:
    """`Inserter` for what `new_rows` makes."""
    if _SQLITE is None:
        return Inserter(connection)
    made: Inserter = _SQLITE.Inserter(connection, INSERTS[1])
    return made
