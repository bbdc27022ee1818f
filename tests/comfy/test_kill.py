"""`kill -9` of the client, of the server, and of both, in the middle of a render."""

import asyncio
import json
import random
import sys
from pathlib import Path

import anyio
import pytest

from tests.comfy.client_process import journal
from tests.comfy.given import until
from tests.comfy.server import FakeComfy

FRAMES = 12


async def _client(server: FakeComfy, folder: Path) -> asyncio.subprocess.Process:
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.comfy.client_process", server.url, str(folder), str(FRAMES), "0.05"
    )


async def _finish(server: FakeComfy, folder: Path) -> None:
    client = await _client(server, folder)
    with anyio.fail_after(60):
        assert await client.wait() == 0
    done = json.loads(await asyncio.to_thread((folder / "done").read_text))
    assert len(done) == FRAMES


@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_client_takes_up_its_prompts_and_renders_nothing_twice(
    tmp_path: Path, seed: int
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        for goal in sorted(random.Random(seed).sample(range(1, FRAMES - 1), 3)):
            client = await _client(server, tmp_path / "out")
            await until(lambda goal=goal: server.renders.total() >= goal)
            client.kill()
            await client.wait()
        await _finish(server, tmp_path / "out")
        assert server.renders == {f"frame-{index:06}": 1 for index in range(FRAMES)}
        recorded = [prompt_id for _, prompt_id in journal(tmp_path / "out")]
        assert set(server.posts) <= set(recorded)
        assert len(set(server.posts)) == len(server.posts)


async def test_a_server_killed_beside_its_client_costs_only_what_was_unfinished(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        client = await _client(server, tmp_path / "out")
        await until(lambda: server.renders.total() >= 5)
        client.kill()
        await server.restart()
        await client.wait()
        before = server.renders.copy()
        await _finish(server, tmp_path / "out")
        assert set(server.renders) == {f"frame-{index:06}" for index in range(FRAMES)}
        # A restarted server has forgotten what it finished; a new client cannot know those files.
        assert all(count <= 2 for count in server.renders.values())
        assert all(server.renders[key] == 1 for key in server.renders if key not in before)
