"""What an event says to a person, in one line."""

from collections.abc import Sequence
from typing import Final

from caf.cli.tables import one_line
from caf.engines.parameters import PARAMETERS
from caf.events import (
    AttemptStarted,
    ConfigReloaded,
    DaemonEvent,
    DaemonStarted,
    DaemonStopped,
    DocumentRejected,
    Escalated,
    EscalationAnswered,
    Event,
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
    QueuePaused,
    QueueUnpaused,
    RepairDecided,
    Settings,
    StageCompleted,
    StageFailed,
    StageInterrupted,
    StageStarted,
)

__all__ = ["seconds", "spans_told", "tell"]

MOST_PARAMETERS: Final = 4
"""In a line; a workflow of other engines has dozens."""
MOST_SPANS: Final = 4


def seconds(ms: int) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`."""
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    if ms < 120_000:
        return f"{ms / 1000:.0f} s"
    return f"{ms // 60_000} min {ms % 60_000 // 1000:02d} s"


def spans_told(spans: Sequence[tuple[int, int]]) -> str:
    """`12-14 40 77-80 and 3 more`."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:MOST_SPANS]]
    more = len(spans) - MOST_SPANS
    return " ".join(shown) + (f" and {more} more" if more > 0 else "")


def tell(event: Event | DaemonEvent) -> str:
    """The event's content in a line, whatever is in it; its type and time are told beside it."""
    return one_line(_of_the_daemon(event) if isinstance(event, DaemonEvent) else _of_a_job(event))


def _of_the_daemon(event: DaemonEvent) -> str:
    match event:
        case DaemonStarted(version=version, host=host, pid=pid, settings=settings):
            return f"caf {version} as process {pid} on {host}; {_settings(settings)}"
        case DaemonStopped(pid=pid, reason=reason, interrupted=interrupted):
            return f"process {pid}: {reason}{f'; {interrupted} stages interrupted' if interrupted else ''}"
        case ConfigReloaded(settings=settings):
            return _settings(settings)
        case QueuePaused(by=by, reason=reason):
            return f"by {by}{': ' + reason if reason else ''}"
        case QueueUnpaused(by=by):
            return f"by {by}"
        case DocumentRejected(path=path, message=message):
            return f"{path}: {message}"


def _settings(settings: Settings) -> str:
    return f"new jobs are judged by {settings.policy_id} ({settings.policy_sha256[:12]})"


def _of_a_job(event: Event) -> str:  # noqa: C901 - one case an event type
    match event:
        case JobSubmitted(job_id=job_id, source=source, workflow_id=flow, policy=policy, retry_of=retry):
            again = f", {retry.job_id} again from {retry.from_stage}" if retry else ""
            return f"{job_id}: {source} for {flow}, judged by {policy.policy_id}{again}"
        case AttemptStarted(attempt_id=attempt, from_stage=stage, parameters=parameters):
            return f"{attempt} from {stage} with {_changed(parameters)}"
        case StageStarted(stage=stage, engine=engine):
            return f"{stage} on {engine}"
        case StageCompleted():
            return _completed(event)
        case StageFailed(stage=stage, failure=failure):
            return f"{stage}: {failure.message}"
        case StageInterrupted(stage=stage, gate=gate, ran_ms=ran_ms, reason=reason):
            return f"{stage}{' QC' if gate else ''} after {seconds(ran_ms)}: {reason}; it will be run again"
        case PromptSubmitted(stage=stage, engine=engine, handle=handle, key=key):
            return f"{stage}{f', {key},' if key else ''} on {engine} as {handle}"
        case PoseCoverageMeasured():
            used = "raw frames are used" if event.fallback_active else "poses are used"
            return f"{event.detected} of {event.frames} frames ({event.ratio:.0%}, needs {event.threshold:.0%}); {used}"
        case QCPassed(stage=stage) | QCFailed(stage=stage):
            return f"{stage}: {_scores(event)}"
        case RepairDecided(decision=told):
            return f"{told.decision.action}: {told.decision.reasoning}"
        case Escalated(request=request, detail=detail):
            return f"{request.reason}: {detail}"
        case EscalationAnswered(action=action, by=by, note=note):
            return f"{action} by {by}{': ' + note if note else ''}"
        case JobCompleted(final_sha256=digest):
            return f"final {digest[:12]}"
        case JobCancelled(by=by, reason=reason):
            return f"by {by}{': ' + reason if reason else ''}"
        case JobAborted(failure=failure):
            return failure.message
        case HandoffApproved(platform=platform, by=by, note=note):
            return f"{platform} by {by}{': ' + note if note else ''}"
        case HandoffPrepared(platforms=platforms):
            return ", ".join(platforms)
        case Posted(platform=platform, post_url=url):
            return f"{platform}: {url}"


def _changed(parameters: Parameters) -> str:
    """What is not as the embedded engine's table has it; `caf events --json` tells all."""
    usual = {(spec.stage, spec.name): spec.default for spec in PARAMETERS}
    told = [
        f"{node}.{name}={value}"
        for node, inputs in parameters.items()
        for name, value in inputs.items()
        if usual.get((node, name)) != value
    ]
    more = f" and {len(told) - MOST_PARAMETERS} more" if len(told) > MOST_PARAMETERS else ""
    return ", ".join(told[:MOST_PARAMETERS]) + more or "defaults"


def _completed(event: StageCompleted) -> str:
    if event.reused:
        return f"{event.stage}: taken from an earlier run"
    memory = f", {event.memory_peak_mb:.0f} MB" if event.memory_peak_mb else ""
    return f"{event.stage} in {seconds(event.duration_ms)}{memory}"


def _scores(event: QCPassed | QCFailed) -> str:
    shown = []
    for gate in event.report.gates:
        score = "not measured" if gate.score is None else f"{gate.score:.2f}"
        mark = "" if gate.status == "PASS" else f" {gate.status} (needs {gate.threshold:g})"
        shown.append(f"{gate.metric} {score}{mark}")
    return ", ".join(shown) or "no gates"
