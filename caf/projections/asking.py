"""A person's own query: it may read and nothing else, and ends when it is called off."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Final

import anyio.lowlevel
import anyio.to_thread

__all__ = ["ask", "in_a_thread"]

_STEPS: Final = 20_000
"""Of SQLite's machine between two looks at whether the query was called off: well below a millisecond."""


async def in_a_thread(asked: Callable[[threading.Event], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `asked` gives; when this is cancelled the event is set that it gets, and it is waited for.

    Raises `sqlite3.Error`.
    """
    stop = threading.Event()
    found: list[dict[str, Any]] | sqlite3.Error
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set_when_cancelled, stop)
        try:
            found = await anyio.to_thread.run_sync(asked, stop)
        except sqlite3.Error as fault:
            found = fault  # the group would wrap it
        tasks.cancel_scope.cancel()
    await anyio.lowlevel.checkpoint()  # what was called off is no error of the query
    if isinstance(found, sqlite3.Error):
        raise found
    return found


async def _set_when_cancelled(stop: threading.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def ask(connection: sqlite3.Connection, sql: str, stop: threading.Event) -> list[dict[str, Any]]:
    """The rows of a query that may only read. Raises `sqlite3.Error`, also when `stop` is set meanwhile."""
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_no_other_files)
        connection.set_progress_handler(stop.is_set, _STEPS)
        with closing(connection.execute(sql)) as cursor:
            names = _apart(column[0] for column in cursor.description or ())
            return [dict(zip(names, row, strict=True)) for row in cursor]
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")


def _apart(names: Iterable[str]) -> list[str]:
    """Names of columns, each once: two of one name are told apart as SQLite itself does, `status` and `status:1`."""
    found: dict[str, None] = {}
    for name in names:
        once, number = name, 0
        while once in found:
            number += 1
            once = f"{name}:{number}"
        found[once] = None
    return list(found)


def _no_other_files(action: int, *what: str | None) -> int:
    """An authorizer: `ATTACH`, and `VACUUM INTO` by way of it, would create files in spite of `query_only`."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
