"""An escalation: what a person is asked to correct."""

from typing import Literal

from msgspec import Struct

from caf.contracts.types import JobIdText, Text, Utc

__all__ = ["EscalationReason", "UserActionRequired"]

EscalationReason = Literal[
    "ARTIFACT_MISSING",
    "ARTIFACT_CORRUPTED",
    "CONTRACT_VIOLATION",
    "IDENTITY_CONFLICT",
    "LOW_CONFIDENCE_DETECTION",
    "RETRY_BUDGET_EXCEEDED",
]


class UserActionRequired(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="user_action_required.v1"
):
    job_id: JobIdText
    reason: EscalationReason
    required_artifact: Text
    """The field or file to correct."""
    expected_format: Text
    threshold_failed: str | None = None
    example_fix: str | None = None
    escalation_ts: Utc | None = None
