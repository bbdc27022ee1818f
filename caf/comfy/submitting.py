"""One prompt into the queue, once, whatever happens to the answer."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from caf.comfy.answers import Submitted, Uploaded
from caf.comfy.client import Comfy
from caf.comfy.failures import (
    ComfyError,
    ComfyRefusedError,
    DamagedAnswerError,
    UnreachableError,
    invalid_prompt,
)
from caf.comfy.flights import Board, Flight
from caf.comfy.model import Limits, Owner, Prompt
from caf.comfy.patience import patiently, pauses
from caf.comfy.queueing import find, withdraw
from caf.comfy.transfer import upload
from caf.errors import InputError

__all__ = ["Record", "Submitter", "Uploads", "key_of", "own_data"]

Record = Callable[[str, str], Awaitable[None]]
"""Called with key and prompt id; what it wrote is on disk when it returns."""

_TRIES: Final = 5
"""Submissions of one prompt whose answers were lost and that were not found afterwards."""


def own_data(owner: Owner, key: str) -> dict[str, Any]:
    """What a prompt of ours carries through queue and history."""
    return {
        "caf": {
            "job_id": owner.job_id,
            "attempt_id": owner.attempt_id,
            "stage": owner.stage,
            "key": key,
            "workspace_id": owner.workspace_id,
        }
    }


def key_of(extra_data: dict[str, Any], owner: Owner) -> str | None:
    """The key of a prompt that this very stage of this attempt has submitted; None for any other."""
    match extra_data.get("caf"):
        case {"key": str(key), **told} if own_data(owner, key)["caf"] == {"key": key, **told}:
            return key
    return None


class Uploads:
    """Files that prompts read, each uploaded once however many read it, a few at a time."""

    def __init__(self, comfy: Comfy, owner: Owner, limits: Limits) -> None:
        self._comfy = comfy
        # Files in the root of the input folder slow every prompt; those in folders below it do not.
        self._subfolder = f"caf/{_folder(owner.job_id)}/{_folder(owner.attempt_id)}"
        self._budget_s = limits.unreachable_s
        self._lanes = asyncio.Semaphore(limits.uploads)
        self._there: dict[str, asyncio.Task[Uploaded]] = {}

    def begin(self, prompt: Prompt) -> None:
        """Start what is not yet under way; must be called where tasks may be started."""
        for file in prompt.files:
            if file.path not in self._there:
                self._there[file.path] = asyncio.create_task(self._upload(file.path))

    async def filled(self, prompt: Prompt) -> dict[str, Any]:
        """The graph with the names that the server gave. Raises what `upload` raises."""
        self.begin(prompt)
        graph: dict[str, Any] = deepcopy(prompt.graph) if prompt.files else prompt.graph
        for file in prompt.files:
            there = await asyncio.shield(self._there[file.path])
            node = graph.get(file.node_id)
            if not isinstance(node, dict) or not isinstance(node.get("inputs"), dict):
                raise InputError(
                    f"The prompt of {prompt.key} has no node {file.node_id} for the file {file.path}.",
                    remedy="Bind the file to a node of the workflow.",
                    kind="unknown_node",
                )
            node["inputs"][file.input] = there.path
        return graph

    def forget(self) -> None:
        """The server is another one now; see again that the files are there."""
        for path, task in list(self._there.items()):
            if task.done() and not task.cancelled() and task.exception() is None:
                del self._there[path]

    async def end(self) -> None:
        for task in self._there.values():
            task.cancel()
        await asyncio.gather(*self._there.values(), return_exceptions=True)

    async def _upload(self, path: str) -> Uploaded:
        async with self._lanes:
            return await patiently(lambda: upload(self._comfy, Path(path), self._subfolder), self._budget_s)


def _folder(name: str) -> str:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)
    return safe.strip("_") or "none"


class Submitter:
    """Puts flights into the queue. `restarts` counts the times that the server's numbers fell."""

    def __init__(self, comfy: Comfy, board: Board, owner: Owner, record: Record, limits: Limits) -> None:
        self._comfy = comfy
        self._board = board
        self._owner = owner
        self._record = record
        self._limits = limits
        self._last_number = float("-inf")
        self.restarts = 0

    async def send(self, flight: Flight, graph: dict[str, Any], client_id: Callable[[], str | None]) -> None:
        """Record an id, submit under it, and do not come back before it is known to be in the queue.

        Raises:
            ComfyRefusedError: comfy_invalid_prompt, comfy_refused. UnreachableError: away for too long.
        """
        flight.stage = "boarding"
        clock = asyncio.get_running_loop().time
        for _ in range(_TRIES):
            prompt_id = str(uuid.uuid4())
            await self._record(flight.prompt.key, prompt_id)
            self._board.name(flight, prompt_id)
            through = client_id()
            flight.leave(prompt_id, through, clock(), "boarding")
            answer = await self._post(flight, graph, prompt_id, through)
            if answer is None and not await self._arrived(flight):
                self._board.doubt_at = clock()
                continue
            flight.stage = "away"
            if answer is not None:
                await self._check(flight, answer)
            return
        raise UnreachableError(
            f"The prompt of {flight.prompt.key} was submitted to {self._comfy.address} {_TRIES} times; each time the "
            "answer was lost and the prompt was not there."
        )

    async def _post(
        self, flight: Flight, graph: dict[str, Any], prompt_id: str, client_id: str | None
    ) -> Submitted | None:
        """The answer; None: it was lost, and the prompt may be in the queue."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.unreachable_s
        for pause in pauses():
            try:
                return await self._comfy.submit(
                    graph,
                    prompt_id=prompt_id,
                    client_id=client_id,
                    extra_data=own_data(self._owner, flight.prompt.key),
                    key=flight.prompt.key,
                )
            except UnreachableError as fault:
                if fault.sent:
                    return None
                if clock() > end:
                    raise
            except DamagedAnswerError:
                return None
            except ComfyRefusedError as no:
                # A server that failed after it had queued the prompt must not run it.
                if no.status >= 500:
                    await withdraw(self._comfy, [prompt_id], wait_s=self._limits.grace_s)
                raise
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    async def _arrived(self, flight: Flight) -> bool:
        """Look for a prompt whose answer was lost, until it is found or the grace is over; news of it will do."""
        prompt_id = flight.prompt_id
        clock = asyncio.get_running_loop().time
        end = None
        for pause in pauses():
            found = await patiently(
                lambda: find(self._comfy, prompt_id), self._limits.unreachable_s, believe_refusals=False
            )
            if flight.news or found.state != "gone":
                return True
            end = end or clock() + self._limits.grace_s
            if clock() + pause > end:
                return False
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    async def _check(self, flight: Flight, answer: Submitted) -> None:
        """A prompt that the server cut down is taken back; a number that falls tells of a restart."""
        if answer.number < self._last_number:
            self.restarts += 1
        self._last_number = answer.number
        if answer.node_errors:
            error: ComfyError = invalid_prompt(flight.prompt.key, {}, answer.node_errors)
            await withdraw(self._comfy, [flight.prompt_id], wait_s=self._limits.grace_s)
            raise error
