"""QC: measures and gates what a stage gave, and decides nothing."""

import msgspec

from caf.actors import qc
from caf.actors.effects import MeasureStage, WriteDocument
from caf.contracts import QCReport
from caf.contracts.read import read_document
from caf.events import Event
from tests.support.jobs import (
    AT,
    CAUSE,
    RUN_1,
    attempt,
    completed,
    effects_in,
    escalated,
    events_in,
    failed,
    fold,
    gate,
    job_cancelled,
    judged,
    policy_of,
    submitted,
    up_to,
)

SPEC = submitted()


def reaction(*events: Event) -> list[object]:
    return list(qc.react(fold(*events), events[-1], CAUSE))


def report_of(*events: Event) -> QCReport:
    [effect] = reaction(*events)
    assert isinstance(effect, WriteDocument)
    assert effect.path == f"sandbox/logs/{SPEC.job_id}/qc/qc_report.v1.json"
    return read_document(effect.content, QCReport, where=effect.path)


def test_the_metrics_of_a_stage_are_those_of_the_gates_that_blame_it() -> None:
    assert reaction(*up_to("motion")) == [
        MeasureStage(
            stage="motion",
            attempt_id=RUN_1,
            metrics=("temporal_stability", "loop_seam", "background_stability"),
        )
    ]
    assert reaction(*up_to("video")) == [
        MeasureStage(stage="video", attempt_id=RUN_1, metrics=("audio_video",))
    ]


def test_a_gate_that_blames_the_input_is_judged_at_the_first_gated_stage() -> None:
    [effect] = reaction(*up_to("frame"))
    assert isinstance(effect, MeasureStage)
    assert "costume_fidelity" in effect.metrics


def test_a_stage_without_gates_of_its_own_is_still_reported_on() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam")))
    [effect] = reaction(*up_to("frame", spec))
    assert effect == MeasureStage(stage="frame", attempt_id=RUN_1, metrics=())


def test_stages_before_the_first_gate_are_not_measured() -> None:
    assert reaction(SPEC, attempt(), completed("artifact")) == []
    assert reaction(SPEC, attempt(), completed("pose")) == []


def test_a_completion_that_nobody_waits_for_is_not_measured() -> None:
    assert reaction(*up_to("frame"), job_cancelled(), completed("frame")) == []
    assert reaction(*up_to("frame"), attempt(2), completed("frame")) == []
    assert reaction(*up_to("frame"), escalated("frame"), completed("frame")) == []


def test_the_report_adds_up_the_gates_of_all_stages_judged_so_far() -> None:
    told = report_of(*up_to("motion"), judged(SPEC, "motion", loop_seam=0.5))
    assert [item.gate_id for item in told.gates] == [
        item.gate_id for item in SPEC.policy.gates if item.metric != "audio_video"
    ]
    assert told.overall.failed_gate_ids == ("loop_seam_gate",)
    assert told.overall.recommended_action == "RETRY_STAGE"
    assert told.generated_at == AT


def test_the_report_of_a_retry_keeps_the_verdicts_of_the_stages_it_took_over() -> None:
    told = report_of(
        *up_to("motion"),
        judged(SPEC, "motion", loop_seam=0.5),
        attempt(2, from_stage="motion"),
        completed("motion", 2),
        judged(SPEC, "motion", 2),
    )
    assert told.overall.passed
    assert "identity_consistency_gate" in [item.gate_id for item in told.gates]


def test_qc_never_answers_with_an_event_of_its_own_making() -> None:
    events = [*up_to("video"), judged(SPEC, "video", audio_video=0.0), failed("video"), attempt(2)]
    for count in range(1, len(events) + 1):
        answer = qc.react(fold(*events[:count]), events[count - 1], CAUSE)
        assert events_in(answer) == []
        assert all(isinstance(item, MeasureStage | WriteDocument) for item in effects_in(answer))


def test_the_same_verdict_gives_the_same_bytes() -> None:
    events = [*up_to("frame"), judged(SPEC, "frame", identity_drift=0.3)]
    first, second = (reaction(*events) for _ in range(2))
    assert first == second
    assert msgspec.json.encode(first[0]) == msgspec.json.encode(second[0])
