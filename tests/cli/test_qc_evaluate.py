"""`caf qc evaluate`: given scores in, the contract's report out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Caf

GOOD = {
    "identity_consistency": 0.9,
    "mask_edge_bleed": 0.9,
    "temporal_stability": 0.9,
    "loop_seam": 0.9,
    "audio_video": 1.0,
    "background_stability": 0.9,
    "identity_drift": 0.9,
}


def metrics(folder: Path, **changes: float | None) -> Path:
    scores: dict[str, Any] = {
        name: {"score": score} for name, score in {**GOOD, **changes}.items() if score is not None
    }
    path = folder / "metrics.json"
    path.write_text(json.dumps({"metrics": scores}))
    return path


def test_good_scores_proceed_and_exit_with_zero(caf: Caf, tmp_path: Path) -> None:
    ran = caf("qc", "evaluate", "--metrics", metrics(tmp_path))
    assert ran.code == 0
    report = ran.json()
    assert report["version"] == "qc_report.v1"
    assert report["overall"] == {
        "pass": True,
        "failed_gate_ids": [],
        "failed_failure_classes": [],
        "recommended_action": "PROCEED",
    }


def test_a_failed_gate_exits_with_three_and_is_routed(caf: Caf, tmp_path: Path) -> None:
    ran = caf("qc", "evaluate", "--metrics", metrics(tmp_path, temporal_stability=0.5))
    assert ran.code == 3
    report = ran.json()
    gate = next(item for item in report["gates"] if item["metric"] == "temporal_stability")
    assert (gate["status"], gate["failure_class"], gate["target_stage"]) == (
        "SOFT_FAIL",
        "pose_mismatch",
        "motion",
    )
    assert report["overall"]["recommended_action"] == "RETRY_STAGE"


def test_a_missing_metric_is_unknown_and_asks_a_person(caf: Caf, tmp_path: Path) -> None:
    report = caf("qc", "evaluate", "--metrics", metrics(tmp_path, loop_seam=None)).json()
    gate = next(item for item in report["gates"] if item["metric"] == "loop_seam")
    assert (gate["status"], gate["score"]) == ("UNKNOWN", None)
    assert report["overall"]["recommended_action"] == "ESCALATE_USER"


def test_a_target_replaces_the_policys_threshold(caf: Caf, tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text(
        json.dumps(
            {"version": "quality_target.v1", "profile_id": "strict", "thresholds": {"loop_seam": 0.95}}
        )
    )
    ran = caf("qc", "evaluate", "--metrics", metrics(tmp_path), "--targets", tmp_path / "targets.json")
    assert ran.json()["overall"]["failed_gate_ids"] == ["loop_seam_gate"]


@pytest.mark.parametrize(
    ("measured", "status"),
    [(["--costume-pass", "true"], "PASS"), (["--costume-pass", "false"], "HARD_FAIL"), ([], "HARD_FAIL")],
)
def test_a_required_costume_passes_only_when_it_was_seen(
    caf: Caf, tmp_path: Path, measured: list[str], status: str
) -> None:
    ran = caf("qc", "evaluate", "--metrics", metrics(tmp_path), "--require-costume", *measured)
    gate = next(item for item in ran.json()["gates"] if item["metric"] == "costume_fidelity")
    assert gate["status"] == status


def test_metrics_that_are_no_json_are_told_with_the_place(caf: Caf, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"metrics": {"loop_seam": }')
    ran = caf("qc", "evaluate", "--metrics", tmp_path / "metrics.json")
    assert ran.code == 65
    assert "metrics.json" in ran.err
    assert "line 1" in ran.err
