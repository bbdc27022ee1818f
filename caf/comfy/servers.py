"""Several ComfyUI servers: which of them are well, can run a workflow, and have the least to do.

Each renders one stage of ours at a time; others' prompts may be in its queue all the same.
"""

import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from msgspec import Struct

from caf.comfy.addresses import each_once, shown
from caf.comfy.client import Comfy
from caf.comfy.failures import ComfyError, NotThereError
from caf.comfy.http import Timeouts
from caf.comfy.model import ServerFacts
from caf.comfy.object_info import NodeInfo, nodes_of
from caf.comfy.patience import patiently
from caf.comfy.problems import Problem, problems
from caf.errors import CafError, InputError, TryAgainError

__all__ = ["Examined", "Servers", "Standing", "refusal"]

QUICK: Final = Timeouts(connect_s=3.0, read_s=10.0)
"""A server that says nothing for so long is passed over where there are others."""
LOOK_AGAIN_S: Final = 5.0
"""Between two looks at servers of which one did not answer."""
SHOWN: Final = 6
"""Problems that are told; the lint lists all."""
MISSING: Final = {"missing_node_type": "comfy_missing_node", "value_not_in_list": "comfy_missing_model"}
"""Kinds of problems to kinds of failure."""


class Examined(Struct, frozen=True, kw_only=True):
    """A server as seen just now."""

    url: str
    facts: ServerFacts | None = None
    waiting: int = 0
    """Prompts in its queue, everybody's, the running one included."""
    problems: tuple[Problem, ...] = ()
    """What it would not run of the graph in question."""
    fault: CafError | None = None
    """Why it could not be examined."""

    @property
    def address(self) -> str:
        """For people and for the log: without user and password."""
        return shown(self.url)

    @property
    def able(self) -> bool:
        """True when it is well and would run the graph."""
        return self.fault is None and not any(problem.grave for problem in self.problems)


class Standing(Struct, frozen=True, kw_only=True):
    """A server that a stage has for itself."""

    comfy: Comfy
    address: str
    """For people and for the log: without user and password."""
    facts: ServerFacts


class Servers:
    """The servers of one process's configuration, and those that jobs name."""

    def __init__(self, urls: Sequence[str], *, patience_s: float = 0.0, away_s: float = 0.0) -> None:
        """`patience_s`: so long a question to the only server is asked again; where there are others, a fifth.

        `away_s`: so long the one that has work of a stage already is waited for before another one does it again.
        """
        self.urls = each_once(urls)
        self.patience_s = patience_s
        self.away_s = away_s
        self._taken: set[str] = set()
        self._freed = anyio.Event()

    @asynccontextmanager
    async def turn(
        self, graph: Mapping[str, Any], *, outputs: Iterable[str], urls: Sequence[str] = (), prefer: str = ""
    ) -> AsyncIterator[Standing]:
        """Wait for a server that can run the graph, and have it alone among this process's stages.

        `urls`: those that the job names; else the configured ones. `prefer`: the address of the one that has work
        of this stage already.

        Raises:
            InputError: none would run it: `comfy_missing_node`, `comfy_missing_model`, `comfy_invalid_prompt`.
            TryAgainError: `comfy_unreachable`: none can be reached, or none of those that can be would run it.
        """
        chosen = await self._take(graph, tuple(outputs), each_once(urls) or self.urls, prefer)
        try:
            async with Comfy(chosen.url) as comfy:
                assert chosen.facts is not None
                yield Standing(comfy=comfy, address=chosen.address, facts=chosen.facts)
        finally:
            self._taken.discard(chosen.address)
            freed, self._freed = self._freed, anyio.Event()
            freed.set()

    async def preflight(
        self, graph: Mapping[str, Any], *, outputs: Iterable[str], urls: Sequence[str] = ()
    ) -> list[Examined]:
        """All servers with what each would say against the graph. Raises as `turn` does when none would run it."""
        named = each_once(urls) or self.urls
        seen = await self.examine(named, graph, tuple(outputs))
        if not any(server.able for server in seen):
            raise refusal(seen)
        return seen

    async def examine(
        self,
        urls: Sequence[str],
        graph: Mapping[str, Any] | None = None,
        outputs: tuple[str, ...] = (),
    ) -> list[Examined]:
        """Every server as it is now, in the order given; raises nothing."""
        seen: dict[str, Examined] = {}

        async def look(url: str) -> None:
            seen[url] = await _examined(url, graph, outputs, patience_s)

        patience_s = self.patience_s if len(urls) == 1 else self.patience_s / 5
        async with anyio.create_task_group() as group:
            for url in urls:
                group.start_soon(look, url)
        return [seen[url] for url in urls]

    async def _take(
        self, graph: Mapping[str, Any], outputs: tuple[str, ...], urls: tuple[str, ...], prefer: str
    ) -> Examined:
        until = anyio.current_time() + self.away_s
        prefer = prefer.rstrip("/")
        while True:
            freed = self._freed
            seen = await self.preflight(graph, outputs=outputs, urls=urls)
            able = [server for server in seen if server.able]
            before = [server for server in able if server.address == prefer]
            silent = {
                server.address for server in seen if server.fault is not None and server.fault.transient
            }
            free = [server for server in before or able if server.address not in self._taken]
            if free and (prefer not in silent or anyio.current_time() >= until):
                best = min(free, key=_load)
                self._taken.add(best.address)
                return best
            # One that was away may be back long before a stage of ours ends.
            with anyio.move_on_after(LOOK_AGAIN_S if silent else math.inf):
                await freed.wait()


def _load(server: Examined) -> tuple[int, int]:
    """The smallest has the least to do; among equals, the most free memory of its cards."""
    devices = server.facts.devices if server.facts else ()
    return server.waiting, -max((device.vram_free for device in devices), default=0)


async def _examined(
    url: str, graph: Mapping[str, Any] | None, outputs: tuple[str, ...], patience_s: float
) -> Examined:
    try:
        async with Comfy(url, timeouts=QUICK) as comfy:
            facts = await patiently(comfy.system_stats, patience_s, believe_refusals=False)
            waiting = await patiently(comfy.waiting, patience_s, believe_refusals=False)
            found: tuple[Problem, ...] = ()
            if graph is not None:
                names = {str(node["class_type"]) for node in graph.values()}
                known = await patiently(lambda: _classes(comfy, names), patience_s, believe_refusals=False)
                found = tuple(problems(graph, known, outputs=outputs))
            return Examined(url=url, facts=facts, waiting=waiting, problems=found)
    except (ComfyError, InputError) as fault:
        return Examined(url=url, fault=fault)


async def _classes(comfy: Comfy, names: Iterable[str]) -> dict[str, NodeInfo]:
    """What the server has of these classes; one question each, for all of them would be a megabyte and more."""
    answers: dict[str, Any] = {}
    for name in sorted(names):
        if "/" in name:  # no route leads there
            return nodes_of(await comfy.object_info())
        try:
            answers |= await comfy.object_info(name)
        except NotThereError:  # a server answers {} for a class that it has not; this is somebody else's word
            return nodes_of(await comfy.object_info())
    return nodes_of(answers)


def refusal(seen: Sequence[Examined]) -> CafError:
    """Why none of these servers can be used."""
    if not seen:
        return InputError(
            "No ComfyUI server is named.",
            remedy="Name one or more: comfy_urls in caf.toml, or comfyui.base_url in the job.",
            kind="no_comfy_server",
        )
    no = next((_no(server) for server in seen if server.fault is None), None)
    faults = [server.fault for server in seen if server.fault is not None]
    told = " ".join(fault.message for fault in faults)
    if not any(fault.transient for fault in faults):
        return no or faults[0]
    if no is not None:  # what one lacks, the one that restarts just now may have
        return TryAgainError(
            f"{no.message} Whether another would is not known: {told}",
            remedy=f"Start the other one, or correct comfy_urls. {no.remedy}",
            kind="comfy_unreachable",
            transient=True,
        )
    return TryAgainError(
        f"No ComfyUI server can be reached. {told}",
        remedy="Start one, or correct comfy_urls or the job's comfyui.base_url. See: caf comfy doctor",
        kind="comfy_unreachable",
        transient=True,
    )


def _no(server: Examined) -> InputError:
    """What a server that answers says against the graph."""
    grave = [problem for problem in server.problems if problem.grave]
    told = " ".join(_sentence(problem) for problem in grave[:SHOWN])
    more = f" And {len(grave) - SHOWN} more." if len(grave) > SHOWN else ""
    return InputError(
        f"{server.address} would not run this workflow. {told}{more}",
        remedy="Install what is missing there, or choose what it has; see all of it with:"
        f" caf workflow lint FILE --server {server.address}",
        kind=next((MISSING[item.kind] for item in grave if item.kind in MISSING), "comfy_invalid_prompt"),
    )


def _sentence(problem: Problem) -> str:
    return problem.message[:1].upper() + problem.message[1:]
