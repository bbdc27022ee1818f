"""Proves a workspace: log against its chain, artifacts against their digests, rows against a rebuild."""

import sqlite3
from typing import Any

import anyio.to_thread

from caf.app import App
from caf.events import Artifact, StageCompleted
from caf.events.codec import UnreadableEvent, decode
from caf.log import CATEGORY
from caf.projections.follower import ReadModels

__all__ = ["verify"]


async def verify(app: App) -> dict[str, Any]:
    """What was checked and what is wrong: `events`, `head_digest`, `artifacts`, `problems` (sentences)."""
    report = await app.store.verify()
    problems = [f"position {report.fault.position}: {report.fault.what}"] if report.fault else []
    artifacts: dict[str, Artifact] = {}
    async for recorded in app.store.read_all(category=CATEGORY):
        try:
            event = decode(recorded.type, recorded.type_version, recorded.data)
        except UnreadableEvent as fault:
            problems.append(f"position {recorded.position}: {fault}")
            continue
        if isinstance(event, StageCompleted):
            artifacts |= {item.sha256: item for item in event.artifacts}
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


async def _compare(app: App) -> list[str]:
    await app.models.catch_up(app.store)
    fresh = ReadModels(None)
    try:
        await fresh.catch_up(app.store)
        try:
            live = await app.models.dump()
        except sqlite3.DatabaseError:  # damaged below what catching up looks at: mended as by any read verb
            await app.models.renew(app.store)
            live = await app.models.dump()
        again = await fresh.dump()
    finally:
        fresh.close()
    return [
        f"read model {table} differs from a rebuild; mend it with: caf rebuild"
        for table in sorted(live.keys() | again.keys())
        if live.get(table) != again.get(table)
    ]
