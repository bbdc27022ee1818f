"""What a render on a server took: time by frame and node, memory of its card, and which prompts were cached."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from msgspec import Struct

from caf.comfy.model import DeviceFacts, Done, Prompt, ServerFacts
from caf.ports import Parameter

if TYPE_CHECKING:
    from caf.comfy.client import Comfy

__all__ = ["Memory", "facts_of", "watched"]

SAMPLE_S: Final = 2.0
SLOWEST: Final = 8
"""Nodes whose times are told."""


class Memory(Struct, kw_only=True):
    """The most that a server's cards were seen to use, all of them together; 0: it has none, or does not say."""

    used_bytes: int = 0

    def see(self, facts: ServerFacts) -> None:
        """Take one look at it into account."""
        used = sum(max(0, device.vram_total - device.vram_free) for device in _cards(facts))
        self.used_bytes = max(self.used_bytes, used)


@asynccontextmanager
async def watched(comfy: "Comfy", before: ServerFacts) -> AsyncIterator[Memory]:
    """Look at a server's memory from time to time while the block runs; looks that fail are left out."""
    from caf.comfy.failures import ComfyError

    memory = Memory()
    memory.see(before)

    async def look() -> None:
        while True:
            await anyio.sleep(SAMPLE_S)
            try:
                memory.see(await comfy.system_stats())
            except ComfyError:
                continue  # whoever waits for its work will tell

    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(look)
        try:
            yield memory
        except Exception as fault:  # noqa: BLE001 - raised below as it is; the group would wrap it
            failure = fault
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


def facts_of(
    prompts: Sequence[Prompt],
    done: Sequence[Done],
    *,
    wall_ms: int,
    server: str,
    before: ServerFacts,
    memory: Memory,
) -> dict[str, Parameter]:
    """The numbers that explain how long a render took; times in milliseconds by the server's clock."""
    frames = max(1, sum(prompt.weight for prompt in prompts))
    busy = [one.ran_ms for one in done]
    classes = {
        node_id: str(node["class_type"]) for prompt in prompts[:1] for node_id, node in prompt.graph.items()
    }
    nodes: Counter[str] = Counter()
    for one in done:
        nodes.update(one.node_ms)
    total = sum(busy)
    facts: dict[str, Parameter] = {
        "server": server,
        "server_version": before.version,
        "prompts": len(done),
        "prompts_cached": sum(_cached(one) for one in done),
        "render_ms": total,
        "submission_ms": max(0, wall_ms - total),
        "wall_ms": wall_ms,
        "frame_mean_ms": round(total / frames, 1),
        "prompt_longest_ms": max(busy, default=0),
        "prompt_shortest_ms": min(busy, default=0),
        "queued_longest_ms": max((one.queued_ms for one in done), default=0),
    }
    if before.devices:
        facts["device"] = ", ".join(device.name for device in before.devices)
    if memory.used_bytes:
        facts["vram_peak_mb"] = round(memory.used_bytes / 2**20, 1)
        facts["vram_total_mb"] = round(sum(device.vram_total for device in _cards(before)) / 2**20, 1)
    for node_id, spent_ms in nodes.most_common(SLOWEST):
        facts[f"node_ms.{node_id}.{classes.get(node_id, '')}"] = spent_ms
    return facts


def _cards(facts: ServerFacts) -> list[DeviceFacts]:
    """A server without a card tells the machine's memory as if it were one's."""
    return [device for device in facts.devices if device.type != "cpu"]


def _cached(one: Done) -> bool:
    """True when the server ran nothing for it."""
    return bool(one.cached_nodes) and not one.node_ms and one.ran_ms < 50
