"""Whole jobs through `caf` as a process of its own, rendered on a played server: to the end, killed, and refused."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from tests.clips import make_clip
from tests.comfy.given import until
from tests.comfy.server import FakeComfy
from tests.support import forked

FRAMES = 12
TIMEOUT_S = 240
POLICY = {
    "version": "qc_policy.v1",
    "policy_id": "no_gates",
    "max_retries_default": 1,
    "default_action_on_missing_report": "PROCEED",
    "gates": [],
    "routing": {"failure_action_priority": ["ABORT"], "fallback_action": "ESCALATE_USER"},
    "failure_classification": {"classes": []},
    "workflow_presets": {"class_to_preset": []},
}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def passing(workflow_id: str, mode: str, placeholder: str) -> dict[str, Any]:
    """A workflow in caf's own form, which gives the picture that it was given."""
    return {
        "workflow_id": workflow_id,
        "caf_mode": mode,
        "caf_capabilities": {"required_node_ids": ["1"], "required_node_classes": ["LoadImage"]},
        "caf_outputs": ["9"],
        "nodes": {
            "1": {
                "class_type": "LoadImage",
                "inputs": {"image": placeholder},
                "_meta": {"title": "What is given"},
            },
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        },
    }


class Jobs:
    """A workspace with one job for a server, and `caf` in it."""

    def __init__(self, root: Path, url: str, *, seconds: float = 0.01, **comfyui: Any) -> None:
        self.root = root
        (root / "sandbox" / "jobs").mkdir(parents=True)
        make_clip(root / "sandbox" / "cat.mp4", frames=FRAMES, fps=24)
        self.write("policy.json", POLICY)
        self.write(
            "workflows/pause.json",
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "any.png", "upload": "image"}},
                "2": {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": seconds, "ticks": 2}},
                "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
            },
        )
        self.write(
            "workflows/whole.json",
            passing("whole", "frame_sequence", "__CAF_FRAME_IMAGE__"),
        )
        self.job: dict[str, Any] = {
            "job_id": "cat-0001",
            "video": {},
            "render": {"background_asset": "cat.mp4"},
            "comfyui": {"base_url": url, "workflow_relpath": "workflows/pause.json", **comfyui},
        }
        self.job_file = self.write("sandbox/jobs/cat-0001.job.json", self.job)

    def write(self, name: str, document: Any) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), "utf-8")
        return path

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "caf.cli", *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CAF_WORKSPACE": str(self.root), "NO_COLOR": "1"}

    async def caf(self, *arguments: str | Path) -> Ran:
        asked = partial(forked.call, arguments, self.environment, timeout_s=TIMEOUT_S)
        done = await anyio.to_thread.run_sync(asked)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def run(self, *more: str | Path) -> Ran:
        return await self.caf("run", "--job", self.job_file, "--policy", self.root / "policy.json", *more)

    async def events(self, name: str, job_id: str = "cat-0001") -> list[dict[str, Any]]:
        ran = await self.caf("events", job_id, "--type", name, "--json")
        found = [json.loads(line) for line in ran.out.splitlines()] if ran.code == 0 else []
        return [item.get("data", item) for item in found]

    def document(self, name: str) -> Any:
        return json.loads((self.root / "sandbox" / "output" / "cat-0001" / name).read_text("utf-8"))


async def test_a_job_goes_through_a_server_and_says_what_it_took(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, bindings={"parameters": {"2": {"seconds": 0.02}}})
        ran = await jobs.run()
        prompts = await jobs.events("PromptSubmitted")
    assert ran.code == 0, ran.err
    assert server.renders == {f"frame-{index:06d}": 1 for index in range(FRAMES)}
    assert [item["handle"] for item in prompts] == [f"{server.url}#{prompt_id}" for prompt_id in server.posts]
    metrics = jobs.document("production_metrics.v1.json")["engine_metrics"]
    assert metrics["engine_id"] == "comfyui"
    assert metrics["server_version"] == "0.33.0"
    assert metrics["vram_peak_mb"] == 18 * 1024
    assert len(metrics["workflow_sha256"]) == 64
    assert {"comfyui_render", "comfyui_submission", "comfyui_frame_mean", "comfyui_node_2.Pause"} <= set(
        metrics["stage_durations"]
    )


async def test_a_workflow_in_caf_s_own_form_works_in_the_stage_that_its_mode_names(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, workflow_relpath="workflows/whole.json")
        ran = await jobs.run()
        prompts = await jobs.events("PromptSubmitted")
    assert ran.code == 0, ran.err
    assert {item["stage"] for item in prompts} == {"frame"}
    assert len(server.renders) == FRAMES


def steered(jobs: Jobs) -> None:
    """The workflow reads poses."""
    jobs.write(
        "workflows/pause.json",
        passing("pause", "motion_frame_sequence", "__CAF_POSE_IMAGE__"),
    )


async def test_a_job_may_bring_its_own_poses_which_are_inputs_as_its_clip_is(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, bindings={"pose_video_path": "sandbox/poses.mp4"})
        steered(jobs)
        poses = make_clip(jobs.root / "sandbox" / "poses.mp4", frames=FRAMES, fps=24, shake=2.0)
        ran = await jobs.run()
        [taken] = [done for done in await jobs.events("StageCompleted") if done["stage"] == "artifact"]
    assert ran.code == 0, ran.err
    assert "pose_video" in {artifact["role"] for artifact in taken["artifacts"]}
    assert hashlib.sha256(poses.read_bytes()).hexdigest() in {item["sha256"] for item in taken["artifacts"]}
    assert len(server.posts) == FRAMES


async def test_a_pose_video_that_is_missing_is_refused_and_one_that_nothing_reads_is_told(
    tmp_path: Path,
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, bindings={"pose_video_path": "sandbox/poses.mp4"})
        unread = await jobs.run()
        steered(jobs)
        jobs.write("sandbox/jobs/cat-0001.job.json", {**jobs.job, "job_id": "cat-0002"})
        missing = await jobs.caf("run", "--job", jobs.job_file, "--job-id", "cat-0002")
    assert unread.code == 0, unread.err
    assert "pose_video_path is not used" in unread.err
    assert missing.code == 65
    assert "sandbox/poses.mp4 is not there" in missing.err


async def test_of_poses_that_are_gone_or_damaged_the_question_names_their_file(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1", bindings={"pose_video_path": "sandbox/poses.mp4"})
    steered(jobs)
    poses = make_clip(jobs.root / "sandbox" / "poses.mp4", frames=FRAMES, fps=24)
    submitted = await jobs.caf("submit", "--job", jobs.job_file)
    whole = poses.read_bytes()
    poses.unlink()
    gone = await jobs.caf("resume", "cat-0001")
    poses.write_bytes(b"no video")
    damaged = await jobs.caf("answer", "cat-0001", "retry", "--from", "artifact")
    damaged = await jobs.caf("resume", "cat-0001")
    poses.write_bytes(whole)
    asked = [event["request"] for event in await jobs.events("Escalated")]
    assert [submitted.code, gone.code, damaged.code] == [0, 4, 4]
    assert [(one["reason"], one["required_artifact"]) for one in asked] == [
        ("ARTIFACT_MISSING", "sandbox/poses.mp4"),
        ("ARTIFACT_CORRUPTED", "sandbox/poses.mp4"),
    ]
    assert {one["example_fix"] for one in asked} == {"caf answer cat-0001 retry --from artifact"}
    assert "answer with another file" not in gone.err
    await jobs.caf("answer", "cat-0001", "retry", "--from", "artifact")
    again = await jobs.caf("resume", "cat-0001")
    assert again.code == 75, again.err  # all is there now but the server


async def test_poses_that_are_damaged_in_their_middle_are_what_is_to_be_corrected(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, bindings={"pose_video_path": "sandbox/poses.mp4"})
        steered(jobs)
        # All of it is gone through only where the clip that it steers is as long.
        for name in ("poses", "cat"):
            path = make_clip(jobs.root / "sandbox" / f"{name}.mp4", frames=90, fps=30, shake=3.0)
        poses = path.with_name("poses.mp4")
        data = bytearray(poses.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
        poses.write_bytes(data)
        ran = await jobs.run()
        [asked] = [event["request"] for event in await jobs.events("Escalated")]
        assert server.posts == []
    assert ran.code == 4, ran.err
    assert (asked["reason"], asked["required_artifact"]) == ("ARTIFACT_CORRUPTED", "sandbox/poses.mp4")
    assert asked["example_fix"] == "caf answer cat-0001 retry --from artifact"
    assert "sandbox/poses.mp4 is damaged: its pictures cannot be decoded" in ran.err


async def test_a_killed_run_finds_its_prompts_again_and_renders_none_twice(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, seconds=0.15)
        command = jobs.command("run", "--job", jobs.job_file, "--policy", jobs.root / "policy.json")
        process = await anyio.open_process(
            command, env=jobs.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await until(lambda: sum(server.renders.values()) >= 3, within_s=120)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        ran = await jobs.caf("resume", "cat-0001")
    assert ran.code == 0, ran.err
    assert server.renders == Counter({f"frame-{index:06d}": 1 for index in range(FRAMES)})
    assert jobs.document("result.json")["attempts"] == 1


async def test_a_server_that_is_away_holds_the_job_up_and_costs_it_nothing(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        await server.stop()
        held = await jobs.run()
        failures = await jobs.events("StageFailed")
        await server.start()
        ran = await jobs.caf("resume", "cat-0001")
    assert held.code == 75
    assert "caf resume cat-0001" in held.err
    assert failures == []
    assert ran.code == 0, ran.err
    assert jobs.document("result.json")["attempts"] == 1


async def test_a_missing_model_is_a_question_to_a_person_and_not_a_render(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        jobs.write(
            "workflows/pause.json",
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "any.png"}},
                "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "cat.safetensors"}},
                "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
                "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
            },
        )
        ran = await jobs.run()
        [failed] = await jobs.events("StageFailed")
    assert ran.code == 4
    assert (failed["failure"]["kind"], failed["failure"]["transient"]) == ("comfy_missing_model", False)
    assert not server.posts


async def test_a_failed_render_s_leavings_are_cleared_by_decision_before_it_is_tried_again(
    tmp_path: Path,
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, poll={"timeout_seconds": 0.5}, seconds=0.01)
        jobs.write(
            "workflows/pause.json",
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "any.png"}},
                "2": {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": 30.0}},
                "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
            },
        )
        ran = await jobs.run()
        decisions = [item["decision"]["decision"] for item in await jobs.events("RepairDecided")]
        failures = [item["failure"] for item in await jobs.events("StageFailed")]
    assert {failure["kind"] for failure in failures} == {"comfy_stalled"}
    if failures[0]["transient"]:
        retried = [item for item in decisions if item["action"] == "RETRY_STAGE"]
        assert [item["policy_overrides"] for item in retried] == [{"queue_management": "CLEAR_STALE_ITEMS"}]
    assert ran.code == 4
    assert not server.queue
    assert not server.running


@pytest.mark.parametrize(
    ("comfyui", "more", "told"),
    [
        ({"bindings": {"parameters": {"22": {"seconds": 1}}}}, (), "no node '22'"),
        ({"bindings": {"parameters": {"2": {"second": 1}}}}, (), "did you mean seconds?"),
        ({"bindings": {"seed": 3}}, (), "no node of pause takes one"),
        ({"workflow_relpath": "workflows/none.json"}, (), "none.json is not there"),
        ({}, ("--set", "2.seconds=long"), "cannot be 'long'"),
        ({}, ("--set", "motion.nope=1"), "no parameter nope"),
    ],
)
async def test_what_fits_nowhere_is_refused_before_anything_is_recorded(
    tmp_path: Path, comfyui: dict[str, Any], more: tuple[str, ...], told: str
) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1", **comfyui)
    ran = await jobs.run(*more)
    assert ran.code == 65
    assert told in ran.err
    assert await jobs.events("JobSubmitted") == []


async def test_the_editor_s_form_is_refused_with_how_to_export(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1")
    jobs.write("workflows/pause.json", {"last_node_id": 3, "nodes": [], "links": []})
    ran = await jobs.run()
    assert ran.code == 65
    assert "Export (API)" in ran.err
