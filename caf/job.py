"""A job as a fold of its events: `evolve(job, event)` from `INITIAL`; no clock, no I/O."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, Literal, assert_never, overload

from msgspec import Struct
from msgspec.structs import replace

from caf.contracts import Decision, QCReport
from caf.events import (
    STAGES,
    Artifact,
    AttemptId,
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    Event,
    Failure,
    HandoffApproved,
    HandoffPrepared,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobSubmitted,
    Parameters,
    PoseCoverageMeasured,
    Posted,
    PromptSubmitted,
    QCFailed,
    QCPassed,
    RepairDecided,
    Stage,
    StageCompleted,
    StageFailed,
    StageInterrupted,
    StageStarted,
)
from caf.ports import Measurement, MediaInfo, VideoTarget

__all__ = [
    "INITIAL",
    "Attempt",
    "DecisionTaken",
    "Gated",
    "Job",
    "Prompts",
    "Status",
    "evolve",
    "in_json",
    "is_over",
]

Status = Literal["unknown", "submitted", "running", "waiting", "completed", "cancelled", "aborted"]


class Gated(Struct, frozen=True, kw_only=True):
    """The outcome of one gate."""

    stage: Stage
    passed: bool
    report: QCReport
    measurements: tuple[Measurement, ...]
    duration_ms: int
    series: Artifact | None = None


class DecisionTaken(Struct, frozen=True, kw_only=True):
    stage: Stage
    decision: Decision
    reasoned_by: str


class Prompts(Sequence[PromptSubmitted]):
    """What was handed to engines outside, oldest first, in runs that get shorter: each is twice the next one or more.

    The states of a job share them, since whoever follows it keeps the state after each event: thousands of tuples, each
    longer than the one before, would take the square of the prompts. Never changed once made.
    """

    __slots__ = ("_runs",)

    def __init__(self, *runs: tuple[PromptSubmitted, ...]) -> None:
        self._runs = runs

    def and_then(self, prompt: PromptSubmitted) -> "Prompts":
        """These and one more."""
        runs = self._runs
        newest: tuple[PromptSubmitted, ...] = (prompt,)
        while runs and len(runs[-1]) == len(newest):
            runs, newest = runs[:-1], runs[-1] + newest
        return Prompts(*runs, newest)

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def __iter__(self) -> Iterator[PromptSubmitted]:
        return chain.from_iterable(self._runs)

    @overload
    def __getitem__(self, place: int) -> PromptSubmitted: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[PromptSubmitted, ...]: ...
    def __getitem__(self, place: int | slice) -> PromptSubmitted | tuple[PromptSubmitted, ...]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prompts) and self._runs == other._runs

    def __hash__(self) -> int:
        return hash(self._runs)


def in_json(value: object) -> object:
    """For encoders: what of a job's state JSON has no form for. Raises `NotImplementedError` for anything else."""
    if isinstance(value, Prompts):
        return tuple(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt: the stages it ran or took over, the gates it saw, the decisions made in it."""

    id: AttemptId
    number: int
    from_stage: Stage
    workflow_id: str
    parameters: Parameters
    stages: dict[Stage, StageCompleted] = {}
    """Completed stages by name, those of earlier attempts before `from_stage` included."""
    running: Stage | None = None
    failure: Failure | None = None
    failed_stage: Stage | None = None
    interrupted: StageInterrupted | None = None
    """The stage or gate that was ended under way and has not come to an end since."""
    prompts: Sequence[PromptSubmitted] = ()
    pose: PoseCoverageMeasured | None = None
    gates: tuple[Gated, ...] = ()
    decisions: tuple[DecisionTaken, ...] = ()


class Job(Struct, frozen=True, kw_only=True):
    """What is known of one job after some prefix of its stream; rebuilt from events alone."""

    version: int = 0
    status: Status = "unknown"
    submitted: JobSubmitted | None = None
    source: str = ""
    reference: str | None = None
    media: MediaInfo | None = None
    attempts: tuple[Attempt, ...] = ()
    escalation: Escalated | None = None
    """Open question to a person, if any."""
    question: int = 0
    """Version of the newest question, which tells it from those before it; 0: nothing was asked yet."""
    retry_is_due: bool = False
    """A person has answered `retry`, and the attempt has not begun yet."""
    retries_asked: int = 0
    """Attempts that people asked for; they come on top of the policy's budget."""
    failure: Failure | None = None
    final_sha256: str | None = None
    approved: dict[str, HandoffApproved] = {}
    """Platforms that a person let the job go to."""
    prepared: HandoffPrepared | None = None
    """All payloads that were written so far."""
    posted: dict[str, Posted] = {}

    @property
    def attempt(self) -> Attempt:
        """The current attempt. An assertion fails before the first one began."""
        assert self.attempts, "no attempt has begun"
        return self.attempts[-1]

    @property
    def spec(self) -> JobSubmitted:
        """What was submitted. An assertion fails on an empty stream."""
        assert self.submitted is not None, "the stream has no JobSubmitted"
        return self.submitted

    @property
    def target(self) -> VideoTarget | None:
        """The wanted size and rate; the source's own when the job names none; None before the probe."""
        if self.spec.target is not None:
            return self.spec.target
        if self.media is None:
            return None
        return VideoTarget(width=self.media.width, height=self.media.height, fps=self.media.fps or 30.0)

    def artifact(self, role: str) -> Artifact | None:
        """The newest artifact of a role in the current attempt."""
        if not self.attempts:
            return None
        for stage in reversed(STAGES):
            done = self.attempt.stages.get(stage)
            for artifact in done.artifacts if done else ():
                if artifact.role == role:
                    return artifact
        return None


INITIAL: Final = Job()


def is_over(job: Job) -> bool:
    """True when nothing more will be run, decided or asked."""
    return job.status in ("completed", "cancelled", "aborted")


def evolve(job: Job, event: Event) -> Job:
    """The job after one more event. Total: any prefix of any log folds."""
    return replace(_apply(job, event), version=job.version + 1)


def _apply(job: Job, event: Event) -> Job:  # noqa: C901 - one case an event type, closed by assert_never
    match event:
        case JobSubmitted():
            return replace(
                job, status="submitted", submitted=event, source=event.source, reference=event.reference
            )
        case AttemptStarted():
            return _begin(job, event)
        case StageStarted():
            return _in_attempt(job, event.attempt_id, running=event.stage, interrupted=None)
        case StageCompleted():
            return _completed(job, event)
        case StageFailed():
            return _in_attempt(
                job,
                event.attempt_id,
                running=None,
                failure=event.failure,
                failed_stage=event.stage,
                interrupted=None,
            )
        case StageInterrupted():
            return _in_attempt(job, event.attempt_id, interrupted=event)
        case PromptSubmitted():
            if job.attempts and job.attempt.id == event.attempt_id:
                return _in_attempt(job, event.attempt_id, prompts=_one_more(job.attempt.prompts, event))
            return job
        case PoseCoverageMeasured():
            return _in_attempt(job, event.attempt_id, pose=event)
        case QCPassed() | QCFailed():
            return _gated(job, event)
        case RepairDecided():
            return _decided(job, event)
        case Escalated():
            return replace(
                job, status="waiting", escalation=event, question=job.version + 1, retry_is_due=False
            )
        case EscalationAnswered():
            return replace(job, status="running", escalation=None, retry_is_due=event.action == "retry")
        case JobCompleted():
            return replace(job, status="completed", final_sha256=event.final_sha256, escalation=None)
        case JobCancelled():
            return replace(job, status="cancelled", escalation=None)
        case JobAborted():
            return replace(job, status="aborted", failure=event.failure, escalation=None)
        case HandoffApproved():
            return replace(job, approved={event.platform: event, **job.approved})
        case HandoffPrepared():
            return replace(job, prepared=_more_prepared(job.prepared, event))
        case Posted():
            return replace(job, posted={event.platform: event, **job.posted})
        case _:
            assert_never(event)


def _more_prepared(before: HandoffPrepared | None, event: HandoffPrepared) -> HandoffPrepared:
    if before is None:
        return event
    return HandoffPrepared(
        platforms=tuple(dict.fromkeys((*before.platforms, *event.platforms))),
        documents=tuple(dict.fromkeys((*before.documents, *event.documents))),
    )


def _begin(job: Job, event: AttemptStarted) -> Job:
    kept: dict[Stage, StageCompleted] = {}
    pose = None
    if job.attempts:
        before = STAGES[: STAGES.index(event.from_stage)]
        kept = {stage: done for stage, done in job.attempt.stages.items() if stage in before}
        pose = job.attempt.pose if "pose" in kept else None
    attempt = Attempt(
        id=event.attempt_id,
        number=len(job.attempts) + 1,
        from_stage=event.from_stage,
        workflow_id=event.workflow_id,
        parameters=event.parameters,
        stages=kept,
        pose=pose,
        gates=tuple(gate for gate in job.attempt.gates if gate.stage in kept) if job.attempts else (),
    )
    return replace(
        job,
        status="running",
        attempts=(*job.attempts, attempt),
        retries_asked=job.retries_asked + job.retry_is_due,
        retry_is_due=False,
        source=event.source or job.source,
        reference=event.reference or job.reference,
    )


def _completed(job: Job, event: StageCompleted) -> Job:
    if not job.attempts or job.attempt.id != event.attempt_id:
        return job
    stages = {**job.attempt.stages, event.stage: event}
    job = _in_attempt(
        job,
        event.attempt_id,
        stages=stages,
        running=None,
        failure=None,
        failed_stage=None,
        interrupted=None,
    )
    return replace(job, media=event.media) if event.media is not None else job


def _one_more(prompts: Sequence[PromptSubmitted], prompt: PromptSubmitted) -> Prompts:
    return (prompts if isinstance(prompts, Prompts) else Prompts()).and_then(prompt)


def _gated(job: Job, event: QCPassed | QCFailed) -> Job:
    if not job.attempts or job.attempt.id != event.attempt_id:
        return job
    gate = Gated(
        stage=event.stage,
        passed=isinstance(event, QCPassed),
        report=event.report,
        measurements=event.measurements,
        duration_ms=event.duration_ms,
        series=event.series,
    )
    others = tuple(seen for seen in job.attempt.gates if seen.stage != event.stage)
    return _in_attempt(job, event.attempt_id, gates=(*others, gate), interrupted=None)


def _decided(job: Job, event: RepairDecided) -> Job:
    if not job.attempts or job.attempt.id != event.attempt_id:
        return job
    taken = DecisionTaken(stage=event.stage, decision=event.decision.decision, reasoned_by=event.reasoned_by)
    return _in_attempt(job, event.attempt_id, decisions=(*job.attempt.decisions, taken))


def _in_attempt(job: Job, attempt_id: AttemptId, **changes: object) -> Job:
    """The job with its current attempt changed; unchanged when the event is of an earlier attempt."""
    if not job.attempts or job.attempt.id != attempt_id:
        return job
    return replace(job, attempts=(*job.attempts[:-1], replace(job.attempt, **changes)))
