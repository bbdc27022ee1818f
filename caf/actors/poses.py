"""The pose stage's own part: what it can be told, what is recorded of it, what stays when it fails."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from caf.errors import CafError, InputError
from caf.events import AttemptId, PoseCoverageMeasured
from caf.ports import PARTIAL_LANDMARKS, Parameter, PoseRequest, PoseResult
from caf.pose.choice import MOST_SUBJECTS, check_seams, parse_subject

__all__ = ["PARAMETERS", "check_parameters", "coverage_of", "facts_of", "keep_partial", "request_of"]

PARAMETERS: Final = ("max_subjects", "subject", "seams")
"""What a job may tell the pose stage; the meaning is `PoseRequest`'s."""


def check_parameters(parameters: Mapping[str, Parameter]) -> None:
    """Raises `InputError` with the kind `unknown_parameter`, `bad_parameter` or `bad_subject`."""
    for name, value in parameters.items():
        if name not in PARAMETERS:
            raise InputError(
                f"The pose stage has no parameter {name}.",
                remedy=f"Allowed: {', '.join(PARAMETERS)}.",
                kind="unknown_parameter",
            )
        if name == "subject":
            parse_subject(str(value))
        elif name == "seams":
            check_seams(str(value))
        elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SUBJECTS:
            raise InputError(
                f"{name} of the pose stage cannot be {value!r}.",
                remedy=f"Allowed: whole number, 1 to {MOST_SUBJECTS}.",
                kind="bad_parameter",
            )


def request_of(
    parameters: Mapping[str, Parameter], *, video: str, model: str, out: Path, workers: int, stall_s: float
) -> PoseRequest:
    """The task for the child. Raises as `check_parameters` does."""
    check_parameters(parameters)
    told: dict[str, Any] = dict(parameters)
    return PoseRequest(video=video, model=model, out_dir=str(out), workers=workers, stall_s=stall_s, **told)


def facts_of(request: PoseRequest, found: PoseResult) -> dict[str, Parameter]:
    """What is recorded of a pose stage; what was not measured, for want of a pose, is left out."""
    facts: dict[str, Parameter] = {
        "frames": found.frames,
        "detected": found.detected,
        "coverage": round(found.coverage, 6),
        "gaps": len(found.gaps),
        "longest_gap_frames": max((gap.frames for gap in found.gaps), default=0),
        "longest_gap_s": max((gap.duration_s for gap in found.gaps), default=0.0),
        "changes": found.changes,
        "workers": found.workers,
        "seams": request.seams,
        "frames_computed": found.frames_computed,
        "max_subjects": request.max_subjects,
        "subjects": found.subjects,
        "subject": request.subject,
        "subject_number": found.subject,
    }
    for name, value in (("visibility", found.visibility), ("jitter", found.jitter)):
        if value is not None:
            facts[name] = round(value, 6)
    if found.worker_peak_bytes:
        facts["worker_peak_mb"] = round(found.worker_peak_bytes / 2**20, 1)
    return facts


def coverage_of(
    attempt_id: AttemptId, threshold: float, facts: Mapping[str, Parameter]
) -> PoseCoverageMeasured:
    """The fact that decides whether the poses are used."""
    frames, detected = facts["frames"], facts["detected"]
    assert isinstance(frames, int)
    assert isinstance(detected, int)
    ratio = detected / frames if frames else 0.0
    return PoseCoverageMeasured(
        attempt_id=attempt_id,
        frames=frames,
        detected=detected,
        ratio=ratio,
        threshold=threshold,
        fallback_active=ratio < threshold,
    )


def keep_partial(out: Path, to: Path, fault: CafError) -> None:
    """Put what had been found where it stays, and let the error say where that is."""
    try:
        shutil.move(out / PARTIAL_LANDMARKS, to)
    except OSError:  # there is nothing yet, or no room for it: the error is what counts
        return
    fault.remedy = f"{fault.remedy} What had been found by then is kept in {to}.".strip()
