"""The queue of a server that is also other people's: find our prompts, and take out ours and no others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final, Literal

import anyio
from msgspec import Struct

from caf.comfy.answers import Account, Queue, Queued
from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError
from caf.comfy.flights import MISSES_TO_BE_LOST
from caf.comfy.model import OwnKey, QueuePolicy
from caf.comfy.patience import pauses

__all__ = ["Found", "Withdrawn", "find", "manage_queue", "reconcile", "withdraw"]

_BETWEEN_LOOKS_S: Final = 0.1
_INTERRUPT_AGAIN_S: Final = 1.0
_WAIT_S: Final = 10.0


class Found(Struct, frozen=True):
    """Where a prompt is. `gone`: neither queue nor history has it."""

    state: Literal["waiting", "running", "over", "gone"]
    account: Account | None = None


class Withdrawn(Struct, frozen=True):
    """What became of prompts that were to be taken out; `ignored`: still running, deaf to the interruption."""

    dequeued: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


async def find(comfy: Comfy, prompt_id: str) -> Found:
    """Queue first, history second: a prompt that ends in between is seen, and one that starts is, too."""
    return _found(await comfy.queue(), prompt_id) or _over(await comfy.history(prompt_id))


async def reconcile(comfy: Comfy, known: Mapping[str, str]) -> dict[str, Found]:
    """Where each of these prompts is, by key; one look at the queue for all of them.

    What is gone is looked for again: a prompt that is denied once would be rendered twice. The last word has what
    newer servers say of each prompt.
    """
    found: dict[str, Found] = {}
    left = dict(known)
    for pause in islice(pauses(), MISSES_TO_BE_LOST):
        if not left:
            return found
        if found:
            await asyncio.sleep(pause)
        queue = await comfy.queue()
        for key, prompt_id in left.items():
            found[key] = _found(queue, prompt_id) or _over(await comfy.history(prompt_id))
        left = {key: prompt_id for key, prompt_id in left.items() if found[key].state == "gone"}
    for key, prompt_id in left.items():
        if await comfy.job(prompt_id) not in (None, "unknown"):
            found[key] = Found("waiting")  # it is there; whoever waits for it will see where
    return found


def _found(queue: Queue, prompt_id: str) -> Found | None:
    if any(item.prompt_id == prompt_id for item in queue.running):
        return Found("running")
    return Found("waiting") if any(item.prompt_id == prompt_id for item in queue.pending) else None


def _over(account: Account | None) -> Found:
    return Found("gone") if account is None else Found("over", account)


async def manage_queue(comfy: Comfy, policy: QueuePolicy, own: OwnKey) -> Withdrawn:
    """Make room as a decision says: nothing, what waits of ours, or also what runs of ours.

    Raises `ComfyError` when the server does not answer.
    """
    if policy == "NORMAL":
        return Withdrawn()
    await comfy.queue()
    return await _take_out(
        comfy,
        lambda item: own(item.extra_data),
        running=policy == "INTERRUPT_ACTIVE",
        wait_s=_WAIT_S,
        looks=1,
    )


async def withdraw(
    comfy: Comfy, prompt_ids: Iterable[str], *, wait_s: float, doubt: bool = False
) -> Withdrawn:
    """Take these prompts out of the queue and end the one that runs; faults of the line are passed over.

    `doubt`: one of them may still be on its way to the server, so an empty queue is looked at again.
    """
    ids = frozenset(prompt_ids)
    if not ids:
        return Withdrawn()
    return await _take_out(
        comfy, lambda item: item.prompt_id in ids, running=True, wait_s=wait_s, looks=4 if doubt else 1
    )


async def _take_out(
    comfy: Comfy, ours: Callable[[Queued], bool], *, running: bool, wait_s: float, looks: int
) -> Withdrawn:
    """Look, take out, look again, until nothing of ours is seen `looks` times, or the time is over."""
    clock = asyncio.get_running_loop().time
    dequeued: set[str] = set()
    interrupted: dict[str, float] = {}
    left: set[str] = set()
    empty = 0
    with anyio.move_on_after(wait_s):
        while empty < looks:
            with suppress(ComfyError):
                queue = await comfy.queue()
                waiting = [item.prompt_id for item in queue.pending if ours(item)]
                left = {item.prompt_id for item in queue.running if ours(item)} if running else set()
                empty = 0 if waiting or left else empty + 1
                await comfy.delete(waiting)
                dequeued.update(waiting)
                for prompt_id in left:
                    # An older server ends whatever runs, so only a prompt that was just seen running is named.
                    if clock() - interrupted.get(prompt_id, float("-inf")) > _INTERRUPT_AGAIN_S:
                        await comfy.interrupt(prompt_id)
                        interrupted[prompt_id] = clock()
            if empty < looks:
                await asyncio.sleep(_BETWEEN_LOOKS_S)
    return Withdrawn(
        dequeued=tuple(sorted(dequeued)),
        interrupted=tuple(sorted(set(interrupted) - left)),
        ignored=tuple(sorted(left)),
    )
