"""Single calls: answers are believed only in their shape, and addresses only as addresses."""

import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from caf.comfy.answers import (
    outputs_of,
    read_history,
    read_json,
    read_model_files,
    read_model_folders,
    read_queue,
    read_stats,
    read_submitted,
    read_uploaded,
)
from caf.comfy.client import Comfy
from caf.comfy.events import read_binary, read_text
from caf.comfy.failures import ComfyError, ComfyRefusedError, DamagedAnswerError, UnreachableError
from caf.comfy.http import Timeouts
from caf.comfy.model_files import model_files
from caf.comfy.object_info import nodes_of
from caf.comfy.whole import damage_of
from caf.errors import InputError
from tests.comfy.given import graph
from tests.comfy.pixels import png
from tests.comfy.server import FakeComfy

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def near(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Objects with the right names and any values; now and then no JSON."""
    objects = st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))
    return (objects | JSON).map(msgspec.json.encode) | st.binary(max_size=20)


@given(
    near(
        (
            "prompt_id",
            "number",
            "node_errors",
            "queue_running",
            "queue_pending",
            "id",
            "name",
            "system",
            "devices",
            "size",
            "modified",
        )
    )
)
def test_any_answer_is_read_or_refused_with_a_typed_error(body: bytes) -> None:
    for read in (
        read_submitted,
        read_queue,
        read_uploaded,
        read_stats,
        read_model_folders,
        lambda body, where: read_history(body, "id", where),
        lambda body, where: str(read_model_files(b"[" + body + b"]", "vae", where)),
    ):
        with suppress(DamagedAnswerError):
            read(body, "here")


@given(near(("outputs", "prompt", "status", "meta")))
def test_any_history_is_read_or_refused_with_a_typed_error(entry: bytes) -> None:
    try:
        account = read_history(b'{"id": ' + entry + b"}", "id", "here")
    except DamagedAnswerError:
        return
    for node, made in (account.outputs if account else {}).items():
        outputs_of(node, made)


@given(near(("type", "data")) | near(("prompt_id", "node", "output", "value", "max")))
def test_any_news_is_read_or_passed_over(message: bytes) -> None:
    read_text(message.decode("utf-8", "replace"))
    read_text('{"type": "executing", "data": ' + message.decode("utf-8", "replace") + "}")
    read_binary(message)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8188",
        "ftp://host",
        "http://",
        "http://[",
        "file:///etc/passwd",
        "http://a..b:8188",
        f"http://{'a' * 70}:8188",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError) as told:
        Comfy(address)
    assert told.value.kind == "bad_comfy_url"


def test_a_password_in_the_address_is_not_shown() -> None:
    assert Comfy("http://cat:secret@127.0.0.1:8188/comfy/").address == "http://127.0.0.1:8188/comfy"


@asynccontextmanager
async def answering(status: int, body: bytes = b"", **headers: str) -> AsyncIterator[Comfy]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Comfy(
            f"http://127.0.0.1:{runner.addresses[0][1]}", timeouts=Timeouts(read_s=2.0)
        ) as comfy:
            yield comfy
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (302, "comfy_refused", False), (401, "comfy_refused", False), (404, "comfy_not_there", False),
        (413, "comfy_too_large", False), (429, "comfy_unreachable", True), (500, "comfy_refused", False),
        (502, "comfy_unreachable", True), (503, "comfy_unreachable", True), (504, "comfy_unreachable", True),
    ],
)  # fmt: skip
async def test_a_status_says_whether_asking_again_is_of_use(status: int, kind: str, transient: bool) -> None:
    async with answering(status, b"why", Location="http://elsewhere") as comfy:
        with pytest.raises(ComfyError) as told:
            await comfy.queue()
    assert (told.value.kind, told.value.transient) == (kind, transient)
    assert f"answered {status}: why" in told.value.message


def test_what_python_writes_beyond_json_is_read_all_the_same() -> None:
    """Names of files that are no Unicode, and numbers that are none: in graphs, in nodes, in what they changed by."""
    graph = b'{"1": {"class_type": "X", "inputs": {"image": "plate\\udcff.png"}, "is_changed": [NaN]}}'
    item = b'[0, "p", ' + graph + b', {"caf": {"key": "frame-0"}, "at": -Infinity}, ["9"]]'
    queue = read_queue(b'{"queue_running": [' + item + b'], "queue_pending": []}', "there")
    assert [(one.prompt_id, one.extra_data["caf"]) for one in queue.running] == [("p", {"key": "frame-0"})]
    outputs = b'{"9": {"images": [{"filename": "a.png"}], "loss": [Infinity]}}'
    entry = b'{"p": {"prompt": ' + item + b', "outputs": ' + outputs + b"}}"
    account = read_history(entry, "p", "there")
    assert account is not None
    assert [output.filename for output in outputs_of("9", account.outputs["9"])] == ["a.png"]
    takes = b'{"image": [["a.png", "plate\\udcff.png"]], "x": ["FLOAT", {"max": Infinity}]}'
    nodes = b'{"LoadImage": {"input": {"required": ' + takes + b"}}}"
    found = nodes_of(read_json(nodes, dict[str, Any], "there"))["LoadImage"].inputs
    assert (found["image"].choices, found["x"].maximum) == (("a.png", "plate?.png"), None)


@pytest.mark.parametrize("body", [b'{"a": NaN', b'{"a": nan}', b"\xff", b'{"a": "\xff"}', b"[" * 100_000])
def test_what_python_would_not_write_either_is_damage(body: bytes) -> None:
    with pytest.raises(DamagedAnswerError):
        read_json(body, dict[str, Any], "there")


async def test_a_page_instead_of_an_answer_is_no_answer() -> None:
    async with answering(200, b"<html>Welcome to the proxy</html>") as comfy:
        with pytest.raises(DamagedAnswerError):
            await comfy.submit(graph(0), prompt_id="x")


async def test_an_answer_for_another_prompt_is_no_answer() -> None:
    async with answering(200, b'{"prompt_id": "other", "number": 1, "node_errors": {}}') as comfy:
        with pytest.raises(DamagedAnswerError, match="answered for 'other'"):
            await comfy.submit(graph(0), prompt_id="x")


async def test_a_refused_connection_was_certainly_not_sent(tmp_path: Path) -> None:
    server = await FakeComfy(tmp_path).start()
    await server.stop()
    async with Comfy(server.url) as comfy:
        with pytest.raises(UnreachableError) as told:
            await comfy.submit(graph(0), prompt_id="x")
    assert not told.value.sent


async def test_a_server_tells_its_facts(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path) as server, Comfy(server.url) as comfy:
        facts = await comfy.system_stats()
        assert (facts.version, facts.devices[0].vram_total) == ("0.33.0", 24 * 2**30)
        assert (await comfy.features())["max_upload_size"] == server.max_upload
        assert "SaveImage" in await comfy.object_info()
        assert await comfy.object_info("NoSuchNode") == {}
        assert await comfy.waiting() == 0


async def test_a_call_that_the_server_does_not_know_is_refused() -> None:
    async with answering(404) as comfy:
        assert await comfy.features() == {}
        assert await comfy.log_tail() == ""
        with pytest.raises(ComfyRefusedError):
            await comfy.free()


def _cut(whole: bytes, count: int) -> bytes:
    return whole[:-count]


def _flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (_cut(png("a"), 1), "stops"),
        (_cut(png("a"), 12), "stops"),
        (_cut(png("a"), 500), "stops"),
        (png("a")[:20], "stops"),
        (_flipped(png("a"), 60), "IDAT chunk is damaged"),
        (b"RIFF" + struct.pack("<I", 400) + b"WEBPVP8 ", "says 408"),
        (b"\xff\xd8\xff\xe0" + bytes(300), "stops"),
    ],
)
def test_damage_is_seen_in_a_file_s_own_structure(tmp_path: Path, data: bytes, word: str) -> None:
    (tmp_path / "file").write_bytes(data)
    found = damage_of(tmp_path / "file")
    assert found is not None
    assert word in found


@pytest.mark.parametrize(
    "data",
    [
        png("a"),
        b"RIFF" + struct.pack("<I", 4) + b"WEBP",
        b"\xff\xd8\xff\xe0" + bytes(300) + b"\xff\xd9",
        b"something else" + zlib.compress(b"x"),
    ],
)
def test_a_whole_file_is_whole(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert damage_of(tmp_path / "file") is None


async def test_a_server_that_cannot_say_which_weights_it_has_has_said_nothing(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, Comfy(server.url) as comfy:
        assert await model_files(comfy, []) == {}
        assert await model_files(comfy, ["cat.safetensors"]) == {}
        assert await comfy.models_in("no such folder") == {}
        await server.stop()
        assert await model_files(comfy, ["cat.safetensors"]) == {}
        await server.start()


async def test_names_of_folders_and_classes_arrive_as_they_are() -> None:
    asked: list[str] = []

    async def listing(request: web.Request) -> web.Response:
        asked.append(request.match_info["name"])
        return web.json_response([] if request.path.startswith("/at/experiment") else {})

    app = web.Application()
    for route in ("/at/experiment/models/{name}", "/at/object_info/{name}", "/at/view_metadata/{name}"):
        app.router.add_get(route, listing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        names = ["my models", "été", "a/b", "100%41?#"]
        async with Comfy(f"http://127.0.0.1:{runner.addresses[0][1]}/at/") as comfy:
            for name in names:
                await comfy.models_in(name)
                await comfy.object_info(name)
                await comfy.model_metadata(name, "cat.safetensors")
        assert asked == [name for name in names for _ in range(3)]
    finally:
        await runner.cleanup()
