"""`caf show`, `caf sql`: read verbs on log and read models; the daemon need not run."""

import sqlite3
from pathlib import Path
from typing import Any

import click

from caf.cli.common import JOB, JSON, WORKSPACE, configured, print_json, print_table, run_async
from caf.cli.run import summary
from caf.cli.tables import say
from caf.cli.telling import seconds, spans_told
from caf.errors import InputError
from caf.job import Attempt, Gated, Job
from caf.places import final_path

__all__ = ["described", "show", "sql"]


@click.command(short_help="Show one job: attempts, scores, decisions, open questions.")
@JOB
@WORKSPACE
@JSON
def show(job_id: str, workspace: Path, as_json: bool) -> None:
    """Show how a job went and why, from the log alone; and why it is not over yet, as the daemon knows."""
    from caf.app import open_for_reading
    from caf.cli.standing import why_not_over

    config = configured(workspace)

    async def work() -> Job:
        async with open_for_reading(workspace, config) as app:
            return await app.job(job_id)

    job = run_async(work)
    standing, told = why_not_over(job, workspace, config)
    if as_json:
        print_json({**summary(job), "standing": standing, "job": job})
        return
    for line in described(job):
        say(line)
    for number, line in enumerate(told):
        say(f"  {'' if number else 'NOW':<9}  {line}")
    if job.status == "completed" and not (workspace / final_path(job_id)).exists():
        click.echo(f"             not there any more; put it back with: caf resume {job_id}")


def described(job: Job) -> list[str]:
    """A job's story as lines: what it is, each attempt with its stages, gates and decisions, what is open."""
    spec = job.spec
    lines = [f"{spec.job_id}  {job.status}", f"  source     {job.source}"]
    if job.media is not None:
        sound = "sound" if job.media.has_audio else "no sound"
        lines.append(
            f"             {job.media.width}x{job.media.height}, {job.media.duration_s:.1f} s, "
            f"{job.media.fps:.2f} fps, {job.media.codec}, {sound}"
        )
    if job.reference:
        lines.append(f"  reference  {job.reference}")
    lines.append(f"  judged by  {spec.policy.policy_id} on {spec.workflow_id}")
    for attempt in job.attempts:
        lines += _attempt_lines(attempt)
    if job.escalation is not None:
        request = job.escalation.request
        lines += [
            f"  WAITS for a person: {request.reason} (question {job.question})",
            f"    {job.escalation.detail}",
            f"    to correct: {request.required_artifact}; expected: {request.expected_format}",
            f"    for example: {request.example_fix or f'caf answer {spec.job_id} retry'}",
        ]
    if job.failure is not None:
        lines.append(f"  given up: {job.failure.message}")
    if job.final_sha256:
        lines.append(f"  final      {final_path(spec.job_id)}  ({job.final_sha256[:12]})")
    lines += [f"  posted     {post.platform}: {post.post_url}" for post in job.posted.values()]
    return lines


def _attempt_lines(attempt: Attempt) -> list[str]:
    lines = [f"  {attempt.id} from {attempt.from_stage}"]
    gates = {gate.stage: gate for gate in attempt.gates}
    for stage, done in attempt.stages.items():
        how = "reused" if done.reused or done.attempt_id != attempt.id else seconds(done.duration_ms)
        lines.append(f"    {stage:<9} {how}")
        if stage == "pose" and attempt.pose:
            pose = attempt.pose
            used = "raw frames used" if pose.fallback_active else "poses used"
            lines.append(f"      pose on {pose.detected} of {pose.frames} frames ({pose.ratio:.0%}); {used}")
        lines += _gate_lines(gates[stage]) if stage in gates else []
    if attempt.failure is not None:
        lines.append(f"    {attempt.failed_stage} FAILED: {attempt.failure.message}")
    lines += [
        f"    {taken.decision.action} after {taken.stage} ({taken.reasoned_by}): {taken.decision.reasoning}"
        for taken in attempt.decisions
        if taken.decision.action != "PROCEED"
    ]
    return lines


def _gate_lines(gated: Gated) -> list[str]:
    seen = {one.metric: one for one in gated.measurements}
    lines = []
    for gate in gated.report.gates:
        score = "  --" if gate.score is None else f"{gate.score:.2f}"
        lines.append(
            f"      {gate.status:<9} {gate.metric:<21} {score}  (needs {gate.threshold:g})  {gate.reason}"
        )
        found = seen.get(gate.metric)
        if gate.status != "PASS" and found is not None and found.spans:
            lines.append(f"{'':<17}frames {spans_told(found.spans)}")
    return lines


@click.command(short_help="Query the read models with SQL.")
@click.argument("query")
@WORKSPACE
@JSON
def sql(query: str, workspace: Path, as_json: bool) -> None:
    """Run a SELECT on the read models (tables: jobs, attempts, stages, measurements, decisions,
    escalations, handoffs, prepared_payloads; view: experience)."""
    from caf.app import open_for_reading

    async def work() -> list[dict[str, Any]]:
        async with open_for_reading(workspace, configured(workspace)) as app:
            return await app.select(query)

    try:
        rows = run_async(work)
    except sqlite3.Error as fault:
        raise InputError(
            f"SQLite refused the query: {str(fault).rstrip('.')}.",
            remedy="See the tables with: caf sql --help",
            kind="bad_query",
        ) from fault
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]) if rows else [], [list(row.values()) for row in rows], empty="No rows.")
