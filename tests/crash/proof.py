"""What must be true of a real workspace that came to rest, whatever was done to its daemon."""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import anyio
from msgspec import Struct, field

from caf.log import CATEGORY, Entry, job_of, read_job
from eventstore import SqliteStore
from tests.crash.daemon import Daemon, caf
from tests.simulation.checkers import check, check_at_rest

__all__ = ["Acknowledged", "entries_of", "problems_of"]

FOLDERS: Final = ("logs", "output")


class Acknowledged(Struct):
    """What the daemon, or a verb, said yes to."""

    submitted: list[str] = field(default_factory=list)
    """Ids of jobs, each as often as it was said."""
    recorded: list[tuple[str, str]] = field(default_factory=list)
    """Jobs and the type of an event that must be there."""


def problems_of(workspace: Path, acknowledged: Acknowledged, daemon: Daemon | None = None) -> list[str]:
    """Everything that is wrong. The daemon is at rest, or stopped."""
    jobs = anyio.run(entries_of, workspace)
    problems = [
        f"{job_id} was acknowledged and is lost" for job_id in {*acknowledged.submitted} - jobs.keys()
    ]
    for job_id, name in acknowledged.recorded:
        if name not in [entry.recorded.type for entry in jobs.get(job_id, ())]:
            problems.append(f"{job_id}: {name} was acknowledged and is lost")
    for job_id, entries in jobs.items():
        problems += [f"{job_id}: {problem}" for problem in check(entries)]
        problems += [f"{job_id}: {problem}" for problem in check_at_rest(entries, _files(workspace, job_id))]
    problems += _files_left(workspace)
    problems += _verified(workspace)
    problems += _ids_twice(workspace)
    if daemon is not None:
        problems += [f"the daemon has the zombie {pid}" for pid in daemon.children() if _is_zombie(pid)]
    return problems


async def entries_of(workspace: Path) -> dict[str, list[Entry]]:
    """Every job's entries, read from the log's file."""
    async with SqliteStore.open(workspace / ".caf" / "log.db", read_only=True) as store:
        streams = {recorded.stream async for recorded in store.read_all(category=CATEGORY)}
        return {
            job_of(stream): [entry async for entry in read_job(store, job_of(stream))]
            for stream in sorted(streams)
        }


def _files(workspace: Path, job_id: str) -> dict[str, bytes]:
    """A job's documents, and its clip as the digest that it has."""
    found: dict[str, bytes] = {}
    for folder in FOLDERS:
        for path in (workspace / "sandbox" / folder / job_id).rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                if path.suffix != ".json":
                    data = hashlib.sha256(data).hexdigest().encode()
                found[path.relative_to(workspace).as_posix()] = data
    return found


def _files_left(workspace: Path) -> Iterable[str]:
    yield from (f"{path} was left" for path in (workspace / ".caf" / "tmp").glob("*"))
    for path in (workspace / "sandbox").glob("*/*.rejected.json"):
        yield f"{path.name} says {path.read_text()}"
    for path in (workspace / ".caf" / "artifacts").rglob("*"):
        if path.is_file() and len(path.parent.name + path.name) != 64:
            yield f"{path} is no artifact"


def _verified(workspace: Path) -> list[str]:
    done = caf(workspace, "verify", "--json")
    return [] if done.returncode == 0 else [f"caf verify: {(done.stderr or done.stdout).decode()}"]


def _ids_twice(workspace: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{workspace}/.caf/log.db?mode=ro", uri=True, timeout=5)) as log:
        events, ids, last = log.execute(
            "SELECT count(*), count(DISTINCT event_id), max(position) FROM events"
        ).fetchone()
    return [] if events == ids == last else [f"{events} events have {ids} ids and end at position {last}"]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
