"""What must be true of every log, whatever happened while it was written. Each checker knows one thing."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from caf.actors import documents
from caf.actors.effects import is_current
from caf.commands import PERSON
from caf.contracts import UserActionRequired
from caf.contracts.read import read_document
from caf.contracts.times import timestamp
from caf.events import (
    GATED,
    STAGES,
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    HandoffApproved,
    HandoffPrepared,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobSubmitted,
    Posted,
    QCFailed,
    QCPassed,
    RepairDecided,
    Stage,
    StageCompleted,
    StageFailed,
    StageStarted,
    attempt_id,
)
from caf.job import Job, is_over
from caf.log import Entry
from caf.repairs import DETERMINISTIC_ENGINES

__all__ = ["CHECKERS", "check", "check_at_rest"]

Problems = Iterator[str]
FROM_OUTSIDE = (JobSubmitted, EscalationAnswered, JobCancelled, HandoffApproved, Posted)
AFTER_THE_END = (HandoffApproved, HandoffPrepared, Posted)
JUDGED = (QCPassed, QCFailed, StageFailed, EscalationAnswered)
"""What the Supervisor decides on."""


def nothing_after_the_end(entries: list[Entry]) -> Problems:
    for before, after in pairwise(entries):
        if is_over(before.job) and not isinstance(after.event, AFTER_THE_END):
            yield f"{after.recorded.type} at version {after.recorded.version} after the job was over"


def every_event_names_its_cause(entries: list[Entry]) -> Problems:
    known: set[str] = set()
    for entry in entries:
        cause = entry.recorded.causation_id
        if isinstance(entry.event, FROM_OUTSIDE):
            if cause is not None:
                yield f"version {entry.recorded.version} came from outside and has a cause"
        elif cause not in known:
            yield f"version {entry.recorded.version} has no cause before it"
        known.add(entry.recorded.event_id)


def nothing_is_decided_twice(entries: list[Entry]) -> Problems:
    causes = Counter(
        (entry.recorded.type, entry.recorded.causation_id, _is_dead_letter(entry.event))
        for entry in entries
        if isinstance(entry.event, RepairDecided | AttemptStarted | Escalated | JobCompleted | JobAborted)
    )
    for (name, cause, _), times in causes.items():
        if times > 1:
            yield f"{name} was recorded {times} times for the cause {cause}"


def a_job_is_submitted_once(entries: list[Entry]) -> Problems:
    times = sum(isinstance(entry.event, JobSubmitted) for entry in entries)
    if times > 1:
        yield f"it was submitted {times} times"


def nothing_is_measured_twice(entries: list[Entry]) -> Problems:
    verdicts = Counter(
        entry.recorded.causation_id for entry in entries if isinstance(entry.event, QCPassed | QCFailed)
    )
    for cause, times in verdicts.items():
        if times > 1:
            yield f"the completion {cause} was judged {times} times"


def attempts_stay_within_the_budget(entries: list[Entry]) -> Problems:
    attempts = sum(isinstance(entry.event, AttemptStarted) for entry in entries)
    # An answer that another question overtook has begun no attempt, and makes no room for one.
    asked = sum(
        isinstance(entry.event, AttemptStarted)
        and isinstance(before.event, RepairDecided)
        and before.event.reasoned_by == "person"
        for before, entry in pairwise(entries)
    )
    allowed = entries[-1].job.spec.policy.max_retries_default + 1 + asked
    if attempts > allowed:
        yield f"{attempts} attempts where {allowed} are allowed"


def attempts_count_from_one(entries: list[Entry]) -> Problems:
    ids = [entry.event.attempt_id for entry in entries if isinstance(entry.event, AttemptStarted)]
    if ids != [attempt_id(number) for number in range(1, len(ids) + 1)]:
        yield f"the attempts are {ids}"


def every_attempt_but_the_first_was_decided(entries: list[Entry]) -> Problems:
    for before, entry in pairwise(entries):
        if isinstance(entry.event, AttemptStarted) and entry.event.decided_by is not None:
            decision = before.event
            if not (
                isinstance(decision, RepairDecided)
                and decision.decision.decision.action in ("RETRY_STAGE", "SWITCH_POLICY")
            ):
                yield f"the attempt at version {entry.recorded.version} follows {before.recorded.type}"


def stages_run_in_order_and_gates_are_not_skipped(entries: list[Entry]) -> Problems:
    for before, entry in pairwise(entries):
        event = entry.event
        if not isinstance(event, StageStarted):
            continue
        attempt = before.job.attempt
        if event.attempt_id != attempt.id:
            yield f"{event.stage} was started for {event.attempt_id} while {attempt.id} runs"
            continue
        earlier = STAGES[: STAGES.index(event.stage)]
        if missing := [stage for stage in earlier if stage not in attempt.stages]:
            yield f"{event.stage} was started at version {entry.recorded.version} without {missing}"
        passed = {gate.stage for gate in attempt.gates if gate.passed}
        passed |= _let_through(entries[: before.recorded.version])
        if held := [stage for stage in earlier if stage in GATED and stage not in passed]:
            yield f"{event.stage} was started at version {entry.recorded.version} with {held} not let through"


def _let_through(entries: list[Entry]) -> set[Stage]:
    """The stages whose last result was taken as it is: by the policy, or a person, also where QC had given up on it."""
    found: set[Stage] = set()
    for entry in entries:
        event = entry.event
        if isinstance(event, StageCompleted):
            found.discard(event.stage)
        elif isinstance(event, RepairDecided):
            found |= {event.stage} if event.decision.decision.action == "PROCEED" else set()
    return found


def a_failed_gate_is_passed_only_by_decision(entries: list[Entry]) -> Problems:
    for entry in entries:
        event = entry.event
        if isinstance(event, RepairDecided) and event.decision.decision.action == "PROCEED":
            failed = [
                gate for gate in entry.job.attempt.gates if gate.stage == event.stage and not gate.passed
            ]
            policy_lets = all(gate.report.overall.recommended_action == "PROCEED" for gate in failed)
            if failed and event.reasoned_by != "person" and not policy_lets:
                yield f"version {entry.recorded.version} lets a failed gate pass"


def nothing_is_decided_that_was_not_asked(entries: list[Entry]) -> Problems:
    by_id = {entry.recorded.event_id: entry for entry in entries}
    for entry in entries:
        if isinstance(entry.event, RepairDecided):
            cause = by_id.get(entry.recorded.causation_id or "")
            if cause is None or not isinstance(cause.event, JUDGED):
                yield f"version {entry.recorded.version} decides on nothing"


def what_ran_was_told(entries: list[Entry]) -> Problems:
    told = {
        (entry.event.attempt_id, entry.event.stage)
        for entry in entries
        if isinstance(entry.event, StageStarted)
    }
    for entry in entries:
        event = entry.event
        if isinstance(event, StageCompleted | StageFailed) and (event.attempt_id, event.stage) not in told:
            yield f"{event.stage} of {event.attempt_id} ran untold"


def a_deterministic_engine_is_never_asked_the_same_again(entries: list[Entry]) -> Problems:
    """Retries after a failed gate, decided by policy: the same request on the same inputs is pointless."""
    for before, entry in pairwise(entries):
        event, decision = entry.event, before.event
        if not isinstance(event, AttemptStarted) or not isinstance(decision, RepairDecided):
            continue
        cause = next(item for item in entries if item.recorded.event_id == entry.recorded.causation_id)
        if decision.reasoned_by != "policy" or not isinstance(cause.event, QCFailed):
            continue
        if _engine(before.job, event.workflow_id) not in DETERMINISTIC_ENGINES:
            continue
        for known, inputs in _attempts_with_inputs(entries[: entry.recorded.version - 1]):
            same = (known.workflow_id, known.parameters) == (event.workflow_id, event.parameters)
            attempt = next(one for one in before.job.attempts if one.id == known.attempt_id)
            told = attempt.failure is None or not attempt.failure.transient
            if same and told and inputs == (before.job.source, before.job.reference):
                yield f"{event.attempt_id} repeats {known.attempt_id}"


def a_completed_job_has_what_its_last_gate_judged(entries: list[Entry]) -> Problems:
    job = entries[-1].job
    if job.status == "completed":
        final = job.artifact("final")
        if final is None or final.sha256 != job.final_sha256:
            yield "the finished clip is not the one that was judged"
        passed = {gate.stage for gate in job.attempt.gates if gate.passed}
        if not passed | _let_through(entries) >= GATED:
            yield "the job was completed without all gates passed or let through"


def a_post_follows_the_completion_and_comes_once(entries: list[Entry]) -> Problems:
    platforms = Counter(entry.event.platform for entry in entries if isinstance(entry.event, Posted))
    for platform, times in platforms.items():
        if times > 1:
            yield f"{platform} was posted {times} times"
    for before, entry in pairwise(entries):
        # What a publishing tool has done is a fact, whatever this log knows.
        said = isinstance(entry.event, Posted) and entry.event.observed_from == PERSON
        if said and before.job.status != "completed":
            yield f"version {entry.recorded.version} posts a job that is {before.job.status}"


def versions_have_no_gap(entries: list[Entry]) -> Problems:
    versions = [entry.recorded.version for entry in entries]
    if versions != list(range(1, len(versions) + 1)):
        yield f"the versions are {versions}"
    positions = [entry.recorded.position for entry in entries]
    if positions != sorted(set(positions)):
        yield f"the positions are {positions}"


def no_stage_starts_while_another_one_runs(entries: list[Entry]) -> Problems:
    """By the log: a stage that was started came to its end before the next one, of whatever attempt."""
    running: StageStarted | None = None
    for entry in entries:
        event = entry.event
        if isinstance(event, StageStarted):
            if running is not None:
                yield f"{event.attempt_id} {event.stage} starts while {running.attempt_id} {running.stage} runs"
            running = event
        elif isinstance(event, StageCompleted | StageFailed):
            running = None
        elif isinstance(event, Escalated | AttemptStarted):
            running = None  # an actor gave the stage up, and a person was asked


def _engine(job: Job, workflow_id: str) -> str:
    return next(flow.engine for flow in job.spec.registry.workflows if flow.workflow_id == workflow_id)


def _attempts_with_inputs(
    entries: list[Entry],
) -> Iterator[tuple[AttemptStarted, tuple[str, str | None]]]:
    for entry in entries:
        if isinstance(entry.event, AttemptStarted):
            yield entry.event, (entry.job.source, entry.job.reference)


CHECKERS: tuple[Callable[[list[Entry]], Problems], ...] = (
    nothing_after_the_end,
    every_event_names_its_cause,
    a_job_is_submitted_once,
    nothing_is_decided_twice,
    nothing_is_decided_that_was_not_asked,
    nothing_is_measured_twice,
    attempts_stay_within_the_budget,
    attempts_count_from_one,
    every_attempt_but_the_first_was_decided,
    stages_run_in_order_and_gates_are_not_skipped,
    a_failed_gate_is_passed_only_by_decision,
    what_ran_was_told,
    a_deterministic_engine_is_never_asked_the_same_again,
    a_completed_job_has_what_its_last_gate_judged,
    a_post_follows_the_completion_and_comes_once,
    versions_have_no_gap,
    no_stage_starts_while_another_one_runs,
)


def check(entries: list[Entry]) -> list[str]:
    """What is wrong with one job's log."""
    return [f"{checker.__name__}: {problem}" for checker in CHECKERS for problem in checker(entries)]


def check_at_rest(entries: list[Entry], files: dict[str, bytes]) -> list[str]:
    """What is wrong with a job that no actor has anything to do for."""
    return [f"{checker.__name__}: {problem}" for checker in AT_REST for problem in checker(entries, files)]


def a_job_ended_or_waits_with_a_question(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    job = entries[-1].job
    if job.submitted is None:
        return
    if not is_over(job) and job.status != "waiting":
        yield f"the job stands still as {job.status}"
    if (job.status == "waiting") != (job.escalation is not None):
        yield f"the job is {job.status} and its question is {job.escalation}"
    if job.escalation is not None and not (job.escalation.request.reason and job.escalation.detail):
        yield "the job waits without a reason"


def an_open_question_is_on_disk_and_no_other(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    job = entries[-1].job
    question = files.get(f"sandbox/logs/{job.spec.job_id}/qc/user_action_required.json")
    if _given_up(entries, Escalated, EscalationAnswered, JobCancelled):
        return
    if (question is not None) != (job.status == "waiting"):
        yield f"the job is {job.status} and its question is{'' if question else ' not'} on disk"
    elif question is not None:
        told = read_document(question, UserActionRequired, where="question")
        if job.escalation is None or told != job.escalation.request:
            yield "the question on disk is not the one in the log"


def the_clip_of_a_completed_job_is_on_disk(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    job = entries[-1].job
    final = files.get(f"sandbox/output/{job.spec.job_id}/final.mp4")
    if (final is not None) != (job.status == "completed"):
        yield f"the job is {job.status} and its clip is{'' if final else ' not'} on disk"
    elif final is not None and final.decode() != job.final_sha256:
        yield "the clip on disk is not the one in the log"


def payloads_are_prepared_once_for_each_platform(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    job = entries[-1].job
    prepared = sorted(
        platform
        for entry in entries
        if isinstance(entry.event, HandoffPrepared)
        for platform in entry.event.platforms
    )
    wanted = sorted({*job.spec.platforms, *job.approved}) if job.status == "completed" else []
    if prepared != wanted:
        yield f"payloads were prepared for {prepared} where {wanted} are wanted"


def each_verdict_was_decided_on(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    """Every gate, failure and answer led to its decision, unless a person was asked or the job was called off."""
    decided = {entry.recorded.causation_id for entry in entries if isinstance(entry.event, RepairDecided)}
    for entry in entries:
        event, job = entry.event, entry.job
        if not isinstance(event, JUDGED) or entry.recorded.event_id in decided:
            continue
        moot = any(_ends_or_asks(later.event) for later in entries[entry.recorded.version :])
        if not moot and (isinstance(event, EscalationAnswered) or is_current(job, event.attempt_id)):
            yield f"{entry.recorded.type} at version {entry.recorded.version} was not decided on"


def _ends_or_asks(event: object) -> bool:
    return isinstance(event, Escalated | JobCompleted | JobAborted | JobCancelled)


def the_last_documents_are_on_disk(entries: list[Entry], files: dict[str, bytes]) -> Problems:
    """The last decision of every attempt and the last report are on disk as the log has them."""
    folder = f"sandbox/logs/{entries[-1].job.spec.job_id}"
    expected: dict[str, bytes] = {}
    unsure = set()
    for entry in entries:
        event, attempts = entry.event, entry.job.attempts
        if isinstance(event, RepairDecided):
            path = f"{folder}/supervisor/{event.attempt_id}/production_decision.v1.json"
            expected[path] = documents.written(event.decision)
        elif isinstance(event, QCPassed | QCFailed) and attempts[-1].id == event.attempt_id:
            at = timestamp(entry.recorded.recorded_at_ms)
            path = f"{folder}/qc/qc_report.v1.json"
            expected[path] = documents.qc_report(entry.job, at)
        else:
            continue
        unsure.discard(path)
        if entry in _given_up(entries, RepairDecided, QCPassed, QCFailed):
            unsure.add(path)
    for path, content in expected.items():
        if path not in unsure and files.get(path) != content:
            yield f"{path} is not what the log says"


def _is_dead_letter(event: object) -> bool:
    """The question that the loop asks when an actor fails on an event again and again."""
    return isinstance(event, Escalated) and " times on " in event.detail


def _given_up(entries: list[Entry], *kinds: type) -> list[Entry]:
    """The events of some types that an actor failed on again and again, so that a person was asked."""
    causes = {entry.recorded.causation_id for entry in entries if _is_dead_letter(entry.event)}
    return [
        entry for entry in entries if isinstance(entry.event, kinds) and entry.recorded.event_id in causes
    ]


AT_REST: Final[tuple[Callable[[list[Entry], dict[str, bytes]], Problems], ...]] = (
    a_job_ended_or_waits_with_a_question,
    an_open_question_is_on_disk_and_no_other,
    the_clip_of_a_completed_job_is_on_disk,
    payloads_are_prepared_once_for_each_platform,
    each_verdict_was_decided_on,
    the_last_documents_are_on_disk,
)
