"""How busy the render lane is while many jobs are served: with an engine that sleeps, and with the real one.

    python -m bench.lanes [--jobs 24] [--render-s 3] [--only sleeping|real] [--write]

The daemon's own dispatcher, lanes, log, poses and measuring; all but one of the engines is real. Busy is the time that
the engine ran, over the time between its first start and its last finish.
"""

import argparse
import asyncio
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import anyio
import msgspec
from msgspec import Struct

from bench.section import circumstances, write
from caf.app import App, open_app
from caf.config import Config
from caf.daemon.dispatcher import Dispatcher
from caf.daemon.service import Service
from caf.events import QCFailed, QCPassed, StageCompleted
from caf.events.codec import decode
from caf.log import CATEGORY
from caf.ports import Engine, Outside, Produced, Progress, StageRequest, StageResult
from caf.runner import open_runner_of_many
from caf.submission import Wish, load_defaults
from tests.clips import make_clip
from tests.crash.place import document, prepare

__all__ = ["Busy", "main", "measure"]

WORK: Final = Path(__file__).parents[1] / "build" / "bench-lanes"
LEAST: Final = 0.97
ROLES: Final = {"frame": "frames", "motion": "motion", "video": "final"}
LOOK_S: Final = 0.05
FRAMES: Final = 24
SIZE: Final = (160, 120)
TALL: Final = {"aspect_ratio": "9:16", "resolution": "1080x1920"}
"""What the real engine makes of a small clip takes longer than looking at it."""
SERVED: Final = Config(policy="policies/lenient.json")


class Busy(Struct, kw_only=True):
    """What the lane did in one run."""

    engine: str
    jobs: int
    turns: int
    busy_s: float
    wall_s: float
    gaps_s: list[float]
    """Between one turn's end and the next one's start, the longest first."""
    render_s: float
    """What the engine takes for a job."""
    cpu_s: float
    """What poses and measuring take for a job."""

    @property
    def ratio(self) -> float:
        return self.busy_s / self.wall_s


class Sleeping:
    """An engine whose work is to wait; it gives the source back."""

    id = "local"
    version = "sleeping"

    def __init__(self, stage_s: float) -> None:
        self.stage_s = stage_s

    async def run(self, request: StageRequest, progress: Progress, outside: Outside) -> StageResult:
        """As `caf.ports.Engine.run`."""
        end_s = time.monotonic() + self.stage_s
        while (left_s := end_s - time.monotonic()) > 0:
            progress(1, None)
            await anyio.sleep(min(left_s, 0.2))
        made = Path(request.out_dir) / f"{request.stage}.mp4"
        await anyio.to_thread.run_sync(shutil.copyfile, request.inputs["source"], made)
        return StageResult(outputs=(Produced(role=ROLES[request.stage], path=str(made)),), facts={})


class Timed:
    """An engine, with the times at which it ran."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.id = engine.id
        self.version = engine.version
        self.times: list[tuple[float, float]] = []

    async def run(self, request: StageRequest, progress: Progress, outside: Outside) -> StageResult:
        """As the engine's own."""
        begun_s = time.monotonic()
        try:
            return await self.engine.run(request, progress, outside)
        finally:
            self.times.append((begun_s, time.monotonic()))


async def measure(root: Path, kind: str, jobs: int, stage_s: float) -> Busy:
    """Serve so many jobs in a new workspace."""
    _prepare(root, kind, jobs)
    async with open_app(root, SERVED) as app, open_runner_of_many(app) as runner:
        service = Service(app, load_defaults(root, SERVED))
        service.runner = runner
        engines = cast("dict[str, Engine]", runner.stages.engines)
        timed = Timed(Sleeping(stage_s) if kind == "sleeping" else engines["local"])
        engines["local"] = timed
        service.dispatcher = Dispatcher(
            app.store,
            run=service.run,
            unfinished=service.unfinished,
            lanes=runner.lanes,
            jobs_at_once=SERVED.jobs_at_once,
            clock=app.clock,
        )
        for file in sorted((root / "sandbox" / "jobs").glob("*.job.json")):
            await runner.submit(await service.draft(Wish(job_file=file), app.ids.new()), by="bench")
        async with anyio.create_task_group() as group:
            await group.start(service.dispatcher.serve)
            while service.dispatcher.due or service.dispatcher.active or service.dispatcher.held:  # noqa: ASYNC110
                await anyio.sleep(LOOK_S)
            group.cancel_scope.cancel()
        spent_s = await _spent_s(app)
        [ended] = await app.rows("SELECT count(*) AS jobs FROM jobs WHERE status = 'completed'")
    assert ended["jobs"] == jobs, f"only {ended['jobs']} of {jobs} jobs were completed"
    return _busy(kind, jobs, timed.times, spent_s / jobs)


async def _spent_s(app: App) -> float:
    """What taking in, poses and measuring took in all."""
    spent_ms = 0
    async for recorded in app.store.read_all(category=CATEGORY):
        match decode(recorded.type, recorded.type_version, recorded.data):
            case StageCompleted(stage="artifact" | "pose", duration_ms=took_ms):
                spent_ms += took_ms
            case QCPassed(duration_ms=took_ms) | QCFailed(duration_ms=took_ms):
                spent_ms += took_ms
            case _:
                pass
    return spent_ms / 1000


def _busy(kind: str, jobs: int, times: list[tuple[float, float]], cpu_s: float) -> Busy:
    times = sorted(times)
    gaps = [after[0] - before[1] for before, after in pairwise(times)]
    busy_s = sum(end - begun for begun, end in times)
    return Busy(
        engine=kind,
        jobs=jobs,
        turns=len(times),
        busy_s=busy_s,
        wall_s=times[-1][1] - times[0][0],
        gaps_s=sorted(gaps, reverse=True),
        render_s=busy_s / jobs,
        cpu_s=cpu_s,
    )


def _prepare(root: Path, kind: str, jobs: int) -> None:
    shutil.rmtree(root, ignore_errors=True)
    media = root.with_name(f"{root.name}-media")
    shutil.rmtree(media, ignore_errors=True)
    media.mkdir(parents=True)
    for number in range(jobs):
        made = media / f"clip-{number}.mp4"
        make_clip(made, frames=FRAMES, size=SIZE, fps=24, subject=True, shake=2.0, seed=number + 1)
    prepare(root, media)
    for number in range(jobs):
        name = f"busy-{number:04}"
        said = msgspec.json.decode(document(name, clip=f"clip-{number}.mp4", policy="lenient"))
        said["video"] = TALL if kind == "real" else {}
        (root / "sandbox" / "jobs" / f"{name}.job.json").write_bytes(msgspec.json.encode(said))


def section(found: list[Busy], command: str) -> str:
    """The figures as Markdown."""
    rows = [
        f"| {run.engine} | {run.jobs} | {run.render_s:.1f} s | {run.cpu_s:.1f} s | {run.wall_s:.1f} s "
        f"| **{run.ratio:.1%}** | {_told(run.gaps_s)} |"
        for run in found
    ]
    return "\n".join(
        [
            "## How busy the render lane is",
            "",
            circumstances(command, WORK.parent),
            f"{SERVED.jobs_at_once} jobs at once, one render lane, {SERVED.workers} workers for poses and measuring. "
            f"To be reached: {LEAST:.0%} between the first start and the last finish.",
            "",
            "| engine | jobs | render a job | other work a job | wall | busy | gaps: median, longest |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _told(gaps_s: list[float]) -> str:
    longest = ", ".join(f"{gap:.2f}" for gap in gaps_s[:3])
    return f"{1000 * gaps_s[len(gaps_s) // 2]:.0f} ms, {longest} s"


def main() -> int:
    """Measure, print, and with --write put it into bench/RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.lanes", description=__doc__)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument(
        "--render-s", type=float, default=3.0, help="what a stage of the sleeping engine takes"
    )
    parser.add_argument("--only", choices=("sleeping", "real"))
    parser.add_argument("--folder", type=Path, default=WORK)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    kinds = [given.only] if given.only else ["sleeping", "real"]
    found = [asyncio.run(measure(given.folder / kind, kind, given.jobs, given.render_s)) for kind in kinds]
    told = section(found, "make bench-lanes")
    print(told)
    for run in found:
        print(msgspec.json.encode(run).decode(), file=sys.stderr)
    if given.write:
        write("lanes", told)
    return 0 if all(run.ratio >= LEAST for run in found) else 1


if __name__ == "__main__":
    sys.exit(main())
