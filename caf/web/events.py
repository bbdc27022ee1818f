"""Recorded events over HTTP: pages of them, and a live stream that misses none (server-sent events)."""

from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import msgspec
from aiohttp import web

from caf.contracts.times import timestamp
from caf.daemon.service import Service
from caf.errors import RefusedError
from caf.log import stream_of
from caf.web import model
from caf.web.query import read_query
from caf.web.routes import Route, json_response
from eventstore import RecordedEvent

__all__ = ["routes"]

KEEP_ALIVE_S: Final = 15.0
"""A comment so often, so that a listener that is gone is noticed, and proxies do not hang up."""


class Log:
    """Answers what is asked about the log."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.store = service.app.store

    async def page(self, request: web.Request) -> web.Response:
        query = read_query(request, model.EventsQuery)
        found = self.store.read_all(after_position=query.after, limit=query.limit)
        events = tuple([_record(recorded) async for recorded in found])
        more = len(events) == query.limit
        return json_response(model.Events(events=events, next=events[-1].position if more else None))

    async def page_of_job(self, request: web.Request) -> web.Response:
        query = read_query(request, model.JobEventsQuery)
        stream = stream_of(request.match_info["job_id"])
        found = self.store.read(stream, after_version=query.after, limit=query.limit)
        events = tuple([_record(recorded) async for recorded in found])
        if not events and not await self.store.version(stream):
            raise RefusedError(
                f"There is no job {request.match_info['job_id']!r} in this workspace's log.",
                remedy="List the jobs: /api/v1/jobs",
                kind="unknown_job",
            )
        more = len(events) == query.limit
        return json_response(model.Events(events=events, next=events[-1].version if more else None))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, model.StreamQuery)
        after = _last_event_id(request)
        if after is None:
            after = query.after if query.after is not None else await self.store.head()
        wanted = None if query.job_id is None else stream_of(query.job_id)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "X-Content-Type-Options": "nosniff",
            }
        )
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        lock = anyio.Lock()

        async def keep_alive() -> None:
            while True:
                await anyio.sleep(KEEP_ALIVE_S)
                async with lock:
                    await response.write(b": still here\n\n")

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(keep_alive)
                async for recorded in self._after(after):
                    if wanted is None or recorded.stream == wanted:
                        async with lock:
                            await response.write(_as_sse(recorded))
        except* (ConnectionResetError, ConnectionError):
            pass  # the listener is gone; it comes again with the last id that it saw
        return response

    async def _after(self, position: int) -> AsyncIterator[RecordedEvent]:
        async for recorded in self.store.subscribe(after_position=position):
            yield recorded


def _last_event_id(request: web.Request) -> int | None:
    given = request.headers.get("Last-Event-ID")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and int(given) < 2**63):
        raise web.HTTPBadRequest(reason="Last-Event-ID is no position of the log")
    return int(given)


def _as_sse(recorded: RecordedEvent) -> bytes:
    data = msgspec.json.encode(_record(recorded))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (recorded.position, recorded.type.encode(), data)


def _record(recorded: RecordedEvent) -> model.EventRecord:
    try:
        data: Any = msgspec.json.decode(recorded.data)
    except (msgspec.DecodeError, RecursionError):
        data = None
    return model.EventRecord(
        position=recorded.position,
        stream=recorded.stream,
        version=recorded.version,
        event_id=recorded.event_id,
        type=recorded.type,
        type_version=recorded.type_version,
        recorded_at=timestamp(recorded.recorded_at_ms),
        correlation_id=recorded.correlation_id,
        causation_id=recorded.causation_id,
        data=data,
    )


def routes(service: Service) -> tuple[Route, ...]:
    """What is answered here."""
    log = Log(service)
    return (
        Route(
            method="GET",
            path="/api/v1/events",
            name="listEvents",
            summary="Recorded events with their payloads, the oldest first.",
            answer=log.page,
            query=model.EventsQuery,
            gives=model.Events,
            faults=(400,),
        ),
        Route(
            method="GET",
            path="/api/v1/jobs/{job_id}/events",
            name="listJobEvents",
            summary="A job's events with their payloads, the oldest first.",
            answer=log.page_of_job,
            query=model.JobEventsQuery,
            gives=model.Events,
            faults=(400, 404),
        ),
        Route(
            method="GET",
            path="/api/v1/stream",
            name="streamEvents",
            summary="Events as they are recorded (server-sent events); an event's id is its position.",
            answer=log.stream,
            query=model.StreamQuery,
            gives="text/event-stream",
            faults=(400,),
            headers={"Last-Event-ID": "The last position that was seen; the stream goes on after it."},
        ),
    )
