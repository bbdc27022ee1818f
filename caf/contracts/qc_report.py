"""One evaluation of the policy's gates: `qc_report.v1.json`."""

from msgspec import Struct, field

from caf.contracts.types import Action, Dimension, GateStatus, JobIdText, Severity, TargetStage, Unit, Utc

__all__ = ["GateResult", "Overall", "QCReport"]


class GateResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    gate_id: str
    metric: str
    dimension: Dimension
    status: GateStatus
    severity: Severity
    repairable: bool
    score: float | None
    threshold: Unit
    """The one that was applied: the quality target's where it has one, else the policy's."""
    failure_action: Action
    """The gate's own, as the policy has it."""
    failure_class: str | None
    """The class of the failure; None when the gate passed or its metric has no class."""
    target_stage: TargetStage | None = None
    reason: str
    """One sentence of at most 240 characters."""


class Overall(Struct, frozen=True, kw_only=True):
    passed: bool = field(name="pass")
    failed_gate_ids: tuple[str, ...]
    """In the policy's order."""
    failed_failure_classes: tuple[str, ...]
    """Sorted and unique."""
    recommended_action: Action


class QCReport(Struct, frozen=True, kw_only=True, tag_field="version", tag="qc_report.v1"):
    job_id: JobIdText
    generated_at: Utc
    inputs: dict[str, str | None]
    """What was judged: role to a workspace-relative path, a digest or an id."""
    gates: tuple[GateResult, ...]
    overall: Overall
