"""What a line and a server do when they fail, and the defined end of each: all prompts done, or a typed error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from aiohttp import web

from caf.comfy.watching import rest_s
from tests.comfy.given import Render, frames, graph, post, reading, refused, seeds, until
from tests.comfy.pixels import png
from tests.comfy.proxy import LIES, LINE_FAULTS, REFUSALS, Chance, FaultProxy, Plan
from tests.comfy.server import FakeComfy

ONCE = {f"frame-{index:06}": 1 for index in range(6)}


def at(method: str, path: str, fault: str, times: int = 1) -> Plan:
    """That fault for the first so many requests of that kind."""
    left = times

    def plan(request: web.Request) -> str | None:
        nonlocal left
        if request.method == method and request.path.startswith(path) and left:
            left -= 1
            return fault
        return None

    return plan


@asynccontextmanager
async def between(
    tmp_path: Path, plan: Plan | None = None, socket: Plan | None = None
) -> AsyncIterator[tuple[FakeComfy, FaultProxy, Render]]:
    async with FakeComfy(tmp_path / "server") as server, FaultProxy(server.url, plan, socket) as proxy:
        yield server, proxy, Render(proxy.url, tmp_path / "out")


@pytest.mark.parametrize("fault", [*LINE_FAULTS, "late", "twice"])
async def test_a_submission_is_rendered_once_whatever_happens_to_it(tmp_path: Path, fault: str) -> None:
    async with between(tmp_path, at("POST", "/prompt", fault)) as (server, proxy, render):
        done = await render.run([*frames(1, seconds=2.0 if fault == "late" else 0.5), *frames(5, first=1)])
        assert proxy.did[fault] == 1
        await proxy.settle()
        await until(lambda: not server.queue and not server.running)
    assert len(done) == 6
    assert server.renders == ONCE
    assert {prompt_id for _, prompt_id in render.recorded} >= set(server.posts)


async def test_a_submission_that_arrives_late_takes_the_place_of_its_successor(tmp_path: Path) -> None:
    async with between(tmp_path, at("POST", "/prompt", "late")) as (server, _, render):
        await post(server.url, graph(90, seconds=4.0))
        await until(lambda: server.running)
        done = await render.run(frames(2))
    assert [server.renders[one.key] for one in done] == [1, 1]
    assert len([key for key, _ in render.recorded if key == done[0].key]) == 2


@pytest.mark.parametrize("fault", [*LINE_FAULTS, *LIES])
@pytest.mark.parametrize("path", ["/history", "/queue"])
async def test_a_damaged_look_at_the_server_is_repeated(tmp_path: Path, path: str, fault: str) -> None:
    async with between(tmp_path, at("GET", path, fault, 2)) as (server, _, render):
        assert len(await render.run(frames(6, seconds=0.03))) == 6
    assert server.renders == ONCE


@pytest.mark.parametrize("path", ["/history", "/queue"])
async def test_an_answer_that_never_ends_keeps_nobody_from_looking_again(tmp_path: Path, path: str) -> None:
    async with between(tmp_path, at("GET", path, "drip", 2), lambda _: "refuse") as (server, proxy, render):
        render.timeouts = msgspec.structs.replace(render.timeouts, answer_s=0.3)
        with anyio.fail_after(20):
            assert len(await render.run(frames(3))) == 3
        assert proxy.did["drip"] == 2
    assert server.renders.total() == 3


@pytest.mark.parametrize(
    ("pause_s", "took_s", "rests_s"),
    [(0.1, 0.001, 0.1), (0.1, 0.05, 0.5), (1.0, 0.0, 1.0), (0.1, 30.0, 2.0)],
)
def test_a_dear_look_is_rested_after_and_never_so_long_that_nobody_watches(
    pause_s: float, took_s: float, rests_s: float
) -> None:
    assert rest_s(pause_s, took_s) == pytest.approx(rests_s)


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("path", ["/history", "/queue"])
async def test_a_look_that_something_before_the_server_refuses_is_repeated(
    tmp_path: Path, path: str, fault: str
) -> None:
    """The first ones are those for what an earlier life has submitted."""
    known = {"frame-000000": "11111111-1111-4111-8111-111111111111"}
    async with between(tmp_path, at("GET", path, fault, 2)) as (server, _, render):
        assert len(await render.run(frames(3), known=known)) == 3
    assert server.renders.total() == 3


@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_refused_look_for_a_submission_whose_answer_was_lost_is_repeated(
    tmp_path: Path, fault: str
) -> None:
    faults = {"POST /prompt": ["lost"], "GET /queue": [None, fault, fault]}

    def plan(request: web.Request) -> str | None:
        left = faults.get(f"{request.method} {request.path}")
        return left.pop(0) if left else None

    async with between(tmp_path, plan) as (server, _, render):
        assert len(await render.run(frames(3))) == 3
    assert server.renders.total() == 3


async def test_a_line_that_denies_a_prompt_twice_does_not_have_it_rendered_twice(tmp_path: Path) -> None:
    denied = {"/queue": 3, "/history": 3}  # the first look at the queue is that for an earlier life

    def deny(request: web.Request) -> str | None:
        name = f"/{request.path.split('/')[1]}"
        if request.method == "GET" and denied.get(name, 0):
            denied[name] -= 1
            return "empty"
        return None

    async with FakeComfy(tmp_path / "server", old=True) as server, FaultProxy(server.url, deny) as proxy:
        await Render(proxy.url, tmp_path / "out").run(frames(1, seconds=3.0))
        assert len(server.posts) == 1
    assert server.renders.total() == 1


@pytest.mark.parametrize("fault", ["drop", "lost", "half", "shrunk", "slow", "busy", "gateway"])
async def test_a_damaged_download_is_brought_again(tmp_path: Path, fault: str) -> None:
    async with between(tmp_path, at("GET", "/view", fault, 2)) as (server, _, render):
        done = await render.run(frames(6))
        for one in done:
            (there,) = one.outputs
            made = server.root / "output" / there.subfolder / there.filename
            assert await asyncio.to_thread(Path(one.files[0]).read_bytes) == made.read_bytes()
    assert server.renders == ONCE


async def test_a_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    ranges: list[str] = []

    def half_always(request: web.Request) -> str | None:
        if request.path != "/view":
            return None
        ranges.append(request.headers.get("Range", ""))
        return "half" if len(ranges) < 4 else None

    async with between(tmp_path, half_always) as (_, _, render):
        (done,) = await render.run(frames(1))
        size = len(await asyncio.to_thread(Path(done.files[0]).read_bytes))
    assert ranges[0] == ""
    assert [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:4]] == [
        size // 2,
        size // 2 + (size - size // 2) // 2,
        size - (size - size // 2 - (size - size // 2) // 2 + 1) // 2,
    ]


async def test_an_output_that_never_comes_whole_is_told(tmp_path: Path) -> None:
    async with between(tmp_path, at("GET", "/view", "shrunk", 1000)) as (server, _, render):
        error = await refused(render, frames(1))
    assert error.kind == "comfy_output_damaged"
    assert "stops before its end" in error.message
    assert not error.transient
    assert server.renders.total() == 1


@pytest.mark.parametrize("fault", ["drop", "lost", "busy", "gateway", "truncated"])
async def test_an_upload_is_whole_before_it_is_used(tmp_path: Path, fault: str) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate"))
    async with between(tmp_path, at("POST", "/upload/image", fault, 2)) as (server, _, render):
        await render.run([reading(one, tmp_path / "plate.png") for one in frames(3)])
        for entry in server.history.values():
            used = server.root / "input" / entry["prompt"][2]["1"]["inputs"]["image"]
            assert used.read_bytes() == png("plate")


@pytest.mark.parametrize("fault", ["cut", "mute", "repeat", "garble", "refuse", "dead"])
async def test_a_broken_socket_costs_time_and_nothing_else(tmp_path: Path, fault: str) -> None:
    async with between(tmp_path, socket=lambda _: fault) as (server, proxy, render):
        assert len(await render.run(frames(6, seconds=0.02))) == 6
        assert proxy.did[f"socket {fault}"]
    assert server.renders == ONCE


async def test_a_socket_that_says_nothing_is_replaced(tmp_path: Path) -> None:
    faults = iter(["mute"])
    async with (
        between(tmp_path, socket=lambda _: next(faults, None)) as (server, _, render),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(render.run, frames(300, seconds=0.02))
        await until(lambda: server.calls["GET /ws"] == 2)
        tasks.cancel_scope.cancel()


async def test_a_restart_in_the_middle_repeats_only_what_is_unfinished(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        render = Render(server.url, tmp_path / "out")
        tasks.start_soon(render.run, frames(20, seconds=0.05))
        await until(lambda: server.renders.total() == 8)
        await server.restart()
    assert set(server.renders) == {f"frame-{index:06}" for index in range(20)}
    assert server.renders.total() <= 21, "one whose end nobody could hear of is rendered again"
    assert len(server.posts) <= 20 + 3


async def test_a_server_that_comes_back_is_gone_on_with(tmp_path: Path) -> None:
    async with between(tmp_path) as (server, proxy, render), anyio.create_task_group() as tasks:
        tasks.start_soon(render.run, frames(12, seconds=0.05))
        await until(lambda: server.renders.total() == 4)
        await server.stop()
        await until(lambda: proxy.did["nobody there"] >= 8)
        server.forget()
        await server.start()
    assert set(server.renders) == {f"frame-{index:06}" for index in range(12)}
    assert server.renders.total() <= 13


async def test_a_history_that_is_cleared_at_once_is_replaced_by_the_news(tmp_path: Path) -> None:
    class Forgetful(dict[str, object]):
        def __setitem__(self, key: str, value: object) -> None:
            pass

    async with FakeComfy(tmp_path / "server") as server:
        server.history = Forgetful()
        done = await Render(server.url, tmp_path / "out").run(frames(3))
    assert [len(one.files) for one in done] == [1, 1, 1]
    assert server.renders.total() == 3


async def test_previews_that_a_restart_wiped_are_rendered_again(tmp_path: Path) -> None:
    gone = False

    def restart_before_view(request: web.Request) -> str | None:
        nonlocal gone
        if request.path == "/view" and not gone:
            gone = True
            restarting.append(asyncio.get_running_loop().create_task(server.restart()))
            return "lost"
        return None

    restarting: list[asyncio.Task[None]] = []
    async with between(tmp_path, restart_before_view) as (server, _, render):
        (done,) = await render.run(frames(1, save="PreviewImage"))
        await asyncio.gather(*restarting)
    assert server.renders == {done.key: 2}


async def test_a_server_that_every_prompt_kills_is_told(tmp_path: Path) -> None:
    (prompt,) = frames(1)
    prompt.graph["2"] = {"class_type": "Crash", "inputs": {"image": ["1", 0]}}
    async with FakeComfy(tmp_path / "server") as server:
        error = await refused(Render(server.url, tmp_path / "out"), [prompt], unreachable_s=60.0)
    assert error.kind == "comfy_lost"
    assert len(server.posts) <= 7


async def test_a_server_that_does_not_come_back_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_after, server, 2)
        error = await refused(
            Render(server.url, tmp_path / "out"), frames(9, seconds=0.05), unreachable_s=0.5, withdraw_s=0.2
        )
        await server.start()
    assert error.kind == "comfy_unreachable"
    assert error.transient


async def _stop_after(server: FakeComfy, renders: int) -> None:
    await until(lambda: server.renders.total() >= renders)
    await server.stop()


async def test_nothing_listens_and_that_is_told(tmp_path: Path) -> None:
    server = await FakeComfy(tmp_path / "server").start()
    await server.stop()
    error = await refused(Render(server.url, tmp_path / "out"), frames(1), unreachable_s=0.2, withdraw_s=0.1)
    assert error.kind == "comfy_unreachable"
    assert server.url in error.message


async def test_a_stuck_prompt_of_somebody_else_is_told_and_left_alone(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        await post(server.url, graph(90, seconds=60.0))
        await until(lambda: server.running)
        error = await refused(Render(server.url, tmp_path / "out"), frames(2), stall_s=0.5)
        assert (error.kind, error.transient) == ("comfy_busy", True)
        assert len(server.running) == 1
        assert not server.queue


async def test_a_render_that_takes_too_long_in_all_is_ended(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        error = await refused(
            Render(server.url, tmp_path / "out"), frames(3, seconds=60.0, ticks=6000), deadline_s=0.5
        )
        assert error.kind == "comfy_deadline"
        await until(lambda: not server.running and not server.queue)


@pytest.mark.parametrize("seed", seeds(12))
async def test_whatever_the_line_does_each_frame_is_rendered_once_and_comes_whole(
    tmp_path: Path, seed: int
) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate"))
    chance = Chance(seed, share=0.12)
    async with between(tmp_path, chance.request, chance.socket) as (server, proxy, render):
        proxy.late_s = 0.1  # what comes later than the grace, to an idle server, nobody can hold back
        prompts = [reading(one, tmp_path / "plate.png") for one in frames(6, seconds=0.02)]
        done = await render.run(prompts, grace_s=1.0)
        await proxy.settle()
        await until(lambda: not server.queue and not server.running)
        for one in done:
            (there,) = one.outputs
            made = server.root / "output" / there.subfolder / there.filename
            assert await asyncio.to_thread(Path(one.files[0]).read_bytes) == made.read_bytes()
    assert server.renders == ONCE, f"seed {seed}: {proxy.did}"


@pytest.mark.parametrize("seed", seeds(8))
async def test_lies_of_the_line_lose_nothing(tmp_path: Path, seed: int) -> None:
    chance = Chance(seed, share=0.2, extra=LIES)
    async with between(tmp_path, chance.request, chance.socket) as (server, _, render):
        done = await render.run(frames(6, seconds=0.02))
    assert len(done) == 6
    assert set(server.renders) == set(ONCE)
