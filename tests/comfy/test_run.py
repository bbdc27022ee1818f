"""A render on a server where nothing goes wrong, and what it leaves behind."""

import asyncio
import filecmp
import uuid
from pathlib import Path

import anyio
import msgspec
import pytest
from aiohttp import web

from caf.comfy.client import Comfy
from caf.comfy.model import Prompt, QueuePolicy
from caf.comfy.run import manage_queue
from caf.comfy.submitting import own_data
from tests.comfy.given import OWNER, Render, frames, graph, post, reading, refused, until
from tests.comfy.pixels import png
from tests.comfy.proxy import FaultProxy
from tests.comfy.server import FakeComfy


async def test_prompts_come_back_in_their_order_with_their_files(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        done = await Render(server.url, tmp_path / "out").run(frames(7))
    assert [one.key for one in done] == [f"frame-{index:06}" for index in range(7)]
    for one in done:
        (there,) = one.outputs
        (here,) = one.files
        made = server.root / "output" / there.subfolder / there.filename
        assert filecmp.cmp(here, made, shallow=False)


async def test_each_prompt_is_rendered_once_and_recorded_before_it_is_sent(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        await render.run(frames(5))
    assert server.renders == {f"frame-{index:06}": 1 for index in range(5)}
    assert [prompt_id for _, prompt_id in render.recorded] == server.posts


async def test_files_are_uploaded_once_into_a_folder_of_the_attempt(tmp_path: Path) -> None:
    picture = tmp_path / "Ü plate 1.PNG"
    picture.write_bytes(png("plate"))
    async with FakeComfy(tmp_path / "server") as server:
        done = await Render(server.url, tmp_path / "out").run([reading(one, picture) for one in frames(4)])
    (there,) = [path for path in (server.root / "input").rglob("*") if path.is_file()]
    assert there.parent.relative_to(server.root / "input") == Path("caf/job-1/attempt-1")
    assert there.read_bytes() == picture.read_bytes()
    assert server.calls["POST /upload/image"] == 1
    assert len(done) == 4


async def test_only_so_many_prompts_are_at_the_server_at_a_time(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: Render(server.url, tmp_path / "out").run(frames(9, seconds=0.05), depth=2))
        most = 0
        while server.renders.total() < 9:
            most = max(most, len(server.queue) + len(server.running))
            await asyncio.sleep(0)
    assert most == 2


@pytest.mark.parametrize(
    ("save", "kind", "suffix", "animated"),
    [
        ("SaveImage", "images", ".png", False),
        ("PreviewImage", "images", ".png", False),
        ("SaveAnimatedWEBP", "images", ".webp", True),
        ("VHS_VideoCombine", "gifs", ".mp4", False),
    ],
)
async def test_outputs_of_every_kind_are_brought(
    tmp_path: Path, save: str, kind: str, suffix: str, animated: bool
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (done,) = await Render(server.url, tmp_path / "out").run(frames(1, save=save))
        (there,) = done.outputs
        assert (there.kind, there.animated) == (kind, animated)
        assert there.type == ("temp" if save == "PreviewImage" else "output")
        assert done.files[0].endswith(suffix)
        assert filecmp.cmp(done.files[0], server.root / there.type / there.subfolder / there.filename, False)


async def test_texts_are_outputs_without_a_file(tmp_path: Path) -> None:
    made = graph(0) | {"8": {"class_type": "PreviewAny", "inputs": {"source": "a cat"}}}
    async with FakeComfy(tmp_path / "server") as server:
        prompt = Prompt(key="frame", graph=made, outputs=("8", "9"))
        (done,) = await Render(server.url, tmp_path / "out").run([prompt])
    assert [(output.node_id, output.text) for output in done.outputs] == [("8", "a cat"), ("9", None)]
    assert len(done.files) == 1


async def test_a_declared_node_that_gives_nothing_is_a_failure(tmp_path: Path) -> None:
    prompt = msgspec.structs.replace(frames(1)[0], outputs=("9", "2"))
    async with FakeComfy(tmp_path / "server") as server:
        error = await refused(Render(server.url, tmp_path / "out"), [prompt])
    assert error.kind == "comfy_output_missing"
    assert "Node 2" in error.message


async def test_the_time_of_each_node_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (done,) = await Render(server.url, tmp_path / "out").run(frames(1, seconds=0.1))
    assert set(done.node_ms) == {"1", "2", "9"}
    assert done.node_ms["2"] == max(done.node_ms.values())
    assert done.ran_ms >= 90


async def _left_behind(server: FakeComfy, prompt: Prompt) -> str:
    """A prompt that an earlier life of ours submitted."""
    prompt_id = str(uuid.uuid4())
    extra = own_data(OWNER, prompt.key)
    assert await post(server.url, prompt.graph, prompt_id=prompt_id, extra_data=extra) == 200
    return prompt_id


async def test_a_second_life_takes_up_what_the_first_had_submitted(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        over, running, waiting, never, new = [
            *frames(1), *frames(1, first=1, seconds=0.5), *frames(3, first=2)
        ]  # fmt: skip
        known = {over.key: await _left_behind(server, over)}
        await until(lambda: server.history)
        known[running.key] = await _left_behind(server, running)
        known[waiting.key] = await _left_behind(server, waiting)
        known[never.key] = str(uuid.uuid4())
        render = Render(server.url, tmp_path / "out")
        done = await render.run([over, running, waiting, never, new], known=known)
    assert [one.prompt_id for one in done[:3]] == [known[one.key] for one in (over, running, waiting)]
    assert [key for key, _ in render.recorded] == [never.key, new.key]
    assert server.renders == {f"frame-{index:06}": 1 for index in range(5)}


@pytest.mark.parametrize(
    ("old", "path", "lies"),
    [(True, "/history", 2), (False, "/history", 3), (True, "/queue", 1), (True, "/queue", 3)],
)
async def test_a_second_life_does_not_believe_at_once_that_a_prompt_is_gone(
    tmp_path: Path, old: bool, path: str, lies: int
) -> None:
    """Neither one that is over and denied by history, nor one that runs and is denied by the queue."""
    denied = iter(["empty"] * lies)

    def deny(request: web.Request) -> str | None:
        return next(denied, None) if request.method == "GET" and request.path.startswith(path) else None

    async with FakeComfy(tmp_path / "server", old=old) as server, FaultProxy(server.url, deny) as proxy:
        (prompt,) = frames(1, seconds=2.0 if path == "/queue" else 0.005)
        known = {prompt.key: await _left_behind(server, prompt)}
        await until(lambda: server.running if path == "/queue" else server.history)
        (done,) = await Render(proxy.url, tmp_path / "out").run([prompt], known=known)
        assert proxy.did["empty"] == lies
        assert server.posts == [done.prompt_id] == [known[prompt.key]]


async def test_a_second_life_submits_again_what_the_first_had_interrupted(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (prompt,) = frames(1, seconds=1.0)
        known = {prompt.key: await _left_behind(server, prompt)}
        await until(lambda: server.running)
        async with Comfy(server.url) as comfy:
            await comfy.interrupt(known[prompt.key])
        await until(lambda: server.history)
        (done,) = await Render(server.url, tmp_path / "out").run([prompt], known=known)
    assert done.prompt_id != known[prompt.key]


async def test_a_second_life_is_told_what_failed_in_the_first(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        (prompt,) = frames(1)
        prompt.graph["2"] = {
            "class_type": "Raise", "inputs": {"image": ["1", 0], "type": "ValueError", "message": "no cat"}
        }  # fmt: skip
        known = {prompt.key: await _left_behind(server, prompt)}
        await until(lambda: server.history)
        error = await refused(Render(server.url, tmp_path / "out"), [prompt], known=known)
        assert error.kind == "comfy_node_failed"
        assert len(server.posts) == 1


async def test_a_prompt_of_ours_that_was_never_recorded_is_found_by_its_tag(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        first, second = frames(2, seconds=0.3)
        await _left_behind(server, first)
        left = await _left_behind(server, second)
        done = await Render(server.url, tmp_path / "out").run([first, second])
    assert done[1].prompt_id == left
    assert server.renders == {first.key: 1, second.key: 1}


@pytest.mark.parametrize(
    ("policy", "left", "running"),
    [("NORMAL", 3, True), ("CLEAR_STALE_ITEMS", 2, True), ("INTERRUPT_ACTIVE", 1, False)],
)
async def test_the_queue_is_managed_without_touching_others(
    tmp_path: Path, policy: QueuePolicy, left: int, running: bool
) -> None:
    async with FakeComfy(tmp_path / "server") as server, Comfy(server.url) as comfy:
        ours = await _left_behind(server, frames(1, seconds=60.0)[0])
        await until(lambda: server.running)
        await _left_behind(server, frames(1, first=1)[0])
        await post(server.url, graph(90, seconds=60.0), prompt_id=(theirs := str(uuid.uuid4())))
        await manage_queue(comfy, policy, lambda extra: "caf" in extra)
        assert (ours in {item[1] for item in server.running.values()}) == running
        assert theirs in {item[1] for item in (*server.queue, *server.running.values())}
        assert len(server.queue) + len(server.running) == left


@pytest.mark.parametrize("old", [False, True])
async def test_work_of_others_that_runs_is_never_interrupted(tmp_path: Path, old: bool) -> None:
    async with FakeComfy(tmp_path / "server", old=old) as server, Comfy(server.url) as comfy:
        await post(server.url, graph(90, seconds=60.0))
        await until(lambda: server.running)
        await manage_queue(comfy, "INTERRUPT_ACTIVE", lambda extra: "caf" in extra)
        await comfy.interrupt(str(uuid.uuid4()))
        assert len(server.running) == 1
        assert server.calls["POST /interrupt"] == old
