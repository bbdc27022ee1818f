"""The daemon itself over HTTP: what it does, its queue, whether it is well."""

import os
import tempfile
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from caf.daemon.service import Service
from caf.errors import CafError
from caf.web import model
from caf.web.metrics import Metrics
from caf.web.routes import Route, json_response, read_body
from eventstore import EventStoreError

__all__ = ["routes"]

PATIENCE_S = 5.0


class Daemon:
    """Answers what is asked about the daemon."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self.service = service
        self.metrics = metrics
        self._one_look = anyio.Lock()
        self._looking = False

    async def status(self, request: web.Request) -> web.Response:
        return json_response(msgspec.convert(await self.service.status(), model.Account))

    async def pause(self, request: web.Request) -> web.Response:
        asked = await read_body(request, model.Pause)
        events = await self.service.pause(by=asked.by, reason=asked.reason)
        return json_response(model.Done(recorded=bool(events)))

    async def unpause(self, request: web.Request) -> web.Response:
        asked = await read_body(request, model.Unpause)
        return json_response(model.Done(recorded=bool(await self.service.unpause(by=asked.by))))

    async def health(self, request: web.Request) -> web.Response:
        """The loop turns, or nobody would answer."""
        return json_response(model.Health(ok=True))

    async def ready(self, request: web.Request) -> web.Response:
        problems = []
        if self.service.dispatcher.draining:
            problems.append("the daemon is stopping")
        with anyio.move_on_after(PATIENCE_S) as asking:
            try:
                await self.service.app.store.head()
            except (CafError, EventStoreError) as fault:
                problems.append(f"the log cannot be read: {fault}")
            problems += await self._disk()
        if asking.cancelled_caught:
            problems.append(f"the disk has not answered for {PATIENCE_S:g} s")
        return json_response(
            model.Health(ok=not problems, problems=tuple(problems)), status=503 if problems else 200
        )

    async def _disk(self) -> list[str]:
        """What is wrong with the disk. A look that hangs is left behind, and no other begun until it is over."""
        async with self._one_look:
            if self._looking:
                return [f"{self.service.app.workspace.own} has not answered since it was last asked"]
            self._looking = True
            return await anyio.to_thread.run_sync(self._look, abandon_on_cancel=True)

    def _look(self) -> list[str]:
        try:
            return _disk(self.service.app.workspace.own)
        finally:
            self._looking = False

    async def prometheus(self, request: web.Request) -> web.Response:
        return web.Response(
            body=await self.metrics.text(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _disk(folder: Path) -> list[str]:
    """Really writes: a disk that was remounted read-only, or is full, looks well until then."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as fault:
        return [f"{folder} cannot be written: {fault.strerror}"]
    return []


def routes(service: Service, metrics: Metrics) -> tuple[Route, ...]:
    """What is answered here."""
    daemon, root = Daemon(service, metrics), "/api/v1"
    return (
        Route(
            method="GET",
            path=f"{root}/status",
            name="showStatus",
            summary="What runs, what waits and for what.",
            answer=daemon.status,
            gives=model.Account,
        ),
        Route(
            method="POST",
            path=f"{root}/queue/pause",
            name="pauseQueue",
            summary="Begin nothing new; what runs is finished.",
            answer=daemon.pause,
            body=model.Pause,
            gives=model.Done,
        ),
        Route(
            method="POST",
            path=f"{root}/queue/unpause",
            name="unpauseQueue",
            summary="Let the queue go on.",
            answer=daemon.unpause,
            body=model.Unpause,
            gives=model.Done,
        ),
        Route(
            method="GET",
            path="/health",
            name="health",
            summary="Whether the process is alive; needs no token.",
            answer=daemon.health,
            gives=model.Health,
        ),
        Route(
            method="GET",
            path="/ready",
            name="ready",
            summary="Whether jobs can be taken: log readable, disk writable, not stopping.",
            answer=daemon.ready,
            gives=model.Health,
            also={503: "Not now, and why."},
        ),
        Route(
            method="GET",
            path="/metrics",
            name="metrics",
            summary="Everything for Prometheus.",
            answer=daemon.prometheus,
            gives="text/plain",
        ),
    )
