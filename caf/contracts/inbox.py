"""What people and bridges drop into the inbox: answers to escalations, approvals of a hand-over."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from caf.contracts.types import JobIdText, Platform, Text
from caf.ports import Parameter

__all__ = ["Approval", "EscalationAnswer"]

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class EscalationAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`answer-<job_id>-<nonce>.json`: what a person says to a job's open escalation."""

    job_id: JobIdText
    action: Literal["proceed", "retry", "abort"]
    by: Name
    note: str = ""
    from_stage: Literal["artifact", "pose", "frame", "motion", "video"] | None = None
    parameters: dict[str, dict[str, Parameter]] = {}
    source: Text | None = None
    """A corrected clip, relative to the workspace."""
    reference: Text | None = None
    """A corrected reference picture, relative to the workspace."""
    question: Annotated[int, Meta(ge=1)] | None = None
    """Which question this answers, as the inbox numbers it; left out, the one that is open when this is read."""


class Approval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`approve-<job_id>-<platform>-<nonce>.json`: a person lets a job go to a platform.

    Job and platform stand in the file's name; where the document names them too, they must agree.
    """

    job_id: JobIdText | None = None
    platform: Platform | None = None
    by: Name | None = None
    note: str = ""
