"""What `caf stabilize` does: the motion and the video stage of a clip at once, with nothing written in between.

A frame goes from the one to the other as it is, so that what comes out is what both stages give, one after the other.
"""

from collections.abc import Iterator

from caf.engines.motion import plan_motion
from caf.engines.parameters import settings_for
from caf.engines.seam import SeamMeter
from caf.engines.stage import Passes, input_of, look, opencv_alone, told_of_a_full_disk
from caf.engines.video import Shown, encoded
from caf.ports import Progress, StageRequest, StageResult

__all__ = ["steadied"]


def steadied(request: StageRequest, progress: Progress) -> StageResult:
    """Write `final`, the source with its camera steadied and its light evened by the motion stage's parameters; nothing
    where neither is to be done and it is an MP4.

    Raises:
        InputError: `unknown_parameter`, `bad_parameter`.
        MediaError: a clip that cannot be read.
        TryAgainError: `disk_full`.
    """
    with told_of_a_full_disk(request.out_dir), opencv_alone():
        return _steadied(request, progress)


def _steadied(request: StageRequest, progress: Progress) -> StageResult:
    path = input_of(request, "source")
    info = look(path)
    passes = Passes(progress, info.frames, 2)
    planned = plan_motion(request, settings_for("motion", request.parameters), path, info, passes)
    facts = planned.facts
    if not (facts.get("stabilised") or facts.get("light_evened")) and path.suffix.lower() == ".mp4":
        return StageResult(outputs=(), facts=facts | {"frames": info.frames, "duration_s": info.duration_s})
    meter = SeamMeter()

    def shown() -> Iterator[Shown]:
        for frame in planned.frames(passes):
            meter.add(frame.image)
            yield Shown(frame.image, frame.time_s)

    written = encoded(shown(), info, request, settings_for("video", {}), path if info.has_audio else None)
    facts |= {"seam_step_before_levels": meter.seam, "typical_step_levels": meter.typical}
    kept = {name: written.facts[name] for name in ("frames", "duration_s", "fps", "sound", "bytes")}
    return StageResult(outputs=written.outputs, facts=facts | kept)
