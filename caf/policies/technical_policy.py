"""The technical policy: the default policy's gates, and one for each way in which a file is plainly spoiled."""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from caf.contracts import FailureClass, FailureClassification, Gate, TargetStage
from caf.policies.default_policy import DEFAULT_POLICY

__all__ = ["TECHNICAL_POLICY", "technical_gate"]


def technical_gate(metric: str, stage: TargetStage, threshold: float) -> Gate:
    """The gate of a technical metric: measured on `stage`'s output and tried again from there."""
    return Gate(
        gate_id=f"{metric}_gate",
        metric=metric,
        dimension="technical",
        threshold=threshold,
        severity="MEDIUM",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage=stage,
    )


_POOR_BELOW: Final = 0.70
"""As `caf qc CLIP` judges them; bench/RESULTS.md says what that lets through and what it catches."""


def _gates(stage: TargetStage, metrics: Iterable[str]) -> tuple[Gate, ...]:
    return tuple(technical_gate(metric, stage, _POOR_BELOW) for metric in metrics)


_FRAMES: Final = ("freeze", "blank", "glitch", "cadence")
_PICTURE: Final = ("blockiness", "sharpness", "exposure")
_FORM: Final = ("format",)

TECHNICAL_POLICY: Final = replace(
    DEFAULT_POLICY,
    policy_id="caf_technical_v1",
    gates=(
        *DEFAULT_POLICY.gates,
        *_gates("motion", _FRAMES),
        *_gates("frame", _PICTURE),
        *_gates("video", _FORM),
    ),
    failure_classification=FailureClassification(
        classes=(
            *DEFAULT_POLICY.failure_classification.classes,
            FailureClass(class_id="spoiled_frames", metrics=_FRAMES, action="RETRY_STAGE"),
            FailureClass(class_id="poor_picture", metrics=_PICTURE, action="RETRY_STAGE"),
            FailureClass(class_id="wrong_format", metrics=_FORM, action="RETRY_STAGE"),
        )
    ),
)
"""No preset is for its own classes: an engine that may give another result is asked again, else a person."""
