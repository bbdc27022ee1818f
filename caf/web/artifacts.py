"""Artifacts over HTTP: what a job's stages gave, and the bytes of each, proved before they are sent."""

from typing import BinaryIO, Final

import anyio.to_thread
from aiohttp import web

from caf.daemon.service import Service
from caf.errors import InputError, RefusedError
from caf.events import Artifact
from caf.job import Job
from caf.web import model, ranges
from caf.web.guard import HEADERS, error
from caf.web.routes import Route, json_response

__all__ = ["routes"]

ROOT: Final = "/api/v1/jobs/{job_id}/artifacts"
CHUNK: Final = 1 << 20
KINDS: Final = {
    ".avi": "video/x-msvideo",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".m4v": "video/x-m4v",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webm": "video/webm",
    ".webp": "image/webp",
}
"""Media types by suffix; any other may be anything, and is no page that a browser shows."""


class Artifacts:
    """Answers what is asked about artifacts."""

    def __init__(self, service: Service) -> None:
        self.app = service.app

    async def list(self, request: web.Request) -> web.Response:
        job = await self.app.job(request.match_info["job_id"])
        return json_response(model.Artifacts(artifacts=_artifacts(job)))

    async def get(self, request: web.Request) -> web.StreamResponse:
        job_id, sha256 = request.match_info["job_id"], request.match_info["sha256"]
        found = next((item for item in _artifacts(await self.app.job(job_id)) if item.sha256 == sha256), None)
        if found is None:
            raise _missing(f"Job {job_id} has no such artifact.", job_id)
        etag = f'"{sha256}"'
        if ranges.must_not(request.headers, etag):
            return error(
                412, "other_content", "The artifact is not the one that If-Match names.", "See ETag."
            )
        if ranges.is_unchanged(request.headers, etag):
            return web.Response(status=304, headers=_lasting(etag))
        file = await anyio.to_thread.run_sync(self._proved, job_id, found)
        with file:
            return await _send(request, file, found, headers=_headers(job_id, found, etag))

    def _proved(self, job_id: str, found: model.ArtifactInfo) -> BinaryIO:
        """The artifact's file, opened, with the content that its name promises. Raises `CafError`."""
        store = self.app.artifacts
        path = store.path(found.sha256)
        try:
            file = path.open("rb")
        except FileNotFoundError as fault:
            raise _missing(f"The artifact {path} is missing.", job_id) from fault
        except OSError as fault:
            raise _corrupted(f"{path} cannot be read: {fault.strerror}") from fault
        problem = store.check(
            Artifact(role=found.role, sha256=found.sha256, bytes=found.bytes, suffix=found.suffix)
        )
        if problem is not None:
            file.close()
            raise _corrupted(problem)
        return file


async def _send(
    request: web.Request, file: BinaryIO, found: model.ArtifactInfo, *, headers: dict[str, str]
) -> web.StreamResponse:
    part = ranges.wanted(request.headers, found.bytes, headers["ETag"])
    if part is ranges.NOT_SATISFIABLE:
        refused = error(416, "no_such_range", "The artifact has no such range.", "Its size: Content-Range.")
        refused.headers["Content-Range"] = f"bytes */{found.bytes}"
        return refused
    whole = range(found.bytes) if part is None else part
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_length = len(whole)
    if part is not None:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{found.bytes}"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await anyio.to_thread.run_sync(file.seek, whole.start)
    left = len(whole)
    while left:
        piece = await anyio.to_thread.run_sync(file.read, min(left, CHUNK))
        if not piece:
            raise ConnectionAbortedError("the file has become shorter")
        await response.write(piece)
        left -= len(piece)
    return response


def _lasting(etag: str) -> dict[str, str]:
    """What has a digest for a name never changes, and is nobody else's to keep."""
    return {"ETag": etag, "Cache-Control": "private, max-age=31536000, immutable"}


def _headers(job_id: str, found: model.ArtifactInfo, etag: str) -> dict[str, str]:
    known = found.suffix in KINDS
    name = f"{job_id}-{found.role}{found.suffix if known else ''}"
    return {
        **HEADERS,
        **_lasting(etag),
        "Content-Type": KINDS.get(found.suffix, "application/octet-stream"),
        "Content-Disposition": f'{"inline" if known else "attachment"}; filename="{name}"',
        "Accept-Ranges": "bytes",
    }


def _missing(message: str, job_id: str) -> RefusedError:
    return RefusedError(
        message, remedy=f"See what it has: /api/v1/jobs/{job_id}/artifacts", kind="artifact_missing"
    )


def _corrupted(problem: str) -> InputError:
    return InputError(
        f"The artifact is not what was recorded: {problem}.",
        remedy="Put it back from a backup, or submit the clip again; caf verify finds all of them.",
        kind="artifact_corrupted",
    )


def _artifacts(job: Job) -> tuple[model.ArtifactInfo, ...]:
    """Every artifact of every attempt, each once."""
    found: dict[str, model.ArtifactInfo] = {}
    for attempt in job.attempts:
        made = [(done.attempt_id, stage, done.artifacts) for stage, done in attempt.stages.items()]
        judged = [
            (attempt.id, gate.stage, (gate.series,)) for gate in attempt.gates if gate.series is not None
        ]
        for attempt_id, stage, artifacts in (*made, *judged):
            for item in artifacts:
                info = model.ArtifactInfo(
                    attempt_id=attempt_id,
                    stage=stage,
                    role=item.role,
                    sha256=item.sha256,
                    bytes=item.bytes,
                    suffix=item.suffix,
                )
                found.setdefault(item.sha256, info)
    return tuple(found.values())


def routes(service: Service) -> tuple[Route, ...]:
    """What is answered here."""
    artifacts = Artifacts(service)
    return (
        Route(
            method="GET",
            path=ROOT,
            name="listArtifacts",
            summary="What a job's stages gave.",
            answer=artifacts.list,
            gives=model.Artifacts,
            faults=(404,),
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{sha256}}",
            name="getArtifact",
            summary="An artifact's bytes; conditional and range requests are heeded, its ETag is its digest.",
            answer=artifacts.get,
            gives="application/octet-stream",
            also={206: "The range that was asked for.", 304: "It is the one that the caller has."},
            faults=(404, 409, 412, 416),
        ),
    )
