"""The documents of a job's folders: made from recorded facts, valid, and with nothing invented."""

import json
from typing import Any

import msgspec
import pytest

from caf.actors import documents
from caf.contracts import ProductionMetrics
from caf.contracts.read import read_document
from caf.events import Event
from caf.ports import Measurement
from tests.support.jobs import (
    AT,
    attempt,
    completed,
    coverage,
    decided,
    failed,
    fold,
    job_completed,
    judged,
    submitted,
    up_to,
)

SPEC = submitted()


def metrics(*events: Event) -> ProductionMetrics:
    return read_document(documents.production_metrics(fold(*events), AT), ProductionMetrics, where="metrics")


def measured(stage: Any, **scores: float) -> Event:
    """A passed gate with measurements beside it."""
    event = judged(SPEC, stage)
    more = tuple(
        Measurement(metric=metric, version=1, score=score, reason="seen") for metric, score in scores.items()
    )
    return msgspec.structs.replace(event, measurements=more)


def test_what_was_not_measured_is_left_out_and_not_filled_in() -> None:
    told = json.loads(documents.production_metrics(fold(SPEC, attempt()), AT))
    assert told["visual_metrics"] == {}
    assert "quality_gate_passed" not in told
    assert "is_hallucination" not in told
    assert told["engine_metrics"]["stage_durations"] == {}


def test_scores_and_presence_come_from_the_measurements_and_nowhere_else() -> None:
    told = metrics(
        *up_to("frame"),
        measured("frame", feline_presence=0.75, human_presence=0.1, sharpness=0.6, identity_consistency=0.8),
    ).visual_metrics
    assert told.feline_detected is not None
    assert (told.feline_detected.present, told.feline_detected.confidence) == (True, 0.75)
    assert told.human_detected is not None
    assert (told.human_detected.present, told.human_detected.confidence) == (False, 0.1)
    assert (told.blur_score, told.identity_similarity_score, told.motion_score) == (0.6, 0.8, None)


@pytest.mark.parametrize(("ratio", "fallback"), [(0.8, False), (0.1, True)])
def test_the_pose_coverage_is_reported_with_what_was_done_about_it(ratio: float, fallback: bool) -> None:
    told = metrics(SPEC, attempt(), completed("artifact"), coverage(ratio=ratio)).visual_metrics
    assert told.feline_detected is not None
    assert told.feline_detected.pose_detection_ratio == ratio
    assert told.feline_detected.pose_fallback_active is fallback
    assert told.feline_detected.present is None


def test_the_size_is_that_of_the_finished_clip() -> None:
    final = completed("video", facts={"width_px": 1080, "height_px": 1920})
    told = metrics(*up_to("motion"), judged(SPEC, "motion"), decided("motion"), final).visual_metrics
    assert (told.image_resolution, told.aspect_ratio) == ("1080x1920", 0.5625)


def test_durations_are_those_of_the_stages_and_peaks_the_highest_of_them() -> None:
    told = metrics(
        *up_to("pose"), completed("frame", duration_ms=2500, queue_ms=500, memory_peak_mb=900.0)
    ).engine_metrics
    assert told is not None
    assert told.engine_id == "local"
    assert told.stage_durations == {"artifact": 1.5, "preprocessing_mediapipe": 1.5, "frame": 2.5}
    assert told.execution_time_seconds == 5.5
    assert told.queue_wait_time_seconds == 0.54
    assert told.memory_peak_mb == 900.0


def test_the_weights_of_a_render_on_a_server_are_told_with_their_versions() -> None:
    facts = {
        "workflow_sha256": "ab",
        "models": "cat.ckpt, dog.ckpt",
        "model.cat.ckpt": "checkpoints: 9 bytes",
    }
    told = metrics(SPEC, attempt(), completed("artifact"), completed("frame", facts=facts)).engine_metrics
    assert told is not None
    assert told.models == ("cat.ckpt", "dog.ckpt")
    assert told.model_versions == {"cat.ckpt": "checkpoints: 9 bytes"}


def test_failure_flags_name_every_cause_of_every_attempt_once() -> None:
    told = metrics(
        *up_to("motion"),
        judged(SPEC, "motion", loop_seam=0.1, temporal_stability=0.1),
        attempt(2, from_stage="motion"),
        failed("motion", 2, kind="worker_died"),
        attempt(3, from_stage="motion"),
        completed("motion", 3),
        judged(SPEC, "motion", 3),
    ).engine_metrics
    assert told is not None
    assert told.failure_flags == ("pose_mismatch", "seam_artifact", "worker_died")


def test_the_result_tells_how_it_came_about() -> None:
    events = [*up_to("video"), judged(SPEC, "video"), decided("video"), job_completed()]
    told = json.loads(documents.result(fold(*events), AT))
    assert (told["status"], told["attempts"], told["final"]["sha256"]) == ("completed", 1, "video-1")
    assert [item["stage"] for item in told["decisions"]] == ["frame", "motion", "video"]
    assert told["scores"]["audio_video"] == 1.0


def test_the_same_facts_give_the_same_bytes() -> None:
    job = fold(*up_to("video"), judged(SPEC, "video"), job_completed())
    for write in (documents.production_metrics, documents.result, documents.qc_report):
        assert write(job, AT) == write(job, AT)
