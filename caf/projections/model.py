"""What a projection is: tables, and for each type of event what it changes in the rows of its job."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from caf.events import Event

__all__ = ["Ending", "Handler", "JobRows", "Key", "Projection", "Row", "Seen", "SqlValue", "as_json", "whole"]

SqlValue = str | int | float | None
Row = dict[str, SqlValue]
"""Column to value; a column that is missing is NULL."""
Key = tuple[SqlValue, ...]
"""The primary key of a row, without its job_id, which comes first in every table."""


class Seen(Struct, frozen=True, gc=False):
    """Where and when an event was recorded."""

    job_id: str
    version: int
    position: int
    recorded_at: str
    """RFC 3339, UTC, milliseconds."""
    recorded_at_ms: int
    event_id: str


class JobRows:
    """The rows of one job in all tables, as far as they were asked for; what is changed here is written later."""

    __slots__ = ("_load", "_tables", "changed", "job_id", "last")

    def __init__(self, job_id: str, load: Callable[[str, str], dict[Key, Row]]) -> None:
        """`load(table, job_id)` gives the rows that are there already."""
        self.job_id = job_id
        self._load = load
        self._tables: dict[str, dict[Key, Row]] = {}
        self.changed: dict[tuple[str, Key], Row] = {}
        """What is to be written, in the order in which it was changed first."""
        self.last: Seen | None = None
        """The place of the last event of those that are folded together."""

    def of(self, table: str) -> dict[Key, Row]:
        """All rows in a table, by key; to be read."""
        found = self._tables.get(table)
        if found is None:
            found = self._tables[table] = self._load(table, self.job_id)
        return found

    def put(self, table: str, key: Key, row: Row) -> None:
        """Add a row, or change these columns of the row that is there."""
        rows = self.of(table)
        present = rows.get(key)
        if present is None:
            row["job_id"] = self.job_id
            rows[key] = present = row
        else:
            present.update(row)
        self.changed[table, key] = present

    def change(self, table: str, key: Key, row: Row) -> None:
        """Change these columns of a row; nothing if there is no such row."""
        present = self.of(table).get(key)
        if present is not None:
            present.update(row)
            self.changed[table, key] = present


_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def as_json(value: object) -> str:
    """A value that has no column of its own: the same value is always the same text."""
    return _encode(value).decode()


_MOST: Final = 2**63


def whole(number: int) -> int:
    """A whole number that a column can hold. Raises `OverflowError` for one that is larger."""
    if -_MOST <= number < _MOST:
        return number
    raise OverflowError(f"{str(number)[:40]} is beyond 64 bits")


Handler = Callable[[Any, Seen, JobRows], None]
Ending = Callable[[Seen, JobRows], None]


class Projection(Struct, frozen=True, kw_only=True):
    """Disposable rows: `schema` makes the tables, `handlers` say what an event of each type changes in them.

    A handler reads nothing but the event, its place, and the rows of its job.
    """

    name: str
    version: int
    """Raised when rows would come out differently; the rows are then rebuilt."""
    schema: str
    handlers: Mapping[type[Event], Handler]
    ending: Ending | None = None
    """What the last of some events of a job that are folded together changes, of whatever type it is."""
