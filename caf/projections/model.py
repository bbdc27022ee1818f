"""What a projection is: tables, and a pure function from one recorded event to statements on them."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from caf.events import Event

__all__ = ["Projection", "Seen", "SqlValue", "Statement", "upsert"]

SqlValue = str | int | float | None
Statement = tuple[str, tuple[SqlValue, ...]]
"""SQL with ? marks, and its values."""


class Seen(Struct, frozen=True, kw_only=True):
    """Where and when an event was recorded."""

    job_id: str
    version: int
    position: int
    recorded_at: str
    """RFC 3339, UTC, milliseconds."""
    recorded_at_ms: int
    event_id: str
    causation_id: str | None


class Projection(Struct, frozen=True, kw_only=True):
    """Disposable rows: `schema` makes the tables, `apply` says what an event changes in them."""

    name: str
    version: int
    """Raised when rows would come out differently; the rows are then rebuilt."""
    schema: str
    apply: Callable[[Event, Seen], Sequence[Statement]]


def upsert(table: str, key: tuple[str, ...], row: dict[str, SqlValue]) -> Statement:
    """Insert a row, or update the columns given when its key is there already."""
    columns = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name not in key)
    clash = f"DO UPDATE SET {changes}" if changes else "DO NOTHING"
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({', '.join(key)}) {clash}"  # noqa: S608 - names are ours
    return sql, tuple(row.values())
