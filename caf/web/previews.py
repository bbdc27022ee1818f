"""The newest picture of what a job is making on a server outside: telemetry, kept in memory alone."""

from typing import Final

from aiohttp import web

from caf.daemon.service import Service
from caf.errors import RefusedError
from caf.web.routes import Route

__all__ = ["routes"]

PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
"""A server outside says what it sends; as anything else it is shown by no browser."""


class Previews:
    """Answers what is asked about previews."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def newest(self, request: web.Request) -> web.Response:
        job_id = request.match_info["job_id"]
        await self.service.app.job(job_id)
        found = self.service.runner.previews.newest.get(job_id)
        if found is None:
            raise RefusedError(
                f"There is no preview of job {job_id}.",
                remedy="Only a render on a ComfyUI server gives one, and only while the daemon runs that made it.",
                kind="no_preview",
            )
        kind = found.mime if found.mime in PICTURES else "application/octet-stream"
        return web.Response(body=found.picture, content_type=kind)


def routes(service: Service) -> tuple[Route, ...]:
    """What is answered here."""
    return (
        Route(
            method="GET",
            path="/api/v1/jobs/{job_id}/preview",
            name="getPreview",
            summary="The newest picture of what a job is making on a ComfyUI server.",
            answer=Previews(service).newest,
            gives="application/octet-stream",
            faults=(404,),
        ),
    )
