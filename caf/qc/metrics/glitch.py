"""glitch: does a frame, or a part of one, show something that neither its neighbours nor the motion explain?"""

from caf.qc.metrics.course import ADDED, CLEAR, Course
from caf.qc.metrics.findings import LEAST_FRAMES, Finding, counted, places, worst_of
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured

__all__ = ["GLITCHES", "POPS", "glitch"]

# Excess of the worst frame over what moves there. Untouched clips: up to 0.35; what a turning point can reach: 0.5.
_EXCESS: Calibration = (
    (0.0, 1.0),
    (0.3, 0.94),
    (0.5, 0.82),
    (0.6, 0.69),
    (0.8, 0.6),
    (2.0, 0.5),
    (6.0, 0.35),
    (12.0, 0.25),
)
# Excess together with novelty: below the threshold only by what else is wrong, as quick motion has it too.
_SURPRISE: Calibration = ((0.0, 1.0), (0.5, 0.94), (1.0, 0.86), (1.4, 0.76), (2.5, 0.74), (5.0, 0.71))
# Excess over the source: from one on two cells of 256 differ by three levels and twice what coding does.
_ADDED: Calibration = (
    (0.0, 1.0),
    (0.3, 0.95),
    (0.6, 0.86),
    (1.0, 0.7),
    (1.5, 0.65),
    (3.0, 0.6),
    (6.0, 0.5),
    (12.0, 0.4),
    (30.0, 0.25),
)
# Counted: a single spoiled frame is seen by most.
GLITCHES: Calibration = ((0.0, 1.0), (1.0, 0.55), (3.0, 0.35), (8.0, 0.1))
# Shares of frames in which a small part, such as a limb, is elsewhere for one to five frames. A body-swap clip with
# a cat that visibly twitches, its worst four seconds: 0.042.
POPS: Calibration = ((0.0, 1.0), (0.008, 0.9), (0.03, 0.77), (0.045, 0.72), (0.1, 0.4), (0.3, 0.1))


def glitch(seen: Course) -> Finding:
    """The lowest of four calibrations: the worst frame's excess, the same with its new colours, the count of spoiled
    frames, the share of pops; held against another source that shows the same, of five: also what it shows otherwise.

    raw: `largest_excess` (difference to both sides beyond what moves there, in multiples of that, or that of colours
    alone), `largest_surprise` (of a part, and with the colours that neither side has near by), `glitch_frames`,
    `pop_share`, and beside a source `largest_added` (what differs for one to twelve frames, in multiples of what
    differs anyway). Beside spoiled frames only clear pops are blamed too.
    """
    name, steps = "glitch", seen.steps
    if steps.frames < LEAST_FRAMES:
        return Finding(unmeasured(name, f"Too few frames to tell a glitch from motion: {steps.frames}."))
    spoiled, popped = places(seen.spoiled), places(seen.popped)
    largest = float(seen.excess.max())
    surprise = float(seen.surprise.max())
    share = len(popped) / steps.frames
    raw = {
        "largest_excess": largest,
        "largest_surprise": surprise,
        "glitch_frames": len(spoiled),
        "pop_share": share,
    }
    added = 0.0
    if seen.added is not None:
        added = raw["largest_added"] = float(seen.added.max())
    score = min(
        calibrate(largest, _EXCESS),
        calibrate(surprise, _SURPRISE),
        calibrate(len(spoiled), GLITCHES),
        calibrate(share, POPS),
        calibrate(added, _ADDED),
    )
    beside = ", held against the source" if added > ADDED else ""
    if spoiled:
        reason = f"Frames are spoiled{beside}: {len(spoiled)}."
    elif popped:
        reason = f"Parts of the picture show something else in {counted(seen.popped, 'frame')}{beside}."
    else:
        reason = "No frame sticks out of its neighbours."
    clear, badness = seen.surprise > CLEAR, seen.surprise
    series = {"surprise": seen.surprise, "excess": seen.excess}
    if seen.added is not None:
        clear, badness = clear | (seen.added > ADDED), badness + seen.added
        # What found the fault is what a plot is to show.
        series = {"added": seen.added, **series} if added > ADDED else {**series, "added": seen.added}
    noticed = places(seen.popped & clear) if spoiled else popped
    blamed = tuple(sorted((*spoiled, *noticed)))
    return Finding(measured(name, score, reason, raw, worst_of(blamed, badness)), blamed, series)
