"""Jobs that are over go to a second log, so that the first stays small."""

from caf.app import App
from caf.contracts.times import timestamp
from caf.errors import InputError
from caf.log import stream_of
from eventstore import Archived, InvalidArgument, SqliteStore

__all__ = ["archive"]

_FOLDERS = ("artifacts", "kept", "locks", "logs", "tmp")
_FILES = ("projections.db", "daemon.json", "daemon.lock", "log.db.next", ".")
"""How what caf itself has beside the log, or has there at times, begins: SQLite empties what it takes for the WAL of
the read models, and an archive is the only place of what it holds."""
_DAY_MS = 24 * 60 * 60 * 1000
_OVER = "SELECT job_id FROM jobs WHERE status IN ('completed', 'cancelled', 'aborted') AND updated_at <= ?"


async def archive(app: App, name: str, days: float) -> Archived | None:
    """Move the streams of all jobs that have been over for so many days to the new log `name` beside the log.

    None if there are none. Raises `InputError` for a name that is taken, or that caf takes itself.
    """
    if name.casefold() in _FOLDERS or name.casefold().startswith(_FILES):
        raise InputError(
            f"{name!r} is a name that caf itself has for something beside the log.",
            remedy="Give the archive a name of its own, as 2026-11.db.",
            kind="name_taken",
        )
    store = app.store
    assert isinstance(store, SqliteStore), "only a log in a file has archives"
    since = timestamp(app.clock.now_ms() - round(days * _DAY_MS))
    gone = await store.archived()
    streams = [stream_of(row["job_id"]) for row in await app.rows(f"{_OVER} ORDER BY position", (since,))]
    streams = [stream for stream in streams if stream not in gone]
    if not streams:
        return None
    try:
        return await store.archive(streams, name)
    except InvalidArgument as fault:
        raise InputError(fault.message, remedy=fault.remedy) from fault
