"""Every subject by its short name; a peer's library is imported only when it is asked something."""

from importlib import import_module
from typing import Final

from bench.log.subject import Subject

__all__ = ["SUBJECTS", "subject"]

SUBJECTS: Final[dict[str, str]] = {
    "own": "bench.log.own:Own",
    "raw": "bench.log.raw:Raw",
    "raw-one": "bench.log.raw:RawOne",
    "umadb": "bench.log.peers.umadb_server:Umadb",
    "eventsourcing": "bench.log.peers.eventsourcing_recorder:Recorder",
    "eventsourcing-save": "bench.log.peers.eventsourcing_save:Save",
    "eventsource-py": "bench.log.peers.eventsource_py:EventSource",
    "aiosqlite": "bench.log.peers.aiosqlite_each:AioSqlite",
    "dbos": "bench.log.peers.dbos_steps:Dbos",
}


def subject(name: str) -> Subject:
    """The subject of that name. Raises `ImportError` where its library is not installed."""
    module, _, attribute = SUBJECTS[name].partition(":")
    made: Subject = getattr(import_module(module), attribute)()
    return made
