"""Facts of a job's life as a whole."""

from typing import Any

from msgspec import Struct

from caf.contracts import QCPolicy, WorkflowRegistry
from caf.events.facts import AttemptId, Failure, JobId, Parameters, Stage
from caf.ports import VideoTarget

__all__ = ["AttemptStarted", "JobAborted", "JobCancelled", "JobCompleted", "JobSubmitted", "RetryOf"]


class RetryOf(Struct, frozen=True, kw_only=True):
    """The attempt of a job that is over, which another job takes up again. Stored shape."""

    job_id: JobId
    attempt_id: AttemptId | None
    """None when the job was over before its first attempt."""
    from_stage: Stage
    """From here on everything is computed anew, even where earlier results would do."""
    by: str
    note: str = ""


class JobSubmitted(Struct, frozen=True, kw_only=True, tag="JobSubmitted"):
    """A job was accepted, with everything it will be judged by. Stored shape: change only by upcaster.

    Policy and registry are stored whole, not by name, so that a replay a year later decides the same.
    """

    job_id: JobId
    document: dict[str, Any]
    document_sha256: str
    source: str
    """The clip or image; absolute, or relative to the workspace."""
    reference: str | None
    costume_required: bool
    audio_required: bool
    target: VideoTarget | None
    """None: the finished clip keeps the size and rate of the source."""
    workflow_id: str
    parameters: Parameters
    """The job's own bindings; they stand above the workflow's defaults and below a repair's."""
    pose_coverage_threshold: float
    platforms: tuple[str, ...]
    policy: QCPolicy
    policy_sha256: str
    registry: WorkflowRegistry
    registry_sha256: str
    targets: dict[str, float]
    """Thresholds of the job's quality target; they replace the policy's, metric by metric."""
    priority: int = 0
    """Jobs with a higher one are served first."""
    submitted_by: str | None = None
    """Who or what submitted it: a person's name, `api`, or the path of the job file."""
    retry_of: RetryOf | None = None
    workflows: dict[str, dict[str, Any]] = {}
    """The documents of the registry's workflows for engines outside, by workflow_id, as far as they can be read."""


class AttemptStarted(Struct, frozen=True, kw_only=True, tag="AttemptStarted"):
    """An attempt begins at a stage; the stages before it keep their artifacts. Stored shape."""

    attempt_id: AttemptId
    from_stage: Stage
    workflow_id: str
    parameters: Parameters
    decided_by: str | None
    """Event id of the decision that caused it; None for the first attempt."""
    source: str | None = None
    """A corrected input that a person gave; None: as before."""
    reference: str | None = None
    """A corrected reference that a person gave; None: as before."""


class JobCompleted(Struct, frozen=True, kw_only=True, tag="JobCompleted"):
    """Every gate was passed, or waived by a person. Stored shape: change only by upcaster."""

    attempt_id: AttemptId
    final_sha256: str


class JobCancelled(Struct, frozen=True, kw_only=True, tag="JobCancelled"):
    """A person called the job off. Stored shape: change only by upcaster."""

    by: str
    reason: str


class JobAborted(Struct, frozen=True, kw_only=True, tag="JobAborted"):
    """The Supervisor gave the job up, for good. Stored shape: change only by upcaster."""

    attempt_id: AttemptId
    failure: Failure
