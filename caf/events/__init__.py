"""Every fact that caf records: one stream a job, one struct an event type, past tense."""

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
from caf.events.handoff import HandoffPrepared, Posted
from caf.events.job import AttemptStarted, JobAborted, JobCancelled, JobCompleted, JobSubmitted
from caf.events.qc import QCFailed, QCPassed
from caf.events.render import (
    PoseCoverageMeasured,
    PromptSubmitted,
    StageCompleted,
    StageFailed,
    StageStarted,
)
from caf.events.supervisor import Escalated, EscalationAnswered, Reasoner, RepairDecided

__all__ = [
    "GATED",
    "STAGES",
    "Artifact",
    "AttemptId",
    "AttemptStarted",
    "Escalated",
    "EscalationAnswered",
    "Event",
    "Failure",
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
    "Reasoner",
    "RepairDecided",
    "Stage",
    "StageCompleted",
    "StageFailed",
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
    | PromptSubmitted
    | PoseCoverageMeasured
    | QCPassed
    | QCFailed
    | RepairDecided
    | Escalated
    | EscalationAnswered
    | JobCompleted
    | JobAborted
    | HandoffPrepared
    | Posted
)
