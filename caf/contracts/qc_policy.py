"""The quality policy: which metrics gate a clip, and what may be done about a failure."""

from typing import Annotated

from msgspec import Meta, Struct, field

from caf.contracts.types import Action, Dimension, Severity, TargetStage, Text, Unit
from caf.contracts.unique import refuse_repeats
from caf.ports import Parameter

__all__ = [
    "FailureClass",
    "FailureClassification",
    "Gate",
    "Preset",
    "QCPolicy",
    "Routing",
    "WorkflowPresets",
]


def _escalate() -> Action:
    return "ESCALATE_USER"


def _medium() -> Severity:
    return "MEDIUM"


class Gate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric's threshold. Older policies say neither severity, repairable nor target_stage."""

    gate_id: Text
    metric: Text
    dimension: Dimension
    threshold: Unit
    # Defaults through a factory are written too: what a gate says of itself is never left out.
    severity: Severity = field(default_factory=_medium)
    repairable: bool = field(default_factory=lambda: True)
    failure_action: Action
    target_stage: TargetStage | None = None


class Routing(Struct, frozen=True, kw_only=True):
    failure_action_priority: tuple[Action, ...]
    """Strongest first."""
    fallback_action: Action


class FailureClass(Struct, frozen=True, kw_only=True):
    """Metrics that fail for one cause, and what is done about it."""

    class_id: Text
    metrics: tuple[str, ...]
    action: Action


class FailureClassification(Struct, frozen=True, kw_only=True):
    classes: tuple[FailureClass, ...] = ()


class Preset(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters to try again with when a failure class was found."""

    class_id: Text
    preset_id: Text
    workflow_id: Text
    parameter_overrides: dict[str, Parameter | dict[str, Parameter]] = {}
    """Name to value, or node to input to value."""


class WorkflowPresets(Struct, frozen=True, kw_only=True):
    class_to_preset: tuple[Preset, ...] = ()


class QCPolicy(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="qc_policy.v1"
):
    policy_id: Text
    max_retries_default: Annotated[int, Meta(ge=0, le=10)]
    default_action_on_missing_report: Action = field(default_factory=_escalate)
    gates: tuple[Gate, ...]
    routing: Routing
    failure_classification: FailureClassification = FailureClassification()
    workflow_presets: WorkflowPresets = WorkflowPresets()

    def __post_init__(self) -> None:
        refuse_repeats("gates", "gate_id", [gate.gate_id for gate in self.gates])
