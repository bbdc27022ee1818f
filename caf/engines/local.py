"""The local engine: frame, motion and video stages on this machine's processor.

Runs in a worker process, synchronously. The same input and parameters give the same pixels on one machine.
"""

from collections.abc import Callable

from caf.engines.frame import run_frame
from caf.engines.motion import run_motion
from caf.engines.parameters import ENGINE_ID, ENGINE_VERSION, PARAMETERS, Settings, settings_for
from caf.engines.stage import told_of_a_full_disk
from caf.engines.video import run_video
from caf.errors import InputError
from caf.ports import Progress, StageRequest, StageResult

__all__ = ["ENGINE_ID", "ENGINE_VERSION", "PARAMETERS", "run_stage"]

_STAGES: dict[str, Callable[[StageRequest, Settings, Progress], StageResult]] = {
    "frame": run_frame,
    "motion": run_motion,
    "video": run_video,
}


def run_stage(request: StageRequest, progress: Progress) -> StageResult:
    """Run one stage with exactly these parameters; defaults fill in what is not given.

    Raises:
        InputError: `unknown_stage`, `unknown_parameter`, `bad_parameter`, `missing_input`, `bad_pose`.
        MediaError: an input that cannot be read.
        TryAgainError: `disk_full`.
    """
    run = _STAGES.get(request.stage)
    if run is None:
        raise InputError(
            f"The local engine has no stage {request.stage}.",
            remedy=f"Its stages are {', '.join(_STAGES)}.",
            kind="unknown_stage",
        )
    settings = settings_for(request.stage, request.parameters)
    with told_of_a_full_disk(request.out_dir):
        return run(request, settings, progress)
