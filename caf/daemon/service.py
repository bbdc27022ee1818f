"""What a running daemon can be asked, by its HTTP API and its folders alike."""

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread
import msgspec
from msgspec import Struct
from msgspec.structs import replace

import caf
from caf.actors.feed import JobFeed
from caf.app import App
from caf.config import Config
from caf.contracts.read import write_document
from caf.daemon.dispatcher import Dispatcher, Due
from caf.daemon.state import pause, unpause
from caf.daemon.waiting import Standing, standing, waits
from caf.events import ConfigReloaded, DaemonEvent, JobId, Settings, Stage
from caf.events.codec import digest
from caf.job import Job
from caf.runner import Runner
from caf.submission import Defaults, Draft, Wish, draft, load_defaults
from eventstore import RecordedEvent

__all__ = ["Listener", "Progress", "Service", "settings"]

AT_THE_START: Final = (
    "render_lanes",
    "workers",
    "pose_workers",
    "measure_workers",
    "jobs_at_once",
    "listen",
    "token_file",
    "memory_mb",
    "cache_dir",
    "comfy_urls",
    "comfy_stall_s",
    "comfy_depth",
    "identity_model",
    "identity_model_input",
)
AT_THE_START_TOO: Final = ("model_path", "model_url", "model_sha256", "stall_s", "deadline_s")
UNFINISHED: Final = """
SELECT job_id, status, priority, position FROM jobs
WHERE status IN ('submitted', 'running') OR position > ? ORDER BY submitted_at, job_id
"""


class Progress(Struct, frozen=True, kw_only=True):
    """How far the work under way is: telemetry, never recorded."""

    doing: str
    done: int
    total: int | None
    at_ms: int
    """By the clock that never jumps."""


class Listener(Protocol):
    """Who counts what happens."""

    def seen(self, recorded: RecordedEvent) -> None:
        """An event was recorded."""

    def held_back(self) -> None:
        """A job could not be worked on, for now."""

    def appended(self, took_s: float) -> None:
        """An append was answered."""


class Service:
    """One workspace, served."""

    def __init__(self, app: App, defaults: Defaults) -> None:
        self.app = app
        self.defaults = defaults
        self.progress: dict[str, Progress] = {}
        self.started_at_ms = app.clock.monotonic_ms()
        """By the clock that never jumps."""
        self.listeners: list[Listener] = []
        """Told of everything that happens, for counting."""
        self.runner: Runner
        self.dispatcher: Dispatcher

    def seen(self, recorded: RecordedEvent) -> None:
        """Pass an event on to all listeners."""
        for listener in self.listeners:
            listener.seen(recorded)

    def held_back(self) -> None:
        """Tell all listeners."""
        for listener in self.listeners:
            listener.held_back()

    def appended(self, took_s: float) -> None:
        """Tell all listeners."""
        for listener in self.listeners:
            listener.appended(took_s)

    def tick(self, job_id: str, doing: str, done: int, total: int | None) -> None:
        """Progress of a job that is under way; that of what is only looked at is nobody's."""
        if job_id not in self.dispatcher.active:
            return
        now_ms = self.app.clock.monotonic_ms()
        self.progress[job_id] = Progress(doing=doing, done=done, total=total, at_ms=now_ms)

    async def unfinished(self, position: int) -> Iterable[Due]:
        """Jobs that are not at rest, and all with an event after the position."""
        return [
            Due(
                job_id=row["job_id"],
                priority=row["priority"],
                over=row["status"] in ("completed", "cancelled", "aborted"),
                position=row["position"],
            )
            for row in await self.app.rows(UNFINISHED, (position,))
        ]

    async def run(self, job_id: str, *, feed: JobFeed) -> Job:
        """Let the actors work on a job; see `Runner.run`."""
        try:
            return await self.runner.run(job_id, feed=feed)
        finally:
            self.progress.pop(job_id, None)

    async def draft(self, wish: Wish, fresh: str) -> Draft:
        """A wish with its documents read, judged by what holds now. Raises `InputError`."""
        wish = replace(wish, pose_coverage_threshold=self.app.config.pose_coverage_threshold)
        return await anyio.to_thread.run_sync(draft, wish, self.app.workspace.root, fresh, self.defaults)

    async def submit_file(self, path: Path, by: str) -> None:
        """Submit a job file of the jobs folder. Raises `CafError`."""
        await self.runner.submit(await self.draft(Wish(job_file=path), self.app.ids.new()), by=by)

    async def retry(
        self, job_id: str, *, from_stage: Stage, by: str, note: str, new_id: str | None = None
    ) -> JobId:
        """Take a job that is over up again, as a new one. Raises `CafError`."""
        return await self.app.retry(job_id, from_stage=from_stage, by=by, note=note, new_id=new_id)

    async def pause(self, *, by: str, reason: str) -> Sequence[DaemonEvent]:
        """Begin nothing new until the queue goes on."""
        return await self.app.daemon_command(lambda daemon: pause(daemon, by=by, reason=reason))

    async def unpause(self, *, by: str) -> Sequence[DaemonEvent]:
        """Let the queue go on."""
        return await self.app.daemon_command(lambda daemon: unpause(daemon, by=by))

    async def standing(self, row: dict[str, Any]) -> Standing:
        """Where a job stands; `row` is its row of the read model `jobs`."""
        return standing(row["job_id"], row, self.dispatcher, self.app.clock)

    def settings(self) -> Settings:
        """What new jobs are judged by now."""
        return settings(self.app.config, self.defaults)

    async def reload(self, config: Config) -> tuple[str, ...]:
        """Judge new jobs by these settings; those that only hold from a start are named and left as they were.

        Raises `DocumentError` for a broken policy or registry; everything stays as it was then.
        """
        defaults = await anyio.to_thread.run_sync(load_defaults, self.app.workspace.root, config)
        present = self.app.config
        kept = {name: getattr(present, name) for name in (*AT_THE_START, *AT_THE_START_TOO)}
        late = tuple(name for name, value in kept.items() if getattr(config, name) != value)
        changed = replace(config, **kept)
        event = ConfigReloaded(settings=settings(changed, defaults))
        await self.app.daemon_command(lambda daemon: [event])
        self.app.config, self.defaults = changed, defaults
        return late

    async def status(self) -> dict[str, Any]:
        """The daemon at this moment, for people and scripts."""
        dispatcher, clock = self.dispatcher, self.app.clock
        counts = await self.app.rows("SELECT status, count(*) AS jobs FROM jobs GROUP BY status")
        paused = dispatcher.daemon.paused
        now_ms = clock.monotonic_ms()
        return {
            "version": caf.__version__,
            "host": platform.node(),
            "uptime_s": round((now_ms - self.started_at_ms) / 1000),
            "state": "stopping" if dispatcher.draining else "paused" if paused else "running",
            "paused": {"by": paused.by, "reason": paused.reason} if paused else None,
            "jobs": {row["status"]: row["jobs"] for row in counts},
            "under_way": len(dispatcher.active),
            "jobs_at_once": dispatcher.jobs_at_once,
            "waiting": waits(dispatcher, clock),
            "queue": [due.job_id for due in dispatcher.line()],
            "held": {job_id: str(item.fault) for job_id, item in dispatcher.held.items()},
            "lanes": [
                {
                    "name": lane.name,
                    "capacity": lane.capacity,
                    "running": [self._running(place.turn.job_id, place, now_ms) for place in lane.running],
                    "waiting": [place.turn.job_id for place in lane.waiting],
                }
                for lane in dispatcher.lanes.all
            ],
            "position": dispatcher.position,
            "settings": self.settings(),
        }

    def _running(self, job_id: str, place: Any, now_ms: int) -> dict[str, Any]:
        progress = self.progress.get(job_id)
        preview = self.runner.previews.newest.get(job_id)
        return {
            "job_id": job_id,
            "stage": place.turn.stage,
            "gate": place.turn.gate,
            "for_s": round((now_ms - place.since_ms) / 1000, 1),
            "doing": progress.doing if progress else None,
            "done": progress.done if progress else None,
            "total": progress.total if progress else None,
            "preview": preview.number if preview else None,
        }


def settings(config: Config, defaults: Defaults) -> Settings:
    """What jobs are judged by, by digest."""
    return Settings(
        config_sha256=digest(msgspec.json.encode(config, order="deterministic")),
        policy_id=defaults.policy.policy_id,
        policy_sha256=digest(write_document(defaults.policy)),
        registry_sha256=digest(write_document(defaults.registry)),
    )
