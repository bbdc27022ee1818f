"""The pose stage's own part: what it is told, what is recorded of it, what stays when it fails."""

from pathlib import Path

import numpy as np
import pytest

from caf.actors.poses import coverage_of, facts_of, keep_partial, request_of
from caf.errors import CafError, InputError
from caf.events import AttemptId
from caf.ports import PARTIAL_LANDMARKS, Parameter, PoseGap, PoseRequest, PoseResult
from caf.pose.landmarks import Landmarks, load_landmarks, save_landmarks
from caf.workflows import check_parameters

REQUEST = PoseRequest(video="clip.mp4", model="m.task", out_dir="out", max_subjects=3, subject="central")
FOUND = PoseResult(
    frames=10,
    detected=6,
    landmarks="landmarks.npz",
    coverage=0.6,
    visibility=0.75,
    jitter=0.01,
    gaps=(
        PoseGap(first_frame=0, frames=1, start_s=0.0, duration_s=0.5),
        PoseGap(first_frame=4, frames=3, start_s=0.2, duration_s=0.1),
    ),
    changes=4,
    workers=2,
    frames_computed=12,
    worker_peak_bytes=3 * 2**20,
    subjects=2,
    subject=1,
)


def test_what_a_job_tells_the_stage_is_what_the_child_is_asked() -> None:
    request = request_of(
        {"max_subjects": 3, "subject": "central"},
        video="clip.mp4",
        model="m.task",
        out=Path("out"),
        workers=2,
        stall_s=9.0,
    )
    assert (request.max_subjects, request.subject) == (3, "central")
    assert (request.workers, request.stall_s, request.out_dir) == (2, 9.0, "out")


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"strength": 1}, "unknown_parameter"),
        ({"max_subjects": 2.5}, "bad_parameter"),
        ({"max_subjects": 17}, "bad_parameter"),
        ({"max_subjects": True}, "bad_parameter"),
        ({"subject": 3}, "bad_subject"),
        ({"seams": "fast"}, "bad_parameter"),
    ],
)
def test_what_the_stage_does_not_know_is_refused(parameters: dict[str, Parameter], kind: str) -> None:
    with pytest.raises(InputError) as caught:
        request_of(parameters, video="", model="", out=Path(), workers=1, stall_s=1)
    assert caught.value.kind == kind


def test_a_job_with_parameters_for_the_pose_stage_is_taken_and_one_with_wrong_ones_is_not() -> None:
    check_parameters({"pose": {"max_subjects": 3, "subject": "40,60,320,400", "seams": "warm"}})
    with pytest.raises(InputError, match="cannot be 20"):
        check_parameters({"pose": {"max_subjects": 20}})


def test_the_facts_say_how_many_frames_for_whom_and_by_how_many() -> None:
    facts = facts_of(REQUEST, FOUND)
    assert facts == {
        "frames": 10,
        "detected": 6,
        "coverage": 0.6,
        "gaps": 2,
        "longest_gap_frames": 3,
        "longest_gap_s": 0.5,
        "changes": 4,
        "workers": 2,
        "seams": "proven",
        "frames_computed": 12,
        "max_subjects": 3,
        "subjects": 2,
        "subject": "central",
        "subject_number": 1,
        "visibility": 0.75,
        "jitter": 0.01,
        "worker_peak_mb": 3.0,
    }
    measured = coverage_of(AttemptId("run-0001"), 0.7, facts)
    assert (measured.frames, measured.detected, measured.ratio) == (10, 6, 0.6)
    assert measured.fallback_active


def test_what_an_earlier_run_recorded_is_enough_for_its_coverage() -> None:
    assert coverage_of(AttemptId("run-0001"), 0.3, {"frames": 0, "detected": 0}).ratio == 0.0
    assert not coverage_of(AttemptId("run-0001"), 0.3, {"frames": 4, "detected": 2}).fallback_active


def test_what_was_found_before_a_failure_stays_and_the_error_says_where(tmp_path: Path) -> None:
    found = Landmarks(np.zeros((2, 33, 4), np.float32), np.ones(2, bool), complete=False)
    save_landmarks(tmp_path / PARTIAL_LANDMARKS, found)
    fault, to = CafError("It died.", remedy="Try again."), tmp_path / "logs.partial.npz"
    keep_partial(tmp_path, to, fault)
    assert fault.remedy == f"Try again. What had been found by then is kept in {to}."
    assert not load_landmarks(to).complete
    assert not (tmp_path / PARTIAL_LANDMARKS).exists()


def test_a_failure_before_anything_was_found_says_nothing_of_it(tmp_path: Path) -> None:
    fault = CafError("It died.", remedy="Try again.")
    keep_partial(tmp_path, tmp_path / "to.npz", fault)
    assert fault.remedy == "Try again."
