"""The handoff registry's edge: register posts, read publishing tools' state files, print the registry."""

from pathlib import Path

import anyio.to_thread
from msgspec import Struct

from caf.app import App
from caf.commands import PERSON, register_post
from caf.contracts import POSTED, HandoffEntry, HandoffRegistry, PlatformState
from caf.contracts.read import read_document, write_document
from caf.contracts.times import timestamp, to_utc
from caf.errors import CafError, DocumentError
from caf.events import Posted
from caf.job import Job
from caf.submission import file_bytes

__all__ = ["Scanned", "register", "registry", "scan", "scan_one"]


class Scanned(Struct, frozen=True, kw_only=True):
    """What a scan found in one state file."""

    path: str
    outcome: str
    """recorded | known | not_posted | refused."""
    detail: str


async def register(
    app: App,
    job_id: str,
    *,
    platform: str,
    url: str,
    observed_from: str = PERSON,
    posted_at: str | None = None,
    post_id: str | None = None,
    author: str | None = None,
) -> bool:
    """Record that a job is live on a platform; False when it was known. Raises `CafError`."""
    when = to_utc(posted_at) if posted_at else timestamp(app.clock.now_ms())
    if when is None:
        raise DocumentError(
            f"{posted_at!r} is not a time.", remedy="Give one like 2026-02-08T05:00:46Z.", kind="bad_time"
        )

    def post(job: Job) -> Posted:
        document = job.submitted.document if job.submitted else {}
        niche, lane = document.get("niche"), document.get("lane")
        return Posted(
            platform=platform,
            post_url=url,
            posted_at=when,
            observed_from=observed_from,
            platform_post_id=post_id,
            author=author,
            niche=niche if isinstance(niche, str) else None,
            lane=lane if isinstance(lane, str) else None,
        )

    # Checks the values before they become facts that nobody can take back.
    write_document(HandoffEntry(job_id=job_id, platform=platform, post_url=url, posted_at=when))
    seen = observed_from != PERSON
    return bool(await app.command(job_id, lambda job: register_post(job, post(job)), unknown=seen))


async def scan(app: App) -> list[Scanned]:
    """Read every `*.state.json` of the workspace and record the posts that are new, each once."""
    root = app.workspace.sandbox / "dist_artifacts"
    return [await scan_one(app, path) for path in sorted(root.glob("*/*.state.json"))]


async def scan_one(app: App, path: Path) -> Scanned:
    """Read one state file and record its post, if it is one and new."""
    shown = path.relative_to(app.workspace.root).as_posix()
    try:
        data = await anyio.to_thread.run_sync(file_bytes, path)
        state = await anyio.to_thread.run_sync(lambda: read_document(data, PlatformState, where=shown))
        folder, platform = path.parent.name, path.name.removesuffix(".state.json")
        if (state.job_id, state.platform) != (folder, platform):
            raise DocumentError(
                f"{shown} is about {state.job_id} on {state.platform}, its place says {folder} on {platform}.",
                remedy="Move the file, or correct job_id and platform in it.",
            )
        if state.status != POSTED:
            return Scanned(path=shown, outcome="not_posted", detail=f"status is {state.status}")
        if state.post_url is None:
            raise DocumentError(
                f"{shown} is POSTED but has no post_url.",
                remedy=f"Register it: caf handoff register {folder} --platform {platform} --url URL",
            )
        recorded = await register(
            app,
            state.job_id,
            platform=state.platform,
            url=state.post_url,
            observed_from=shown,
            posted_at=state.last_attempt_at,
            post_id=state.platform_post_id,
        )
    except CafError as fault:
        return Scanned(path=shown, outcome="refused", detail=str(fault))
    return Scanned(path=shown, outcome="recorded" if recorded else "known", detail=state.post_url)


async def registry(app: App) -> HandoffRegistry:
    """handoff_registry.v1: everything that is live, by job and platform."""
    rows = await app.rows("SELECT * FROM handoffs ORDER BY job_id, platform")
    names = HandoffEntry.__struct_fields__
    entries = tuple(HandoffEntry(**{name: row[name] for name in names}) for row in rows)
    newest = max((row["recorded_at"] for row in rows), default=timestamp(app.clock.now_ms()))
    return HandoffRegistry(updated_at=newest, entries=entries)
