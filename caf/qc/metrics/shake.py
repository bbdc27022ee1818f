"""jitter: does the camera tremble, its smooth motion apart?"""

import numpy as np

from caf.qc.metrics.findings import LEAST_FRAMES, Finding, Flags, Floats, at_rate, runs, worst_of
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.tracks import CameraPath, smoothing_residual

__all__ = ["SHAKE", "frames_of_second", "jitter", "shake_permille", "worst_second"]

# Per mille of the diagonal, RMS in the shakiest second; 1 is 0.73 px at 640x360. Steady clips: 0.05-0.3.
SHAKE: Calibration = ((0.0, 1.0), (0.6, 0.93), (1.2, 0.8), (2.0, 0.6), (5.0, 0.25), (12.0, 0.0))
_VISIBLE = 1.6
"""Per mille of the diagonal, where `SHAKE` gives 0.7."""
_SECOND, _REACH = 25, 7
"""Frames of the worst stretch, and to both sides of each in its smoothing, up to 30 frames a second."""


def jitter(path: CameraPath, apart: Flags | None = None) -> Finding:
    """Calibrated `shake_permille`, frames `apart` left out.

    Blames the frames within half a second of which the path trembles visibly. raw: `shake_permille`.
    """
    name = "jitter"
    if len(path.known) < LEAST_FRAMES:
        return Finding(unmeasured(name, f"{len(path.known)} frames are too few to tell shake from motion."))
    shake, frames = shake_permille(path, apart)
    if shake is None:
        return Finding(unmeasured(name, "The picture has too little texture to follow the camera."))
    tremor = _tremor(path, apart)
    window = min(at_rate(_SECOND, path.interval_s), len(tremor))
    local = np.sqrt(np.convolve(tremor**2, np.ones(window) / window, mode="same"))
    blamed = tuple(int(at) for at in np.flatnonzero(local > _VISIBLE)) if shake > _VISIBLE else ()
    said = "stands or moves steadily" if shake <= _VISIBLE else "trembles"
    reason = f"The camera {said}: {shake:.1f} per mille of the picture's diagonal."
    worst = worst_of(blamed, tremor) or (frames if shake > _VISIBLE else ())
    found = measured(name, calibrate(shake, SHAKE), reason, {"shake_permille": shake}, worst)
    return Finding(found, blamed, {"tremor_permille": tremor})


def _tremor(path: CameraPath, apart: Flags | None) -> Floats:
    """(T,) how far the path is from its smoothing, per mille of the diagonal; 0 where it is not known."""
    tremor = np.zeros(len(path.known))
    for start, stop in _stretches(_followed(path, apart)):
        residual = _residual(path, start, stop)
        tremor[start:stop] = np.sqrt(np.sum(residual**2, axis=1))
    return tremor


def shake_permille(path: CameraPath, apart: Flags | None = None) -> tuple[float | None, tuple[int, ...]]:
    """RMS of the camera path around its own smoothing, in the shakiest second, and the frames of that second.

    Frames `apart` (T,) show nothing to follow: the path is broken there. None when too few frames could be followed.
    The smoothing is a quadratic over 15 frames, or half a second of a fast clip, so pans, zooms and handheld drift
    slower than about 1 Hz do not count.
    """
    best: tuple[float, int] | None = None
    known = _followed(path, apart)
    for start, stop in _stretches(known):
        power = np.sum(_residual(path, start, stop) ** 2, axis=1)
        worst, place = worst_second(power, path.interval_s)
        if best is None or worst > best[0]:
            best = worst, start + place
    if best is None or known.mean() < 0.5:
        return None, ()
    value, place = best
    return float(np.sqrt(value)), frames_of_second(place, len(path.known), path.interval_s)


def _residual(path: CameraPath, start: int, stop: int) -> Floats:
    return smoothing_residual(path.shift[start:stop], window=2 * at_rate(_REACH, path.interval_s) + 1)


def _followed(path: CameraPath, apart: Flags | None) -> Flags:
    """(T,) where the step from the frame before is known; a frame apart spoils its own and the next one."""
    if apart is None or len(apart) != len(path.known):
        return path.known
    return np.asarray(path.known & ~apart & ~np.concatenate([[False], apart[:-1]]), dtype=bool)


def _stretches(known: Flags) -> list[tuple[int, int]]:
    """Runs of at least LEAST_FRAMES followed frames; a cut or a blank frame ends one."""
    return [(start, stop) for start, stop in runs(known) if stop - start >= LEAST_FRAMES]


def worst_second(power: Floats, interval_s: float) -> tuple[float, int]:
    """The largest mean of `power` over 25 frames, or as long at more than 30 a second, and where they begin."""
    window = min(at_rate(_SECOND, interval_s), len(power))
    means = np.convolve(power, np.ones(window) / window, mode="valid")
    place = int(np.argmax(means))
    return float(means[place]), place


def frames_of_second(place: int, frames: int, interval_s: float) -> tuple[int, ...]:
    """Every fifth of the frames of a stretch that `worst_second` found."""
    stop = place + at_rate(_SECOND, interval_s)
    return tuple(range(place, min(stop, frames), at_rate(5, interval_s)))
