"""The second source of truth: looks at the queue and at history, and the clocks that say that nothing moves."""

import asyncio
from contextlib import suppress
from typing import Final

import anyio

from caf.comfy.answers import Account
from caf.comfy.client import Comfy
from caf.comfy.events import Follower
from caf.comfy.failures import ComfyError, PromptFailedError
from caf.comfy.flights import MISSES_TO_BE_LOST, Board, Flight
from caf.comfy.model import Limits

__all__ = ["Watch", "rest_s"]

_COVERED_S: Final = 1.0
"""Between looks while the WebSocket tells of every prompt under way."""
_SHORTEST_S: Final = 0.1
_GROWTH: Final = 1.5
_DOUBT_S: Final = 30.0
"""So long after a submission was given up, looks are frequent: it must be taken out before it runs."""
_SHARE: Final = 10
"""A look that takes long is not repeated before so many times its duration: a queue echoes whole graphs."""
_LONGEST_S: Final = 2.0
"""But no longer than this: what stalls or is wedged is seen by looking."""


class Watch:
    """Looks at the queue for as long as it runs; raises when the server is away, stuck or wedged for too long."""

    def __init__(self, comfy: Comfy, board: Board, follower: Follower, limits: Limits) -> None:
        self._comfy = comfy
        self._board = board
        self._follower = follower
        self._limits = limits
        self._pause = _SHORTEST_S
        self._away_since: float | None = None
        self._troubled_at = float("-inf")
        self._silent = 0
        self._soon = asyncio.Event()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.deadline_s
        while True:
            asked_at = clock()
            try:
                await self._look(asked_at)
                if self._away_since is not None:
                    self._away_since, self._board.alive_at = None, clock()
                took = clock() - asked_at
            except ComfyError as fault:
                self._trouble(asked_at, fault)
                took = 0.0  # how long a silence lasted says nothing of how dear a look is
            self._judge(clock(), end)
            await self._rest(took)

    def look_soon(self) -> None:
        self._pause = _SHORTEST_S
        self._soon.set()

    def calm_since(self, then: float) -> bool:
        """Neither the line nor the WebSocket broke since."""
        return max(self._troubled_at, self._follower.broke_at) < then

    async def examine(self, flight: Flight) -> None:
        """Ask history about a flight that may be over; if it does not say so, the next look comes at once."""
        prompt_id = flight.prompt_id
        account = None
        with suppress(ComfyError):
            account = await self._comfy.history(prompt_id)
        self._land(flight, prompt_id, account)
        if flight.stage == "away":
            self.look_soon()

    def _land(self, flight: Flight, prompt_id: str, account: Account | None) -> None:
        if account is not None and flight.stage == "away" and flight.prompt_id == prompt_id:
            flight.land(account, asyncio.get_running_loop().time())

    async def _look(self, asked_at: float) -> None:
        clock = asyncio.get_running_loop().time
        board, follower = self._board, self._follower
        queue = await self._comfy.queue()
        alive_at = board.alive_at
        seen = board.look(queue, asked_at, clock(), follower.client_id)
        if board.alive_at != alive_at:
            self._pause = _SHORTEST_S
        await self._comfy.delete(seen.surplus)
        silent = seen.silent
        for flight in seen.absent:
            unheard = (
                not flight.news and flight.client_id is not None and flight.client_id == follower.client_id
            )
            prompt_id = flight.prompt_id
            self._land(flight, prompt_id, await self._comfy.history(prompt_id))
            if flight.stage == "over":
                silent = silent or (unheard and not flight.news)
            elif flight.stage == "away":
                await self._missed(flight)
        self._doubt_socket(silent)

    async def _missed(self, flight: Flight) -> None:
        """Neither in the queue nor in history. Newer servers can tell lost from unfinished; they are asked last."""
        flight.misses += 1
        self._pause = _SHORTEST_S
        if flight.misses < MISSES_TO_BE_LOST:
            return
        prompt_id = flight.prompt_id
        if flight.told_whole:  # somebody has cleared history meanwhile
            self._land(flight, prompt_id, Account(outputs=dict(flight.heard), ok=True))
        elif await self._comfy.job(prompt_id) not in (None, "unknown"):
            flight.misses = 0
        elif flight.stage == "away" and flight.prompt_id == prompt_id:
            flight.lose()

    def _doubt_socket(self, silent: bool) -> None:
        """It is open and tells nothing of prompts that run: twice, and another takes its place."""
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= 2:
            self._silent = 0
            self._follower.renew()

    def _trouble(self, now: float, fault: ComfyError) -> None:
        self._troubled_at = now
        self._pause = min(self._pause, _COVERED_S)
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since > self._limits.unreachable_s:
            raise fault

    def _judge(self, now: float, end: float) -> None:
        board, limits = self._board, self._limits
        waiting = board.away
        if now > end:
            raise PromptFailedError(
                f"{self._comfy.address} did not get through in {limits.deadline_s:.0f} s; "
                f"{len(waiting)} prompts of ours are still there.",
                remedy="Give the render more time, or ask for less.",
                kind="comfy_deadline",
            )
        if not waiting or self._away_since is not None:
            board.alive_at = now if not waiting else board.alive_at
            return
        if board.wedged_since is not None and now - board.wedged_since > limits.wedge_s:
            raise PromptFailedError(
                f"{self._comfy.address} has prompts waiting and has run none for {limits.wedge_s:.0f} s: its worker "
                "has died; it answers and will never render again.",
                remedy="Restart the server; its log has the traceback of prompt_worker.",
                kind="comfy_wedged",
            )
        if now - board.alive_at > limits.stall_s:
            raise self._stalled()

    def _stalled(self) -> PromptFailedError:
        board, limits = self._board, self._limits
        running = next((flight for flight in board.away if flight.running_since is not None), None)
        if running is None and board.other_runs:
            return PromptFailedError(
                f"Prompt {board.other_runs} of somebody else has run at {self._comfy.address} for "
                f"{limits.stall_s:.0f} s without a sign, and ours wait behind it.",
                remedy="Wait for it or end it there; then retry the stage.",
                kind="comfy_busy",
                transient=True,
            )
        where = f" in node {running.node}" if running and running.node else ""
        key = running.prompt.key if running else board.away[0].prompt.key
        return PromptFailedError(
            f"Nothing has happened to {key}{where} at {self._comfy.address} for {limits.stall_s:.0f} s.",
            remedy="See the server's log; if the node is only slow, give it a longer stall deadline.",
            kind="comfy_stalled",
        )

    async def _rest(self, took: float) -> None:
        covered = all(
            flight.client_id is not None and flight.client_id == self._follower.client_id
            for flight in self._board.away
        )
        missed = any(flight.misses for flight in self._board.away)
        pause = _COVERED_S if covered and not missed else self._pause
        if asyncio.get_running_loop().time() - self._board.doubt_at < _DOUBT_S:
            pause = _SHORTEST_S
        self._pause = min(_COVERED_S, self._pause * _GROWTH)
        self._soon.clear()
        with anyio.move_on_after(rest_s(pause, took)):
            await self._soon.wait()


def rest_s(pause_s: float, took_s: float) -> float:
    """How long to rest after a look that took so long, where `pause_s` would do for one that took no time."""
    return max(pause_s, min(took_s * _SHARE, _LONGEST_S))
