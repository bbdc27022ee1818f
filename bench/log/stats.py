"""Medians and ranges; ratios are taken within a round, where both sides had the same disk and the same load."""

import statistics
from collections.abc import Iterable, Mapping

from msgspec import Struct

__all__ = ["Rounds", "Spread", "percentile", "ratios", "spread"]

Rounds = Mapping[int, float]
"""The values of one measurement by round."""


class Spread(Struct, frozen=True):
    """A median with the lowest and the highest beside it."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """None where nothing was measured."""
    found = sorted(values)
    if not found:
        return None
    return Spread(statistics.median(found), found[0], found[-1])


def percentile(values: Iterable[float], share: int) -> float:
    """The smallest value that at least `share` percent of the values do not exceed."""
    found = sorted(values)
    return found[max(0, -(-len(found) * share // 100) - 1)]


def ratios(above: Rounds, below: Rounds) -> list[float]:
    """above / below of each round in which both were measured."""
    return [above[number] / below[number] for number in above if below.get(number)]
