"""`caf run` on a real clip: one clip in, one decided clip out, and every document of the contract valid."""

import json
from pathlib import Path
from typing import Any

import av
import jsonschema
import pytest

from tests.cli.conftest import Caf, Ran
from tests.clips import make_clip, make_picture

SCHEMAS = Path(__file__).parents[2] / "schemas"
JOB = "first-job"


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A steady second with sound that stands still, so that it also loops."""
    return make_clip(tmp_path_factory.mktemp("asset") / "cat clip.mp4", frames=24, fps=24, audio=True)


def valid(document: Path, schema: str) -> Any:
    found = json.loads(document.read_text("utf-8"))
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))
    return found


def lenient(folder: Path) -> Path:
    """A policy with one gate that any clip with its sound passes."""
    policy = {
        "version": "qc_policy.v1",
        "policy_id": "sound-only",
        "max_retries_default": 0,
        "gates": [
            {
                "gate_id": "audio_video_gate",
                "metric": "audio_video",
                "dimension": "audio",
                "threshold": 0.9,
                "failure_action": "ESCALATE_USER",
                "target_stage": "video",
            }
        ],
        "routing": {"failure_action_priority": ["ESCALATE_USER"], "fallback_action": "ESCALATE_USER"},
    }
    (folder / "policy.json").write_text(json.dumps(policy))
    return folder / "policy.json"


def run(caf: Caf, asset: Path, tmp_path: Path, *more: str) -> Ran:
    return caf("run", asset, "--job-id", JOB, "--policy", lenient(tmp_path), *more)


def test_a_clip_comes_out_decided_with_every_document_valid(
    caf: Caf, asset: Path, workspace: Path, tmp_path: Path
) -> None:
    ran = run(caf, asset, tmp_path, "--platform", "youtube")
    assert ran.code == 0, ran.err
    sandbox = workspace / "sandbox"
    with av.open(str(sandbox / "output" / JOB / "final.mp4")) as final:
        video, sound = final.streams.video[0], final.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert video.duration is not None
        assert video.time_base is not None
        assert float(video.duration * video.time_base) == pytest.approx(1.0, abs=1 / 24)
        assert (video.width, video.height) == (160, 120)
    report = valid(sandbox / "logs" / JOB / "qc" / "qc_report.v1.json", "qc_report.v1")
    assert report["overall"]["recommended_action"] == "PROCEED"
    metrics = valid(sandbox / "output" / JOB / "production_metrics.v1.json", "production_metrics.v1")
    assert metrics["visual_metrics"]["image_resolution"] == "160x120"
    decision = sandbox / "logs" / JOB / "supervisor" / "run-0001" / "production_decision.v1.json"
    assert valid(decision, "production_decision.v1")["decision"]["action"] == "PROCEED"
    payload = json.loads((sandbox / "dist_artifacts" / JOB / "youtube.json").read_text())
    assert (payload["job_id"], payload["platform"]) == (JOB, "youtube")
    assert (workspace / payload["video"]).is_file()


def test_what_was_not_measured_is_left_out_of_the_metrics(
    caf: Caf, asset: Path, workspace: Path, tmp_path: Path
) -> None:
    run(caf, asset, tmp_path)
    path = workspace / "sandbox" / "output" / JOB / "production_metrics.v1.json"
    visual = json.loads(path.read_text())["visual_metrics"]
    assert "identity_similarity_score" not in visual
    assert "motion_score" not in visual
    assert visual["pose_score"] == 0.0


def test_the_log_alone_tells_the_whole_story(caf: Caf, asset: Path, workspace: Path, tmp_path: Path) -> None:
    run(caf, asset, tmp_path)
    for name in ("projections.db", "projections.db-wal", "projections.db-shm"):
        (workspace / ".caf" / name).unlink(missing_ok=True)
    assert [job["status"] for job in caf("jobs", "--json").json()] == ["completed"]
    lines = [json.loads(line) for line in caf("events", JOB, "--json").out.splitlines()]
    types = [line["type"] for line in lines]
    assert types[0] == "JobSubmitted"
    assert types[-1] == "JobCompleted"
    assert [line["version"] for line in lines] == list(range(1, len(lines) + 1))
    for version in (1, 5, len(lines)):
        state = caf("replay", JOB, "--at", str(version), "--json").json()
        assert state["version"] == version
    assert caf("replay", JOB, "--at", "1", "--json").json()["status"] == "submitted"
    assert "completed" in caf("show", JOB).out
    before = caf("sql", "SELECT * FROM stages", "--json").json()
    assert caf("rebuild").code == 0
    assert caf("sql", "SELECT * FROM stages", "--json").json() == before
    assert caf("verify").code == 0


def test_the_same_work_is_not_done_twice(caf: Caf, asset: Path, tmp_path: Path) -> None:
    run(caf, asset, tmp_path)
    caf("run", asset, "--job-id", "second-job", "--policy", lenient(tmp_path))
    rows = caf(
        "sql",
        "SELECT stage, reused, artifacts FROM stages WHERE job_id = 'second-job' ORDER BY stage",
        "--json",
    ).json()
    assert {row["stage"] for row in rows if row["reused"]} == {"pose", "frame", "motion", "video"}


def test_a_wrong_costume_asks_a_person_and_an_answer_goes_on(
    caf: Caf, asset: Path, workspace: Path, tmp_path: Path
) -> None:
    reference = make_picture(tmp_path / "costume.png", seed=9, subject=True)
    ran = caf("run", asset, "--job-id", JOB, "--require-costume", "--reference", reference)
    assert ran.code == 4
    asked = valid(
        workspace / "sandbox" / "logs" / JOB / "qc" / "user_action_required.json", "user_action_required.v1"
    )
    assert asked["job_id"] == JOB
    assert [row["job_id"] for row in caf("inbox", "--json").json()] == [JOB]
    assert caf("resume", JOB).code == 4
    assert caf("answer", JOB, "abort", "--note", "wrong cat").code == 0
    assert caf("resume", JOB).code == 1
    assert caf("inbox", "--json").json() == []
    assert not (workspace / "sandbox" / "logs" / JOB / "qc" / "user_action_required.json").exists()


def test_a_job_file_is_run_under_its_own_name(caf: Caf, asset: Path, workspace: Path, tmp_path: Path) -> None:
    sandbox = workspace / "sandbox"
    (sandbox / "assets").mkdir(parents=True)
    (sandbox / "jobs").mkdir()
    (sandbox / "assets" / "cat.mp4").write_bytes(asset.read_bytes())
    (workspace / "policy.json").write_bytes(lenient(tmp_path).read_bytes())
    job = {
        "job_id": "another-name",
        "video": {"resolution": "1080x1080", "fps": 24, "length_seconds": 0.5},
        "render": {"background_asset": "assets/cat.mp4"},
        "quality_policy": {"relpath": "policy.json"},
        "platforms": ["x"],
        "captions": ["Meow"],
    }
    path = sandbox / "jobs" / "square-cat.job.json"
    path.write_text(json.dumps(job))
    ran = caf("run", "--job", path)
    assert ran.code == 0, ran.err
    assert "another-name" in ran.err
    with av.open(str(sandbox / "output" / "square-cat" / "final.mp4")) as final:
        video = final.streams.video[0]
        assert (video.width, video.height) == (1080, 1080)
        assert video.frames == 12
    payload = json.loads((sandbox / "dist_artifacts" / "square-cat" / "x.json").read_text())
    assert payload["captions"] == ["Meow"]


def test_a_still_picture_becomes_a_clip(caf: Caf, workspace: Path, tmp_path: Path) -> None:
    picture = make_picture(tmp_path / "cat.png", size=(160, 120))
    ran = caf("run", picture, "--job-id", JOB, "--policy", lenient(tmp_path), "--json")
    assert ran.code == 0, ran.err
    with av.open(str(workspace / ran.json()["final"])) as final:
        assert final.streams.video[0].frames == 90
        assert not final.streams.audio


def test_a_completed_job_is_registered_once(caf: Caf, asset: Path, tmp_path: Path) -> None:
    run(caf, asset, tmp_path)
    post = ("handoff", "register", JOB, "--platform", "x", "--url", "https://x.example/1", "--json")
    assert [caf(*post).json()["recorded"] for _ in range(2)] == [True, False]
    entries = caf("handoff", "registry").json()["entries"]
    assert [(entry["job_id"], entry["platform"]) for entry in entries] == [(JOB, "x")]
