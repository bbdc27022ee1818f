"""The demo: three scenarios on clips that are made on the spot, each run as any job is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from caf.job import Job
from caf.log import Entry
from caf.places import final_path, output_folder
from caf.ports import DemoRequest, Produced, SheetRequest
from caf.runner import Runner
from caf.submission import Wish, draft, load_defaults

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
    attempts: int
    """How many it takes to get there."""


SCENARIOS: Final = (
    Scenario(
        name="healthy",
        clip="healthy",
        reference="reference",
        require_costume=False,
        story="a steady clip of the right cat passes every gate at the first attempt",
        expected="completed",
        attempts=1,
    ),
    Scenario(
        name="motion-repairable",
        clip="shaken",
        reference="reference",
        require_costume=False,
        story="a shaken, flickering clip fails motion QC; one retry with the policy's preset mends it",
        expected="completed",
        attempts=2,
    ),
    Scenario(
        name="costume-fatal",
        clip="healthy",
        reference="costume",
        require_costume=True,
        story="the required costume is not the one in the clip; a person is asked",
        expected="waiting",
        attempts=1,
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
    shake_before_permille: float | None
    shake_after_permille: float | None
    duration_s: float
    final: str | None
    picture: str | None
    """Before and after, for a scenario that was repaired; workspace-relative."""


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
    found = draft(wish, app.workspace.root, fresh, load_defaults(app.workspace.root, app.config))
    started(found.job.job_id)
    job = await runner.submit_and_run(found, by="demo", seen=seen)
    picture = await _picture(runner, job) if len(job.attempts) > 1 and job.status == "completed" else None
    return _outcome(scenario, job, app.clock.monotonic_ms() - begun, picture)


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


def _outcome(scenario: Scenario, job: Job, duration_ms: int, picture: str | None) -> Outcome:
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
        as_expected=(job.status, len(job.attempts)) == (scenario.expected, scenario.attempts),
        attempts=len(job.attempts),
        decisions=decisions,
        shake_before_permille=before,
        shake_after_permille=after,
        duration_s=round(duration_ms / 1000, 1),
        final=final_path(job_id) if job.status == "completed" else None,
        picture=picture,
    )


async def _picture(runner: Runner, job: Job) -> str:
    """Successive frames of the input and of the finished clip, captioned with what QC measured."""
    root, job_id = runner.app.workspace.root, job.spec.job_id
    place = f"{output_folder(job_id)}/before-after.png"
    numbers = [_raw(job, place) for place in (0, -1)]
    said = "{}: shake {:.1f} per mille of the diagonal, flicker {:.1f} %"
    captions = [
        said.format(name, found["shake_permille"], found["flicker_percent"])
        for name, found in zip(("as submitted", "after the repair"), numbers, strict=True)
    ]
    await runner.worker.call(
        "sheet",
        SheetRequest(
            before=str(root / job.source),
            after=str(root / final_path(job_id)),
            captions=(captions[0], captions[1]),
            at_s=tuple(1.0 + index / 24 for index in range(6)),
            out=str(root / place),
        ),
        progress=lambda done, total: None,
        stall_s=runner.app.config.stall_s,
        deadline_s=runner.app.config.deadline_s,
    )
    return place


def _raw(job: Job, attempt: int) -> dict[str, float]:
    """What temporal_stability measured in an attempt's motion stage, physical quantities."""
    for gate in job.attempts[attempt].gates:
        for item in gate.measurements if gate.stage == "motion" else ():
            if item.metric == "temporal_stability":
                return item.raw
    return {}


def _shake(job: Job, attempt: int) -> float | None:
    """Shake of an attempt's motion stage, thousandths of the picture's diagonal; None if not measured."""
    return _raw(job, attempt).get("shake_permille")
