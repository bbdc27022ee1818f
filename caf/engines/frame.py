"""The frame stage: each frame's own quality: light, grain, sharpness, the subject's colours."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.anchor import Anchor, ColourMeter, plan_colour
from caf.engines.light import LightMeter, LightPlan, lit, plan_light
from caf.engines.parameters import Settings
from caf.engines.stage import Passes, input_of, look, lossless
from caf.engines.subject import Subject, settled, subject_of
from caf.media.beside import ahead
from caf.media.read import Frame, read_frames, read_picture
from caf.ports import MediaInfo, Parameter, Produced, Progress, StageRequest, StageResult, VideoTarget

__all__ = ["run_frame"]

_STILL_S = 3.0
_HALO_LEVELS = 6

Image = NDArray[np.uint8]
Edit = Callable[[Image, int], Image]


def run_frame(request: StageRequest, settings: Settings, progress: Progress) -> StageResult:
    """Turn `source` (a clip, or a picture that becomes a still clip) into lossless `frames`."""
    source = input_of(request, "source")
    info = look(source)
    still = info.kind == "image"
    shown = _still_info(info, request.target) if still else info
    subject = subject_of(request.inputs.get("pose"), info)
    looks = sum(settings.number(name) > 0 for name in ("deflicker", "identity_weight"))
    passes = Passes(progress, shown.frames, 1 + looks)
    facts: dict[str, Parameter] = {}
    light, edits = _edits(request, settings, source, info, subject, passes, facts)
    out = Path(request.out_dir) / "frames.mp4"
    with lossless(out, shown) as writer:
        frames = _still_frames(source, shown) if still else ahead(read_frames(source))
        frames = _exposed(passes.over(frames), settings.number("exposure"))
        for index, frame in enumerate(light.over(frames) if light is not None else frames):
            image = frame.image
            for edit in edits:
                image = edit(image, index)
            writer.write(image, frame.time_s)
        writer.end(shown.duration_s)
    facts |= {"frames": writer.frames, "duration_s": writer.duration_s, "source_kind": info.kind}
    return StageResult(outputs=(Produced(role="frames", path=str(out)),), facts=facts)


def _still_info(info: MediaInfo, target: VideoTarget) -> MediaInfo:
    frames = max(1, round((target.length_seconds or _STILL_S) * target.fps))
    values = {name: getattr(info, name) for name in info.__struct_fields__}
    return MediaInfo(**values | {"frames": frames, "fps": target.fps, "duration_s": frames / target.fps})


def _still_frames(source: Path, info: MediaInfo) -> Iterator[Frame]:
    image = read_picture(source)
    for index in range(info.frames):
        yield Frame(image, index / info.fps)


def _exposed(frames: Iterable[Frame], stops: float) -> Iterator[Frame]:
    gains = np.full(3, 2.0 ** (stops / 2.2))
    for frame in frames:
        yield Frame(lit(frame.image, gains), frame.time_s)


def _edits(
    request: StageRequest,
    settings: Settings,
    source: Path,
    info: MediaInfo,
    subject: Subject,
    passes: Passes,
    facts: dict[str, Parameter],
) -> tuple[LightPlan | None, list[Edit]]:
    """How to even the light, and then what to do to each frame, in order; measured over the whole clip first, the
    colours in the light in which they are changed.
    """
    edits: list[Edit] = []
    plan: LightPlan | None = None
    deflicker, identity = settings.number("deflicker"), settings.number("identity_weight")
    if deflicker > 0:
        light = LightMeter()
        for frame in passes.over(ahead(read_frames(source))):
            light.add(frame.image)
        plan = plan_light(light, info.fps or 25.0, deflicker)
        facts |= {"flicker_before_pct": plan.flicker_before_pct, "flicker_after_pct": plan.flicker_after_pct}
    if settings.number("denoise") > 0:
        edits.append(lambda image, index: _denoised(image, settings.number("denoise")))
    if identity > 0:
        lighted = _exposed(passes.over(ahead(read_frames(source))), settings.number("exposure"))
        edits.append(
            _anchored(request, identity, plan.over(lighted) if plan else lighted, info, subject, facts)
        )
    if settings.number("sharpen") > 0:
        edits.append(lambda image, index: _sharpened(image, settings.number("sharpen")))
    return plan, edits


def _anchored(
    request: StageRequest,
    weight: float,
    frames: Iterable[Frame],
    info: MediaInfo,
    subject: Subject,
    facts: dict[str, Parameter],
) -> Edit:
    """What pulls the subject's colours in these frames to the reference picture, or to their own median."""
    # A picture has one pose, however long it is shown.
    found = [subject.box(index, 0.0) for index in range(1 if info.kind == "image" else info.frames)]
    boxes, last = settled(found), len(found) - 1
    colour = ColourMeter()
    for index, frame in enumerate(frames):
        at = min(index, last)
        colour.add(frame.image, boxes[at] if found[at] is not None else None)
    reference = read_picture(request.inputs["reference"]) if "reference" in request.inputs else None
    pull = plan_colour(colour, weight, reference)
    anchor, end = Anchor(pull), len(pull.turn_rad) - 1
    facts |= {"colour_drift_before_lab": pull.drift_before, "colour_drift_after_lab": pull.drift_after}
    facts["colour_anchor"] = "clip" if reference is None else "reference"
    return lambda image, index: anchor.apply(image, min(index, end), boxes[min(index, last)])


def _denoised(image: Image, strength: float) -> Image:
    return np.asarray(cv2.bilateralFilter(image, 5, 6.0 + 30.0 * strength, 1.0 + 2.0 * strength), np.uint8)


def _sharpened(image: Image, strength: float) -> Image:
    blurred = cv2.GaussianBlur(image, (0, 0), 1.2)
    sharp = cv2.addWeighted(image, 1.0 + 1.5 * strength, blurred, -1.5 * strength, 0.0)
    kernel = np.ones((3, 3), np.uint8)
    # Bounded by the neighbourhood's own darkest and brightest, so that edges get steep but no halo.
    low = cv2.subtract(cv2.erode(image, kernel), np.full(3, _HALO_LEVELS, np.float64))
    high = cv2.add(cv2.dilate(image, kernel), np.full(3, _HALO_LEVELS, np.float64))
    return np.asarray(np.clip(sharp, np.asarray(low), np.asarray(high)), np.uint8)
