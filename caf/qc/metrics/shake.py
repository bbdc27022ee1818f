"""jitter: does the camera tremble, its smooth motion apart?"""

from typing import Literal

import numpy as np

from caf.qc.metrics.findings import (
    LEAST_FRAMES,
    Finding,
    Flags,
    Floats,
    at_rate,
    behind,
    runs,
    uneven_times,
    worst_of,
)
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.tracks import CameraPath, smoothing_residual

__all__ = ["SHAKE", "frames_of_second", "jitter", "shake_permille", "worst_second"]

# Per mille of the diagonal, RMS in the shakiest second; 1 is 0.73 px at 640x360. Steady clips: 0.05-0.3.
SHAKE: Calibration = ((0.0, 1.0), (0.6, 0.93), (1.2, 0.8), (2.0, 0.6), (5.0, 0.25), (12.0, 0.0))
_VISIBLE = 1.6
"""Per mille of the diagonal, where `SHAKE` gives 0.7."""
_SECOND = 25
"""Frames of the worst stretch, up to 30 frames a second."""
_REACH_S, _LEAST_REACH, _LEAST_QUICK_REACH = 7 / 30, 3, 4
"""How far to both sides of each frame its smoothing goes, and the fewest frames, of a quadratic and of a quartic."""
_SURGES, _SMEARED = 0.45, 0.1
"""Share of a moving camera's speed, in a thirtieth of a second, that its surges may have, and that its smeared pictures
hide. Of pans by hand surges have 0.15 to 0.4; of hands that tremble what is left has 0.6 to 1.5, a quick part in it."""
_USUAL_S = 1 / 30


def jitter(path: CameraPath, apart: Flags | None = None) -> Finding:
    """Calibrated `shake_permille`, frames `apart` left out.

    Blames the frames within half a second of which the path trembles visibly, from the first that does to the last.
    raw: `shake_permille`.
    """
    name = "jitter"
    if len(path.known) < LEAST_FRAMES:
        return Finding(unmeasured(name, f"Too few frames to tell shake from motion: {len(path.known)}."))
    interval_s, stretches = path.interval_s, _judged(path, apart)
    shake, frames = _shakiest(path, apart, stretches)
    if shake is None:
        return Finding(unmeasured(name, "The picture has too little texture to follow the camera."))
    powers = np.zeros((3, len(path.known)))
    for start, part in stretches:
        powers[:, start : start + part.shape[1]] = part
    tremor = np.sqrt(_seen(powers))
    local = np.sqrt(_seen(_means(powers, interval_s, "same")))
    blamed = _trembling(local, tremor) if shake > _VISIBLE else ()
    said = "stands or moves steadily" if shake <= _VISIBLE else "trembles"
    reason = f"The camera {said}: {shake:.1f} per mille of the picture's diagonal."
    worst = worst_of(blamed, tremor) or (frames if shake > _VISIBLE else ())
    found = measured(name, calibrate(shake, SHAKE), reason, {"shake_permille": shake}, worst)
    return Finding(found, blamed, {"tremor_permille": tremor})


def _trembling(local: Floats, tremor: Floats) -> tuple[int, ...]:
    """Of the stretches whose second trembles, what lies between the first and the last frame that does itself.

    A second reaches half a second beyond a burst to both sides, where the camera stands.
    """
    blamed: list[int] = []
    for start, stop in runs(local > _VISIBLE):
        shaken = start + np.flatnonzero(tremor[start:stop] > _VISIBLE)
        blamed += range(int(shaken[0]), int(shaken[-1]) + 1) if len(shaken) else range(start, stop)
    return tuple(blamed)


def _judged(path: CameraPath, apart: Flags | None) -> list[tuple[int, Floats]]:
    """Of each stretch of the path that is known: where it begins, and (3, F) what `_seen` judges, per mille squared."""
    interval_s = path.interval_s
    return [
        (start, _of_stretch(path, start, stop, interval_s))
        for start, stop in _stretches(_followed(path, apart))
    ]


def _of_stretch(path: CameraPath, start: int, stop: int, interval_s: float) -> Floats:
    """(3, F) of known frames: how far they are from the smoothed path, from one that bends quicker, and the speed."""
    shift = _at_even_times(path.shift[start:stop], path.time_s[start:stop])
    reach = round(_REACH_S / interval_s) if interval_s > 0 else 0
    slow = smoothing_residual(shift, window=2 * max(_LEAST_REACH, reach) + 1)
    quick = smoothing_residual(shift, window=2 * max(_LEAST_QUICK_REACH, reach) + 1, degree=4)
    speed = np.gradient(shift - slow, axis=0)
    if interval_s > 0:
        speed *= _USUAL_S / interval_s
    return np.array([np.sum(one**2, axis=1) for one in (slow, quick, speed)])


def _at_even_times(shift: Floats, time_s: Floats) -> Floats:
    """`shift` (F, 4) as frames at even times would have it, where they were taken at uneven ones."""
    lasted = uneven_times(time_s)
    if lasted is None:
        return shift
    taken = np.append(0.0, np.cumsum(lasted))
    times = np.linspace(0.0, taken[-1], len(taken))
    even = np.stack([np.interp(times, taken, one) for one in shift.T], axis=1)
    # Frames that were taken evenly and are only shown at uneven times become more uneven by it.
    return even if _roughness(even) < _roughness(shift) else shift


def _roughness(shift: Floats) -> float:
    """How much the speed of (F, 4) changes, px squared in all."""
    return float(np.sum(np.diff(shift[:, :2], 2, axis=0) ** 2))


def _seen(powers: Floats) -> Floats:
    """(F,) of (3, F) what trembles: a camera that moves fast surges, so then only what is quick counts in full."""
    slow, quick, speed = powers
    steady = slow - _SURGES**2 * speed
    quicker = np.minimum(slow, quick - _SMEARED**2 * speed)
    return np.asarray(np.maximum(0.0, np.maximum(steady, quicker)), dtype=np.float64)


def shake_permille(path: CameraPath, apart: Flags | None = None) -> tuple[float | None, tuple[int, ...]]:
    """RMS of the camera path around its own smoothing, in the shakiest second of what could be followed, and the frames
    from its first one on.

    Frames `apart` (T,) show nothing to follow: the path is broken there. None when too few frames could be followed.
    The smoothing is a quadratic over half a second, so pans, zooms and handheld drift slower than about 1 Hz do not
    count; nor do the surges of a fast pan, unless they are quicker than about 4 Hz.
    """
    return _shakiest(path, apart, _judged(path, apart))


def _shakiest(
    path: CameraPath, apart: Flags | None, stretches: list[tuple[int, Floats]]
) -> tuple[float | None, tuple[int, ...]]:
    """`shake_permille` of what was `_judged`."""
    if not stretches or _followed(path, apart).mean() < 0.5:
        return None, ()
    # One behind the other: half a second between two gaps is no second, and its ends are not known well.
    powers = np.concatenate([part for _, part in stretches], axis=1)
    frames = np.concatenate([np.arange(start, start + part.shape[1]) for start, part in stretches])
    value, place = _largest(_seen(_means(powers, path.interval_s, "valid")))
    return float(np.sqrt(value)), frames_of_second(int(frames[place]), len(path.known), path.interval_s)


def _followed(path: CameraPath, apart: Flags | None) -> Flags:
    """(T,) where the step from the frame before is known; a frame apart spoils its own and the next one."""
    if apart is None or len(apart) != len(path.known):
        return path.known
    return np.asarray(path.known & ~apart & ~behind(apart), dtype=bool)


def _stretches(known: Flags) -> list[tuple[int, int]]:
    """Runs of at least LEAST_FRAMES followed frames; a cut or a blank frame ends one."""
    return [(start, stop) for start, stop in runs(known) if stop - start >= LEAST_FRAMES]


def worst_second(power: Floats, interval_s: float) -> tuple[float, int]:
    """The largest mean of `power` over 25 frames, or as long at more than 30 a second, and where they begin."""
    return _largest(_means(power[None], interval_s, "valid")[0])


def _means(powers: Floats, interval_s: float, mode: Literal["same", "valid"]) -> Floats:
    """The means of (N, T) over the second around each frame (`same`), or over each second within (`valid`)."""
    window = min(at_rate(_SECOND, interval_s), powers.shape[1])
    return np.array([np.convolve(one, np.ones(window) / window, mode=mode) for one in powers])


def _largest(means: Floats) -> tuple[float, int]:
    place = int(np.argmax(means))
    return float(means[place]), place


def frames_of_second(place: int, frames: int, interval_s: float) -> tuple[int, ...]:
    """Every fifth of the frames of a stretch that `worst_second` found."""
    stop = place + at_rate(_SECOND, interval_s)
    return tuple(range(place, min(stop, frames), at_rate(5, interval_s)))
