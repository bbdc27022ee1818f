"""How much faster a sound runs than another: by how their loudness goes, which waves that drift apart still share."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["faster_share", "levels"]

_STEP_S: Final = 0.01
"""Of the loudness."""
_LONGEST_S: Final = 10.0
"""So much of the beginning is looked at: a quarter of a percent beside the right tempo moves its end by 25 ms."""
_TEMPOS: Final = np.arange(-60, 61) * 0.0025
"""Shares by which it may be faster."""
_QUIET: Final = 0.03
"""Of the loudest step; what lies below is alike in all sounds."""
_LEAST: Final = 0.005
_ALIKE: Final = 0.9
"""Correlation of the loudness at the right tempo. Of 14 real sound tracks 2 to 12 % faster or slower 0.92 to 1; other
sounds at the best tempo 0.52 at most, the same sound 0.12 s late 0.04 to 0.86."""
_BETTER: Final = 0.1
"""So much more alike than at the source's own tempo: of these tracks 0.13 at least."""

Floats = NDArray[np.float64]


def faster_share(sound: NDArray[np.float32], source: NDArray[np.float32], rate_hz: int) -> float:
    """0.05: `sound` runs 5 % faster than `source` from a common beginning. 0 where no other tempo explains it."""
    step, count = round(_STEP_S * rate_hz), min(len(sound), len(source), round(_LONGEST_S * rate_hz))
    here, there = _loudness(sound[:count], step), _loudness(source[:count], step)
    if len(here) < 1 / _STEP_S:
        return 0.0
    alike = np.array([_alike(here, there, 1 + tempo) for tempo in _TEMPOS])
    best = int(np.argmax(alike))
    told = alike[best] >= max(_ALIKE, alike[len(_TEMPOS) // 2] + _BETTER) and abs(_TEMPOS[best]) >= _LEAST
    return float(_TEMPOS[best]) if told else 0.0


def levels(samples: NDArray[np.float32], count: int, step: int) -> Floats:
    """(count,) RMS of each step of so many samples; silence follows them."""
    padded = np.zeros(count * step)
    kept = samples[: count * step]
    padded[: len(kept)] = kept
    return np.asarray(np.sqrt(np.mean(padded.reshape(count, step) ** 2, axis=1)), dtype=np.float64)


def _loudness(samples: NDArray[np.float32], step: int) -> Floats:
    """Logarithm of the RMS of each step."""
    level = levels(samples, len(samples) // step, step)
    return np.asarray(
        np.log(level + _QUIET * level.max(initial=0.0) + np.finfo(np.float32).tiny), dtype=np.float64
    )


def _alike(here: Floats, there: Floats, tempo: float) -> float:
    """Correlation of `here` with `there` played at this tempo, as far as both go; 0 where one stays the same."""
    at = np.arange(len(here)) * tempo
    a = here[at <= len(there) - 1]
    b = np.interp(at[: len(a)], np.arange(len(there)), there)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    return float(np.sum(a * b)) / norm if norm > 0 else 0.0
