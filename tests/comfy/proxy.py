"""A proxy between client and server that drops, cuts, delays, duplicates and lies; by plan, or by a seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import aiohttp
from aiohttp import WSMsgType, web

from tests.comfy.breaking import SHUTDOWN_S, break_off, listen

LINE_FAULTS: Final = ("drop", "lost", "half", "slow", "busy", "gateway", "garbage")
"""What may happen to any request: not sent, sent and the answer lost, the answer cut, dripping, 503, 502, no JSON."""
LIES: Final = ("shrunk", "empty", "stale")
"""Half a body that looks whole; nothing in queue and history; the answer of before."""
REFUSALS: Final = ("403", "404", "500")
"""Of something before the server."""
SUBMISSION_FAULTS: Final = ("late", "twice")
"""The request arrives when nobody waits for its answer any more; it arrives twice."""
SOCKET_FAULTS: Final = ("cut", "mute", "repeat", "garble")

Plan = Callable[[web.Request], str | None]


class FaultProxy:
    """Forwards to `target`, but for the faults that `plan` names; it also counts what it did."""

    def __init__(self, target: str, plan: Plan | None = None, socket_plan: Plan | None = None) -> None:
        self.target = target
        self.plan: Plan = plan or (lambda _: None)
        self.socket_plan: Plan = socket_plan or (lambda _: None)
        self.did: Counter[str] = Counter()
        self.late_s = 0.6
        self._before: dict[str, bytes] = {}
        self._last: dict[str, bytes] = {}
        self._later: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aenter__(self) -> "FaultProxy":
        self.session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/ws", self._socket)
        app.router.add_route("*", "/{path:.*}", self._request)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self.runner.setup()
        self.listening = await listen(self.runner)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await break_off(self.runner, self.listening)
        await self.session.close()
        await self.runner.cleanup()

    async def settle(self) -> None:
        """Let what is late arrive."""
        await asyncio.gather(*self._later, return_exceptions=True)

    async def _request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self.plan(request) or ""
        self.did[fault] += bool(fault)
        if fault == "drop":
            return self._abort(request)
        if fault == "busy":
            return web.Response(status=503, text="busy")
        if fault == "late":
            task = asyncio.create_task(self._forward_later(request, body))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return self._abort(request)
        if fault == "truncated":
            body = _without_the_end_of_its_file(body)
        try:
            if fault == "twice":
                await self._forward(request, body)
            status, headers, answer = await self._forward(request, body)
        except aiohttp.ClientError:
            self.did["nobody there"] += 1
            return self._abort(request)
        before = self._before.get(request.path_qs, answer)
        self._before[request.path_qs] = answer
        other = self._last.get(request.path, answer)
        if "Range" not in request.headers:
            self._last[request.path] = answer
        if fault == "other":
            answer = other
        return await self._answer(request, fault, status, headers, before if fault == "stale" else answer)

    async def _answer(
        self, request: web.Request, fault: str, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        match fault:
            case "403" | "404" | "500":
                return web.Response(status=int(fault), text="<html>Sorry</html>")
            case "lost":
                return self._abort(request)
            case "gateway":
                return web.Response(status=502, text="Bad Gateway")
            case "garbage":
                return web.Response(status=200, body=b"<html>" + body[:40], content_type="text/html")
            case "shrunk":
                return web.Response(status=status, body=body[: len(body) // 2], headers=headers)
            case "empty":
                queue = b'{"queue_running": [], "queue_pending": []}'
                return web.Response(status=200, body=queue if request.path == "/queue" else b"{}")
            case "drip":
                await self._drip(request, headers)
            case "overlong" if status >= 400:
                pass
            case "half" | "slow" | "overlong":
                return await self._piecewise(request, fault, status, headers, body)
        return web.Response(status=status, body=body, headers=headers)

    async def _drip(self, request: web.Request, headers: dict[str, str]) -> None:
        """An answer that never ends and is never silent for long."""
        answer = web.StreamResponse(headers=headers)
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.02)

    async def _piecewise(
        self, request: web.Request, fault: str, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        answer = web.StreamResponse(status=status, headers=headers)
        answer.content_length = len(body) + (1000 if fault == "overlong" else 0)
        await answer.prepare(request)
        if fault in ("half", "overlong"):
            await answer.write(body[: len(body) // 2] if fault == "half" else body)
            return self._abort(request)
        step = max(1, len(body) // 4)
        for start in range(0, len(body), step):
            await answer.write(body[start : start + step])
            await asyncio.sleep(0.01)
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        kept = {
            name: request.headers[name]
            for name in ("Content-Type", "Range", "If-Range")
            if name in request.headers
        }
        async with self.session.request(
            request.method, self.target + request.path_qs, data=body, headers=kept
        ) as answer:
            passed = {
                name: answer.headers[name]
                for name in ("Content-Type", "Content-Range", "Etag")
                if name in answer.headers
            }
            return answer.status, passed, await answer.read()

    async def _forward_later(self, request: web.Request, body: bytes) -> None:
        await asyncio.sleep(self.late_s)
        with suppress(aiohttp.ClientError):
            await self._forward(request, body)

    def _abort(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        fault = self.socket_plan(request) or ""
        self.did[f"socket {fault}"] += bool(fault)
        if fault == "refuse":
            return web.Response(status=502)
        near = web.WebSocketResponse(autoping=fault != "dead")
        try:
            async with self.session.ws_connect(self.target + request.path_qs) as far:
                await near.prepare(request)
                back = asyncio.create_task(_pump(near, far))
                try:
                    await self._tell(request, near, far, fault)
                finally:
                    back.cancel()
                    with suppress(asyncio.CancelledError):
                        await back
        except (aiohttp.ClientError, ConnectionError):
            self._abort(request)
        return near

    async def _tell(
        self,
        request: web.Request,
        near: web.WebSocketResponse,
        far: aiohttp.ClientWebSocketResponse,
        fault: str,
    ) -> None:
        count = 0
        async for message in far:
            count += 1
            if count > 6 and fault == "cut":
                self._abort(request)
                return
            if count > 3 and fault in ("mute", "dead"):
                continue
            if message.type is WSMsgType.TEXT:
                told = (
                    message.data[: len(message.data) // 2]
                    if fault == "garble" and count % 3 == 0
                    else message.data
                )
                for _ in range(1 + (fault == "repeat")):
                    await near.send_str(told)
            elif message.type is WSMsgType.BINARY:
                await near.send_bytes(message.data)
        self._abort(request)


async def _pump(near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
    async for message in near:
        if message.type is WSMsgType.TEXT:
            await far.send_str(message.data)
    await far.close()  # else the handler would wait for news that nobody hears


def _without_the_end_of_its_file(body: bytes) -> bytes:
    """A multipart body whose first part lost its second half on the way."""
    start = body.index(b"\r\n\r\n") + 4
    end = body.index(b"\r\n--", start)
    return body[: start + (end - start) // 2] + body[end:]


class Chance:
    """Draws a fault for a share of the requests; the same seed and order of requests, the same faults."""

    def __init__(self, seed: int, share: float, extra: Iterable[str] = ()) -> None:
        self.chance = random.Random(seed)
        self.share = share
        self.faults = (*LINE_FAULTS, *extra)

    def request(self, request: web.Request) -> str | None:
        if self.chance.random() > self.share:
            return None
        choice = self.faults
        if request.method == "POST":
            choice = tuple(fault for fault in choice if fault not in LIES)
            if request.path == "/prompt":
                choice += SUBMISSION_FAULTS
            elif request.path == "/upload/image":
                choice += ("truncated",)
        elif request.path == "/view":
            choice = (
                *(fault for fault in choice if fault not in ("garbage", "empty", "stale")),
                "half",
                "shrunk",
            )
        return self.chance.choice(choice)

    def socket(self, _: web.Request) -> str | None:
        return self.chance.choice((*SOCKET_FAULTS, "refuse", "dead", None, None))
