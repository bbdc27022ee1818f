"""The demo: three scenarios on clips that are made on the spot, each run as any job is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from caf.job import Job
from caf.log import Entry
from caf.ports import DemoRequest, Produced
from caf.runner import Runner
from caf.submission import Wish, draft

__all__ = ["SCENARIOS", "Outcome", "Scenario", "play"]


class Scenario(Struct, frozen=True, kw_only=True):
    """One canonical scenario and the end it must come to."""

    name: str
    clip: str
    """Kind of the clip; see `caf.demo_clips`."""
    reference: str
    require_costume: bool
    story: str
    expected: str
    """Status at the end."""


SCENARIOS: Final = (
    Scenario(
        name="healthy",
        clip="healthy",
        reference="reference",
        require_costume=False,
        story="a steady clip of the right cat passes every gate at the first attempt",
        expected="completed",
    ),
    Scenario(
        name="motion-repairable",
        clip="shaken",
        reference="reference",
        require_costume=False,
        story="a shaken, flickering clip fails motion QC; one retry with the policy's preset mends it",
        expected="completed",
    ),
    Scenario(
        name="costume-fatal",
        clip="healthy",
        reference="costume",
        require_costume=True,
        story="the required costume is not the one in the clip; a person is asked",
        expected="waiting",
    ),
)


class Outcome(Struct, frozen=True, kw_only=True):
    """How a scenario ended."""

    scenario: str
    job_id: str
    status: str
    as_expected: bool
    attempts: int
    decisions: tuple[str, ...]
    shake_before_px: float | None
    shake_after_px: float | None
    duration_s: float
    final: str | None


async def play(
    runner: Runner, scenario: Scenario, *, seen: Callable[[Entry], None], started: Callable[[str], None]
) -> Outcome:
    """Make the scenario's files, submit the job and run it to its end. Raises `CafError`."""
    app = runner.app
    begun = app.clock.monotonic_ms()
    fresh = app.ids.new()
    folder = app.workspace.sandbox / "assets" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    clip = await _made(runner, scenario.clip, folder, f"{scenario.clip}.mp4")
    reference = await _made(runner, scenario.reference, folder, f"{scenario.reference}.png")
    wish = Wish(
        clip=clip,
        job_id=f"demo-{scenario.name}-{fresh[:8]}",
        reference=reference,
        require_costume=scenario.require_costume,
        pose_coverage_threshold=app.config.pose_coverage_threshold,
    )
    job_id = await runner.submit(draft(wish, app.workspace.root, fresh, app.config))
    started(job_id)
    job = await runner.run(job_id, seen)
    return _outcome(scenario, job, app.clock.monotonic_ms() - begun)


async def _made(runner: Runner, kind: str, folder: Path, name: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    produced: Produced = await runner.worker.call(
        "demo",
        DemoRequest(kind=kind, out_dir=str(folder), name=name),
        progress=lambda done, total: runner.ticker("", f"making {name}", done, total),
        stall_s=runner.app.config.stall_s,
        deadline_s=runner.app.config.deadline_s,
    )
    return Path(produced.path)


def _outcome(scenario: Scenario, job: Job, duration_ms: int) -> Outcome:
    decisions = tuple(
        f"{taken.decision.action} {taken.decision.target_stage or ''}".strip()
        for attempt in job.attempts
        for taken in attempt.decisions
    )
    job_id = job.spec.job_id
    before, after = _shake(job, 0), _shake(job, -1)
    return Outcome(
        scenario=scenario.name,
        job_id=job_id,
        status=job.status,
        as_expected=job.status == scenario.expected,
        attempts=len(job.attempts),
        decisions=decisions,
        shake_before_px=before,
        shake_after_px=after,
        duration_s=round(duration_ms / 1000, 1),
        final=f"sandbox/output/{job_id}/final.mp4" if job.status == "completed" else None,
    )


def _shake(job: Job, attempt: int) -> float | None:
    """Shake that QC measured in the motion stage's output of an attempt, px."""
    for gate in job.attempts[attempt].gates:
        for item in gate.measurements if gate.stage == "motion" else ():
            if item.metric == "temporal_stability" and "shake_px" in item.raw:
                return item.raw["shake_px"]
    return None
