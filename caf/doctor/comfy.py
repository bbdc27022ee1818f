"""ComfyUI servers looked at closely: what they are, whether they work, and what the registry's workflows miss there."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import anyio

from caf.comfy.binding import put_in
from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError
from caf.comfy.graph import outputs_of
from caf.comfy.model import ServerFacts
from caf.comfy.object_info import NodeInfo, nodes_of
from caf.comfy.problems import problems
from caf.contracts import ComfyUIWorkflow
from caf.doctor.finding import Finding, bad, good, warning
from caf.errors import InputError
from caf.events import Parameters
from caf.workflows import check_mixed

__all__ = ["examine_server"]

OLDEST: Final = (0, 3, 0)
"""Servers before it have other answers; nobody looked at them."""
SLOW_MS: Final = 500
SKEW_S: Final = 5
MANY_FILES: Final = 1000
LITTLE_VRAM: Final = 2 * 2**30
WEDGE_LOOKS: Final = 3
WEDGE_PAUSE_S: Final = 0.5
MODEL_LISTS: Final = (
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
    ("UNETLoader", "unet_name", "diffusion models"),
    ("VAELoader", "vae_name", "VAEs"),
    ("LoraLoader", "lora_name", "LoRAs"),
    ("ControlNetLoader", "control_net_name", "ControlNets"),
)


async def examine_server(
    url: str, workflows: Mapping[str, tuple[ComfyUIWorkflow, Parameters]]
) -> list[Finding]:
    """Everything that can be told of a server without rendering anything on it. Raises nothing.

    `workflows`: by id, with the default_parameters of the registry, those of stages included.
    """
    try:
        async with Comfy(url) as comfy:
            begun = time.perf_counter()
            facts = await comfy.system_stats()
            latency_ms = (time.perf_counter() - begun) * 1000
            known = nodes_of(await comfy.object_info())
            return [
                _version(comfy.address, facts),
                *_memory(facts),
                _latency(latency_ms),
                await _clock(comfy),
                await _queue(comfy),
                _nodes(known),
                _input_folder(known),
                *_workflows(known, workflows),
            ]
    except (ComfyError, InputError) as fault:
        return [bad("server", fault.message, fault.remedy)]


def _version(address: str, facts: ServerFacts) -> Finding:
    what = f"{address} is ComfyUI {facts.version}, PyTorch {facts.pytorch_version}"
    numbers = tuple(int(part) for part in facts.version.split(".")[:3] if part.isdigit())
    if len(numbers) >= 2 and numbers < OLDEST:
        return warning("server", what, "caf was tried with 0.3.64 and 0.33; update the server.")
    return good("server", what)


def _memory(facts: ServerFacts) -> list[Finding]:
    found = []
    for device in facts.devices:
        free, total = device.vram_free / 2**30, device.vram_total / 2**30
        what = f"{device.name}: {free:.1f} of {total:.1f} GiB free"
        if device.type == "cpu":
            told = "The server has no GPU; that is slow for anything with a model."
            found.append(warning("device", what, told))
        elif device.vram_free < LITTLE_VRAM:
            found.append(warning("device", what, "See what uses the card: caf comfy queue, nvidia-smi."))
        else:
            found.append(good("device", what))
    return found or [warning("device", "the server names no device", "See its own log.")]


def _latency(latency_ms: float) -> Finding:
    what = f"answers in {latency_ms:.0f} ms"
    return (
        good("latency", what)
        if latency_ms < SLOW_MS
        else warning("latency", what, "Each frame waits that long; see to the network or the server's load.")
    )


async def _clock(comfy: Comfy) -> Finding:
    """Its clock by the Date of its answers, which has seconds only."""
    async with comfy.http.open("GET", "/system_stats") as answer:
        told = answer.headers.get("Date", "")
        await comfy.http.body(answer, "/system_stats")
    try:
        skew_s = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return good("clock", "the server does not tell the time")
    if abs(skew_s) > SKEW_S:
        what = f"its clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} ours"
        return warning("clock", what, "Times of queueing and rendering are the server's; set the clocks.")
    return good("clock", "its clock agrees with ours")


async def _queue(comfy: Comfy) -> Finding:
    queue = await comfy.queue()
    for _ in range(WEDGE_LOOKS):
        if queue.running or not queue.pending:
            break
        await anyio.sleep(WEDGE_PAUSE_S)
        queue = await comfy.queue()
    else:
        if queue.pending and not queue.running:
            what = f"{len(queue.pending)} prompts wait and none runs: its worker has stopped"
            return bad("queue", what, "Restart the server; nothing in its queue will ever run.")
    return good("queue", f"{len(queue.running)} running, {len(queue.pending)} waiting")


def _nodes(known: Mapping[str, NodeInfo]) -> Finding:
    models = [
        f"{len(info.choices)} {name}"
        for class_type, field, name in MODEL_LISTS
        if class_type in known
        and (info := known[class_type].inputs.get(field)) is not None
        and info.choices is not None
    ]
    return good("nodes", f"{len(known)} classes of nodes; {', '.join(models) or 'no lists of models'}")


def _input_folder(known: Mapping[str, NodeInfo]) -> Finding:
    loader = known.get("LoadImage")
    image = loader.inputs.get("image") if loader else None
    count = len(image.choices or ()) if image else 0
    if count > MANY_FILES:
        what = f"{count} files in the top of its input folder slow down every prompt that loads a picture"
        return warning("input folder", what, "Move them into a folder below it; caf's own are in one.")
    return good("input folder", f"{count} files in its top")


def _workflows(
    known: Mapping[str, NodeInfo], workflows: Mapping[str, tuple[ComfyUIWorkflow, Parameters]]
) -> Sequence[Finding]:
    found = []
    for name, (workflow, parameters) in workflows.items():
        try:
            check_mixed(workflow, parameters)
        except InputError as fault:
            what = f"{name} would not run with its default_parameters: {fault.message}"
            found.append(warning("workflow", what, fault.remedy))
            continue
        graph, _ = put_in(workflow, parameters)
        grave = [item for item in problems(graph, known, outputs=outputs_of(workflow)) if item.grave]
        if grave:
            what = f"{name} would not run: {grave[0].message}"
            found.append(warning("workflow", what, "See all of it: caf workflow lint FILE --server URL"))
        else:
            found.append(good("workflow", f"{name} would run"))
    return found
