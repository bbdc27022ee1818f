"""A job keeps which frames QC blamed and the series behind it: for whoever opens a failed run a week later."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Caf
from tests.clips import write_clip
from tests.qc.metric_clips import pan, picture

SPOILED = 20


@pytest.fixture(scope="module")
def spoiled_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A steady drift over a cat in which one frame shows its own halves exchanged."""
    frames = pan(picture("chelsea"), 40)
    frames[SPOILED] = np.roll(frames[SPOILED], frames[SPOILED].shape[1] // 2, axis=1)
    path = tmp_path_factory.mktemp("spoiled") / "spoiled.mp4"
    write_clip(path, frames, fps=24)
    return path


def policy(folder: Path) -> Path:
    """One gate, for frames that show what their neighbours do not; it asks a person."""
    gate = {
        "gate_id": "glitch_gate",
        "metric": "glitch",
        "dimension": "technical",
        "threshold": 0.7,
        "failure_action": "ESCALATE_USER",
        "target_stage": "motion",
    }
    told = {
        "version": "qc_policy.v1",
        "policy_id": "no-glitch",
        "max_retries_default": 0,
        "gates": [gate],
        "routing": {"failure_action_priority": ["ESCALATE_USER"], "fallback_action": "ESCALATE_USER"},
    }
    (folder / "policy.json").write_text(json.dumps(told))
    return folder / "policy.json"


def test_a_failed_gate_says_which_frames_and_keeps_the_series_behind_the_score(
    caf: Caf, spoiled_clip: Path, workspace: Path, tmp_path: Path
) -> None:
    caf("run", spoiled_clip, "--job-id", "spoiled-1", "--policy", policy(tmp_path))
    shown = caf("show", "spoiled-1").out
    assert f"frames {SPOILED}" in shown
    [row] = caf(
        "sql", "SELECT spans, series, status FROM measurements WHERE metric = 'glitch'", "--json"
    ).json()
    assert json.loads(row["spans"]) == [[SPOILED, SPOILED]]
    kept = workspace / ".caf" / "artifacts" / row["series"][:2] / row["series"][2:]
    with np.load(io.BytesIO(kept.read_bytes())) as series:
        assert len(series["time_s"]) == 40
        assert series["glitch.spans"].tolist() == [[SPOILED, SPOILED]]
        assert int(series["glitch.excess"].argmax()) == SPOILED
    kept.unlink()
    found = caf("verify")
    assert found.code == 1
    assert "artifact series" in found.out


def test_the_series_go_into_a_backup(caf: Caf, spoiled_clip: Path, tmp_path: Path) -> None:
    caf("run", spoiled_clip, "--job-id", "spoiled-1", "--policy", policy(tmp_path))
    [row] = caf("sql", "SELECT series FROM measurements WHERE metric = 'glitch'", "--json").json()
    assert caf("backup", tmp_path / "copy").code == 0
    assert (tmp_path / "copy" / ".caf" / "artifacts" / row["series"][:2] / row["series"][2:]).is_file()
    assert caf("verify", "--workspace", tmp_path / "copy").code == 0
