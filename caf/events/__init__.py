"""Every fact that caf records, one struct an event type, past tense: a stream a job, and one of the daemon's own."""

from caf.events.daemon import (
    ConfigReloaded,
    DaemonEvent,
    DaemonStarted,
    DaemonStopped,
    DocumentRejected,
    QueuePaused,
    QueueUnpaused,
    Settings,
)
from caf.events.facts import (
    GATED,
    STAGES,
    Artifact,
    AttemptId,
    Failure,
    JobId,
    Parameters,
    Stage,
    attempt_id,
)
from caf.events.handoff import HandoffApproved, HandoffPrepared, Posted
from caf.events.job import AttemptStarted, JobAborted, JobCancelled, JobCompleted, JobSubmitted, RetryOf
from caf.events.qc import QCFailed, QCPassed
from caf.events.render import (
    PoseCoverageMeasured,
    PromptSubmitted,
    StageCompleted,
    StageFailed,
    StageInterrupted,
    StageStarted,
)
from caf.events.supervisor import Escalated, EscalationAnswered, Reasoner, RepairDecided

__all__ = [
    "GATED",
    "STAGES",
    "Artifact",
    "AttemptId",
    "AttemptStarted",
    "ConfigReloaded",
    "DaemonEvent",
    "DaemonStarted",
    "DaemonStopped",
    "DocumentRejected",
    "Escalated",
    "EscalationAnswered",
    "Event",
    "Failure",
    "HandoffApproved",
    "HandoffPrepared",
    "JobAborted",
    "JobCancelled",
    "JobCompleted",
    "JobId",
    "JobSubmitted",
    "Parameters",
    "PoseCoverageMeasured",
    "Posted",
    "PromptSubmitted",
    "QCFailed",
    "QCPassed",
    "QueuePaused",
    "QueueUnpaused",
    "Reasoner",
    "RepairDecided",
    "RetryOf",
    "Settings",
    "Stage",
    "StageCompleted",
    "StageFailed",
    "StageInterrupted",
    "StageStarted",
    "attempt_id",
]

Event = (
    JobSubmitted
    | JobCancelled
    | AttemptStarted
    | StageStarted
    | StageCompleted
    | StageFailed
    | StageInterrupted
    | PromptSubmitted
    | PoseCoverageMeasured
    | QCPassed
    | QCFailed
    | RepairDecided
    | Escalated
    | EscalationAnswered
    | JobCompleted
    | JobAborted
    | HandoffApproved
    | HandoffPrepared
    | Posted
)
"""The facts of a job: what `caf.job.evolve` folds."""
