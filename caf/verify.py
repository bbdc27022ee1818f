"""Proves a workspace: log against its chain, artifacts against their digests, rows against a rebuild."""

import sqlite3
from typing import Any

import anyio.to_thread

from caf.app import App
from caf.backup import Marker, marker_of
from caf.events import Artifact
from caf.events.artifacts import artifacts_of
from caf.events.codec import UnreadableEvent, decode
from caf.projections.follower import ReadModels
from eventstore import SqliteStore, Witness

__all__ = ["verify"]


async def verify(app: App) -> dict[str, Any]:
    """What was checked and what is wrong: `events`, `head_digest`, `artifacts`, `problems` (sentences)."""
    marker = marker_of(app.workspace.root)
    report = await app.store.verify(witness=_witness(marker))
    problems = [f"position {report.fault.position}: {report.fault.what}"] if report.fault else []
    if isinstance(app.store, SqliteStore):
        problems += [f"the log's file: {what}" for what in await app.store.check_file()]
    artifacts: dict[str, Artifact] = {}
    async for recorded in app.store.read_all():
        try:
            event = decode(recorded.type, recorded.type_version, recorded.data)
        except UnreadableEvent as fault:
            problems.append(f"position {recorded.position}: {fault}")
            continue
        artifacts |= {item.sha256: item for item in artifacts_of(event)}
    for artifact in artifacts.values():
        wrong = await anyio.to_thread.run_sync(app.artifacts.verify, artifact)
        if wrong is not None:
            problems.append(f"artifact {artifact.role}: {wrong}")
    problems += await _compare(app)
    return {
        "events": report.events,
        "head_digest": report.head_digest.hex(),
        "artifacts": len(artifacts),
        "problems": problems,
    }


def _witness(marker: Marker | None) -> Witness | None:
    """What a backup says that its log ended in: a copy whose end was cut off, or that was put together, shows."""
    if marker is None or not marker.events:
        return None
    return Witness(position=marker.events, digest=bytes.fromhex(marker.head_digest))


async def _compare(app: App) -> list[str]:
    await app.models.catch_up(app.store)
    fresh = ReadModels(None)
    try:
        try:
            live = await app.models.dump()
        except sqlite3.DatabaseError:  # damaged below what catching up looks at: mended as by any read verb
            await app.models.renew(app.store)
            live = await app.models.dump()
        # Others go on recording meanwhile: both are compared as of the same position.
        [(_, position, _)] = live["progress"]
        await fresh.catch_up(app.store, until=position)
        again = await fresh.dump()
    finally:
        fresh.close()
    return [
        f"read model {table} differs from a rebuild; mend it with: caf rebuild"
        for table in sorted(live.keys() | again.keys())
        if live.get(table) != again.get(table)
    ]
