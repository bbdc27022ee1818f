"""Bad input is answered with a sentence, the right exit code, no traceback, and costs no data."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.conftest import Caf, Ran
from tests.clips import make_clip, make_picture


def refused(ran: Ran, code: int, *words: str) -> None:
    """The call ended with `code`, said each of `words`, and showed nobody a traceback."""
    assert ran.code == code, ran
    for word in words:
        assert word.lower() in ran.err.lower(), ran.err
    assert "Traceback" not in ran.err + ran.out


def nothing_recorded(caf: Caf) -> None:
    """No job is in the log, or there is not even a log; what there is proves itself."""
    listed = caf("jobs", "--json")
    if listed.code == 2:
        assert listed.json()["error"]["kind"] == "no_workspace"
        return
    assert listed.json() == []
    assert caf("verify", "--json").json()["problems"] == []


def test_a_missing_file_is_named(caf: Caf) -> None:
    refused(caf("run", "no-such.mp4"), 65, "no-such.mp4")
    nothing_recorded(caf)


def test_a_text_file_is_no_video(caf: Caf, tmp_path: Path) -> None:
    (tmp_path / "note.mp4").write_text("a cat is not a text\n" * 50)
    refused(caf("run", tmp_path / "note.mp4"), 65, "note.mp4")
    nothing_recorded(caf)


def test_a_folder_is_no_video(caf: Caf, tmp_path: Path) -> None:
    refused(caf("run", tmp_path), 65, str(tmp_path))


def test_an_empty_file_is_no_video(caf: Caf, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    refused(caf("run", tmp_path / "empty.mp4"), 65, "empty")


def test_a_clip_that_is_damaged_in_its_middle_is_what_is_to_be_corrected(caf: Caf, tmp_path: Path) -> None:
    broken = make_clip(tmp_path / "broken.mp4", frames=90, fps=30, shake=3.0)
    data = bytearray(broken.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    broken.write_bytes(data)
    ran = caf("run", broken, "--job-id", "broken-cat")
    refused(ran, 4, f"{broken} is damaged: its pictures cannot be decoded", f"to correct: {broken}")
    assert "caf answer broken-cat retry --source <another clip>" in ran.err
    assert ".caf/artifacts" not in ran.err


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_clip_is_noticed_before_anything_is_computed(
    caf: Caf, clip: Path, tmp_path: Path, kept: float
) -> None:
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: int(len(whole) * kept)])
    refused(caf("run", tmp_path / "cut.mp4"), 65, "cut.mp4")
    nothing_recorded(caf)


def test_a_picture_of_20000_by_20000_is_refused_without_decoding_it(caf: Caf, tmp_path: Path) -> None:
    huge = np.zeros((20_000, 20_000), np.uint8)
    assert cv2.imwrite(str(tmp_path / "huge.png"), huge)
    refused(caf("run", tmp_path / "huge.png"), 65, "20000")


def test_a_silent_clip_is_refused_where_sound_is_required(caf: Caf, tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", frames=5)
    refused(caf("run", silent, "--require-audio"), 65, "silent.mp4")
    nothing_recorded(caf)


def test_an_unknown_workflow_lists_the_known_ones(caf: Caf, clip: Path) -> None:
    refused(caf("run", clip, "--workflow", "dream_v9"), 65, "dream_v9", "local_v1")


def test_an_unknown_parameter_lists_the_known_ones(caf: Caf, clip: Path) -> None:
    refused(caf("run", clip, "--set", "motion.wobble=1"), 65, "wobble", "pose_weight")
    refused(caf("run", clip, "--set", "motion.pose_weight=7"), 65, "pose_weight", "0 to 1")
    refused(caf("run", clip, "--set", "nonsense"), 65, "STAGE.NAME=VALUE")
    nothing_recorded(caf)


def test_a_policy_with_an_unknown_action_is_told_where(caf: Caf, clip: Path, tmp_path: Path) -> None:
    policy = {
        "version": "qc_policy.v1",
        "policy_id": "mine",
        "max_retries_default": 1,
        "gates": [
            {
                "gate_id": "seam",
                "metric": "loop_seam",
                "dimension": "motion",
                "threshold": 0.5,
                "failure_action": "TRY_HARDER",
            }
        ],
        "routing": {"failure_action_priority": ["ABORT"], "fallback_action": "ABORT"},
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    refused(
        caf("run", clip, "--policy", tmp_path / "policy.json"), 65, "policy.json", "gates[0]", "TRY_HARDER"
    )
    nothing_recorded(caf)


def test_malformed_json_is_told_with_line_and_column(caf: Caf, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"version": "qc_policy.v1",\n "gates": [}')
    refused(caf("run", clip, "--policy", tmp_path / "policy.json"), 65, "policy.json", "line 2")


@pytest.mark.parametrize("asset", ["../../etc/passwd", "/etc/passwd", "assets/../../x.mp4", "C:\\cat.mp4"])
def test_a_path_out_of_the_workspace_is_refused(caf: Caf, tmp_path: Path, asset: str) -> None:
    job = {"job_id": "escape-artist", "video": {}, "render": {"background_asset": asset}}
    (tmp_path / "escape-artist.job.json").write_text(json.dumps(job))
    refused(caf("run", "--job", tmp_path / "escape-artist.job.json"), 65, "background_asset")


@pytest.mark.parametrize("job_id", ["Cat", "six six six", "short", "naughty/../id", "Ünïcödé"])
def test_an_invalid_job_id_is_refused(caf: Caf, clip: Path, job_id: str) -> None:
    refused(caf("run", clip, "--job-id", job_id), 65, "job_id")


def test_a_reference_that_is_no_picture_is_refused(caf: Caf, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_text("meow")
    refused(caf("run", clip, "--reference", tmp_path / "cat.png"), 65, "cat.png")
    refused(caf("run", clip, "--reference", tmp_path / "gone.png"), 65, "gone.png")
    nothing_recorded(caf)


def test_a_workspace_that_is_a_file_is_refused(caf: Caf, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    refused(caf("run", clip, "--workspace", tmp_path / "plain"), 65, "plain", "--workspace")


def test_a_configuration_with_an_unknown_setting_lists_the_known_ones(
    caf: Caf, clip: Path, workspace: Path
) -> None:
    workspace.mkdir()
    (workspace / "caf.toml").write_text("stal_s = 3\n")
    refused(caf("run", clip), 65, "caf.toml", "stall_s")


def test_without_a_clip_the_usage_is_shown(caf: Caf) -> None:
    refused(caf("run"), 2, "caf run CLIP")


def test_an_unknown_verb_gets_a_hint(caf: Caf) -> None:
    refused(caf("jbos"), 2, "jobs")


@pytest.mark.parametrize("verb", [["show"], ["events"], ["replay"], ["resume"], ["cancel"], ["answer"]])
def test_an_unknown_job_is_named(caf: Caf, workspace: Path, verb: list[str]) -> None:
    caf("handoff", "scan")
    extra = ["retry"] if verb == ["answer"] else []
    refused(caf(*verb, "no-such-job", *extra), 2, "no-such-job", "caf jobs")


def test_reading_where_there_is_no_log_says_how_to_start(caf: Caf) -> None:
    refused(caf("jobs"), 2, "log", "caf run")


def test_an_error_is_json_for_a_script(caf: Caf) -> None:
    error = caf("run", "no-such.mp4", "--json").json()["error"]
    assert error["kind"] == "not_found"
    assert "no-such.mp4" in error["message"]
    assert error["remedy"]


def test_a_picture_is_welcome_as_a_reference_only_if_it_can_be_read(caf: Caf, tmp_path: Path) -> None:
    picture = make_picture(tmp_path / "cat.png")
    (tmp_path / "half.png").write_bytes(picture.read_bytes()[:200])
    refused(caf("run", tmp_path / "half.png"), 65, "half.png")


def test_a_misspelt_type_of_event_is_refused_with_the_one_that_is_meant(caf: Caf) -> None:
    refused(caf("events", "--type", "QcFailed"), 2, "Did you mean 'QCFailed'?")
    refused(caf("events", "--type", "Nonsense"), 2, "No event has the type 'Nonsense'", "events.md")
