"""Jobs over HTTP: list, look at, cancel, take up again, answer."""

from typing import Final

import anyio.to_thread
import msgspec
from aiohttp import web
from msgspec.structs import replace

from caf.daemon.service import Service
from caf.errors import RefusedError
from caf.web import model
from caf.web.guard import ask_again
from caf.web.query import read_query
from caf.web.routes import Route, json_response, read_body
from caf.web.submit import workspace_file

__all__ = ["routes"]

FAULTS: Final = (404, 409)
ROOT: Final = "/api/v1/jobs"


class Jobs:
    """Answers what is asked about jobs."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = service.app

    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, model.JobsQuery)
        where, values = ["1"], list[str | int | float | None]()
        if query.status:
            where.append("status = ?")
            values.append(query.status)
        if query.lane is not None:
            where.append("lane = ?")
            values.append(query.lane)
        if query.job_id is not None:
            where.append("job_id = ?")
            values.append(query.job_id)
        if query.after is not None:
            if not await self.app.rows("SELECT 1 FROM jobs WHERE job_id = ?", (query.after,)):
                raise RefusedError(
                    f"after is {query.after!r}, which is no job of this workspace's log.",
                    remedy="Begin again without it.",
                    kind="unknown_job",
                )
            where.append("(submitted_at, job_id) < (SELECT submitted_at, job_id FROM jobs WHERE job_id = ?)")
            values.append(query.after)
        rows = await self.app.rows(
            f"SELECT * FROM jobs WHERE {' AND '.join(where)} "  # noqa: S608 - no text of the caller's in it
            "ORDER BY submitted_at DESC, job_id DESC LIMIT ?",
            [*values, query.limit + 1],
        )
        jobs = msgspec.convert(rows[: query.limit], tuple[model.JobRow, ...])
        more = len(rows) > query.limit
        return json_response(model.JobsPage(jobs=jobs, next=jobs[-1].job_id if more else None))

    async def show(self, request: web.Request) -> web.Response:
        job_id, query = request.match_info["job_id"], read_query(request, model.JobQuery)
        job = await self.app.job(job_id)
        if query.prompts == "none":
            job = replace(job, attempts=tuple(replace(attempt, prompts=()) for attempt in job.attempts))
        rows = await self.app.rows("SELECT * FROM jobs WHERE job_id = ?", (job_id,))
        if not rows:
            raise ask_again(f"Job {job_id} is not in the read models yet.")
        [row] = rows
        return json_response(
            model.JobDetail(
                job=msgspec.convert(row, model.JobRow), standing=await self.service.standing(row), state=job
            )
        )

    async def cancel(self, request: web.Request) -> web.Response:
        asked = await read_body(request, model.Cancel)
        events = await self.app.cancel(request.match_info["job_id"], by=asked.by, reason=asked.reason)
        return json_response(model.Done(recorded=bool(events)))

    async def retry(self, request: web.Request) -> web.Response:
        asked = await read_body(request, model.Retry)
        name = await self.service.retry(
            request.match_info["job_id"],
            from_stage=asked.from_stage,
            by=asked.by,
            note=asked.note,
            new_id=asked.job_id,
        )
        return json_response(
            model.Submitted(job_id=name, repeated=False),
            status=201,
            headers={"Location": f"/api/v1/jobs/{name}"},
        )

    async def answer(self, request: web.Request) -> web.Response:
        asked = await read_body(request, model.Answer)
        given = msgspec.structs.asdict(asked)
        for field in ("source", "reference"):
            if given[field] is not None:
                place = await anyio.to_thread.run_sync(
                    workspace_file, self.app.workspace.root, given[field], field
                )
                given[field] = str(place)
        events = await self.app.answer(request.match_info["job_id"], **given)
        return json_response(model.Done(recorded=bool(events)))

    async def escalations(self, request: web.Request) -> web.Response:
        rows = await self.app.rows(
            "SELECT *, version AS question FROM escalations WHERE state = 'open' ORDER BY escalated_at, job_id"
        )
        return json_response(
            model.Escalations(escalations=msgspec.convert(rows, tuple[model.EscalationRow, ...]))
        )


def routes(service: Service) -> tuple[Route, ...]:
    """What is answered here."""
    jobs = Jobs(service)
    return (*_reading(jobs), *_commands(jobs))


def _reading(jobs: Jobs) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=ROOT,
            name="listJobs",
            summary="The jobs, the newest first.",
            answer=jobs.list,
            query=model.JobsQuery,
            gives=model.JobsPage,
            faults=(404,),
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{job_id}}",
            name="showJob",
            summary="Where a job stands, and why; its whole state.",
            answer=jobs.show,
            query=model.JobQuery,
            gives=model.JobDetail,
            faults=(404,),
        ),
        Route(
            method="GET",
            path="/api/v1/escalations",
            name="listEscalations",
            summary="What waits for a person, the oldest first.",
            answer=jobs.escalations,
            gives=model.Escalations,
        ),
    )


def _commands(jobs: Jobs) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=f"{ROOT}/{{job_id}}/cancel",
            name="cancelJob",
            summary="Call a job off; a stage that runs is ended.",
            answer=jobs.cancel,
            body=model.Cancel,
            gives=model.Done,
            faults=FAULTS,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/{{job_id}}/retry",
            name="retryJob",
            summary="Take a job that is over up again from a stage, as a new job.",
            answer=jobs.retry,
            body=model.Retry,
            gives=model.Submitted,
            status=201,
            faults=FAULTS,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/{{job_id}}/answer",
            name="answerJob",
            summary="Answer a job's open escalation.",
            answer=jobs.answer,
            body=model.Answer,
            gives=model.Done,
            faults=FAULTS,
        ),
    )
