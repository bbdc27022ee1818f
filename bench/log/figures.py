"""What the event log is to reach, as data: one measurement over another, or by itself, and the bound."""

from typing import Final

from msgspec import Struct

from bench.log.rounds import Found
from bench.log.stats import Spread, ratios, spread

__all__ = ["FIGURES", "Figure", "reached", "spread_of"]

Measured = tuple[str, str]
"""What was measured, and of whom."""


class Figure(Struct, frozen=True):
    """One line of what is to be reached."""

    what: str
    beside: str
    """What it is held against, or its unit."""
    above: Measured
    below: Measured | None
    bound: float
    at_least: bool
    """False: at most."""


def spread_of(figure: Figure, found: Found) -> Spread | None:
    """None where one side was not measured."""
    above = found.of(*figure.above)
    if figure.below is None:
        return spread(above.values())
    return spread(ratios(above, found.of(*figure.below)))


def reached(figure: Figure, measured: Spread) -> bool:
    """By the median."""
    return measured.median >= figure.bound if figure.at_least else measured.median <= figure.bound


def _append(writers: int, synchronous: str, other: str, beside: str, bound: float) -> Figure:
    key = f"append/{writers}/{synchronous}"
    what = f"append, {writers} writer{'s' * (writers > 1)}, {synchronous}"
    return Figure(what, beside, (key, "own"), (key, other), bound, True)


def _replay(what: str, own: str, other: Measured, beside: str, bound: float) -> Figure:
    return Figure(f"replay {what}", beside, (f"replay/{own}", "own"), other, bound, True)


def _delivery(what: str, key: str, beside: str, bound: float) -> Figure:
    return Figure(what, beside, (key, "own"), (key, "raw"), bound, False)


_LIMIT: Final = ("replay/decode", "raw")
_LIMIT_TOLD: Final = "raw SELECT + msgspec decode"

FIGURES: Final[tuple[Figure, ...]] = (
    # With the hash chain, which cannot be switched off; without it 0.90 would be asked.
    _append(256, "FULL", "raw", "raw batched by 256", 0.80),
    _append(256, "FULL", "eventsourcing", "eventsourcing's recorder", 15),
    _append(256, "FULL", "eventsourcing-save", "eventsourcing's application.save", 20),
    _append(256, "FULL", "eventsource-py", "eventsource-py", 20),
    _append(256, "FULL", "umadb", "umadb", 3),
    _append(256, "FULL", "dbos", "dbos steps", 80),
    _append(16, "FULL", "raw", "raw batched by 16", 0.90),
    _append(1, "FULL", "raw", "raw, one commit each", 0.85),
    _append(1, "NORMAL", "raw", "raw, one commit each", 0.75),
    Figure("hash chain", "µs an event", ("chain", "own"), None, 0.6, False),
    _delivery("append → handler p50, FULL", "delivery/FULL/p50", "a raw commit's p50", 1.2),
    _delivery("append → handler p50, NORMAL", "delivery/NORMAL/p50", "a raw commit's p50", 1.5),
    _delivery("the same with CPU work in 1 ms slices, FULL", "busy/FULL/p50", "a raw commit's p50", 5),
    # Asked is the time after the commit, which nobody outside can see: NORMAL from the call is a little more.
    Figure("append → another process p50, NORMAL", "ms", ("across/NORMAL/call p50", "own"), None, 0.5, False),
    Figure("append → another process p99, NORMAL", "ms", ("across/NORMAL/call p99", "own"), None, 5, False),
    Figure("following 100 events/s", "% of a core", ("across/NORMAL/core", "own"), None, 1, False),
    _replay("typed events", "decode", _LIMIT, _LIMIT_TOLD, 0.95),
    _replay("with dispatch to a projection", "dispatch", _LIMIT, _LIMIT_TOLD, 0.7),
    _replay("with dispatch and chain verification", "dispatch and verify", _LIMIT, _LIMIT_TOLD, 0.5),
    _replay("typed events", "decode", ("replay/decode", "eventsourcing-save"), "eventsourcing's events", 8),
    _replay(
        "with dispatch",
        "dispatch",
        ("replay/aggregates", "eventsourcing-save"),
        "eventsourcing's aggregates",
        14,
    ),
    Figure(
        "rebuild of all projections",
        "reading and decoding the same log",
        ("rebuild/all", "own"),
        ("rebuild/replay", "own"),
        0.5,
        True,
    ),
    Figure("database beyond the payload", "bytes an event", ("size", "own"), None, 110, False),
    Figure(
        "append, 10 million events",
        "with 100,000",
        ("huge/big rate", "own"),
        ("huge/small rate", "own"),
        0.8,
        True,
    ),
    Figure(
        "open, 10 million events",
        "with 100,000",
        ("huge/big open", "own"),
        ("huge/small open", "own"),
        1.2,
        False,
    ),
)
