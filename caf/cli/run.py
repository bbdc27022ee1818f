"""`caf run` and `caf resume`: a job through all stages and gates."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from caf.cli.common import (
    FILE,
    JOB,
    JSON,
    POLICY,
    WORKSPACE,
    Interrupted,
    configured,
    exit_code_of,
    parse_parameters,
    print_json,
    run_async,
    said_again,
)
from caf.cli.people import who
from caf.cli.progress import View
from caf.cli.tables import say
from caf.config import Config
from caf.job import Job
from caf.places import final_path

if TYPE_CHECKING:
    from caf.submission import Draft

__all__ = ["drafted", "end_of", "given_job", "resume", "run", "summary"]


F = TypeVar("F", bound=Callable[..., Any])

GIVEN: Final = (
    click.argument("clip", required=False, type=FILE),
    click.option("--job", "job_file", type=FILE, metavar="FILE", help="A job document (*.job.json)."),
    click.option("--job-id", metavar="ID", help="Id of the job; default: made from the clip's name."),
    click.option(
        "--workflow", metavar="ID", help="Workflow of the registry; default: the embedded engine's."
    ),
    POLICY,
    click.option("--registry", type=FILE, metavar="FILE", help="A workflow_registry.v1 document."),
    click.option("--targets", type=FILE, metavar="FILE", help="A quality_target.v1 document."),
    click.option(
        "--reference", type=FILE, metavar="IMAGE", help="Picture of the cat, for the identity gates."
    ),
    click.option("--require-costume", is_flag=True, help="The costume of the reference must be seen."),
    click.option("--require-audio", is_flag=True, help="Refuse a clip without sound."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="STAGE.NAME=VALUE",
        help="A parameter; see caf parameters.",
    ),
    click.option(
        "--platform", "platforms", multiple=True, metavar="NAME", help="Prepare this platform's payload."
    ),
)
"""What says which job is meant, for every verb that takes one."""


def given_job(command: F) -> F:
    """A command with `GIVEN`."""
    for option in reversed(GIVEN):
        command = option(command)
    return command


def drafted(workspace: Path, config: Config, *, settings: tuple[str, ...], **given: Any) -> "Draft":
    """What `GIVEN` says, with its documents read. Raises `CafError`."""
    from caf.clock import RandomIds
    from caf.submission import Wish, draft, load_defaults

    wish = Wish(
        parameters=parse_parameters(settings),
        pose_coverage_threshold=config.pose_coverage_threshold,
        **given,
    )
    return draft(wish, workspace, RandomIds().new(), load_defaults(workspace, config))


@click.command(short_help="Take a clip, an image or a job through all stages and gates.")
@given_job
@WORKSPACE
@JSON
def run(
    clip: Path | None,
    job_file: Path | None,
    settings: tuple[str, ...],
    workspace: Path,
    as_json: bool,
    **given: Any,
) -> int:
    """Take a clip, an image or a job through artifact, pose, frame, motion and video, with quality gates
    after the last three, to sandbox/output/<job_id>/final.mp4.

    Exits with 0 when it is done, 3 when it was given up on quality, 4 when a person is asked, 65 for input
    that cannot be used.
    """
    if clip is None and job_file is None:
        raise click.UsageError("Give a clip or image, or a job: caf run CLIP, or caf run --job FILE.")
    from caf.app import open_app
    from caf.runner import open_runner

    config = configured(workspace)
    found = drafted(workspace, config, clip=clip, job_file=job_file, settings=settings, **given)

    view = View(quiet=as_json)

    async def work() -> Job:
        with view:
            for warning in found.warnings:
                view.say(f"caf: {warning}")
            async with open_app(workspace, config) as app, open_runner(app, view.tick, view.warn) as runner:
                return await runner.submit_and_run(found, by=who(), seen=view.seen)

    return end_of(_resumable(work, view, found.job.job_id, workspace), as_json, workspace)


@click.command(short_help="Go on with a job that was interrupted or answered.")
@JOB
@WORKSPACE
@JSON
def resume(job_id: str, workspace: Path, as_json: bool) -> int:
    """Go on with a job where it stands: nothing that was recorded is done again."""
    from caf.app import open_app
    from caf.runner import open_runner

    config = configured(workspace)

    view = View(quiet=as_json)
    view.recorded = True

    async def work() -> Job:
        with view:
            async with open_app(workspace, config) as app:
                view.shown_after = (await app.job(job_id)).version
                async with open_runner(app, view.tick, view.warn) as runner:
                    return await runner.run(job_id, view.seen)

    return end_of(_resumable(work, view, job_id, workspace), as_json, workspace)


def _resumable(work: Callable[[], Awaitable[Job]], view: View, job_id: str, workspace: Path) -> Job:
    """Run it. Raises `Interrupted` for Ctrl-C once the job is in the log."""
    try:
        return run_async(work)
    except KeyboardInterrupt as stop:
        if not view.recorded:
            raise
        raise Interrupted(f"caf resume {job_id}{said_again(workspace)}") from stop


def end_of(job: Job, as_json: bool, workspace: Path) -> int:
    """Print how a job ended, or what it asks; the exit code for that."""
    if as_json:
        print_json(summary(job))
    else:
        for line in _last_words(job, workspace):
            say(line, err=job.status != "completed")
    return exit_code_of(job)


def summary(job: Job) -> dict[str, Any]:
    """A job's outcome for scripts."""
    job_id = job.spec.job_id
    found: dict[str, Any] = {
        "job_id": job_id,
        "status": job.status,
        "version": job.version,
        "attempts": len(job.attempts),
        "scores": {gate.metric: gate.score for seen in job.attempt.gates for gate in seen.report.gates}
        if job.attempts
        else {},
    }
    if job.status == "completed":
        found["final"] = final_path(job_id)
        found["final_sha256"] = job.final_sha256
    if job.escalation is not None:
        found["user_action_required"] = job.escalation.request
        found["detail"] = job.escalation.detail
    if job.failure is not None:
        found["failure"] = job.failure
    return found


def _last_words(job: Job, workspace: Path) -> list[str]:
    job_id, there = job.spec.job_id, said_again(workspace)
    match job.status:
        case "completed":
            attempts = f"{len(job.attempts)} attempt{'s' if len(job.attempts) > 1 else ''}"
            return [
                str(workspace / final_path(job_id)),
                f"completed after {attempts}; why: caf show {job_id}{there}",
            ]
        case "waiting" if job.escalation is not None:
            request = job.escalation.request
            return [
                f"{job_id} waits for a person ({request.reason}): {job.escalation.detail}",
                f"  to correct: {request.required_artifact}; expected: {request.expected_format}",
                f"  for example: {request.example_fix or f'caf answer {job_id} retry'}{there}",
                f"  then: caf resume {job_id}{there}",
            ]
        case "aborted" if job.failure is not None:
            return [f"{job_id} was given up: {job.failure.message}", f"  {job.failure.remedy}"]
        case _:
            return [f"{job_id} is {job.status}; see: caf show {job_id}{there}"]
