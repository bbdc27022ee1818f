"""The motion stage: a steady camera, an even light, and a loop without a seam, as far as it is told."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.bars import View, view_in
from caf.engines.camera import Camera, Step
from caf.engines.features import Seen
from caf.engines.light import LightMeter, LightPlan, plan_light
from caf.engines.parameters import Settings
from caf.engines.rim import Rim, camera_by_the_rim
from caf.engines.seam import SeamMeter, closed, plan_seam, ways_closed
from caf.engines.stage import Passes, input_of, look, lossless, opencv_alone
from caf.engines.steady import Plan, plan
from caf.engines.subject import Subject, subject_of
from caf.engines.temporal import averaged
from caf.engines.warp import warped
from caf.media.beside import Behind, ahead
from caf.media.read import Frame, read_frames
from caf.ports import MediaInfo, Parameter, Produced, Progress, StageRequest, StageResult

__all__ = ["PlannedMotion", "plan_motion", "run_motion"]

_PUSH_IN = {"low": 0.02, "medium": 0.05, "high": 0.10}
_SHARE_OF_AVERAGE = 0.6
_KEPT_BYTES = 96_000_000
"""A clip whose pictures take no more than this is decoded once."""


def run_motion(request: StageRequest, settings: Settings, progress: Progress) -> StageResult:
    """Turn `frames` (or `source`) into lossless `motion`, steadied, evened and closed by parameter."""
    with opencv_alone():
        return _moved(request, settings, progress)


def _moved(request: StageRequest, settings: Settings, progress: Progress) -> StageResult:
    path = input_of(request, "frames", "source")
    info = look(path)
    facts: dict[str, Parameter] = {}
    given = Path(request.inputs.get("source", path))
    source = None if given == path else look(given)
    if (source or info).kind == "image":
        return _push_in(request, settings, path, info, progress)
    hold, soften = settings.number("pose_weight"), settings.number("temporal_smoothing")
    passes = Passes(progress, info.frames, 1 + (hold > 0 or soften > 0) + (soften > 0))
    planned = plan_motion(request, settings, path, info, passes, source)
    out = Path(request.out_dir) / "motion.mp4"
    meter = SeamMeter()
    with lossless(out, info) as writer:
        for frame in averaged(planned.frames(passes), _SHARE_OF_AVERAGE * soften, planned.cuts):
            meter.add(frame.image)
            writer.write(frame.image, frame.time_s)
        writer.end(info.duration_s)
    facts |= planned.facts | {"frames": writer.frames, "duration_s": writer.duration_s}
    facts |= {"seam_step_before_levels": meter.seam, "typical_step_levels": meter.typical}
    if soften > 0:
        facts |= _close_loop(out, meter, settings, passes)
    return StageResult(outputs=(Produced(role="motion", path=str(out)),), facts=facts)


class PlannedMotion(NamedTuple):
    """What is to be done to a clip's frames, one by one."""

    path: Path
    steady: Plan | None
    light: LightPlan | None
    cuts: tuple[int, ...]
    view: View
    kept: deque[Frame]
    """The clip's frames, or none."""

    @property
    def facts(self) -> dict[str, Parameter]:
        facts = (_light_facts(self.light) if self.light else {}) | (
            _steady_facts(self.steady) if self.steady else {}
        )
        if not self.view.is_whole:
            left, top = self.view.left, self.view.top
            facts["picture_between_bars"] = f"{self.view.size[0]}x{self.view.size[1]}+{left}+{top}"
        return facts | {"hard_cuts": len(self.cuts)}

    def frames(self, passes: Passes) -> Iterator[Frame]:
        """The frames as they are to be shown; once, as those that were kept are given away."""
        source = _given(self.kept) if self.kept else ahead(read_frames(self.path))
        return _corrected(passes.over(source), self.steady, self.light, self.view)


def plan_motion(
    request: StageRequest,
    settings: Settings,
    path: Path,
    info: MediaInfo,
    passes: Passes,
    source: MediaInfo | None = None,
) -> PlannedMotion:
    """Look at the whole clip, where anything is to be steadied or evened, and decide what is done to its frames.

    `source`: what it was made of, None if it is the source.
    """
    kept: deque[Frame] = deque()
    view = whole = View.whole(info.width, info.height)
    hold = settings.number("pose_weight")
    if hold <= 0 and settings.number("temporal_smoothing") <= 0:
        return PlannedMotion(path, None, None, (), view, kept)
    if hold > 0:
        view = view_in(read_frames(path), *whole.size)
    subject = subject_of(request.inputs.get("pose"), info, source)
    try:
        steady, light, cuts = _measured(settings, path, info, subject, passes, kept, view)
    except _NoBarsError:
        view = whole
        steady, light, cuts = _measured(settings, path, info, subject, passes, kept, view)
    return PlannedMotion(path, steady, light, cuts, view, kept)


class _NoBarsError(Exception):
    """What was black in the first second shows something later on."""


def _given(kept: deque[Frame]) -> Iterator[Frame]:
    """The frames, each forgotten as it is given."""
    while kept:
        yield kept.popleft()


def _measured(
    settings: Settings,
    path: Path,
    info: MediaInfo,
    subject: Subject,
    passes: Passes,
    kept: deque[Frame],
    view: View,
) -> tuple[Plan | None, LightPlan, tuple[int, ...]]:
    """One pass over the clip: how the camera moved in the view and how the light changed, and what to do about both.

    All frames are `kept`, or none where they would take too much memory. Raises _NoBarsError.
    """
    kept.clear()
    size, fps, hold = view.size, info.fps or 25.0, settings.number("pose_weight")
    camera, light = Camera(size), LightMeter()
    steps: list[Step] = []
    times_s: list[float] = []
    first: Frame | None = None
    beside = Behind()

    def looked_at() -> Iterator[tuple[Frame, Seen | None]]:
        for frame in read_frames(path):
            yield frame, camera.seen(view.of(frame.image)) if hold > 0 else None

    try:
        for index, (frame, seen) in enumerate(passes.over(ahead(looked_at()))):
            if view.is_lit(frame.image):
                raise _NoBarsError
            beside.add(partial(light.add, frame.image))
            if len(kept) == index and (index + 1) * frame.image.nbytes <= _KEPT_BYTES:
                kept.append(frame)
            else:
                kept.clear()
            first = first or frame
            if seen is not None:
                steps.append(camera.follow(seen, view.box(subject.box(index, frame.time_s))))
                times_s.append(frame.time_s)
        beside.finish()
    finally:
        beside.drop()
    strength = max(1.0 - (1.0 - hold) ** 2, settings.number("temporal_smoothing"))
    evened = plan_light(light, fps, strength)
    if hold <= 0:
        return None, evened, tuple(light.cuts)
    intensity, max_crop = settings.word("motion_intensity"), settings.number("max_crop")
    closing = None
    if first is not None:
        closing = camera.follow(view.of(first.image), view.box(subject.box(0, first.time_s)))

    def by_the_rim() -> Rim | None:
        again = (view.of(f.image) for f in passes.again(kept or ahead(read_frames(path))))
        around = chain(again, [view.of(first.image)] if first is not None else [])
        cuts = [index for index, step in enumerate(steps) if step.cut]
        return camera_by_the_rim(around, len(steps) + 1, size, cuts, passes.alive)

    steady = plan(
        steps,
        size,
        fps,
        weight=hold,
        intensity=intensity,
        max_crop=max_crop,
        closing=closing,
        rim=by_the_rim,
        times_s=np.array(times_s) if info.variable_fps else None,
        alive=passes.alive,
    )
    return steady, evened, steady.cuts


def _corrected(
    frames: Iterable[Frame], steady: Plan | None, light: LightPlan | None, view: View
) -> Iterator[Frame]:
    for index, frame in enumerate(light.over(frames) if light is not None else frames):
        image = frame.image
        if steady is not None and steady.active and index < len(steady.matrices):
            image = view.into(image, warped(view.of(image), steady.matrices[index]))
        yield Frame(image, frame.time_s)


def _steady_facts(steady: Plan) -> dict[str, Parameter]:
    return {
        "stabilised": steady.active,
        "stabiliser_reason": steady.reason,
        "shake_before_px": steady.shake_before_px,
        "shake_after_px": steady.shake_after_px,
        "crop_share": steady.crop_share,
        "unsure_frames": steady.unsure_frames,
    }


def _light_facts(light: LightPlan) -> dict[str, Parameter]:
    return {
        "light_evened": bool(np.abs(light.gains - 1.0).max(initial=0.0) > 1e-4),
        "flicker_before_pct": light.flicker_before_pct,
        "flicker_after_pct": light.flicker_after_pct,
    }


def _close_loop(out: Path, meter: SeamMeter, settings: Settings, passes: Passes) -> dict[str, Parameter]:
    """Blend the end of the written clip into its start where the seam shows; reports the change in length."""
    seam = plan_seam(meter, settings.whole("seam_frames"))
    facts: dict[str, Parameter] = {"seam_reason": seam.reason, "length_change_frames": -seam.frames}
    if seam.frames == 0:
        return facts | {"seam_step_after_levels": meter.seam}
    info = look(out)
    keep = info.frames - seam.frames
    open_loop = out.with_name("open-loop.mp4")
    out.rename(open_loop)
    start_s, tail = 0.0, []
    for index, frame in enumerate(passes.again(read_frames(open_loop))):
        if index == keep:
            start_s = frame.time_s
        if index >= keep:
            tail.append(frame.image)
    again = SeamMeter()
    strength = 1.0 - (1.0 - settings.number("temporal_smoothing")) ** 2
    ways = ways_closed(passes.again(_first(read_frames(open_loop), seam.frames)), tail, strength)
    with lossless(out, info) as writer:
        for frame in closed(passes.over(_first(read_frames(open_loop), keep)), tail, strength, ways):
            again.add(frame.image)
            writer.write(frame.image, frame.time_s)
        writer.end(start_s)
    open_loop.unlink()
    return facts | {
        "seam_step_after_levels": again.seam,
        "frames": writer.frames,
        "duration_s": writer.duration_s,
    }


def _first(frames: Iterator[Frame], count: int) -> Iterator[Frame]:
    for index, frame in enumerate(frames):
        if index == count:
            return
        yield frame


def _push_in(
    request: StageRequest, settings: Settings, path: Path, info: MediaInfo, progress: Progress
) -> StageResult:
    """A picture comes nearer and goes back, so that the clip loops."""
    amount = _PUSH_IN[settings.word("motion_intensity")]
    out = Path(request.out_dir) / "motion.mp4"
    meter = SeamMeter()
    with lossless(out, info) as writer:
        for index, frame in enumerate(Passes(progress, info.frames, 1).over(ahead(read_frames(path)))):
            nearer = amount * (1.0 - np.cos(2.0 * np.pi * index / info.frames)) / 2.0
            image = _zoomed(frame.image, 1.0 + nearer)
            meter.add(image)
            writer.write(image, frame.time_s)
        writer.end(info.duration_s)
    facts: dict[str, Parameter] = {
        "frames": writer.frames,
        "duration_s": writer.duration_s,
        "push_in_share": amount,
        "seam_step_before_levels": meter.seam,
        "typical_step_levels": meter.typical,
    }
    return StageResult(outputs=(Produced(role="motion", path=str(out)),), facts=facts)


def _zoomed(image: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0.0, zoom)
    return warped(image, matrix)
