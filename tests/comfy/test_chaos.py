"""Everything at once, by seed: a lying line, restarts, other people's prompts, people who clear and interrupt.

Whatever happens, a render ends with all frames or with a typed error, leaves nothing of ours behind, and touches
nothing of anybody else's. `COMFY_SEEDS=200:400` tries others.
"""

import asyncio
import random
import uuid
from pathlib import Path

import aiohttp
import anyio
import pytest

from caf.comfy.failures import ComfyError
from caf.comfy.model import Done
from tests.comfy.given import Render, frames, graph, seeds, until
from tests.comfy.proxy import Chance, FaultProxy
from tests.comfy.server import FakeComfy

ENDS = {
    "comfy_busy", "comfy_cancelled", "comfy_interrupted", "comfy_lost", "comfy_output_damaged", "comfy_unreachable",
    "comfy_damaged_answer",
}  # fmt: skip


class World:
    """What others do to the server meanwhile."""

    def __init__(self, server: FakeComfy, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.theirs: set[str] = set()
        self.restarts = 0
        self.clears = 0

    async def turn(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.02, 0.2))
            what = self.chance.choices(("prompt", "restart", "clear history"), (8, 2, 1))[0]
            if what == "prompt":
                prompt_id = str(uuid.uuid4())
                async with aiohttp.ClientSession() as session:
                    body = {"prompt": graph(1000 + len(self.theirs), seconds=0.03), "prompt_id": prompt_id}
                    async with session.post(f"{self.server.url}/prompt", json=body) as answer:
                        assert answer.status == 200
                self.theirs.add(prompt_id)
            elif what == "restart" and self.restarts < 2:
                self.restarts += 1
                self.theirs.clear()
                with anyio.CancelScope(shield=True):
                    await self.server.restart()
            # Who clears faster than anybody looks has everything rendered again for ever, and a slow host looks slowly.
            elif what == "clear history" and self.clears < 3:
                self.clears += 1
                self.server.history.clear()


@pytest.mark.parametrize("seed", seeds(6))
async def test_a_render_ends_well_or_says_why_and_touches_nothing_of_others(
    tmp_path: Path, seed: int
) -> None:
    old = bool(seed % 2)
    chance = Chance(seed, share=0.1)
    async with (
        FakeComfy(tmp_path / "server", old=old) as server,
        FaultProxy(server.url, chance.request, chance.socket) as proxy,
        anyio.create_task_group() as tasks,
    ):
        proxy.late_s = 0.1
        world = World(server, seed)
        tasks.start_soon(world.turn)
        done: list[Done] = []
        kind = ""
        try:
            done = await Render(proxy.url, tmp_path / "out").run(frames(10, seconds=0.03), grace_s=1.0)
        except ComfyError as error:
            kind = error.kind
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await proxy.settle()
            await until(lambda: not server.queue and not server.running)
        ours = {key: count for key, count in server.renders.items() if key.startswith("frame-")}
        assert len(done) == 10 or kind in ENDS, f"seed {seed}: {kind}"
        assert len(ours) == 10 or not done
        # Once, and again only for what a restart or a cleared history made the server forget.
        assert max(ours.values(), default=0) <= 2 + world.restarts + world.clears, f"seed {seed}: {ours}"
        assert world.theirs <= set(server.renders), f"seed {seed}: somebody else's prompt did not run"
