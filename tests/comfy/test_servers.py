"""Which server a stage goes to, and why none is good enough when none is."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from caf.comfy.addresses import shown, urls_of
from caf.comfy.servers import Servers
from caf.errors import CafError, InputError, TryAgainError
from tests.comfy.given import graph, until
from tests.comfy.proxy import FaultProxy
from tests.comfy.server import FakeComfy

GRAPH = graph(0)
NOWHERE = "http://127.0.0.1:1"


async def refusal(servers: Servers, wanted: dict[str, Any]) -> CafError:
    with pytest.raises(CafError) as caught:
        await servers.preflight(wanted, outputs=("9",))
    return caught.value


@pytest.mark.parametrize(
    ("setting", "urls"),
    [
        ("", ()),
        ("http://a:1", ("http://a:1",)),
        (" http://a:1/ ,http://b:2  http://a:1,", ("http://a:1", "http://b:2")),
    ],
)
def test_addresses_are_separated_by_commas_or_space_and_each_is_one(
    setting: str, urls: tuple[str, ...]
) -> None:
    assert urls_of(setting) == urls


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://gpu:8188", "http://gpu:8188"),
        ("http://ada:s@cret@gpu:8188/a@b", "http://gpu:8188/a@b"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, told: str) -> None:
    assert shown(url) == told


async def test_a_stage_has_a_server_for_itself_and_the_next_one_waits_for_it(tmp_path: Path) -> None:
    order: list[str] = []
    async with FakeComfy(tmp_path / "server") as server:
        servers = Servers([server.url])

        async def second() -> None:
            async with servers.turn(GRAPH, outputs=("9",)):
                order.append("second")

        async with anyio.create_task_group() as group, servers.turn(GRAPH, outputs=("9",)) as standing:
            group.start_soon(second)
            await until(lambda: server.calls["GET /system_stats"] >= 2)
            assert standing.address == server.url
            order.append("first")
    assert order == ["first", "second"]


async def test_a_server_with_a_slash_after_its_address_is_the_same_server(tmp_path: Path) -> None:
    order: list[str] = []
    async with FakeComfy(tmp_path / "server") as server:
        servers = Servers([server.url])

        async def second() -> None:
            async with servers.turn(GRAPH, outputs=("9",), urls=[f"{server.url}/"]) as standing:
                order.append(standing.address)

        async with anyio.create_task_group() as group, servers.turn(GRAPH, outputs=("9",)) as standing:
            group.start_soon(second)
            await until(lambda: server.calls["GET /object_info/SaveImage"] == 2)
            await servers.preflight(GRAPH, outputs=("9",))  # by then the second one has seen that it is taken
            order.append("first")
    assert order == ["first", standing.address]


async def test_two_stages_have_two_servers_at_the_same_time(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:
        servers = Servers([one.url, other.url])
        async with (
            servers.turn(GRAPH, outputs=("9",)) as first,
            servers.turn(GRAPH, outputs=("9",)) as second,
        ):
            assert {first.address, second.address} == {one.url, other.url}


async def test_a_server_that_was_away_is_taken_when_it_is_back_though_the_others_still_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caf.comfy.servers.LOOK_AGAIN_S", 0.02)
    async with FakeComfy(tmp_path / "a") as one:
        other = await FakeComfy(tmp_path / "b").start()
        await other.stop()
        servers = Servers([one.url, other.url])
        async with servers.turn(GRAPH, outputs=("9",)), anyio.create_task_group() as group:
            came = anyio.Event()

            async def second() -> None:
                async with servers.turn(GRAPH, outputs=("9",)) as standing:
                    assert standing.address == other.url
                    came.set()

            group.start_soon(second)
            await until(lambda: one.calls["GET /system_stats"] >= 2)
            async with other:
                with anyio.fail_after(20):
                    await came.wait()


async def test_the_server_that_has_work_of_a_stage_is_waited_for_before_another_one_does_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caf.comfy.servers.LOOK_AGAIN_S", 0.02)
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:
        looks = 0

        def away(request: web.Request) -> str | None:
            nonlocal looks
            looks += 1
            return "drop" if looks <= 3 else None

        async with FaultProxy(one.url, away) as proxy:
            servers = Servers([proxy.url, other.url], away_s=60.0)
            async with servers.turn(GRAPH, outputs=("9",), prefer=proxy.url) as standing:
                assert standing.address == proxy.url
        servers = Servers([NOWHERE, other.url], away_s=0.1)
        async with servers.turn(GRAPH, outputs=("9",), prefer=NOWHERE) as standing:
            assert standing.address == other.url


async def test_a_server_is_free_again_after_a_stage_that_failed(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        servers = Servers([server.url])
        with pytest.raises(InputError, match="torn"):
            async with servers.turn(GRAPH, outputs=("9",)):
                raise InputError("torn", remedy="")
        async with servers.turn(GRAPH, outputs=("9",)) as standing:
            assert standing.facts.version == "0.33.0"


async def test_no_server_at_all_is_a_matter_of_settings() -> None:
    fault = await refusal(Servers([]), GRAPH)
    assert fault.kind == "no_comfy_server"
    assert "comfy_urls" in fault.remedy


async def test_servers_that_are_away_may_come_back() -> None:
    fault = await refusal(Servers([NOWHERE]), GRAPH)
    assert isinstance(fault, TryAgainError)
    assert fault.kind == "comfy_unreachable"


async def test_what_is_no_address_is_told_and_is_not_waited_for() -> None:
    fault = await refusal(Servers(["localhost:8188"]), GRAPH)
    assert isinstance(fault, InputError)
    assert fault.kind == "bad_comfy_url"


async def test_what_the_one_that_answers_misses_the_one_that_is_away_may_have(tmp_path: Path) -> None:
    wanted = graph(0)
    wanted["2"]["class_type"] = "PaintCat"
    async with FakeComfy(tmp_path / "server") as server:
        fault = await refusal(Servers([NOWHERE, server.url]), wanted)
        known = await refusal(Servers(["localhost:8188", server.url]), wanted)
    told = f"{server.url} would not run this workflow. Node 2 (PaintCat)"
    assert isinstance(fault, TryAgainError)
    assert fault.message.startswith(told)
    assert f"{NOWHERE}/system_stats: nothing answers there" in fault.message
    assert (known.kind, known.message.startswith(told)) == ("comfy_missing_node", True)


async def test_an_address_that_is_none_makes_nobody_give_up_the_one_that_is_away() -> None:
    fault = await refusal(Servers(["localhost:8188", NOWHERE]), GRAPH)
    assert isinstance(fault, TryAgainError)
    assert "'localhost:8188' is not the address" in fault.message


async def test_classes_with_odd_names_are_looked_up_too(tmp_path: Path) -> None:
    wanted = graph(0)
    wanted["5"] = {"class_type": "Load / Ü (Cat) 100%?#", "inputs": {}}
    wanted["6"] = {"class_type": "Ü (Cat) 100%?#", "inputs": {}}
    async with FakeComfy(tmp_path / "server") as server:
        fault = await refusal(Servers([server.url]), wanted)
        del wanted["5"]
        other = await refusal(Servers([server.url]), wanted)
    assert "Node 5 (Load / Ü (Cat) 100%?#)" in fault.message
    assert "Node 6 (Ü (Cat) 100%?#)" in other.message


async def test_a_class_that_something_before_the_server_denies_is_not_believed_to_be_missing(
    tmp_path: Path,
) -> None:
    def deny(request: web.Request) -> str | None:
        return "404" if request.path == "/object_info/SaveImage" else None

    async with FakeComfy(tmp_path / "server") as server, FaultProxy(server.url, deny) as proxy:
        [seen] = await Servers([proxy.url]).preflight(GRAPH, outputs=("9",))
    assert seen.able
    assert proxy.did["404"] == 1


async def test_a_password_in_an_address_is_told_to_nobody(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        secret = server.url.replace("http://", "http://ada:secret@")
        servers = Servers([secret])
        async with servers.turn(GRAPH, outputs=("9",)) as standing:
            assert standing.address == server.url
        wanted = graph(0)
        wanted["2"]["class_type"] = "PaintCat"
        fault = await refusal(servers, wanted)
    assert "secret" not in str(fault)
    fault = await refusal(Servers(["ftp://ada:secret@gpu"]), GRAPH)
    assert fault.message == "'ftp://gpu' is not the address of a ComfyUI server."
