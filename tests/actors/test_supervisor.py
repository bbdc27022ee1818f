"""Supervisor: the only one that decides; every decision is an event with its reason, carried out once."""

import pytest

from caf.actors import handoff, qc, render, supervisor
from caf.actors.effects import RemoveDocument, WriteDocument
from caf.contracts import ProductionDecision, UserActionRequired
from caf.contracts.read import read_document
from caf.events import (
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    Event,
    JobAborted,
    JobCompleted,
    RepairDecided,
    StageStarted,
)
from tests.support.jobs import (
    AT,
    CAUSE,
    answered,
    attempt,
    completed,
    decided,
    effects_in,
    escalated,
    events_in,
    failed,
    fold,
    gate,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    policy_of,
    posted,
    started,
    submitted,
    up_to,
)

SPEC = submitted()
QUESTION = f"sandbox/logs/{SPEC.job_id}/qc/user_action_required.json"


def reaction(*events: Event) -> list[object]:
    return list(supervisor.react(fold(*events), events[-1], CAUSE))


def said(*events: Event) -> list[Event]:
    return events_in(supervisor.react(fold(*events), events[-1], CAUSE))


def test_a_submitted_job_gets_its_first_attempt_with_the_workflow_s_defaults_and_its_own_bindings_above() -> (
    None
):
    spec = submitted(parameters={"motion": {"pose_weight": 0.4}, "frame": {"denoise": 0.1}})
    [event] = said(spec)
    assert isinstance(event, AttemptStarted)
    assert (event.attempt_id, event.from_stage, event.decided_by) == ("run-0001", "artifact", None)
    assert event.parameters["motion"] == {"pose_weight": 0.4, "temporal_smoothing": 0.0}
    assert event.parameters["frame"] == {"denoise": 0.1, "identity_weight": 0.0}


def test_proceed_is_a_decision_like_any_other() -> None:
    [event] = said(*up_to("frame"), judged(SPEC, "frame"))
    assert isinstance(event, RepairDecided)
    assert event.decision.decision.action == "PROCEED"
    assert event.reasoned_by == "policy"
    assert event.alternatives == ("PROCEED",)


def test_the_last_gate_completes_the_job_with_the_artifact_that_was_judged() -> None:
    decision, end = said(*up_to("video"), judged(SPEC, "video"))
    assert isinstance(decision, RepairDecided)
    assert end == JobCompleted(attempt_id=decision.attempt_id, final_sha256="video-1")


def test_a_retry_names_the_event_that_caused_it() -> None:
    decision, event = said(*up_to("motion"), judged(SPEC, "motion", temporal_stability=0.1))
    assert isinstance(decision, RepairDecided)
    assert isinstance(event, AttemptStarted)
    assert (event.attempt_id, event.from_stage, event.decided_by) == ("run-0002", "motion", CAUSE.event_id)


def test_an_escalation_says_everything_that_the_contract_asks_for() -> None:
    spec = submitted(costume_required=True)
    decision, event = said(*up_to("frame", spec), judged(spec, "frame", costume_fidelity=0.0))
    assert isinstance(decision, RepairDecided)
    assert decision.decision.decision.action == "ESCALATE_USER"
    assert isinstance(event, Escalated)
    assert event.request.reason == "IDENTITY_CONFLICT"
    assert event.request.escalation_ts == AT
    assert event.request.example_fix is not None
    assert SPEC.job_id in event.request.example_fix
    assert event.request.threshold_failed is not None


def test_giving_up_ends_the_job_with_a_typed_failure() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam", failure_action="ABORT")))
    _, event = said(*up_to("motion", spec), judged(spec, "motion", loop_seam=0.0))
    assert isinstance(event, JobAborted)
    assert event.failure.kind == "quality_gate_failed"


def test_every_decision_and_every_question_is_written_down_for_people() -> None:
    [effect] = effects_in(supervisor.react(fold(*up_to("frame"), decided("frame")), decided("frame"), CAUSE))
    assert isinstance(effect, WriteDocument)
    assert effect.path.endswith("supervisor/run-0001/production_decision.v1.json")
    assert read_document(effect.content, ProductionDecision, where="x") == decided("frame").decision
    [effect] = effects_in(
        supervisor.react(fold(*up_to("frame"), escalated("frame")), escalated("frame"), CAUSE)
    )
    assert isinstance(effect, WriteDocument)
    assert effect.path == QUESTION
    assert read_document(effect.content, UserActionRequired, where="x") == escalated("frame").request


def test_an_answered_or_cancelled_question_is_taken_away() -> None:
    waiting = [
        *up_to("frame"),
        judged(SPEC, "frame", identity_drift=0.1),
        decided("frame"),
        escalated("frame"),
    ]
    assert RemoveDocument(path=QUESTION) in reaction(*waiting, answered("proceed", "frame"))
    assert reaction(*waiting, job_cancelled()) == [RemoveDocument(path=QUESTION)]


def waiting_at_frame() -> list[Event]:
    return [
        *up_to("frame"),
        judged(SPEC, "frame", identity_drift=None),
        decided("frame", action="ESCALATE_USER"),
        escalated("frame"),
    ]


def test_a_person_s_proceed_waives_the_gate_and_the_record_says_who() -> None:
    [event] = said(*waiting_at_frame(), answered("proceed", "frame", note="it is the same cat"))
    assert isinstance(event, RepairDecided)
    assert (event.reasoned_by, event.stage) == ("person", "frame")
    assert event.decision.decision.reasoning == "ada answered proceed: it is the same cat."
    [start] = events_in(
        render.react(fold(*waiting_at_frame(), answered("proceed", "frame"), event), event, CAUSE)
    )
    assert isinstance(start, StageStarted)
    assert start.stage == "motion"


def test_a_person_s_proceed_at_the_last_gate_completes_the_job() -> None:
    events = [*up_to("video"), judged(SPEC, "video", audio_video=0.1), decided("video"), escalated("video")]
    assert [type(event) for event in said(*events, answered("proceed", "video"))] == [
        RepairDecided,
        JobCompleted,
    ]


def test_a_person_s_retry_starts_where_they_say_with_what_they_gave() -> None:
    answer = answered(
        "retry",
        "frame",
        from_stage="artifact",
        reference="/cats/mochi.png",
        parameters={"frame": {"identity_weight": 0.5}},
    )
    decision, event = said(*waiting_at_frame(), answer)
    assert isinstance(decision, RepairDecided)
    assert decision.decision.decision.target_stage == "artifact"
    assert isinstance(event, AttemptStarted)
    assert (event.from_stage, event.reference, event.source) == ("artifact", "/cats/mochi.png", None)
    assert event.parameters["frame"] == {"identity_weight": 0.5}


def test_a_person_s_retry_without_more_starts_where_the_job_stood() -> None:
    _, event = said(
        SPEC,
        attempt(),
        completed("artifact"),
        failed("pose", transient=False),
        escalated("pose"),
        answered("retry", "pose"),
    )
    assert isinstance(event, AttemptStarted)
    assert event.from_stage == "pose"


@pytest.mark.parametrize("given", ["source", "reference"])
def test_a_person_s_retry_with_another_file_is_decided_for_the_stage_that_looks_at_files(given: str) -> None:
    decision, event = said(*waiting_at_frame(), answered("retry", "frame", **{given: "/cats/mochi.png"}))
    assert isinstance(decision, RepairDecided)
    assert decision.decision.decision.target_stage == "artifact"
    assert isinstance(event, AttemptStarted)
    assert event.from_stage == "artifact"


def test_a_person_s_abort_ends_the_job() -> None:
    _, event = said(*waiting_at_frame(), answered("abort", "frame"))
    assert isinstance(event, JobAborted)
    assert event.failure.kind == "given_up"


def test_what_belongs_to_an_earlier_attempt_or_a_job_that_waits_is_not_decided() -> None:
    assert reaction(*up_to("frame"), attempt(2), judged(SPEC, "frame", identity_drift=0.1)) == []
    assert reaction(*up_to("frame"), attempt(2), failed("frame")) == []
    assert reaction(*up_to("frame"), escalated("frame"), judged(SPEC, "frame")) == []
    assert reaction(*up_to("frame"), job_cancelled(), judged(SPEC, "frame")) == []


@pytest.mark.parametrize("event", [started("frame"), completed("frame"), job_completed(), posted()])
def test_facts_that_need_no_decision_get_none(event: Event) -> None:
    assert reaction(*up_to("frame"), event) == []


# Authority: who may say what.

DECIDING = (RepairDecided, AttemptStarted, Escalated, JobCompleted, JobAborted)


def every_situation() -> list[list[Event]]:
    costly = submitted(costume_required=True, platforms=("x",))
    return [
        [SPEC],
        [SPEC, attempt()],
        [SPEC, attempt(), started("artifact"), failed("artifact")],
        [SPEC, attempt(), started("artifact"), failed("artifact", transient=False)],
        *([*up_to("video", costly)[:count]] for count in range(2, len(up_to("video", costly)) + 1)),
        [*up_to("frame", costly), judged(costly, "frame", costume_fidelity=0.0)],
        [*up_to("motion"), judged(SPEC, "motion", loop_seam=0.1)],
        [*up_to("video", costly), judged(costly, "video")],
        [*up_to("video", costly), judged(costly, "video"), decided("video")],
        [*up_to("video", costly), judged(costly, "video"), decided("video"), job_completed()],
        [*up_to("video", costly), job_completed(), posted()],
        [*waiting_at_frame(), answered("retry", "frame")],
        [*waiting_at_frame(), answered("proceed", "frame")],
        [*waiting_at_frame(), answered("abort", "frame")],
        [*waiting_at_frame(), job_cancelled()],
        [*up_to("frame"), job_aborted()],
    ]


@pytest.mark.parametrize("events", every_situation(), ids=lambda events: f"{type(events[-1]).__name__}")
def test_only_the_supervisor_decides_and_nobody_answers_for_a_person(events: list[Event]) -> None:
    job = fold(*events)
    for actor in (render, qc, handoff):
        for item in actor.react(job, events[-1], CAUSE):
            assert not isinstance(item, DECIDING), f"{actor.NAME} said {item}"
    for actor in (render, qc, handoff, supervisor):
        assert not any(isinstance(item, EscalationAnswered) for item in actor.react(job, events[-1], CAUSE))


@pytest.mark.parametrize("events", every_situation(), ids=lambda events: f"{type(events[-1]).__name__}")
def test_the_supervisor_touches_no_media_and_calls_no_engine(events: list[Event]) -> None:
    answer = supervisor.react(fold(*events), events[-1], CAUSE)
    assert all(isinstance(item, DECIDING) for item in events_in(answer))
    assert all(isinstance(item, WriteDocument | RemoveDocument) for item in effects_in(answer))


@pytest.mark.parametrize("events", every_situation(), ids=lambda events: f"{type(events[-1]).__name__}")
def test_no_two_actors_answer_one_event_with_the_same_kind_of_work(events: list[Event]) -> None:
    job = fold(*events)
    written: list[str] = []
    for actor in (render, qc, handoff, supervisor):
        for item in actor.react(job, events[-1], CAUSE):
            written += [item.path] if isinstance(item, WriteDocument | RemoveDocument) else []
    assert len(written) == len(set(written))
