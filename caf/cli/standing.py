"""What the daemon says of itself and of a job, asked over HTTP; told for people."""

import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import msgspec

from caf.cli.common import print_json, run_async
from caf.cli.tables import say
from caf.config import Config
from caf.daemon.lock import daemon_address
from caf.errors import CafError, RefusedError, UnavailableError
from caf.job import Job
from caf.workspace import Workspace

__all__ = ["ask", "daemon_status", "job_standing", "why_not_over"]

PATIENCE_S = 10


def ask(workspace: Path, config: Config, path: str) -> Any:
    """What the daemon's API answers; None when no daemon runs here, or it has no API.

    Raises `UnavailableError` for a daemon that does not answer.
    """
    address = daemon_address(Workspace(workspace).own)
    if address is None or not address.url:
        return None
    place = urlsplit(address.url)
    from caf.web.token import token_of

    token = token_of(config)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", f"/api/v1{path}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as fault:
        raise UnavailableError(
            f"The daemon (process {address.pid}) does not answer on {address.url}: {fault}.",
            remedy="See what it says in its own output, or in the journal; then try again.",
            kind="daemon_silent",
        ) from fault
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.NOT_FOUND:
        return None
    if answer.status != http.HTTPStatus.OK:
        raise UnavailableError(
            f"The daemon answers {answer.status}.",
            remedy="Give the token that it was started with: CAF_TOKEN, or token_file in caf.toml.",
            kind="daemon_refuses",
        )
    return msgspec.json.decode(body)


def daemon_status(workspace: Path, config: Config, *, as_json: bool) -> int:
    """Print what the daemon does; 69 when none runs."""
    found = ask(workspace, config, "/status")
    if found is None:
        return _status_of_the_log(workspace, config, as_json=as_json)
    if as_json:
        print_json(found)
        return 0
    for line in _told(found):
        say(line)
    return 0


def _status_of_the_log(workspace: Path, config: Config, *, as_json: bool) -> int:
    counts = _counts(workspace, config)
    address = daemon_address(Workspace(workspace).own)
    if as_json:
        state = {"state": "silent", "pid": address.pid} if address else {"state": "down"}
        print_json({**state, "jobs": counts})
    elif address:
        click.echo(f"the daemon (process {address.pid}) cannot be asked: it is starting, or has no HTTP API")
        click.echo(_jobs(counts))
    else:
        click.echo("no daemon serves this workspace; start it with: caf serve")
        click.echo(_jobs(counts))
    return 0 if address else UnavailableError.exit_code


def job_standing(job_id: str, workspace: Path, config: Config, *, as_json: bool) -> int:
    """Print where a job stands. Raises `RefusedError` for an unknown one."""
    standing = _standing(job_id, workspace, config, lambda: _row(workspace, config, job_id))
    if as_json:
        print_json({"job_id": job_id, **standing})
        return 0
    say(f"{job_id}: {standing['why']}")
    for line in _more(standing):
        say(f"  {line}")
    return 0


def why_not_over(job: Job, workspace: Path, config: Config) -> tuple[dict[str, Any] | None, list[str]]:
    """Where a job stands that neither is over nor waits for a person, as it is and told; None for any other.

    A daemon that does not answer is told as such: what the log says can be shown all the same.
    """
    if job.status not in ("submitted", "running"):
        return None, []
    row = {"status": job.status, "reason": None}
    try:
        standing = _standing(job.spec.job_id, workspace, config, lambda: row)
    except CafError as fault:
        standing = {"kind": "unknown", "why": fault.message}
    return standing, [standing["why"], *_more(standing)]


def _standing(
    job_id: str, workspace: Path, config: Config, row: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What the daemon says of a job, else what can be said without one."""
    from caf.daemon.waiting import without_daemon

    found = ask(workspace, config, f"/jobs/{quote(job_id, safe='')}")
    if found:
        standing: dict[str, Any] = found["standing"]
        return standing
    address = daemon_address(Workspace(workspace).own)
    told: dict[str, Any] = msgspec.to_builtins(without_daemon(row(), silent=address.pid if address else None))
    return told


def _more(standing: dict[str, Any]) -> list[str]:
    lines = [f"for {standing['for_ms'] / 1000:.0f} s"] if standing.get("for_ms") else []
    before = standing.get("before") or ()
    more = f" and {len(before) - 10} more" if len(before) > 10 else ""
    return [*lines, f"before it: {', '.join(before[:10])}{more}"] if before else lines


def _told(found: dict[str, Any]) -> list[str]:
    paused = found["paused"]
    jobs = f"{found['under_way']} of {found['jobs_at_once']} jobs under way"
    lines = [f"{found['state']}, {jobs}, up {_span(found['uptime_s'])}"]
    if paused:
        lines.append(f"  paused by {paused['by']}: {paused['reason']}; go on with: caf unpause")
    for lane in found["lanes"]:
        running = [
            f"{item['job_id']} {item['stage']}{' QC' if item['gate'] else ''}{_how_far(item)}, {item['for_s']:.0f} s"
            for item in lane["running"]
        ]
        lines.append(f"  {lane['name']:<8} {'; '.join(running) or 'free'} ({len(lane['waiting'])} waiting)")
    lines += [f"  waits    {job_id}: {why}" for job_id, why in found["waiting"].items()]
    if found["queue"]:
        more = f" and {len(found['queue']) - 5} more" if len(found["queue"]) > 5 else ""
        lines.append(f"  to begin {', '.join(found['queue'][:5])}{more}")
    lines += [f"  held     {job_id}: {why}" for job_id, why in found["held"].items()]
    lines.append(_jobs(found["jobs"]))
    return lines


def _how_far(item: dict[str, Any]) -> str:
    done, total = item["done"], item["total"]
    if done is None or not total:
        return ""
    told = "" if item["doing"] in (item["stage"], f"{item['stage']} QC") else f"{item['doing']} "
    return f" ({told}{done / total:.0%})"


def _jobs(counts: dict[str, int]) -> str:
    return "  " + (", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no jobs")


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    return (
        f"{days} d {hours} h"
        if days
        else f"{hours} h {rest // 60} min"
        if hours
        else f"{rest // 60} min {rest % 60} s"
    )


def _counts(workspace: Path, config: Config) -> dict[str, int]:
    rows = _rows(workspace, config, "SELECT status, count(*) AS jobs FROM jobs GROUP BY status", ())
    return {row["status"]: row["jobs"] for row in rows}


def _row(workspace: Path, config: Config, job_id: str) -> dict[str, Any]:
    rows = _rows(workspace, config, "SELECT * FROM jobs WHERE job_id = ?", (job_id,))
    if not rows:
        raise RefusedError(
            f"There is no job {job_id!r} in this workspace's log.",
            remedy="List the jobs with: caf jobs",
            kind="unknown_job",
        )
    return rows[0]


def _rows(workspace: Path, config: Config, sql: str, values: tuple[str, ...]) -> list[dict[str, Any]]:
    from caf.app import open_for_reading

    async def work() -> list[dict[str, Any]]:
        async with open_for_reading(workspace, config) as app:
            return await app.rows(sql, values)

    return run_async(work)
