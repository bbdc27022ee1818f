"""measure(): all metrics of a real file in one pass."""

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from caf.errors import InputError, MediaError
from caf.ports import MeasureRequest
from caf.qc.measure import measure
from caf.qc.metrics import METRICS
from tests.qc.conftest import POLICY_METRICS, Scores
from tests.qc.metric_clips import FPS, FRAMES, lit, noise, pan, picture

Judge = Callable[..., Scores]
Writer = Callable[..., str]

THRESHOLDS = {
    "identity_consistency": 0.70,
    "mask_edge_bleed": 0.60,
    "temporal_stability": 0.70,
    "loop_seam": 0.70,
    "audio_video": 0.95,
    "costume_fidelity": 1.00,
    "background_stability": 0.80,
    "identity_drift": 0.80,
}


def test_a_clip_that_nothing_is_wrong_with_passes_every_default_gate(
    cat_clip: str, judge: Judge, picture_file: Writer
) -> None:
    found = judge(cat_clip, *METRICS, reference=picture_file(picture("chelsea")), costume_required=True)
    assert list(found) == list(METRICS)
    below = {name: found[name] for name, limit in THRESHOLDS.items() if (found[name].score or 0) < limit}
    assert below == {}
    assert found["feline_presence"].score == 1.0
    assert (found["sharpness"].score or 0) > 0.7
    assert (found["blockiness"].score or 0) > 0.7


def test_a_shaken_and_flickering_clip_fails_in_motion_and_nowhere_else(
    clip_of: Writer, judge: Judge, picture_file: Writer
) -> None:
    rng = np.random.default_rng(7)
    shaken = pan(picture("chelsea"), shift=rng.normal(0, 3.0, (FRAMES, 2)))
    clip = clip_of(lit(shaken, 1 + rng.normal(0, 0.08, FRAMES)), noise(FRAMES / FPS))
    found = judge(clip, reference=picture_file(picture("chelsea")), costume_required=True)
    failed = {name for name, limit in THRESHOLDS.items() if (found[name].score or 0) < limit}
    assert failed == {"temporal_stability", "background_stability"}


def test_metrics_come_in_the_order_asked_for_with_their_versions(cat_clip: str) -> None:
    wanted = ("loop_seam", "audio_video", "temporal_stability")
    found = measure(MeasureRequest(metrics=wanted, video=cat_clip, source=cat_clip), lambda done, of: None)
    assert tuple(one.metric for one in found) == wanted
    assert [one.version for one in found] == [METRICS[name].version for name in wanted]


def test_measuring_twice_gives_the_same_bits(cat_clip: str) -> None:
    request = MeasureRequest(metrics=POLICY_METRICS, video=cat_clip, source=cat_clip)
    first, again = (measure(request, lambda done, of: None) for _ in range(2))
    assert first == again


def test_progress_beats_with_every_frame(cat_clip: str) -> None:
    beats: list[int] = []
    request = MeasureRequest(metrics=("loop_seam",), video=cat_clip, source=cat_clip)
    measure(request, lambda done, of: beats.append(done))
    assert beats == list(range(1, FRAMES + 1))


def test_an_unknown_metric_is_refused_with_the_known_ones(cat_clip: str) -> None:
    request = MeasureRequest(metrics=("beauty",), video=cat_clip, source=cat_clip)
    with pytest.raises(InputError) as told:
        measure(request, lambda done, of: None)
    assert "beauty" in told.value.message
    assert "loop_seam" in told.value.remedy


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a clip")
    with pytest.raises(MediaError):
        measure(
            MeasureRequest(metrics=("sharpness",), video=str(path), source=str(path)), lambda done, of: None
        )


def test_a_single_picture_is_measured_as_far_as_it_can_be(picture_file: Writer, judge: Judge) -> None:
    still = picture_file(picture("chelsea"))
    found = judge(still, *METRICS)
    for name in ("temporal_stability", "background_stability", "loop_seam"):
        assert found[name].score is None
    assert (found["identity_consistency"].score or 0) > 0.9
    assert found["audio_video"].score == 1.0


def test_a_blank_clip_gives_scores_or_reasons_and_never_a_nan(clip_of: Writer, judge: Judge) -> None:
    found = judge(clip_of([np.zeros((96, 128, 3), np.uint8)] * 20), *METRICS)
    for one in found.values():
        assert one.score is None or 0 <= one.score <= 1
        assert all(math.isfinite(value) for value in one.raw.values())
        assert one.reason.endswith(".")


def test_a_burst_of_blur_is_found_where_it_is(clip_of: Writer, judge: Judge) -> None:
    frames = pan(picture("chelsea"))
    frames[30:40] = [np.asarray(cv2.GaussianBlur(one, (0, 0), 2.0), dtype=np.uint8) for one in frames[30:40]]
    found = judge(clip_of(frames), "sharpness")["sharpness"]
    assert (found.score or 0) < 0.7
    assert set(found.worst_frames) <= set(range(29, 41))


def test_coding_blocks_are_seen(clip_of: Writer, judge: Judge) -> None:
    blocky = []
    for frame in pan(picture("chelsea"), 24):
        _, coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 8])
        blocky.append(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8))
    assert (judge(clip_of(blocky), "blockiness")["blockiness"].score or 0) < 0.7
