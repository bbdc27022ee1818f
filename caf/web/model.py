"""What the HTTP API takes and gives, as structs: the OpenAPI document is made from them."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Raw, Struct

from caf.contracts.types import JobIdText, JsonObject, Platform
from caf.daemon.waiting import Standing
from caf.events import Settings
from caf.job import Job
from caf.ports import Parameter
from caf.web.query import Query

__all__ = [
    "Account",
    "Answer",
    "ArtifactInfo",
    "Artifacts",
    "Cancel",
    "Done",
    "EscalationRow",
    "Escalations",
    "EventRecord",
    "Events",
    "EventsQuery",
    "Fault",
    "FaultReport",
    "Health",
    "JobDetail",
    "JobEventsQuery",
    "JobRow",
    "JobsPage",
    "JobsQuery",
    "LaneState",
    "Pause",
    "Priority",
    "Retry",
    "RunningTurn",
    "StreamQuery",
    "Submission",
    "Submitted",
    "Unpause",
]

Name = Annotated[str, Meta(min_length=1, max_length=200, description="who says so, for the record")]
Note = Annotated[str, Meta(max_length=2000)]
Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Priority = Annotated[int, Meta(ge=-100, le=100)]
Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
StageName = Literal["artifact", "pose", "frame", "motion", "video"]
StatusName = Literal["submitted", "running", "waiting", "completed", "cancelled", "aborted"]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job: a document as in the jobs folder, or just a clip. Paths are relative to the workspace."""

    document: JsonObject | None = None
    """A job.v1 document."""
    clip: Path | None = None
    """A clip or image; stands above the document's own."""
    job_id: JobIdText | None = None
    """Default: the document's, else made from the clip's name."""
    workflow: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    reference: Path | None = None
    require_costume: bool = False
    require_audio: bool = False
    parameters: dict[str, dict[str, Parameter]] = {}
    platforms: tuple[Platform, ...] = ()
    priority: Priority = 0


class Submitted(Struct, frozen=True, kw_only=True):
    job_id: str
    repeated: bool
    """True when this very submission was recorded before, under the same Idempotency-Key."""


class Cancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: Name = "api"
    reason: Note = ""


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    from_stage: StageName
    job_id: JobIdText | None = None
    """Id of the new job; default: the old one's with a number."""
    by: Name = "api"
    note: Note = ""


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says to a job's open escalation. Paths are relative to the workspace."""

    action: Literal["proceed", "retry", "abort"]
    by: Name = "api"
    note: Note = ""
    from_stage: StageName | None = None
    parameters: dict[str, dict[str, Parameter]] = {}
    source: Path | None = None
    reference: Path | None = None
    question: Annotated[int, Meta(ge=1)] | None = None
    """Which question this answers; 409 when the job asks another one by now. Left out: whichever is open."""


class Pause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: Name = "api"
    reason: Note = ""


class Unpause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: Name = "api"


class Done(Struct, frozen=True, kw_only=True):
    recorded: bool
    """False when it was so before, and nothing had to be recorded."""


class JobsQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    numbers: ClassVar[frozenset[str]] = frozenset({"limit"})

    status: StatusName | None = None
    lane: Annotated[str, Meta(max_length=200)] | None = None
    job_id: JobIdText | None = None
    """This job alone: where it stands, without its state."""
    after: JobIdText | None = None
    """The last job of the page before."""
    limit: Limit = 100


class JobQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompts: Literal["all", "none"] = "all"
    """none: without what was sent to servers, thousands in a job that is rendered frame by frame."""


class JobRow(Struct, frozen=True, kw_only=True):
    """Where a job stands, as of its last event."""

    job_id: str
    status: StatusName
    stage: str | None
    attempts: int
    workflow_id: str
    policy_id: str
    source: str
    lane: str | None
    niche: str | None
    priority: int
    submitted_by: str | None
    retry_of: str | None
    reason: str | None
    final_sha256: str | None
    submitted_at: str
    updated_at: str
    version: int
    position: int


class JobsPage(Struct, frozen=True, kw_only=True):
    jobs: tuple[JobRow, ...]
    """The newest first."""
    next: str | None
    """`after` of the next page; null: this is the last."""


class JobDetail(Struct, frozen=True, kw_only=True):
    job: JobRow
    standing: Standing
    state: Job
    """The fold of its events."""


class EventRecord(Struct, frozen=True, kw_only=True):
    """A recorded event with its payload."""

    position: int
    stream: str
    version: int
    event_id: str
    type: str
    type_version: int
    recorded_at: str
    correlation_id: str | None
    causation_id: str | None
    data: Raw | None
    """The payload; null where it is no JSON."""


class Events(Struct, frozen=True, kw_only=True):
    events: tuple[EventRecord, ...]
    next: int | None
    """`after` of the next page; null: nothing more was recorded yet."""


class EventsQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    numbers: ClassVar[frozenset[str]] = frozenset({"after", "limit"})

    after: Position = 0
    """Only events with a higher position."""
    limit: Limit = 100


class JobEventsQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    numbers: ClassVar[frozenset[str]] = frozenset({"after", "limit"})

    after: Position = 0
    """Only events with a higher version."""
    limit: Limit = 100


class StreamQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    numbers: ClassVar[frozenset[str]] = frozenset({"after"})

    after: Position | None = None
    """Begin after this position; default: with what is recorded from now on. Last-Event-ID stands above it."""
    job_id: JobIdText | None = None


class EscalationRow(Struct, frozen=True, kw_only=True):
    job_id: str
    attempt_id: str
    stage: str
    reason: str
    required_artifact: str
    expected_format: str
    detail: str
    escalated_at: str
    question: int
    """Its number in the job; an answer may name it."""


class Escalations(Struct, frozen=True, kw_only=True):
    escalations: tuple[EscalationRow, ...]
    """The oldest first."""


class ArtifactInfo(Struct, frozen=True, kw_only=True):
    attempt_id: str
    stage: str
    role: str
    sha256: str
    bytes: int
    suffix: str


class Artifacts(Struct, frozen=True, kw_only=True):
    artifacts: tuple[ArtifactInfo, ...]


class RunningTurn(Struct, frozen=True, kw_only=True):
    job_id: str
    stage: str
    gate: bool
    for_s: float
    doing: str | None
    done: int | None
    total: int | None
    preview: int | None
    """Another number for each new picture under the job's `preview`; null: there is none."""


class LaneState(Struct, frozen=True, kw_only=True):
    name: str
    capacity: int
    running: tuple[RunningTurn, ...]
    waiting: tuple[str, ...]


class Account(Struct, frozen=True, kw_only=True):
    """The daemon at this moment."""

    version: str
    host: str
    uptime_s: int
    state: Literal["running", "paused", "stopping"]
    paused: dict[str, str] | None
    jobs: dict[str, int]
    under_way: int
    jobs_at_once: int
    waiting: dict[str, str]
    """Jobs under way of which nothing runs, and why."""
    queue: tuple[str, ...]
    """Jobs to be begun, the next one first."""
    held: dict[str, str]
    lanes: tuple[LaneState, ...]
    position: int
    settings: Settings


class Health(Struct, frozen=True, kw_only=True):
    ok: bool
    problems: tuple[str, ...] = ()


class Fault(Struct, frozen=True, kw_only=True):
    kind: str
    message: str
    remedy: str


class FaultReport(Struct, frozen=True, kw_only=True):
    error: Fault
