"""Each trap of ComfyUI's API that was seen on a real server, and that the client does not step into it.

- 200 with node_errors, outputs left out silently: a_prompt_that_the_server_cut_down_is_refused_and_taken_back
- 400 tells its reasons only in node_errors: an_invalid_prompt_is_told_per_node
- unknown classes have another error type in older servers: a_missing_node_class_is_named
- 500 for malformed calls, asking again is no use: a_malformed_prompt_is_sent_once
- prompt ids must be canonical UUIDs: prompt_ids_are_canonical_and_numbers_are_never_given
- the same id twice runs twice: a_second_copy_of_a_prompt_is_taken_out
- the same id and number stop the worker for ever: a_server_whose_worker_died_is_told
- pending prompts are listed in heap order: pending_prompts_are_read_in_the_order_in_which_they_run
- a removed prompt leaves no trace: prompts_that_somebody_removed_are_sent_again,
  a_queue_that_somebody_keeps_clearing_is_told
- an interruption without an id ends anybody's prompt: a_cancelled_render_leaves_others_alone
- a long node does not heed an interruption: a_node_that_ignores_the_interruption_is_reported
- history is empty right after the success: history_that_lags_behind_the_news_is_waited_for
- an interrupted prompt has the status error: an_interruption_by_somebody_else_is_no_failure_of_the_node
- memory runs out under many names: a_card_without_memory_is_told_with_its_figures_and_freed_once
- a full disk is an OSError of a node, or a 500: a_disk_that_is_full_at_the_end_of_a_render_is_told,
  a_disk_that_is_full_at_an_upload_is_told
- older servers have no /api/jobs: only_newer_servers_tell_lost_from_unfinished
- an upload may be stored under another name: the_name_that_the_server_gave_an_upload_is_used
- uploads over the limit: an_upload_over_the_server_s_limit_is_told
- a truncated upload renders with success: in test_faults.py
- an identical graph gives the old file: an_identical_graph_gives_what_was_made_before
- … even if that was removed meanwhile: a_cached_file_that_was_removed_is_told
- two sockets under one client id, the living one is dropped: each_connection_has_a_client_id_of_its_own
- previews with and without what they are of: previews_come_with_the_prompt_that_they_are_of
- a restart forgets queue, history and previews: in test_faults.py
"""

import uuid
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from caf.comfy.answers import read_queue
from caf.comfy.client import Comfy
from caf.comfy.events import Picture, read_binary
from caf.comfy.model import Prompt
from caf.comfy.submitting import own_data
from tests.comfy.given import LIMITS, OWNER, Render, frames, graph, post, reading, refused, until
from tests.comfy.pixels import png
from tests.comfy.server import FakeComfy


async def test_a_prompt_that_the_server_cut_down_is_refused_and_taken_back(tmp_path: Path) -> None:
    both = graph(0, seconds=5.0)
    both["30"] = {"class_type": "LoadImage", "inputs": {"image": "no_such_plate.png"}}
    both["31"] = {"class_type": "SaveImage", "inputs": {"images": ["30", 0], "filename_prefix": "b"}}
    async with FakeComfy(tmp_path / "server") as server:
        prompt = Prompt(key="frame", graph=both, outputs=("9", "31"))
        error = await refused(Render(server.url, tmp_path / "out"), [prompt])
        assert error.kind == "comfy_invalid_prompt"
        assert "node 30 (LoadImage)" in error.message
        assert "no_such_plate.png" in error.message
        assert not error.transient
        assert not server.queue
        assert not server.renders


async def test_an_invalid_prompt_is_told_per_node(tmp_path: Path) -> None:
    bad = graph(0)
    bad["5"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "cats.safetensors"}}
    bad["2"]["inputs"]["image"] = ["5", 0]
    del bad["2"]["inputs"]["seconds"]
    async with FakeComfy(tmp_path / "server") as server:
        error = await refused(
            Render(server.url, tmp_path / "out"), [Prompt(key="frame", graph=bad, outputs=("9",))]
        )
    assert error.kind == "comfy_invalid_prompt"
    assert "node 2 (Pause): required_input_missing: Required input is missing: seconds" in error.message
    assert "node 5 (CheckpointLoaderSimple): value_not_in_list" in error.message
    assert "'cats.safetensors' not in []" in error.message


@pytest.mark.parametrize("old", [False, True])
async def test_a_missing_node_class_is_named(tmp_path: Path, old: bool) -> None:
    bad = graph(0) | {"7": {"class_type": "NoSuchNode", "inputs": {}}}
    async with FakeComfy(tmp_path / "server", old=old) as server:
        error = await refused(
            Render(server.url, tmp_path / "out"), [Prompt(key="frame", graph=bad, outputs=("9",))]
        )
    assert error.kind == "comfy_invalid_prompt"
    assert "node 7" in error.message
    assert "NoSuchNode" in error.message


async def test_a_malformed_prompt_is_sent_once(tmp_path: Path) -> None:
    ui_format: dict[str, Any] = {"revision": 0, "nodes": [], "links": []}
    async with FakeComfy(tmp_path / "server") as server:
        prompt = Prompt(key="frame", graph=ui_format, outputs=("9",))
        error = await refused(Render(server.url, tmp_path / "out"), [prompt])
        assert (error.kind, error.transient) == ("comfy_refused", False)
        assert server.calls["POST /prompt"] == 1


async def test_prompt_ids_are_canonical_and_numbers_are_never_given(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        await Render(server.url, tmp_path / "out").run(frames(3))
        assert all(str(uuid.UUID(prompt_id)) == prompt_id for prompt_id in server.posts)
        assert [entry["prompt"][0] for entry in server.history.values()] == [0, 1, 2]


async def test_a_second_copy_of_a_prompt_is_taken_out(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        render = Render(server.url, tmp_path / "out")
        prompts = [*frames(1, seconds=2.0), *frames(2, first=1)]
        tasks.start_soon(render.run, prompts)
        await until(lambda: len(server.posts) == 3)
        copied = server.posts[2]
        own = own_data(OWNER, prompts[2].key)
        assert await post(server.url, prompts[2].graph, prompt_id=copied, extra_data=own) == 200
        await until(lambda: sum(item[1] == copied for item in server.queue) == 1)
    assert server.renders == {f"frame-{index:06}": 1 for index in range(3)}


async def test_a_server_whose_worker_died_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        twice = {"prompt_id": str(uuid.uuid4()), "number": -1}
        assert await post(server.url, graph(90, seconds=60.0)) == 200
        await until(lambda: server.running)
        assert await post(server.url, graph(91), **twice) == 200
        assert await post(server.url, graph(92), **twice) == 500
        assert await post(server.url, graph(93), number=-2) == 200
        server.gpu.interrupt.set()
        await until(lambda: server.wedged)
        error = await refused(Render(server.url, tmp_path / "out"), frames(2), wedge_s=0.5)
        assert error.kind == "comfy_wedged"
        assert "Restart the server" in error.remedy
        assert {item[1] for item in server.queue} <= {twice["prompt_id"]}


def test_pending_prompts_are_read_in_the_order_in_which_they_run() -> None:
    items = [[number, f"id{number}", {}, {}, ["9"]] for number in (0, 4, 2, 7, 5, 3)]
    read = read_queue(msgspec.json.encode({"queue_running": [], "queue_pending": items}), "here")
    assert [item.prompt_id for item in read.pending] == ["id0", "id2", "id3", "id4", "id5", "id7"]


async def test_prompts_that_somebody_removed_are_sent_again(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        render = Render(server.url, tmp_path / "out")
        tasks.start_soon(render.run, [*frames(1, seconds=0.4), *frames(2, first=1)])
        await until(lambda: len(server.posts) == 3)
        server.queue.clear()
    assert server.renders == {f"frame-{index:06}": 1 for index in range(3)}
    assert len(server.posts) == 5


async def test_a_queue_that_somebody_keeps_clearing_is_told(tmp_path: Path) -> None:
    async def clear(server: FakeComfy) -> None:
        while True:
            await until(lambda: server.queue, within_s=60)
            server.queue.clear()

    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        await post(server.url, graph(90, seconds=60.0))
        await until(lambda: server.running)
        tasks.start_soon(clear, server)
        error = await refused(Render(server.url, tmp_path / "out"), frames(1))
        tasks.cancel_scope.cancel()
    assert error.kind == "comfy_cancelled"
    assert "vanished from the queue" in error.message


@pytest.mark.parametrize("old", [False, True])
async def test_a_cancelled_render_leaves_others_alone(tmp_path: Path, old: bool) -> None:
    async with FakeComfy(tmp_path / "server", old=old) as server:
        await post(server.url, graph(90, seconds=0.8), prompt_id=(theirs := str(uuid.uuid4())))
        await until(lambda: server.running)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Render(server.url, tmp_path / "out").run, frames(5))
            await until(lambda: len(server.queue) == 3)
            await post(server.url, graph(91), prompt_id=(later := str(uuid.uuid4())))
            tasks.cancel_scope.cancel()
        assert [item[1] for item in server.queue] == [later]
        await until(lambda: theirs in server.history and later in server.history)
        assert server.history[theirs]["status"]["completed"]
        assert set(server.renders) == {theirs, later}


@pytest.mark.parametrize("old", [False, True])
async def test_a_cancelled_render_ends_its_own_running_prompt(tmp_path: Path, old: bool) -> None:
    async with FakeComfy(tmp_path / "server", old=old) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Render(server.url, tmp_path / "out").run, frames(3, seconds=60.0))
            await until(lambda: server.running and len(server.queue) == 2)
            tasks.cancel_scope.cancel()
        assert not server.queue
        await until(lambda: not server.running)
        (entry,) = server.history.values()
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_node_that_ignores_the_interruption_is_reported(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        error = await refused(render, frames(2, seconds=60.0, deaf=1), stall_s=0.6, withdraw_s=0.5)
        assert error.kind == "comfy_stalled"
        assert "frame-000000 in node 2" in error.message
        assert f"{server.posts[0]} runs on" in error.message
        assert not server.queue


async def test_a_node_that_ignores_that_its_render_was_called_off_is_reported(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(render.run, frames(2, seconds=60.0, deaf=1), withdraw_s=0.3))
            await until(lambda: server.running and len(server.queue) == 1)
            tasks.cancel_scope.cancel()
        assert not server.queue
        [told] = render.warnings
        assert told.startswith(f"At {server.url} {server.posts[0]} runs on")


async def test_history_that_lags_behind_the_news_is_waited_for(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        server.history_lag_s = 0.05
        assert len(await Render(server.url, tmp_path / "out").run(frames(4))) == 4
        assert server.renders.total() == 4


async def test_an_interruption_by_somebody_else_is_no_failure_of_the_node(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        tasks.start_soon(_interrupt_what_runs, server)
        error = await refused(Render(server.url, tmp_path / "out"), frames(3, seconds=60.0))
    assert error.kind == "comfy_interrupted"
    assert not error.transient


async def _interrupt_what_runs(server: FakeComfy) -> None:
    await until(lambda: server.running)
    server.gpu.interrupt.set()


def _raising(kind: str, message: str) -> Prompt:
    bad = graph(0)
    bad["2"] = {"class_type": "Raise", "inputs": {"image": ["1", 0], "type": kind, "message": message}}
    return Prompt(key="frame-bad", graph=bad, outputs=("9",))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB"),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        ("RuntimeError", "CUDA error: out of memory"),
    ],
)
async def test_a_card_without_memory_is_told_with_its_figures_and_freed_once(
    tmp_path: Path, kind: str, message: str
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        error = await refused(render, [_raising(kind, message), *frames(5, seconds=60.0)])
        assert error.kind == "comfy_oom"
        assert message[:40] in error.message
        assert "6.0 of 24.0 GB free" in error.message
        assert server.freed == 1
        assert not server.queue
        assert len(server.posts) <= LIMITS.depth + 1


async def test_a_node_that_raises_is_told_with_its_words(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        error = await refused(
            Render(server.url, tmp_path / "out"), [_raising("ValueError", "no cat in the picture")]
        )
        assert error.kind == "comfy_node_failed"
        assert "node 2 (Raise) of frame-bad" in error.message
        assert "ValueError: no cat in the picture" in error.message
        assert server.posts == list(server.history)


async def test_a_disk_that_is_full_at_the_end_of_a_render_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        prompt = _raising("OSError", "[Errno 28] No space left on device")
        error = await refused(Render(server.url, tmp_path / "out"), [prompt])
    assert error.kind == "comfy_disk_full"


async def test_a_disk_that_is_full_at_an_upload_is_told(tmp_path: Path) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate"))
    async with FakeComfy(tmp_path / "server") as server:
        server.disk_full = True
        prompts = [reading(one, tmp_path / "plate.png") for one in frames(2)]
        error = await refused(Render(server.url, tmp_path / "out"), prompts)
        assert error.kind == "comfy_disk_full"
        assert not server.posts


@pytest.mark.parametrize("old", [False, True])
async def test_only_newer_servers_tell_lost_from_unfinished(tmp_path: Path, old: bool) -> None:
    async with FakeComfy(tmp_path / "server", old=old) as server, Comfy(server.url) as comfy:
        assert await comfy.job(str(uuid.uuid4())) == (None if old else "unknown")


async def test_the_name_that_the_server_gave_an_upload_is_used(tmp_path: Path) -> None:
    picture = tmp_path / "plate.png"
    picture.write_bytes(png("plate"))
    async with FakeComfy(tmp_path / "server") as server:
        prompts = [reading(one, picture) for one in frames(1)]
        await Render(server.url, tmp_path / "out").run(prompts)
        (there,) = (server.root / "input").rglob("*.png")
        there.write_bytes(b"somebody else's")
        await Render(server.url, tmp_path / "out").run(prompts)
        assert there.read_bytes() == b"somebody else's"
        *_, entry = server.history.values()
        name = f"caf/job-1/attempt-1/{there.stem} (1).png"
        assert entry["prompt"][2]["1"]["inputs"]["image"] == name
        assert (server.root / "input" / name).read_bytes() == picture.read_bytes()


async def test_an_upload_over_the_server_s_limit_is_told(tmp_path: Path) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate", 200, 200))
    server = FakeComfy(tmp_path / "server")
    server.max_upload = 2**16
    async with server:
        prompts = [reading(one, tmp_path / "plate.png") for one in frames(1)]
        error = await refused(Render(server.url, tmp_path / "out"), prompts)
    assert error.kind == "comfy_too_large"
    assert "--max-upload-size" in error.remedy


async def test_an_identical_graph_gives_what_was_made_before(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (first,) = await Render(server.url, tmp_path / "out").run(frames(1))
        (second,) = await Render(server.url, tmp_path / "out").run(frames(1))
    assert second.outputs == first.outputs
    assert set(second.cached_nodes) == {"1", "2", "9"}
    assert server.renders.total() == 1


async def test_a_cached_file_that_was_removed_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (first,) = await Render(server.url, tmp_path / "out").run(frames(1))
        (there,) = first.outputs
        (server.root / "output" / there.subfolder / there.filename).unlink()
        error = await refused(Render(server.url, tmp_path / "out"), frames(1))
    assert error.kind == "comfy_output_missing"
    assert "from its cache" in error.message


async def test_each_connection_has_a_client_id_of_its_own(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        render = Render(server.url, tmp_path / "out")
        tasks.start_soon(render.run, frames(20, seconds=0.05))
        await until(lambda: server.renders.total() > 3)
        seen = set(server.sockets)
        for socket in list(server.sockets.values()):
            socket._req.transport.abort()  # type: ignore[union-attr]
        await until(lambda: set(server.sockets) - seen)
    assert server.renders == {f"frame-{index:06}": 1 for index in range(20)}


async def test_previews_come_with_the_prompt_that_they_are_of(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        await render.run(frames(2, ticks=3))
    assert [(shown.key, shown.node_id) for shown in render.previews] == [
        (f"frame-00000{frame}", "2") for frame in (0, 1) for _ in range(3)
    ]
    assert all(shown.data == png("2", 4, 4) and shown.mime == "image/png" for shown in render.previews)
    ticks = [(told.key, told.node_class, told.value, told.max) for told in render.progress if told.max == 3]
    assert ticks[:3] == [("frame-000000", "Pause", value, 3) for value in (1, 2, 3)]


def test_a_preview_of_an_older_server_does_not_say_of_what_it_is() -> None:
    assert read_binary(b"\0\0\0\1\0\0\0\1jpeg") == Picture("", "", "image/jpeg", b"jpeg")


@pytest.mark.parametrize(
    "message", [b"", b"\0", b"\0\0\0\1", b"\0\0\0\4\xff\xff\xff\xff{}", b"\0\0\0\4\0\0\0\2{x1"]
)
def test_a_damaged_binary_message_is_passed_over(message: bytes) -> None:
    assert read_binary(message) is None
