"""What the played server and a real one must do alike: `python -m tests.comfy.behaviours --server URL`.

The first ones ask the server itself, the others render on it with our client. Only core nodes are needed; what needs
`Pause`, `Raise` and `Crash` is passed over where the server does not have them.
"""

import argparse
import asyncio
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec

from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError
from caf.comfy.http import Timeouts
from caf.comfy.model import Prompt
from tests.comfy.given import Render, reading
from tests.comfy.pixels import png
from tests.comfy.proxy import Chance, FaultProxy

RUN = uuid.uuid4().hex[:8]
"""Names of this run, so that no server has seen them before."""


class Server:
    """The server under examination, asked by hand."""

    def __init__(self, url: str, session: aiohttp.ClientSession, folder: Path) -> None:
        self.url = url
        self.session = session
        self.folder = folder
        self.old = False

    async def ask(self, method: str, path: str, **given: Any) -> tuple[int, Any, dict[str, str]]:
        async with self.session.request(method, self.url + path, **given) as answer:
            body = await answer.read()
            try:
                read = msgspec.json.decode(body)
            except msgspec.DecodeError:
                read = body
            return answer.status, read, dict(answer.headers)

    async def submit(self, graph: dict[str, Any], **more: Any) -> tuple[int, Any]:
        status, body, _ = await self.ask("POST", "/prompt", json={"prompt": graph, **more})
        return status, body

    async def over(self, prompt_id: str) -> dict[str, Any]:
        """Its entry in history, once there is one."""
        with anyio.fail_after(60):
            while True:
                _, body, _ = await self.ask("GET", f"/history/{prompt_id}")
                if body:
                    found: dict[str, Any] = body[prompt_id]
                    return found
                await asyncio.sleep(0.05)

    def render(self, name: str) -> Render:
        patient = Timeouts(connect_s=5.0, read_s=30.0)
        return Render(self.url, self.folder / name, timeouts=patient)


Check = Callable[[Server], Awaitable[None]]
CHECKS: dict[str, tuple[Check, frozenset[str]]] = {}
"""Name to check and the node classes that it needs beside the core's."""


def check(*needs: str) -> Callable[[Check], Check]:
    def kept(made: Check) -> Check:
        CHECKS[made.__name__] = (made, frozenset(needs))
        return made

    return kept


def picture(color: int, name: str = "a", save: str = "SaveImage") -> dict[str, Any]:
    saving: dict[str, Any] = {"images": ["1", 0]}
    if save == "SaveImage":
        saving["filename_prefix"] = f"caf-{RUN}/{name}"
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 24, "height": 16, "batch_size": 1, "color": color},
        },
        "9": {"class_type": save, "inputs": saving},
    }


def pausing(color: int, seconds: float, name: str, **more: Any) -> dict[str, Any]:
    made = picture(color, name)
    made["2"] = {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": seconds, **more}}
    made["9"]["inputs"]["images"] = ["2", 0]
    return made


def prompts(name: str, count: int, seconds: float | None = None) -> list[Prompt]:
    return [
        Prompt(
            key=f"{name}-{index}",
            graph=picture(index, f"{name}{index}")
            if seconds is None
            else pausing(index, seconds, f"{name}{index}"),
            outputs=("9",),
        )
        for index in range(count)
    ]


@check()
async def a_prompt_is_taken_under_our_id(server: Server) -> None:
    prompt_id = str(uuid.uuid4())
    status, body = await server.submit(
        picture(1, "id"), prompt_id=prompt_id, extra_data={"caf": {"key": "k"}}
    )
    assert (status, body["prompt_id"], body["node_errors"]) == (200, prompt_id, {})
    assert isinstance(body["number"], int)
    entry = await server.over(prompt_id)
    assert entry["prompt"][3]["caf"] == {"key": "k"}
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["messages"][0][0] == "execution_start"


@check()
async def a_broken_output_is_left_out_with_200(server: Server) -> None:
    both = picture(2, "both")
    both["30"] = {"class_type": "LoadImage", "inputs": {"image": "no_such_plate.png"}}
    both["31"] = {"class_type": "SaveImage", "inputs": {"images": ["30", 0], "filename_prefix": "x"}}
    status, body = await server.submit(both)
    assert status == 200
    assert body["node_errors"]["30"]["errors"][0]["type"] == "custom_validation_failed"
    assert body["node_errors"]["30"]["dependent_outputs"] == ["31"]
    assert set((await server.over(body["prompt_id"]))["outputs"]) == {"9"}


@check()
async def refusals_have_their_types(server: Server) -> None:
    status, body = await server.submit({"1": {"class_type": "NoSuchNode", "inputs": {}}})
    assert (status, body["error"]["type"] in ("missing_node_type", "invalid_prompt")) == (400, True)
    status, body = await server.submit({"1": picture(1)["1"]})
    assert (status, body["error"]["type"]) == (400, "prompt_no_outputs")
    bad = picture(1)
    del bad["9"]["inputs"]["filename_prefix"]
    status, body = await server.submit(bad)
    assert (status, body["error"]["type"]) == (400, "prompt_outputs_failed_validation")
    assert body["node_errors"]["9"]["errors"][0]["type"] == "required_input_missing"
    status, body, _ = await server.ask("POST", "/prompt", json={"client_id": "x"})
    assert (status, body["error"]["type"]) == (400, "no_prompt")


@check()
async def malformed_calls_are_answered_with_500(server: Server) -> None:
    assert (await server.submit({"revision": 0, "nodes": [], "links": []}))[0] == 500
    assert (await server.ask("POST", "/prompt", data=b"{not json"))[0] == 500


@check()
async def unknown_things_are_answered_as_recorded(server: Server) -> None:
    unknown = str(uuid.uuid4())
    assert (await server.ask("GET", f"/history/{unknown}"))[:2] == (200, {})
    assert (await server.ask("GET", f"/api/jobs/{unknown}"))[0] == 404
    assert (await server.ask("POST", "/queue", json={"delete": [unknown]}))[0] == 200
    assert (await server.ask("POST", "/interrupt", json={"prompt_id": unknown}))[0] == 200
    assert (await server.ask("GET", "/object_info/NoSuchNode"))[:2] == (200, {})


@check()
async def files_are_served_in_ranges(server: Server) -> None:
    _, body = await server.submit(picture(3, "range"))
    made = (await server.over(body["prompt_id"]))["outputs"]["9"]["images"][0]
    status, whole, headers = await server.ask("GET", "/view", params=made)
    assert (status, len(whole)) == (200, int(headers["Content-Length"]))
    asked = {"Range": "bytes=-10"}
    status, end, headers = await server.ask("GET", "/view", params=made, headers=asked)
    assert (status, end) == (206, whole[-10:])
    assert headers["Content-Range"] == f"bytes {len(whole) - 10}-{len(whole) - 1}/{len(whole)}"
    resumed = {"Range": "bytes=5-", "If-Range": headers["Etag"]}
    assert (await server.ask("GET", "/view", params=made, headers=resumed))[:2] == (206, whole[5:])
    beyond = {"Range": f"bytes={len(whole)}-", "If-Range": headers["Etag"]}
    assert (await server.ask("GET", "/view", params=made, headers=beyond))[0] == 416
    assert (await server.ask("GET", "/view", params={"filename": "no.png"}))[0] == 404
    assert (await server.ask("GET", "/view", params={"filename": "../no.png"}))[0] == 400


@check()
async def uploads_are_renamed_and_half_a_picture_is_taken(server: Server) -> None:
    async def put(data: bytes, **more: str) -> dict[str, Any]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("image", data, filename="up.png")
        for name, value in {"subfolder": f"caf-{RUN}", **more}.items():
            form.add_field(name, value)
        status, body, _ = await server.ask("POST", "/upload/image", data=form)
        assert status == 200
        found: dict[str, Any] = body
        return found

    first = png("a", 64, 64)
    assert (await put(first))["name"] == "up.png"
    assert (await put(first))["name"] == "up.png"
    assert (await put(png("b")))["name"] == "up (1).png"
    assert (await put(first, overwrite="True"))["name"] == "up.png"
    assert (await put(first[: len(first) // 2], overwrite="true"))["name"] == "up.png"
    made = picture(0, "half")
    made["1"] = {"class_type": "LoadImage", "inputs": {"image": f"caf-{RUN}/up.png"}}
    _, body = await server.submit(made)
    assert (await server.over(body["prompt_id"]))["status"]["status_str"] == "success"


@check()
async def the_client_brings_every_frame_once(server: Server) -> None:
    done = await server.render("frames").run(prompts("frames", 8))
    assert [one.key for one in done] == [f"frames-{index}" for index in range(8)]
    assert all(one.outputs[0].filename.endswith("_00001_.png") for one in done)
    assert all(one.ran_ms >= 0 and "9" in one.node_ms for one in done)


@check()
async def the_client_uploads_what_a_node_reads(server: Server) -> None:
    plate = server.folder / "plate.png"
    await asyncio.to_thread(plate.write_bytes, png(RUN, 40, 30))
    done = await server.render("plates").run([reading(one, plate) for one in prompts("plates", 3)])
    assert len(done) == 3


@check()
async def an_identical_graph_comes_from_the_cache(server: Server) -> None:
    (first,) = await server.render("first").run(prompts("same", 1))
    (second,) = await server.render("second").run(prompts("same", 1))
    assert first.outputs == second.outputs
    assert set(second.cached_nodes) == {"1", "9"}


@check()
async def a_preview_image_and_a_text_are_outputs(server: Server) -> None:
    made = picture(4, save="PreviewImage")
    made["8"] = {"class_type": "PreviewAny", "inputs": {"source": "a cat"}}
    (done,) = await server.render("kinds").run([Prompt(key="kinds", graph=made, outputs=("8", "9"))])
    assert [(output.type, output.text) for output in done.outputs] == [("output", "a cat"), ("temp", None)]


@check()
async def an_invalid_prompt_is_told_per_node(server: Server) -> None:
    bad = picture(5)
    bad["9"]["inputs"]["images"] = ["77", 0]
    error = await _error(server, [Prompt(key="bad", graph=bad, outputs=("9",))])
    assert error.kind in ("comfy_invalid_prompt", "comfy_refused"), error


@check("Pause")
async def a_cancelled_render_leaves_nothing_and_others_alone(server: Server) -> None:
    _, other = await server.submit(pausing(0, 1.0, "others"))
    render = server.render("cancelled")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(render.run, prompts("cancelled", 5, 60.0))
        with anyio.fail_after(30):
            while len(render.recorded) < 3:  # noqa: ASYNC110 - what is waited for is another's state
                await asyncio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert (await server.over(other["prompt_id"]))["status"]["status_str"] == "success"
    _, queue, _ = await server.ask("GET", "/queue")
    assert queue == {"queue_running": [], "queue_pending": []}


@check("Pause")
async def an_interruption_is_told_as_one(server: Server) -> None:
    async def interrupt() -> None:
        while True:
            await asyncio.sleep(0.2)
            await server.ask("POST", "/interrupt", json={})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupt)
        error = await _error(server, prompts("interrupted", 1, 60.0))
        tasks.cancel_scope.cancel()
    assert error.kind == "comfy_interrupted", error


@check("Pause", "Raise")
async def failures_of_nodes_have_their_kinds(server: Server) -> None:
    for kind, expected in (
        ("torch.OutOfMemoryError", "comfy_oom"),
        ("OSError", "comfy_disk_full"),
        ("ValueError", "comfy_node_failed"),
    ):
        made = pausing(6, 0.0, kind)
        words = {"OSError": "[Errno 28] No space left on device"}.get(kind, "words of the node")
        made["2"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "type": kind, "message": words}}
        error = await _error(server, [Prompt(key=kind, graph=made, outputs=("9",))])
        assert error.kind == expected, error


@check("Pause")
async def a_bad_line_costs_time_and_nothing_else(server: Server) -> None:
    """A frame that was rendered twice would have a second file beside the first."""
    for seed in range(3):
        chance = Chance(seed, share=0.15)
        async with FaultProxy(server.url, chance.request, chance.socket) as proxy:
            proxy.late_s = 0.1
            render = Render(proxy.url, server.folder / f"line{seed}", timeouts=Timeouts(read_s=30.0))
            done = await render.run(prompts(f"line{seed}x", 6, 0.05), grace_s=2.0)
            await proxy.settle()
        for one in done:
            (there,) = one.outputs
            assert there.filename.endswith("_00001_.png"), f"seed {seed}: {there}"
            second = there.filename.replace("_00001_", "_00002_")
            where = {"filename": second, "subfolder": there.subfolder, "type": there.type}
            assert (await server.ask("GET", "/view", params=where))[0] == 404, f"seed {seed}: {second}"


@check("Pause", "Crash")
async def a_crash_in_the_middle_costs_only_the_unfinished(server: Server) -> None:
    """Whoever runs the server must start it again when it dies."""
    render = server.render("crash")
    async with anyio.create_task_group() as tasks:
        done: list[Any] = []

        async def go() -> None:
            done.extend(await render.run(prompts("crash", 12, 0.2), unreachable_s=90.0, deadline_s=180.0))

        tasks.start_soon(go)
        with anyio.fail_after(30):
            while len(render.recorded) < 6:  # noqa: ASYNC110 - what is waited for is another's state
                await asyncio.sleep(0.05)
        crash = pausing(7, 0.0, "crash")
        crash["2"] = {"class_type": "Crash", "inputs": {"image": ["1", 0]}}
        await server.submit(crash, front=True)
    assert len(done) == 12
    again = [one.key for one in done if not one.outputs[0].filename.endswith("_00001_.png")]
    assert len(again) <= 1, f"only one whose end died with the server may have run again: {again}"
    assert 12 <= len(render.recorded) <= 12 + 3


async def _error(server: Server, of: list[Prompt]) -> ComfyError:
    try:
        await server.render(of[0].key).run(of)
    except ComfyError as error:
        return error
    raise AssertionError("it ended well")


async def examine(url: str, folder: Path, only: str = "") -> dict[str, str]:
    """What each check said of this server: ok, passed over, or what differs."""
    found: dict[str, str] = {}
    async with Comfy(url) as comfy, aiohttp.ClientSession() as session:
        nodes = set(await comfy.object_info())
        server = Server(url, session, folder)
        for name, (run, needs) in CHECKS.items():
            if only not in name:
                continue
            if needs - nodes:
                found[name] = "passed over"
                continue
            try:
                await run(server)
                found[name] = "ok"
            except (AssertionError, ComfyError, TimeoutError, ExceptionGroup) as difference:
                found[name] = f"{type(difference).__name__}: {difference}"
    return found


async def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    async with Comfy(given.server) as comfy:
        sys.stdout.write(f"ComfyUI {(await comfy.system_stats()).version}\n")
    with tempfile.TemporaryDirectory() as folder:
        found = await examine(given.server, Path(folder), given.only)
    for name, said in found.items():
        sys.stdout.write(f"{said:12} {name}\n")
    return any(said not in ("ok", "passed over") for said in found.values())


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
