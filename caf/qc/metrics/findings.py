"""A measurement together with where in the clip it comes from: the blamed frames and the series behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caf.ports import Measurement

__all__ = [
    "LEAST_FRAMES",
    "Finding",
    "Flags",
    "Floats",
    "around_of",
    "at_rate",
    "behind",
    "counted",
    "places",
    "runs",
    "spans",
    "uneven_times",
    "worst_of",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_FRAMES = 12
"""Half a second: less does not tell shake from motion."""
_MOST_WORST = 12
_USUAL_HZ = 30.0
_UNEVEN, _UNEVEN_SHARE, _LASTS = 0.2, 0.1, (0.4, 2.5)
"""How far off the usual time a step is uneven, the share of these from which a clip is, and how far that counts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric of one clip, with every frame that it blames."""

    measurement: Measurement
    blamed: tuple[int, ...] = ()
    """Rising indices; empty where the clip as a whole is meant, or nothing is wrong."""
    series: Mapping[str, Floats] = field(default_factory=dict)
    """Name to (T,) values, units in the names; the first is the one that a plot shows."""


def at_rate(frames: int, interval_s: float) -> int:
    """As many frames as last as long as so many at 30 a second; of slower clips just so many."""
    return round(frames * max(1.0, 1 / (_USUAL_HZ * interval_s))) if interval_s > 0 else frames


def counted(flags: Flags, word: str) -> str:
    """How many of (T,) there are, in words: `1 frame`, `2 frames`."""
    count = int(flags.sum())
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def uneven_times(time_s: Floats) -> Floats | None:
    """(T - 1,) how many usual times each step of (T,) times lasts, 0.4 to 2.5; None of a clip of even times.

    Recordings of telephones and screens take frames at uneven times. In a clip of even times a longer step is a gap.
    """
    steps = np.diff(time_s)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0 or np.mean(np.abs(steps / usual - 1) > _UNEVEN) <= _UNEVEN_SHARE:
        return None
    return np.asarray(np.clip(steps / usual, *_LASTS), dtype=np.float64)


def around_of(step: Floats, usable: Flags, reach: int) -> Floats:
    """(T,) median of the usable steps around each, itself left out; NaN where there are not three."""
    padded = np.full(len(step) + 2 * reach, np.nan)
    padded[reach : reach + len(step)] = np.where(usable, step, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    others = np.delete(windows, reach, axis=1)
    result = np.full(len(step), np.nan)
    enough = np.isfinite(others).sum(axis=1) >= 3
    result[enough] = np.nanmedian(others[enough], axis=1)
    return result


def behind(flags: Flags) -> Flags:
    """(T,) the frames that come right after those."""
    return np.concatenate([[False], flags[:-1]])


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Stretches of True as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def places(flags: Flags) -> tuple[int, ...]:
    """The indices of True."""
    return tuple(int(place) for place in np.flatnonzero(flags))


def spans(blamed: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Rising indices as stretches, (first, last)."""
    found: list[tuple[int, int]] = []
    for index in blamed:
        if found and index == found[-1][1] + 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return tuple(found)


def worst_of(blamed: Sequence[int], badness: Floats) -> tuple[int, ...]:
    """At most twelve of the blamed frames, the worst first."""
    ranked = sorted(blamed, key=lambda index: (-float(badness[index]), index))
    return tuple(ranked[:_MOST_WORST])
