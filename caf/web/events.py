"""Recorded events over HTTP: pages of them, and a live stream that misses none (server-sent events)."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import anyio
import msgspec
from aiohttp import ClientError, web

from caf.contracts.times import timestamp
from caf.daemon.service import Service
from caf.errors import RefusedError
from caf.log import stream_of
from caf.web import model
from caf.web.guard import HEADERS, ask_again
from caf.web.limits import LIMITS
from caf.web.query import read_query
from caf.web.routes import Route, json_response
from eventstore import EventStore, RecordedEvent

__all__ = ["POSITION", "routes"]

POSITION: Final = "^[0-9]{1,18}$"
"""What a Last-Event-ID may be."""
_STREAMED: Final = {
    **HEADERS,
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",
}


class Log:
    """Answers what is asked about the log."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.store = service.app.store
        self.listening = 0
        """Live streams at this moment."""

    async def page(self, request: web.Request) -> web.Response:
        query = read_query(request, model.EventsQuery)
        found = self.store.read_all(after_position=query.after, limit=query.limit)
        events, more = await _page(found, query.limit, request.app[LIMITS].page_bytes)
        return json_response(model.Events(events=events, next=events[-1].position if more else None))

    async def page_of_job(self, request: web.Request) -> web.Response:
        query = read_query(request, model.JobEventsQuery)
        stream = stream_of(request.match_info["job_id"])
        found = self.store.read(stream, after_version=query.after, limit=query.limit)
        events, more = await _page(found, query.limit, request.app[LIMITS].page_bytes)
        if not events and not await self.store.version(stream):
            raise RefusedError(
                f"There is no job {request.match_info['job_id']!r} in this workspace's log.",
                remedy="List the jobs: /api/v1/jobs",
                kind="unknown_job",
            )
        return json_response(model.Events(events=events, next=events[-1].version if more else None))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        query, limits = read_query(request, model.StreamQuery), request.app[LIMITS]
        head = await self.store.head()
        after = _last_event_id(request)
        if after is None:
            after = query.after if query.after is not None else head
        if after > head:
            # Waiting for what comes after it would miss all that is recorded until then.
            raise RefusedError(
                f"Position {after} is beyond the log's end at {head}: it is of another log.",
                remedy="Begin again, with after=0 or without it.",
                kind="beyond_the_log",
            )
        if self.listening >= limits.streams:
            raise ask_again(f"There are {limits.streams} live streams already.")
        response = web.StreamResponse(headers=_STREAMED)
        self.listening += 1
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                wanted = None if query.job_id is None else stream_of(query.job_id)
                await _Listener(response, after).follow(self.store, wanted, limits.keep_alive_s)
        finally:
            self.listening -= 1
        return response


class _Listener:
    """Whoever listens to a live stream, and how far it was told."""

    def __init__(self, response: web.StreamResponse, after: int) -> None:
        self.response = response
        self.position = after
        """Nothing up to here is to be told any more."""
        self._writing = anyio.Lock()

    async def follow(self, store: EventStore, wanted: str | None, keep_alive_s: float) -> None:
        """Tell all that is recorded, or what the stream `wanted` gets, until the listener or the log is gone."""
        try:
            # The position at once: who is cut off before the first event comes again with it.
            await self._tell(b"retry: 1000\nid: %d\n\n" % self.position)
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep_alive, keep_alive_s)
                async with aclosing(store.subscribe(after_position=self.position)) as log:  # type: ignore[type-var]
                    async for recorded in log:
                        if wanted is None or recorded.stream == wanted:
                            await self._tell(_as_sse(recorded))
                        self.position = recorded.position
                group.cancel_scope.cancel()
        except* (ConnectionError, ClientError):
            pass  # the listener is gone; it comes again with the last id that it saw

    async def _keep_alive(self, every_s: float) -> None:
        while True:
            await anyio.sleep(every_s)
            await self._tell(b": still here\nid: %d\n\n" % self.position)

    async def _tell(self, text: bytes) -> None:
        async with self._writing:
            await self.response.write(text)


async def _page(
    found: AsyncIterator[RecordedEvent], limit: int, most_bytes: int
) -> tuple[tuple[model.EventRecord, ...], bool]:
    """The events of a page, and whether there may be more behind it."""
    events: list[model.EventRecord] = []
    size = 0
    async with aclosing(found) as records:  # type: ignore[type-var]
        async for recorded in records:
            if events and size + len(recorded.data) > most_bytes:
                return tuple(events), True
            events.append(_record(recorded))
            size += len(recorded.data)
    return tuple(events), len(events) == limit


def _last_event_id(request: web.Request) -> int | None:
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not re.fullmatch(POSITION, given):
        raise web.HTTPBadRequest(reason="Last-Event-ID is no position of the log")
    return int(given)


def _as_sse(recorded: RecordedEvent) -> bytes:
    # A line of its own ends the field; between JSON's tokens, where alone a payload has them, a space is the same.
    data = msgspec.json.encode(_record(recorded)).replace(b"\n", b" ").replace(b"\r", b" ")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (recorded.position, recorded.type.encode(), data)


def _record(recorded: RecordedEvent) -> model.EventRecord:
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
        data=_payload(recorded.data),
    )


def _payload(data: bytes) -> msgspec.Raw | None:
    """The payload as it was recorded, checked but not taken apart: a page of large ones would hold up the loop."""
    try:
        data.decode()
        return msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


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
        ),
        Route(
            method="GET",
            path="/api/v1/jobs/{job_id}/events",
            name="listJobEvents",
            summary="A job's events with their payloads, the oldest first.",
            answer=log.page_of_job,
            query=model.JobEventsQuery,
            gives=model.Events,
            faults=(404,),
        ),
        Route(
            method="GET",
            path="/api/v1/stream",
            name="streamEvents",
            summary="Events as they are recorded (server-sent events); an event's id is its position.",
            answer=log.stream,
            query=model.StreamQuery,
            gives="text/event-stream",
            faults=(409,),
            headers={"Last-Event-ID": "The last position that was seen; the stream goes on after it."},
        ),
    )
