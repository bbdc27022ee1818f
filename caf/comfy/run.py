"""Prompts through a ComfyUI server, all of them once: the server kept full, nothing lost, nothing done twice.

Uploads, the queue and downloads overlap. A WebSocket tells the news; looks at the queue and at history say what is
true. Whatever happens, it ends with every prompt done or with a typed error, and then nothing of ours is left behind.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import anyio

from caf.comfy.client import Comfy
from caf.comfy.collecting import collect, failure_of
from caf.comfy.events import Follower, News
from caf.comfy.failures import ComfyError, NotThereError, PromptFailedError
from caf.comfy.flights import Board, Flight
from caf.comfy.kept import note
from caf.comfy.model import (
    Done,
    Limits,
    Owner,
    Preview,
    PreviewSink,
    ProgressSink,
    Prompt,
    PromptProgress,
    Warn,
)
from caf.comfy.patience import patiently
from caf.comfy.queueing import Found, Withdrawn, manage_queue, reconcile, withdraw
from caf.comfy.submitting import Record, Submitter, Uploads, key_of
from caf.comfy.watching import Watch
from caf.errors import InputError

__all__ = ["Found", "Withdrawn", "manage_queue", "reconcile", "run_prompts"]

T = TypeVar("T")

_SOCKET_S: Final = 2.0
"""So long the first prompt waits for the WebSocket; then polling must do."""
_LOSSES: Final = 5
NONE: Final[Mapping[str, Done]] = MappingProxyType({})
_CALM_LOSSES: Final = 2
"""Losses of one prompt at a server that shows no sign of a restart: somebody takes it out of the queue."""


async def run_prompts(
    comfy: Comfy,
    prompts: Sequence[Prompt],
    *,
    owner: Owner,
    known: Mapping[str, str],
    kept: Mapping[str, Done] = NONE,
    record: Record,
    out_dir: Path,
    progress: ProgressSink,
    preview: PreviewSink,
    warn: Warn = lambda told: None,
    limits: Limits,
) -> list[Done]:
    """Run each prompt once, and bring what it declares to `out_dir`; in the order of `prompts`.

    `known` are the prompt ids that an earlier life recorded, by key: those are looked for and not sent again. `kept`
    are the prompts, by key, whose outputs it has brought here: the server is not asked for them.
    `record` has written down key and prompt id when it returns; only then the prompt is sent. `warn` is told what
    the run left behind, where no error tells it.

    Raises:
        ComfyError: the first thing that went wrong; the others are then taken out of the queue. It retries no
            render that failed: only prompts that a server forgot are sent again.
        InputError: `missing_input`, `unknown_node`, `duplicate_key`.
    """
    twice = {prompt.key for prompt in prompts} if len({p.key for p in prompts}) != len(prompts) else set()
    if twice:
        raise InputError("Two prompts have one key.", remedy="Give each its own.", kind="duplicate_key")
    run = _Run(comfy, tuple(prompts), owner, record, out_dir, limits)
    run.progress, run.preview, run.warn = progress, preview, warn
    return await run.through(known, kept)


class _Run:
    progress: ProgressSink
    preview: PreviewSink
    warn: Warn

    def __init__(
        self,
        comfy: Comfy,
        prompts: tuple[Prompt, ...],
        owner: Owner,
        record: Record,
        out_dir: Path,
        limits: Limits,
    ) -> None:
        self.comfy = comfy
        self.limits = limits
        self.owner = owner
        self.out_dir = out_dir
        self.board = Board(prompts)
        self.follower = Follower(comfy, self._hear)
        self.uploads = Uploads(comfy, owner, limits)
        self.submitter = Submitter(comfy, self.board, owner, record, limits)
        self.watch = Watch(comfy, self.board, self.follower, limits)
        self.downloads = asyncio.Semaphore(limits.downloads)
        self.to_send: list[int] = []
        self.tended: set[int] = set()
        self.done: dict[str, Done] = {}
        self.changed = asyncio.Event()
        self.failure: Exception | None = None

    async def through(self, known: Mapping[str, str], kept: Mapping[str, Done]) -> list[Done]:
        for flight in self.board.flights:
            if flight.prompt.key in kept:
                flight.stage = "done"
                self.done[flight.prompt.key] = kept[flight.prompt.key]
        clean = False
        try:
            async with anyio.create_task_group() as self.tasks:
                self._start(self.follower.run)
                self._start(lambda: self._main(known))
            clean = self.failure is None
        finally:
            await self._leave_nothing(clean)
        if self.failure is not None:
            raise self.failure
        return [self.done[flight.prompt.key] for flight in self.board.flights]

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        """A task whose failure ends the run; the first failure is the one that is told."""

        async def guarded() -> None:
            try:
                await work()
            except Exception as failure:  # noqa: BLE001 - raised again by `through`
                self.failure = self.failure or failure
                self.tasks.cancel_scope.cancel()

        self.tasks.start_soon(guarded)

    async def _main(self, known: Mapping[str, str]) -> None:
        self.to_send = [
            flight.index
            for flight in self.board.flights
            if flight.stage == "ashore" and flight.prompt.key not in known
        ]
        self._begin_uploads()
        await self._adopt(known)
        self._start(self.watch.run)
        await self._feed()
        self.tasks.cancel_scope.cancel()

    async def _seen(self, look: Callable[[], Awaitable[T]]) -> T:
        return await patiently(look, self.limits.unreachable_s, believe_refusals=False)

    async def _adopt(self, known: Mapping[str, str]) -> None:
        """Take up what an earlier life submitted; the rest is to be sent."""
        mine = {flight.prompt.key: flight for flight in self.board.flights}
        asked = {key: prompt_id for key, prompt_id in known.items() if key in mine and key not in self.done}
        found = await self._seen(lambda: reconcile(self.comfy, asked))
        now = asyncio.get_running_loop().time()
        self.board.alive_at = now
        for key, prompt_id in asked.items():
            flight, there = mine[key], found[key]
            self.board.name(flight, prompt_id)
            self._tend(flight)
            if there.state == "gone":
                self.board.doubt_at = (
                    now  # never there, or forgotten; should it come up all the same, it counts
                )
                continue
            if there.account is not None and there.account.interrupted:
                continue  # by whoever stopped us
            flight.leave(prompt_id, None, now)
            if there.account is not None:
                flight.land(there.account, now)
        queue = await self._seen(self.comfy.queue)
        for item in (*queue.running, *queue.pending):
            own = key_of(item.extra_data, self.owner)
            if own not in mine:
                continue
            if item.prompt_id not in self.board.by_id:
                self.board.name(mine[own], item.prompt_id)
            if mine[own].stage == "ashore":
                mine[own].leave(item.prompt_id, None, now)
                self._tend(mine[own])
        self.to_send = [flight.index for flight in self.board.flights if flight.stage == "ashore"]

    async def _feed(self) -> None:
        """Keep the server's queue as full as it may be, in order, until all are done."""
        if self.to_send:
            self._begin_uploads()
            with anyio.move_on_after(_SOCKET_S):
                await self.follower.tried.wait()
        while len(self.done) < len(self.board.flights):
            if self.to_send and len(self.board.away) < self.limits.depth:
                flight = self.board.flights[heapq.heappop(self.to_send)]
                if flight.stage == "ashore":
                    await self._send(flight)
                continue
            self.changed.clear()
            await self.changed.wait()

    async def _send(self, flight: Flight) -> None:
        flight.stage = "boarding"
        self._begin_uploads()
        graph = await self.uploads.filled(flight.prompt)
        restarts, doubt_at = self.submitter.restarts, self.board.doubt_at
        await self.submitter.send(flight, graph, lambda: self.follower.client_id)
        if self.submitter.restarts > restarts:
            self.uploads.forget()
        if self.board.doubt_at > doubt_at:
            self.watch.look_soon()
        self._tend(flight)
        if flight.ended:
            self._start(lambda: self.watch.examine(flight))

    def _begin_uploads(self) -> None:
        for index in heapq.nsmallest(self.limits.uploads + self.limits.depth, self.to_send):
            self.uploads.begin(self.board.flights[index].prompt)

    def _tend(self, flight: Flight) -> None:
        if flight.index not in self.tended:
            self.tended.add(flight.index)
            self._start(lambda: self._see_through(flight))

    async def _see_through(self, flight: Flight) -> None:
        """From its submission to its files; one that the server forgot goes to be sent again."""
        while flight.stage != "done":
            await flight.settled.wait()
            flight.settled.clear()
            if flight.stage == "ashore":
                self._send_again(flight)
            elif flight.stage == "over":
                self.changed.set()
                await self._bring(flight)

    def _send_again(self, flight: Flight) -> None:
        calm = self.watch.calm_since(flight.sent_at)
        if flight.losses > (_CALM_LOSSES if calm else _LOSSES):
            raise PromptFailedError(
                f"The prompt of {flight.prompt.key} vanished from the queue of {self.comfy.address} "
                f"{flight.losses} times" + (", though the server did not restart." if calm else "."),
                remedy="See who empties that queue." if calm else "See why the server restarts.",
                kind="comfy_cancelled" if calm else "comfy_lost",
            )
        self.uploads.forget()
        heapq.heappush(self.to_send, flight.index)
        self.changed.set()

    async def _bring(self, flight: Flight) -> None:
        account = flight.account
        assert account is not None, "a flight is over by its account"
        failure = await failure_of(self.comfy, flight, account)
        if failure is not None:
            raise failure
        try:
            async with self.downloads:
                done = await collect(self.comfy, flight, account, self.out_dir, self.limits.unreachable_s)
                await asyncio.to_thread(note, done, self.out_dir)
        except NotThereError as no:
            await self._gone_file(flight, no)
            return
        flight.stage = "done"
        self.done[flight.prompt.key] = done
        self.changed.set()

    async def _gone_file(self, flight: Flight, no: NotThereError) -> None:
        """A restarted server has wiped its previews and forgotten the prompt: again. Else it is a failure."""
        known = await self._seen(lambda: self.comfy.history(flight.prompt_id))
        if known is None:
            flight.lose()
            return
        cached = " The server took it from its cache and did not write it again." if known.cached else ""
        raise PromptFailedError(
            f"An output of {flight.prompt.key} is not there any more: {no.message}{cached}",
            remedy="Somebody removed it from the server's folder; have it rendered under another name.",
            kind="comfy_output_missing",
        ) from no

    def _hear(self, news: News) -> None:
        match self.board.hear(news, asyncio.get_running_loop().time()):
            case Flight() as flight:
                self._start(lambda: self.watch.examine(flight))
            case PromptProgress() as progress:
                self.progress(progress)
            case Preview() as preview:
                self.preview(preview)

    async def _leave_nothing(self, clean: bool) -> None:
        """Take what is left of ours out of the queue, whatever ended the run; bounded, and not to be cancelled."""
        with anyio.CancelScope(shield=True):
            await self.uploads.end()
            if clean and self.board.doubt_at < 0:
                return
            ids = [prompt_id for flight in self.board.flights for prompt_id in flight.ids]
            gone = await withdraw(self.comfy, ids, wait_s=self.limits.withdraw_s, doubt=not clean)
            told = f"{', '.join(gone.ignored)} runs on: its node does not heed the interruption."
            if not isinstance(self.failure, ComfyError):
                if gone.ignored:
                    self.warn(f"At {self.comfy.address} {told}")
                return
            if gone.ignored:
                self.failure.message += f" {told}"
            if self.failure.kind == "comfy_oom":
                await _free(self.comfy)


async def _free(comfy: Comfy) -> None:
    """Once, and no matter what it answers: the failure is told anyway."""
    try:
        await comfy.free()
    except ComfyError:
        return
