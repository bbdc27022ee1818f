"""Callers that are slow, silent or gone: they keep nobody else waiting, and nothing of them stays."""

import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from caf.web.limits import Limits, affordable
from eventstore import NewEvent
from tests.web.raw import connected, read_all, request
from tests.web.serving import DEADLINE_S, Api, served
from tests.web.sse import listening

LARGE = b'"' + b"x" * 400_000 + b'"'


def open_sockets() -> int:
    """Sockets of this process."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc")
    found = 0
    for link in folder.iterdir():
        try:
            found += str(link.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


async def until_sockets_are(count: int) -> None:
    with anyio.fail_after(DEADLINE_S):
        while open_sockets() > count:  # noqa: ASYNC110 - the kernel tells nobody
            await anyio.sleep(0.01)


async def record_large_events(api: Api, count: int) -> None:
    app = api.service.app
    for _ in range(count):
        event = NewEvent(event_id=app.ids.new(), type="Noise", data=LARGE)
        await app.store.append("noise-1", [event])


@asynccontextmanager
async def deaf_listener(api: Api) -> AsyncIterator[socket.socket]:
    """One that asks for the stream and never reads."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await anyio.to_thread.run_sync(deaf.connect, ("127.0.0.1", api.port))
        deaf.setblocking(False)
        deaf.sendall(request(api, "/api/v1/stream?after=0"))
        yield deaf


async def test_many_idle_connections_keep_nobody_out(workspace: Path) -> None:
    async with served(workspace, limits=Limits(connections=8)) as api, AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(connected(api))
        assert (await api.get("/api/v1/jobs")).status == 200


async def test_half_sent_requests_keep_nobody_out(workspace: Path) -> None:
    async with served(workspace, limits=Limits(connections=8)) as api, AsyncExitStack() as stack:
        for _ in range(40):
            slow = await stack.enter_async_context(connected(api))
            await slow.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert (await api.get("/api/v1/jobs")).status == 200


async def test_half_sent_bodies_keep_nobody_out(workspace: Path) -> None:
    async with served(workspace, limits=Limits(connections=8)) as api, AsyncExitStack() as stack:
        for _ in range(40):
            slow = await stack.enter_async_context(connected(api))
            said = ("Content-Type: application/json", "Content-Length: 100")
            await slow.send(request(api, "/api/v1/queue/pause", *said, method="POST", body=b"{"))
        assert (await api.get("/api/v1/jobs")).status == 200


async def test_connections_at_work_are_not_given_up_for_a_newcomer(workspace: Path) -> None:
    async with served(workspace, limits=Limits(connections=2)) as api:
        head = await api.service.app.store.head()
        async with listening(api) as listener, AsyncExitStack() as stack:
            for _ in range(6):
                await stack.enter_async_context(connected(api))
            await api.service.pause(by="test", reason="")
            assert (await listener.next()).id == head + 1


async def test_a_connection_that_says_nothing_whole_is_ended(workspace: Path) -> None:
    async with served(workspace, limits=Limits(idle_s=0.05)) as api:
        for begun in (b"", b"GET /health HTTP/1.1\r\nHost: 127.0"):
            async with connected(api) as stream:
                if begun:
                    await stream.send(begun)
                assert await read_all(stream) == b""


async def test_a_body_that_does_not_come_is_not_waited_for(workspace: Path) -> None:
    async with served(workspace, limits=Limits(body_s=0.05)) as api, connected(api) as stream:
        said = ("Content-Type: application/json", "Content-Length: 100")
        await stream.send(request(api, "/api/v1/jobs", *said, method="POST", body=b'{"clip":'))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_is_cut_off_is_no_submission(api: Api) -> None:
    async with connected(api) as stream:
        said = ("Content-Type: application/json", "Content-Length: 100")
        await stream.send(request(api, "/api/v1/queue/unpause", *said, method="POST", body=b"{}"))
    assert (await api.get("/api/v1/status")).json()["state"] == "paused"


async def test_a_listener_that_never_reads_stalls_neither_the_log_nor_other_listeners(api: Api) -> None:
    head = await api.service.app.store.head()
    async with deaf_listener(api), listening(api) as listener:
        await record_large_events(api, 30)
        assert [(await listener.next()).id for _ in range(30)] == list(range(head + 1, head + 31))
        assert (await api.get("/api/v1/jobs")).status == 200


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such limit")
async def test_a_listener_that_never_reads_is_ended(workspace: Path) -> None:
    async with served(workspace, limits=Limits(unread_s=0.2, streams=1)) as api:
        await record_large_events(api, 30)
        async with deaf_listener(api) as deaf:
            with anyio.fail_after(DEADLINE_S):
                await anyio.wait_readable(deaf)  # it is a listener now
                while not await _may_listen(api):
                    await anyio.lowlevel.checkpoint()  # until the kernel has ended it


async def test_listeners_that_vanish_leave_nothing_behind(workspace: Path) -> None:
    async with served(workspace, limits=Limits(keep_alive_s=0.01)) as api:
        assert (await api.get("/health")).status == 200
        before = open_sockets()
        for _ in range(20):
            async with connected(api) as stream:
                await stream.send(request(api, "/api/v1/stream?after=0"))
                await stream.receive()
        await until_sockets_are(before)
        assert await _may_listen(api)


async def test_listeners_are_let_go_when_the_daemon_ends(workspace: Path) -> None:
    async with served(workspace) as api, connected(api) as stream:
        await stream.send(request(api, "/api/v1/stream?after=0"))
        await stream.receive()


async def _may_listen(api: Api) -> bool:
    return (await api.ask("HEAD", "/api/v1/stream")).status == 200


def test_no_more_connections_are_taken_than_files_may_be_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(soft, 128) if soft != resource.RLIM_INFINITY else 128
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        within = affordable(Limits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert within.connections <= few // 4
    assert within.streams < within.connections
