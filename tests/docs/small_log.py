"""A workspace with a small log: five short jobs as the real actors record them, on stages that were canned.

Only what a stage computes and what QC sees is given; the actors, the edge, the gates, the documents, the log
and the artifact store are the real ones. So the recipes of the documentation have something to ask.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from caf.actors.effects import MeasureStage, RunStage
from caf.actors.handover import Handover
from caf.actors.loop import run_job
from caf.actors.perform import Edge
from caf.actors.stages import ROLE_OF, Stages
from caf.app import App, open_app
from caf.config import Config
from caf.errors import MediaError
from caf.events import Artifact, Event, PoseCoverageMeasured, StageCompleted
from caf.handoff import register
from caf.job import Job
from caf.log import new_events, stream_of
from caf.ports import Measurement, MediaInfo, Outside, Progress
from caf.submission import Wish, draft, load_defaults, submission

__all__ = ["BROKEN", "COSTUME", "REPAIRED", "SILENT", "STEADY", "go_on", "make", "submit"]

STEADY: Final = "steady-0001"
"""Completes at the first attempt; live on one platform."""
REPAIRED: Final = "shaken-0001"
"""Fails motion QC once, completes at the second attempt."""
COSTUME: Final = "costume-0001"
"""Waits for a person: the required costume was not seen."""
SILENT: Final = "silent-0001"
"""Waits for a person: the sound could not be measured."""
BROKEN: Final = "broken-0001"
"""Waits for a person: its clip cannot be decoded."""

Scores = Mapping[tuple[str, str], float | None]
"""(attempt, metric) to score."""
NOTHING: Final[Scores] = MappingProxyType({})
GOOD: Final = 0.97
RAW: Final[dict[str, dict[str, float]]] = {"temporal_stability": {"shake_permille": 1.5}}
MEDIA: Final = MediaInfo(
    kind="clip",
    container="mp4",
    codec="h264",
    width=480,
    height=320,
    rotation_deg=0,
    pixel_format="yuv420p",
    frames=96,
    fps=24.0,
    variable_fps=False,
    duration_s=4.0,
    has_audio=True,
    bytes=9,
)


class Canned(Stages):
    """Stages whose outputs are short texts and whose scores were given."""

    def __init__(self, app: App, scores: Scores, *, broken: str | None) -> None:
        self.artifacts = app.artifacts
        self.scores = scores
        """Every score that is not named is good."""
        self.broken = broken

    async def run(self, effect: RunStage, job: Job, progress: Progress, outside: Outside) -> list[Event]:
        attempt, stage = effect.attempt_id, effect.stage
        if stage == self.broken:
            raise MediaError("The clip ends in the middle of a picture.", remedy="Export it again.")
        role = {"artifact": "source", "pose": "pose"}.get(stage) or ROLE_OF[stage]
        completed = StageCompleted(
            stage=stage,
            attempt_id=attempt,
            engine=effect.engine,
            engine_version="1",
            artifacts=(self._kept(f"{role} of {attempt}", role),),
            key=f"{stage} {effect.parameters}",
            reused=False,
            duration_ms={"pose": 1500, "motion": 900}.get(stage, 300),
            queue_ms=0,
            memory_peak_mb=180.0,
            facts={"width_px": 480, "height_px": 320} if stage == "video" else {},
            media=MEDIA if stage == "artifact" else None,
        )
        if stage != "pose":
            return [completed]
        seen = PoseCoverageMeasured(
            attempt_id=attempt, frames=96, detected=72, ratio=0.75, threshold=0.3, fallback_active=False
        )
        return [seen, completed]

    async def measure(
        self, effect: MeasureStage, metrics: tuple[str, ...], job: Job, progress: Progress
    ) -> tuple[tuple[Measurement, ...], Artifact]:
        scores = {name: self.scores.get((job.attempt.id, name), GOOD) for name in metrics}
        seen = tuple(
            Measurement(
                metric=name,
                version=1,
                score=score,
                reason=f"{name} as given",
                raw=RAW.get(name, {}),
                spans=() if score is None or score >= GOOD else ((12, 14), (40, 40)),
            )
            for name, score in scores.items()
        )
        return seen, self._kept(f"what {job.attempt.id} was judged by after {effect.stage}", "series")

    def _kept(self, text: str, role: str) -> Artifact:
        file = self.artifacts.root.parent / f"{role}.txt"
        file.write_text(text, "utf-8")
        return self.artifacts.adopt(file, role)


async def make(root: Path) -> None:
    """Record the jobs in the workspace `root`; all their files are there and verify."""
    clip = _clip(root)
    async with open_app(root, Config()) as app:
        await submit(app, Wish(clip=clip, job_id=STEADY, platforms=("youtube",)))
        await go_on(app, STEADY)
        await submit(app, Wish(clip=clip, job_id=REPAIRED))
        await go_on(app, REPAIRED, {("run-0001", "temporal_stability"): 0.41})
        await submit(app, Wish(clip=clip, job_id=COSTUME, reference=clip, require_costume=True))
        await go_on(app, COSTUME, {("run-0001", "costume_fidelity"): 0.2})
        await submit(app, Wish(clip=clip, job_id=SILENT))
        await go_on(app, SILENT, {("run-0001", "audio_video"): None})
        await submit(app, Wish(clip=clip, job_id=BROKEN))
        await go_on(app, BROKEN, broken="artifact")
        await register(app, STEADY, platform="youtube", url="https://example.org/watch?v=1")


def _clip(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    clip = root / "clip.mp4"
    clip.write_bytes(b"not a clip, and nobody decodes it")
    return clip


async def submit(app: App, wish: Wish) -> None:
    """Record a job whose clip nobody probes."""
    found = draft(wish, app.workspace.root, app.ids.new(), load_defaults(app.workspace.root, app.config))
    job_id = found.job.job_id
    records = new_events(
        [submission(found, MEDIA, by="ada")], [app.ids.new()], job_id=job_id, causation_id=None
    )
    await app.store.append(stream_of(job_id), records, expected_version=0)


async def go_on(app: App, job_id: str, scores: Scores = NOTHING, *, broken: str | None = None) -> Job:
    """Let the actors work on a job to its end; `broken` is a stage that fails."""
    edge = Edge(
        workspace=app.workspace.root,
        artifacts=app.artifacts,
        stages=Canned(app, scores, broken=broken),
        clock=app.clock,
        outside=lambda effect, entry: Handover(
            app.store, effect, entry, workspace_id="small", tick=lambda *told: None, show=lambda *told: None
        ),
    )
    return await run_job(app.store, job_id, edge.perform)
