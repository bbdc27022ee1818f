"""What is known of each prompt under way: a fold of news, looks at the queue and looks at history.

Nothing here asks the server anything; `Board` only says what follows from what was seen.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from caf.comfy.answers import Account, Queue
from caf.comfy.events import Cached, Ended, Executed, Executing, News, Picture, Started, Ticked
from caf.comfy.model import Preview, Prompt, PromptProgress

__all__ = ["MISSES_TO_BE_LOST", "Board", "Flight", "Seen"]

SILENCE_S: Final = 3.0
"""A prompt that has run so long has news."""
MISSES_TO_BE_LOST: Final = 3
"""Looks in a row that find a prompt neither in the queue nor in history; one may be a lie."""

Stage = Literal["ashore", "boarding", "away", "over", "done"]


@dataclass(eq=False)
class Flight:
    """One prompt.

    ashore: to be submitted; boarding: its submission is under way; away: at the server; over: it ended there;
    done: its files are here.
    """

    prompt: Prompt
    index: int
    stage: Stage = "ashore"
    ids: list[str] = field(default_factory=list)
    """Every id that it was or may have been submitted under."""
    prompt_id: str = ""
    """The id that counts."""
    client_id: str | None = None
    """Whose connection gets its news."""
    sent_at: float = 0.0
    started_at: float | None = None
    account: Account | None = None
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Outputs as they were told by news, per node."""
    news: int = 0
    misses: int = 0
    losses: int = 0
    running_since: float | None = None
    landed_at: float = 0.0
    ended: bool = False
    """News said that history has it."""
    told_ok: bool = False
    """News said that it ended well; history has the last word while it has one."""
    node: str = ""
    node_since: float = 0.0
    node_s: dict[str, float] = field(default_factory=dict)
    cached: tuple[str, ...] = ()
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is an account, or when it is lost."""

    def leave(self, prompt_id: str, client_id: str | None, now: float, stage: Stage = "away") -> None:
        """Begin anew under this id. News may come before the answer to the submission: hence `boarding`."""
        self.stage, self.prompt_id, self.client_id, self.sent_at = stage, prompt_id, client_id, now
        self.ended = False
        self.misses, self.news, self.told_ok, self.account = 0, 0, False, None
        self.running_since, self.started_at = None, None
        self.heard, self.node_s, self.node, self.cached = {}, {}, "", ()
        self.settled.clear()

    def lose(self) -> None:
        self.stage, self.losses = "ashore", self.losses + 1
        self.settled.set()

    def land(self, account: Account, now: float) -> None:
        self.account, self.stage, self.landed_at = account, "over", now
        self.settled.set()

    @property
    def told_whole(self) -> bool:
        """News alone said all: it ended well, and what each declared node put out."""
        return self.told_ok and all(node in self.heard for node in self.prompt.outputs)

    def close_node(self, now: float) -> None:
        if self.node:
            self.node_s[self.node] = self.node_s.get(self.node, 0.0) + now - self.node_since
        self.node, self.node_since = "", now


@dataclass(frozen=True)
class Seen:
    """What a look at the queue asks for."""

    absent: tuple[Flight, ...]
    """Away, and not in the queue: history must say."""
    surplus: tuple[str, ...]
    """Ids of ours to be taken out, once for each time they stand here."""
    silent: bool
    """A prompt runs whose news should have come over this connection, and did not."""


class Board:
    """All prompts of a render."""

    def __init__(self, prompts: tuple[Prompt, ...]) -> None:
        self.flights: Final = tuple(Flight(prompt, index) for index, prompt in enumerate(prompts))
        self.by_id: dict[str, Flight] = {}
        self.alive_at = 0.0
        """When something last happened to any of ours, or in the queue before them."""
        self.wedged_since: float | None = None
        self.other_runs = ""
        self.doubt_at = float("-inf")
        """When a submission was last given up; it may still arrive."""
        self._signature: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def name(self, flight: Flight, prompt_id: str) -> None:
        flight.ids.append(prompt_id)
        self.by_id[prompt_id] = flight

    @property
    def away(self) -> list[Flight]:
        return [flight for flight in self.flights if flight.stage == "away"]

    def hear(self, news: News, now: float) -> Flight | PromptProgress | Preview | None:
        """A flight: it may be over, look at history. Progress and previews are to be handed on."""
        if isinstance(news, Picture) and not news.prompt_id:
            running = next((flight for flight in self.away if flight.node), None)
            return running and Preview(
                key=running.prompt.key, node_id=running.node, mime=news.mime, data=news.data
            )
        flight = self.by_id.get(news.prompt_id)
        if flight is None or news.prompt_id != flight.prompt_id or flight.stage not in ("boarding", "away"):
            return None
        self.alive_at = now
        flight.news += 1
        if flight.running_since is None:
            flight.running_since = now
        return self._fold(flight, news, now)

    def _fold(self, flight: Flight, news: News, now: float) -> Flight | PromptProgress | Preview | None:
        key = flight.prompt.key
        match news:
            case Started():
                flight.started_at = flight.started_at or now
            case Cached(nodes=nodes):
                flight.cached = nodes
            case Executing(node=node):
                if node != flight.node:
                    flight.close_node(now)
                    flight.node = node
                return _progress(flight, node, 0.0, 1.0)
            case Ticked(node=node, value=value, max=top):
                return _progress(flight, node, value, top)
            case Executed(node=node, output=output):
                flight.heard[node] = output
            case Ended(settled=settled, ok=ok):
                flight.close_node(now)
                flight.told_ok = flight.told_ok or ok
                flight.ended = flight.ended or settled
                return flight if settled and flight.stage == "away" else None
            case Picture(node=node, mime=mime, data=data):
                return Preview(key=key, node_id=node, mime=mime, data=data)
        return None

    def look(self, queue: Queue, asked_at: float, now: float, client_id: str | None) -> Seen:
        """Fold a look at the queue that was asked for at `asked_at`; what changed since is not judged by it."""
        running = tuple(item.prompt_id for item in queue.running)
        pending = tuple(item.prompt_id for item in queue.pending)
        if (running, pending) != self._signature:
            self._signature, self.alive_at, self.wedged_since = (running, pending), now, None
        if not pending or running:
            self.wedged_since = None
        elif self.wedged_since is None:
            self.wedged_since = now
        self.other_runs = next((prompt_id for prompt_id in running if prompt_id not in self.by_id), "")
        surplus = self._surplus(running, pending, asked_at)
        absent = []
        silent = False
        for flight in self.away:
            if flight.prompt_id in running or flight.prompt_id in pending:
                flight.misses = 0
                if flight.prompt_id in running and flight.running_since is None:
                    flight.running_since = now
                since = flight.running_since
                mute = not flight.news and since is not None and now - since > SILENCE_S
                silent = silent or (mute and flight.client_id is not None and flight.client_id == client_id)
            elif flight.sent_at < asked_at:
                absent.append(flight)
        return Seen(tuple(absent), surplus, silent)

    def _surplus(
        self, running: tuple[str, ...], pending: tuple[str, ...], asked_at: float
    ) -> tuple[str, ...]:
        """Submissions that arrived twice, or late, when another had taken their place.

        One that runs is let run: it is over soon, for the server has it in its cache.
        """
        surplus: list[str] = []
        resolved: set[int] = set()
        counts = Counter(pending)
        for prompt_id in dict.fromkeys((*running, *pending)):
            flight = self.by_id.get(prompt_id)
            if (
                flight is None
                or flight.stage == "boarding"
                or asked_at <= max(flight.sent_at, flight.landed_at)
            ):
                continue
            if flight.stage == "ashore":  # it was believed lost
                flight.leave(prompt_id, None, flight.sent_at)
            if flight.stage != "away":
                surplus += [prompt_id] * counts[prompt_id]
            elif prompt_id != flight.prompt_id and flight.index not in resolved:
                surplus += self._resolve(flight, prompt_id, running, counts)
                resolved.add(flight.index)  # another of its ids, if there is one, is for the next look
            elif flight.index in resolved:
                continue
            else:
                surplus += [prompt_id] * (counts[prompt_id] - (prompt_id not in running))
        return tuple(surplus)

    def _resolve(
        self, flight: Flight, late: str, running: tuple[str, ...], counts: Counter[str]
    ) -> list[str]:
        """Two ids of one prompt are in the queue: the one that is ahead counts."""
        newer = flight.prompt_id
        if newer in running or (newer in counts and late not in running):
            return [late] * counts[late]
        flight.leave(late, None, flight.sent_at)
        return [newer] * counts[newer]


def _progress(flight: Flight, node: str, value: float, top: float) -> PromptProgress:
    made_by = flight.prompt.graph.get(node)
    node_class = str(made_by.get("class_type", "")) if isinstance(made_by, dict) else ""
    return PromptProgress(key=flight.prompt.key, node_id=node, node_class=node_class, value=value, max=top)
