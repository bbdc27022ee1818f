"""Facts of deciding: what was decided and why, and what people were asked and answered."""

from typing import Literal

from msgspec import Struct

from caf.contracts import ProductionDecision, UserActionRequired
from caf.events.facts import AttemptId, Parameters, Stage

__all__ = ["Escalated", "EscalationAnswered", "Reasoner", "RepairDecided"]

Reasoner = Literal["policy", "experience", "model", "person"]


class RepairDecided(Struct, frozen=True, kw_only=True, tag="RepairDecided"):
    """The Supervisor's decision after a gate, a stage failure or an answer. Stored shape.

    PROCEED is a decision like any other.
    """

    attempt_id: AttemptId
    stage: Stage
    """Where the job stood when it was decided."""
    decision: ProductionDecision
    reasoned_by: Reasoner
    alternatives: tuple[str, ...]
    """Every action that was legal then, the chosen one included, with its target and preset."""


class Escalated(Struct, frozen=True, kw_only=True, tag="Escalated"):
    """The job waits for a person. Stored shape: change only by upcaster."""

    attempt_id: AttemptId
    stage: Stage
    request: UserActionRequired
    detail: str


class EscalationAnswered(Struct, frozen=True, kw_only=True, tag="EscalationAnswered"):
    """A person answered; the job goes on from where it stood. Stored shape: change only by upcaster."""

    action: Literal["proceed", "retry", "abort"]
    stage: Stage
    """Where the job stood when it asked."""
    by: str
    note: str
    from_stage: Stage | None = None
    parameters: Parameters = {}
    source: str | None = None
    reference: str | None = None
