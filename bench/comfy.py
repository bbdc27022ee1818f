"""How full the client keeps a ComfyUI server: wall time over the server's own busy time, beside simpler strategies.

    python -m bench.comfy [--seconds 0.04] [--frames 48] [--rounds 5] [--slow-rounds 1] [--server URL]

Each frame is a prompt of its own: a 640x360 plate is uploaded, the server's node takes the seconds as a GPU does (the
host sleeps), a PNG is downloaded. Without --server the played server of the tests runs in a process of its own; a
real one needs a node class `Pause` (image, seconds), else it blurs. Busy is the sum of execution_success minus
execution_start in the server's history. The strategies take turns in one run; the pollers have `--slow-rounds` of
their own, for they take their time.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from caf.comfy.client import Comfy
from caf.comfy.model import InputFile, Limits, Output, Owner, Prompt
from caf.comfy.run import run_prompts
from caf.comfy.transfer import download, upload
from tests.comfy.pixels import png

SIZE = (640, 360)


class Work:
    """The prompts of one round on one server, never seen by it before."""

    def __init__(self, comfy: Comfy, folder: Path, frames: int, node: dict[str, Any]) -> None:
        self.comfy = comfy
        self.folder = folder
        self.name = uuid.uuid4().hex[:8]
        self.prompts = []
        for index in range(frames):
            plate = folder / f"plate{index}-{self.name}.png"
            plate.write_bytes(png(plate.name, *SIZE))
            self.prompts.append(
                Prompt(
                    key=f"frame-{index:06}",
                    graph=self._graph(index, node),
                    files=(InputFile(node_id="1", input="image", path=str(plate)),),
                    outputs=("9",),
                )
            )
        self.ids: list[str] = []

    def _graph(self, index: int, node: dict[str, Any]) -> dict[str, Any]:
        save = {"images": ["2", 0], "filename_prefix": f"bench/{self.name}-{index:04}"}
        return {
            "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
            "2": {**node, "inputs": {**node["inputs"], "image": ["1", 0]}},
            "9": {"class_type": "SaveImage", "inputs": save},
        }

    async def busy_s(self) -> float:
        busy = 0
        for prompt_id in self.ids:
            account = await self.comfy.history(prompt_id)
            assert account is not None
            assert account.ok
            busy += account.ended_ms - account.started_ms
        return busy / 1000

    async def submit(self, prompt: Prompt, client_id: str | None = None) -> str:
        """As a script would: upload, put in the name, send."""
        (file,) = prompt.files
        there = await upload(self.comfy, Path(file.path), f"bench/{self.name}")
        prompt.graph["1"]["inputs"]["image"] = there.path
        prompt_id = str(uuid.uuid4())
        await self.comfy.submit(prompt.graph, prompt_id=prompt_id, client_id=client_id)
        self.ids.append(prompt_id)
        return prompt_id

    async def bring(self, prompt: Prompt, prompt_id: str) -> bool:
        account = await self.comfy.history(prompt_id)
        if account is None:
            return False
        made = account.outputs["9"]["images"][0]
        await download(
            self.comfy, Output(node_id="9", kind="images", **made), self.folder / f"{prompt.key}.png"
        )
        return True


Strategy = Callable[[Work], Awaitable[None]]


def ours(depth: int) -> Strategy:
    async def run(work: Work) -> None:
        async def record(_: str, prompt_id: str) -> None:
            work.ids.append(prompt_id)

        await run_prompts(
            work.comfy,
            work.prompts,
            owner=Owner(job_id="bench", attempt_id=work.name, stage="frame"),
            known={},
            record=record,
            out_dir=work.folder,
            progress=lambda _: None,
            preview=lambda _: None,
            limits=Limits(depth=depth),
        )

    return run


def polling(every_s: float) -> Strategy:
    async def run(work: Work) -> None:
        for prompt in work.prompts:
            prompt_id = await work.submit(prompt)
            while not await work.bring(prompt, prompt_id):  # noqa: ASYNC110 - polling is what is measured
                await asyncio.sleep(every_s)

    return run


async def listening(work: Work) -> None:
    """One at a time, told by the WebSocket when it is over."""
    client_id = uuid.uuid4().hex
    http = work.comfy.http
    async with http.session.ws_connect(http.url("/ws", {"clientId": client_id})) as socket:
        for prompt in work.prompts:
            prompt_id = await work.submit(prompt, client_id)
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    told = message.json()
                    over = {"node": None, "prompt_id": prompt_id}
                    if told["type"] == "executing" and told["data"].items() >= over.items():
                        break
            await work.bring(prompt, prompt_id)


async def at_once(work: Work) -> None:
    """All submitted first, all brought when the last is over."""
    ids = [await work.submit(prompt) for prompt in work.prompts]
    while await work.comfy.history(ids[-1]) is None:  # noqa: ASYNC110 - as a script would
        await asyncio.sleep(0.1)
    for prompt, prompt_id in zip(work.prompts, ids, strict=True):
        await work.bring(prompt, prompt_id)


QUICK: dict[str, Strategy] = {
    "**caf**, depth 3 (default)": ours(3),
    "**caf**, depth 2": ours(2),
    "all at once, then all downloads": at_once,
    "WebSocket, one at a time": listening,
}
SLOW: dict[str, Strategy] = {"poll every 0.2 s, one at a time": polling(0.2)}
SLOWEST: dict[str, Strategy] = {"poll every 2 s, one at a time": polling(2.0)}


async def measure(url: str, frames: int, seconds: float, rounds: int, slow_rounds: int) -> list[str]:
    walls: dict[str, list[tuple[float, float]]] = {}
    async with Comfy(url) as comfy:
        version = (await comfy.system_stats()).version
        node = {"class_type": "Pause", "inputs": {"seconds": seconds}}
        if not await comfy.object_info("Pause"):
            node = {"class_type": "ImageBlur", "inputs": {"blur_radius": 15, "sigma": 5.0}}
        turns = [QUICK | (SLOW | SLOWEST if index < slow_rounds else {}) for index in range(rounds)]
        for name, strategy in [item for turn in turns for item in turn.items()]:
            with tempfile.TemporaryDirectory() as folder:
                work = Work(comfy, Path(folder), frames, node)
                begun = time.perf_counter()
                await strategy(work)
                wall = time.perf_counter() - begun
                walls.setdefault(name, []).append((wall, await work.busy_s()))
                sys.stderr.write(f"{name}: {wall:.2f} s, ratio {wall / walls[name][-1][1]:.3f}\n")
    lines = [
        f"{frames} prompts of {seconds * 1000:.0f} ms, server {version}",
        "",
        "| strategy | wall s | wall / busy, median | best | worst | n |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, taken in walls.items():
        ratios = [wall / busy for wall, busy in taken]
        lines.append(
            f"| {name} | {median(wall for wall, _ in taken):.2f} | {median(ratios):.3f} | {min(ratios):.3f} "
            f"| {max(ratios):.3f} | {len(ratios)} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=0.04)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1)
    parser.add_argument("--server", default="")
    told = parser.parse_args()

    def run(url: str) -> None:
        lines = asyncio.run(measure(url, told.frames, told.seconds, told.rounds, told.slow_rounds))
        sys.stdout.write("\n".join(lines) + "\n")

    if told.server:
        run(told.server)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.comfy.server", "0", folder, *map(str, SIZE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            run(f"http://127.0.0.1:{server.stdout.readline().strip()}")
            server.terminate()


if __name__ == "__main__":
    main()
