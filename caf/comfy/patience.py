"""Asking again, for as long as a server may be away; only for calls that may be made twice."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from caf.comfy.failures import ComfyError, ComfyRefusedError

__all__ = ["patiently", "pauses"]

T = TypeVar("T")

_FIRST_S: Final = 0.05
_LONGEST_S: Final = 2.0


def pauses(first_s: float = _FIRST_S, longest_s: float = _LONGEST_S) -> Iterator[float]:
    """Ever longer ones, without end."""
    pause = first_s
    while True:
        yield pause
        pause = min(longest_s, pause * 2)


async def patiently(call: Callable[[], Awaitable[T]], budget_s: float, *, believe_refusals: bool = True) -> T:
    """The call's answer; a transient fault is met with a pause and another try until the budget is spent.

    A look at what every server has (its queue, history, facts) is refused by no server, but by something before it:
    not to be believed at once, then.

    Raises `ComfyError`: one that is not transient at once, else the last.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + budget_s
    for pause in pauses():
        try:
            return await call()
        except ComfyError as fault:
            again = fault.transient or (isinstance(fault, ComfyRefusedError) and not believe_refusals)
            if not again or clock() + pause > end:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("pauses have no end")
