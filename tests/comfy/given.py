"""What tests of the ComfyUI client begin with: graphs, prompts, and a render of them that keeps what it was told."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
import pytest

from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError
from caf.comfy.http import Timeouts
from caf.comfy.model import Done, InputFile, Limits, Owner, Preview, Prompt, PromptProgress
from caf.comfy.run import run_prompts

OWNER = Owner(job_id="job-1", attempt_id="attempt-1", stage="frame", workspace_id="here")
QUICK = Timeouts(connect_s=1.0, read_s=2.0, heartbeat_s=0.4)
"""A silent peer is noticed before the reader of a test loses patience."""
LIMITS = Limits(stall_s=20.0, deadline_s=60.0, unreachable_s=10.0, wedge_s=5.0, grace_s=0.3)


def seeds(count: int) -> range:
    """So many of them; `COMFY_SEEDS=200:400` tries others."""
    first, _, last = os.environ.get("COMFY_SEEDS", f"0:{count}").partition(":")
    return range(int(first), int(last))


def graph(index: int, *, seconds: float = 0.005, save: str = "SaveImage", **pause: Any) -> dict[str, Any]:
    """A colour, some time, a file."""
    made: dict[str, Any] = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 24, "height": 16, "batch_size": 1, "color": index},
        },
        "2": {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": seconds, **pause}},
        "9": {"class_type": save, "inputs": {"images": ["2", 0]}},
    }
    if save != "PreviewImage":
        made["9"]["inputs"]["filename_prefix"] = f"caf/job-1/frame{index:04}"
    return made


def frames(count: int, first: int = 0, **of_graph: Any) -> list[Prompt]:
    return [
        Prompt(key=f"frame-{index:06}", graph=graph(index, **of_graph), outputs=("9",))
        for index in range(first, first + count)
    ]


def reading(prompt: Prompt, path: Path) -> Prompt:
    """The same prompt, but of a picture that is uploaded."""
    nodes = {**prompt.graph, "1": {"class_type": "LoadImage", "inputs": {"image": ""}}}
    return msgspec.structs.replace(
        prompt, graph=nodes, files=(InputFile(node_id="1", input="image", path=str(path)),)
    )


class Render:
    """One call of `run_prompts`, and what it told meanwhile."""

    def __init__(self, url: str, out_dir: Path, *, timeouts: Timeouts = QUICK) -> None:
        self.url = url
        self.out_dir = out_dir
        self.timeouts = timeouts
        self.recorded: list[tuple[str, str]] = []
        self.progress: list[PromptProgress] = []
        self.previews: list[Preview] = []
        self.warnings: list[str] = []

    async def run(
        self,
        prompts: Sequence[Prompt],
        *,
        known: Mapping[str, str] | None = None,
        kept: Mapping[str, Done] | None = None,
        **limits: Any,
    ) -> list[Done]:
        self.out_dir.mkdir(parents=True, exist_ok=True)
        async with Comfy(self.url, timeouts=self.timeouts) as comfy:
            return await run_prompts(
                comfy,
                prompts,
                owner=OWNER,
                known=known or {},
                kept=kept or {},
                record=self.record,
                out_dir=self.out_dir,
                progress=self.progress.append,
                preview=self.previews.append,
                warn=self.warnings.append,
                limits=msgspec.structs.replace(LIMITS, **limits),
            )

    async def record(self, key: str, prompt_id: str) -> None:
        self.recorded.append((key, prompt_id))


async def until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait until something is so."""
    with anyio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.005)


async def refused(render: Render, prompts: Sequence[Prompt], **given: Any) -> ComfyError:
    """The error that a render ends with."""
    with pytest.raises(ComfyError) as told:
        await render.run(prompts, **given)
    return told.value


async def post(url: str, made: dict[str, Any], **more: Any) -> int:
    """Somebody else's prompt; the status of the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/prompt", json={"prompt": made, **more}) as answer,
    ):
        await answer.read()
        return answer.status
