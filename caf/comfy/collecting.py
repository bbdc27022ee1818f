"""From a prompt that ended to its files here, or to the reason why there are none."""

import re
from pathlib import Path, PurePosixPath
from typing import Final

from caf.comfy.answers import Account, outputs_of
from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError, PromptFailedError, node_failed
from caf.comfy.flights import Flight
from caf.comfy.model import Done, Output
from caf.comfy.patience import patiently
from caf.comfy.transfer import download

__all__ = ["collect", "declared_outputs", "failure_of", "file_name", "memory_told"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")


async def failure_of(comfy: Comfy, flight: Flight, account: Account) -> PromptFailedError | None:
    """Why a prompt that is over gave nothing; None if it ended well."""
    key = flight.prompt.key
    if account.interrupted:
        return PromptFailedError(
            f"The prompt of {key} was interrupted at {comfy.address} by somebody else.",
            remedy="Retry the stage when the server is yours again.",
            kind="comfy_interrupted",
        )
    if account.ok:
        return None
    return node_failed(key, account.error, await memory_told(comfy))


async def memory_told(comfy: Comfy) -> str:
    """What the server says of its memory now; nothing if it does not answer."""
    try:
        facts = await comfy.system_stats()
    except ComfyError:
        return ""
    cards = [
        f"{device.name}: {_gb(device.vram_free)} of {_gb(device.vram_total)} GB free, "
        f"{_gb(device.torch_vram_total)} GB held by torch"
        for device in facts.devices
    ]
    return f"Then {'; '.join([*cards, f'RAM: {_gb(facts.ram_free)} of {_gb(facts.ram_total)} GB free'])}."


def _gb(count: int) -> str:
    return f"{count / 2**30:.1f}"


def declared_outputs(flight: Flight, made: dict[str, dict[str, object]], address: str) -> tuple[Output, ...]:
    """What the declared nodes put out, in the order of their declaration.

    Raises `PromptFailedError` comfy_output_missing for a node that gave nothing.
    """
    found: list[Output] = []
    for node_id in flight.prompt.outputs:
        outputs = outputs_of(node_id, made.get(node_id, {}))
        if not outputs:
            raise PromptFailedError(
                f"Node {node_id} of {flight.prompt.key} gave no output at {address}, though the prompt ended well; "
                f"nodes that gave some: {', '.join(sorted(made)) or 'none'}.",
                remedy="See that the workflow declares the node that saves, and that its output is a file or text.",
                kind="comfy_output_missing",
            )
        found += outputs
    return tuple(found)


async def collect(comfy: Comfy, flight: Flight, account: Account, out_dir: Path, budget_s: float) -> Done:
    """Bring the declared outputs of a prompt that ended well here.

    Raises:
        PromptFailedError: comfy_output_missing, comfy_output_damaged. NotThereError: a file is gone.
        UnreachableError: the server was away longer than the budget.
    """
    outputs = declared_outputs(flight, {**flight.heard, **account.outputs}, comfy.address)
    files = []
    for index, output in enumerate(outputs):
        if output.text is None:
            to = out_dir / _local_name(flight.prompt.key, index, output)

            async def fetched(output: Output = output, to: Path = to) -> Path:
                return await download(comfy, output, to)

            files.append(str(await patiently(fetched, budget_s)))
    return Done(
        key=flight.prompt.key,
        prompt_id=flight.prompt_id,
        outputs=outputs,
        files=tuple(files),
        queued_ms=_queued_ms(flight, account),
        ran_ms=max(0, account.ended_ms - account.started_ms) if account.started_ms else 0,
        node_ms={node: round(seconds * 1000) for node, seconds in flight.node_s.items()},
        cached_nodes=account.cached or flight.cached,
    )


def _queued_ms(flight: Flight, account: Account) -> int:
    if account.created_ms and account.started_ms:
        return max(0, account.started_ms - account.created_ms)
    return max(0, round((flight.started_at - flight.sent_at) * 1000)) if flight.started_at else 0


def _local_name(key: str, index: int, output: Output) -> str:
    """Ours, whatever the server calls it; only the suffix is kept."""
    suffix = PurePosixPath(output.filename).suffix
    kept = suffix.lower() if _SUFFIX.fullmatch(suffix) else ""
    return f"{file_name(key)}.{file_name(output.node_id)}.{index}{kept}"


def file_name(text: str) -> str:
    """A key, or a node's id, as a part of a file's name."""
    return _UNSAFE.sub("_", text)
