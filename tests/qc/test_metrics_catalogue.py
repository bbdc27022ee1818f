"""The table of metrics, and the way from a quantity to a score."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.qc.metrics import METRICS
from caf.qc.metrics.scoring import calibrate, measured

STAGES = {
    "frame": {
        "identity_consistency",
        "identity_drift",
        "mask_edge_bleed",
        "costume_fidelity",
        "sharpness",
        "blockiness",
        "resolution",
        "exposure",
        "feline_presence",
        "human_presence",
    },
    "motion": {
        "temporal_stability",
        "background_stability",
        "loop_seam",
        "freeze",
        "cadence",
        "blank",
        "flicker",
        "jitter",
        "glitch",
    },
    "video": {"audio_video", "format"},
}


def test_every_metric_names_the_stage_that_it_judges() -> None:
    assert {name: metric.stage for name, metric in METRICS.items()} == {
        name: stage for stage, names in STAGES.items() for name in names
    }
    assert all(metric.name == name and metric.version >= 1 for name, metric in METRICS.items())


def test_the_table_is_read_without_loading_numpy_or_opencv() -> None:
    code = (
        "import sys; from caf.qc.metrics import METRICS; "
        "print(len(METRICS), sorted({'numpy', 'cv2', 'av'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == f"{len(METRICS)} []"


def test_a_quantity_between_two_support_points_is_scored_on_the_line_between_them() -> None:
    table = ((1.0, 1.0), (2.0, 0.5), (4.0, 0.0))
    assert [calibrate(quantity, table) for quantity in (0, 1, 1.5, 2, 3, 4, 9)] == [
        1,
        1,
        0.75,
        0.5,
        0.25,
        0,
        0,
    ]


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_leaves_a_measurement_that_is_not_a_finite_one(score: float, quantity: float) -> None:
    found = measured("sharpness", score, "Seen.", {"blur": quantity})
    assert found.score is None or 0 <= found.score <= 1
    assert all(math.isfinite(value) for value in found.raw.values())
    assert (found.score is None) == (not math.isfinite(score))


def test_a_score_that_is_no_number_becomes_a_reason_and_not_a_default() -> None:
    found = measured("sharpness", math.nan, "Seen.", {})
    assert found.score is None
    assert found.reason == "The numbers of this clip do not allow a measurement."


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: str(metric.name))
def test_a_metric_says_what_a_good_score_means(metric: object) -> None:
    description = str(getattr(metric, "description", ""))
    assert len(description.split()) >= 4
