"""Jobs over HTTP: submit, list, look at, cancel, take up again, answer; their artifacts."""

import mimetypes
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
from aiohttp import web

from caf.contracts import JobDocument
from caf.contracts.read import read_document
from caf.daemon.service import Service
from caf.errors import DocumentError, MediaError, RefusedError
from caf.events.codec import derived_id
from caf.job import Job
from caf.log import fold
from caf.submission import Wish, document_sha256
from caf.web import model
from caf.web.guard import ask_again
from caf.web.query import read_query
from caf.web.routes import BadBody, Route, json_response, read_body

__all__ = ["routes"]

FAULTS: Final = (400, 404, 409, 415, 422, 503)
LONGEST_KEY: Final = 200
ROOT: Final = "/api/v1/jobs"


class Jobs:
    """Answers what is asked about jobs."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = service.app

    async def submit(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise web.HTTPBadRequest(
                reason=f"Idempotency-Key is not 1 to {LONGEST_KEY} printable ASCII characters"
            )
        asked = await read_body(request, model.Submission)
        if self.service.dispatcher.draining:
            raise ask_again("The daemon is stopping.")
        event_id = derived_id("api", key, 0) if key else None
        found = await self.service.draft(self._wish(asked), event_id or self.app.ids.new())
        job_id = found.job.job_id
        repeated = event_id is not None and await self._is_known(job_id, event_id, found.document)
        if not repeated:
            await self.service.runner.submit(found, by="api", event_id=event_id)
        return json_response(
            model.Submitted(job_id=job_id, repeated=repeated),
            status=200 if repeated else 201,
            headers={"Location": f"/api/v1/jobs/{job_id}"},
        )

    async def list(self, request: web.Request) -> web.Response:
        query = read_query(request, model.JobsQuery)
        where, values = ["1"], list[str | int | float | None]()
        if query.status:
            where.append("status = ?")
            values.append(query.status)
        if query.lane is not None:
            where.append("lane = ?")
            values.append(query.lane)
        if query.after:
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
        job_id = request.match_info["job_id"]
        job = await self.app.job(job_id)
        [row] = await self.app.rows("SELECT * FROM jobs WHERE job_id = ?", (job_id,))
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
            given[field] = str(self._file(given[field], field)) if given[field] else None
        events = await self.app.answer(request.match_info["job_id"], **given)
        return json_response(model.Done(recorded=bool(events)))

    async def artifacts(self, request: web.Request) -> web.Response:
        job = await self.app.job(request.match_info["job_id"])
        return json_response(model.Artifacts(artifacts=_artifacts(job)))

    async def artifact(self, request: web.Request) -> web.StreamResponse:
        job_id, sha256 = request.match_info["job_id"], request.match_info["sha256"]
        found = next((item for item in _artifacts(await self.app.job(job_id)) if item.sha256 == sha256), None)
        path = self.app.artifacts.path(sha256)
        if found is None or not await anyio.to_thread.run_sync(path.is_file):
            raise RefusedError(
                f"Job {job_id} has no such artifact.",
                remedy=f"See what it has: /api/v1/jobs/{job_id}/artifacts",
                kind="artifact_missing",
            )
        kind = mimetypes.guess_type(f"x{found.suffix}")[0] or "application/octet-stream"
        # What has a digest for a name never changes, and is nobody else's to keep.
        headers = {
            "Content-Type": kind,
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Disposition": f'inline; filename="{job_id}-{found.role}{found.suffix}"',
            "X-Content-Type-Options": "nosniff",
        }
        _check_range(request, found.bytes)
        return web.FileResponse(path, headers=headers)

    async def escalations(self, request: web.Request) -> web.Response:
        rows = await self.app.rows(
            "SELECT * FROM escalations WHERE state = 'open' ORDER BY escalated_at, job_id"
        )
        return json_response(
            model.Escalations(escalations=msgspec.convert(rows, tuple[model.EscalationRow, ...]))
        )

    def _wish(self, asked: model.Submission) -> Wish:
        if asked.document is None and asked.clip is None:
            raise BadBody("The body names no document and no clip.", remedy="Give one of them.")
        if asked.document is not None:
            document = {**asked.document, **({"job_id": asked.job_id} if asked.job_id else {})}
            try:
                read_document(msgspec.json.encode(document), JobDocument, where="document")
            except DocumentError as fault:
                raise BadBody(fault.message, remedy=fault.remedy) from fault
        return Wish(
            document=asked.document,
            clip=self._file(asked.clip, "clip") if asked.clip else None,
            job_id=asked.job_id,
            workflow=asked.workflow,
            reference=self._file(asked.reference, "reference") if asked.reference else None,
            require_costume=asked.require_costume,
            require_audio=asked.require_audio,
            parameters=asked.parameters,
            platforms=asked.platforms,
            priority=asked.priority,
        )

    def _file(self, path: str, field: str) -> Path:
        """A file of the workspace; callers of the API see no other. Raises `MediaError`."""
        root = self.app.workspace.root.resolve()
        try:
            place = (root / path).resolve()
            inside = place.is_relative_to(root) and place.is_file()
        except (OSError, RuntimeError, ValueError):
            inside, place = False, root
        if not inside:
            raise MediaError(
                f"{field}: {path!r} is no file of the workspace.",
                remedy="Check the path.",
                kind="media_missing",
            )
        return place

    async def _is_known(self, job_id: str, event_id: str, document: dict[str, object]) -> bool:
        """True when this submission was recorded before. Raises `RefusedError` for another one under its key."""
        job = await fold(self.app.store, job_id)
        if job.submitted is None:
            return False
        async for recorded in self.app.store.read(f"job-{job_id}"):
            if recorded.event_id == event_id and job.spec.document_sha256 == document_sha256(document):
                return True
        return False


def _check_range(request: web.Request, size: int) -> None:
    """Raises `HTTPRequestRangeNotSatisfiable` for a range that begins behind the end."""
    try:
        first = request.http_range.start or 0
    except ValueError as fault:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"}) from fault
    if first >= size:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})


def _artifacts(job: Job) -> tuple[model.ArtifactInfo, ...]:
    """Every artifact of every attempt, each once."""
    found: dict[str, model.ArtifactInfo] = {}
    for attempt in job.attempts:
        for stage, done in attempt.stages.items():
            for item in done.artifacts:
                found.setdefault(
                    item.sha256,
                    model.ArtifactInfo(
                        attempt_id=done.attempt_id,
                        stage=stage,
                        role=item.role,
                        sha256=item.sha256,
                        bytes=item.bytes,
                        suffix=item.suffix,
                    ),
                )
    return tuple(found.values())


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
            faults=(400,),
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{job_id}}",
            name="showJob",
            summary="Where a job stands, and why; its whole state.",
            answer=jobs.show,
            gives=model.JobDetail,
            faults=(404,),
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{job_id}}/artifacts",
            name="listArtifacts",
            summary="What a job's stages gave.",
            answer=jobs.artifacts,
            gives=model.Artifacts,
            faults=(404,),
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{job_id}}/artifacts/{{sha256}}",
            name="getArtifact",
            summary="An artifact's bytes, or with a Range header some of them.",
            answer=jobs.artifact,
            gives="application/octet-stream",
            also={206: "The range that was asked for.", 304: "It is the one that the caller has."},
            faults=(404, 412, 416),
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
    key = {"Idempotency-Key": "The same key and document again give the same job, and submit nothing."}
    return (
        Route(
            method="POST",
            path=ROOT,
            name="submitJob",
            summary="Submit a job; its inputs are probed first.",
            answer=jobs.submit,
            body=model.Submission,
            gives=model.Submitted,
            status=201,
            also={200: "The same submission was recorded before."},
            faults=FAULTS,
            headers=key,
        ),
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
