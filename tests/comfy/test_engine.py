"""The engine on a played server, with real clips and a real child process: one stage in, one stage out."""

import asyncio
import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from caf.clock import SystemClock
from caf.comfy.client import Comfy
from caf.comfy.model import Limits
from caf.engines.comfyui import ComfyEngine
from caf.engines.embedded import EmbeddedEngine
from caf.errors import CafError, InputError, TryAgainError
from caf.media.probe import probe
from caf.media.read import read_frames
from caf.ports import (
    Called,
    MediaInfo,
    OutsideWork,
    Parameter,
    ProbeRequest,
    StageRequest,
    StageResult,
    VideoTarget,
)
from caf.pose.landmarks import LANDMARK_COUNT, Landmarks, save_landmarks
from caf.pose.openpose import draw_openpose
from caf.worker import Worker
from tests.clips import make_clip
from tests.comfy.given import graph
from tests.comfy.proxy import Chance, FaultProxy
from tests.comfy.server import FakeComfy

LIMITS = Limits(stall_s=20.0, unreachable_s=0.3, wedge_s=5.0, grace_s=0.3)
FRAMES = 6


class Notes:
    """What the log would hold of the work that is handed over."""

    job_id = "cat-dances-01"
    attempt_id = "run-0001"
    workspace_id = "here"

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.handles = dict(known or {})
        self.order: list[str] = []
        self.did: list[str] = []
        self.shown: list[str] = []

    async def known(self) -> Mapping[str, str]:
        return self.handles

    async def submitted(self, key: str, handle: str) -> None:
        self.handles[key] = handle
        self.order.append(handle)

    def doing(self, what: str, done: int, total: int | None) -> None:
        self.did.append(what)

    def preview(self, mime: str, picture: bytes) -> None:
        self.shown.append(mime)


class StoppedBefore:
    """A worker whose process is stopped when this task is asked of it."""

    def __init__(self, task: str, worker: Worker) -> None:
        self.task = task
        self.worker = worker

    async def measured(self, task: str, request: msgspec.Struct, **given: Any) -> Called:
        if task == self.task:
            raise asyncio.CancelledError
        return await self.worker.measured(task, request, **given)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    async with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "cat.mp4", frames=FRAMES, fps=24)


def frames_workflow(**header: Any) -> dict[str, Any]:
    return {
        "workflow_id": "pause",
        "nodes": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "__CAF_FRAME_IMAGE__"}},
            "2": {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": 0.01, "ticks": 2}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
        },
        **header,
    }


def loading(placeholder: str, **header: Any) -> dict[str, Any]:
    document = frames_workflow(**header)
    document["nodes"]["1"]["inputs"]["image"] = placeholder
    return document


class Bench:
    """An engine and the folder that its stages write to."""

    def __init__(self, worker: Worker, root: Path, *urls: str) -> None:
        self.root = root
        local = EmbeddedEngine(worker, stall_s=60.0, deadline_s=120.0)
        self.engine = ComfyEngine(local, worker, urls=urls, clock=SystemClock(), limits=LIMITS)
        self.runs = 0

    async def run(
        self,
        document: dict[str, Any] | None,
        clip: Path,
        notes: Notes,
        *,
        stage: str = "motion",
        reference: Path | None = None,
        pose: Path | None = None,
        pose_video: Path | None = None,
        urls: tuple[str, ...] = (),
        kept: Path | None = None,
        **parameters: Parameter,
    ) -> StageResult:
        self.runs += 1
        out = self.root / f"out-{self.runs}"
        out.mkdir()
        role = "source" if stage == "frame" else "frames"
        more = {"reference": reference, "pose": pose, "pose_video": pose_video}
        request = StageRequest(
            stage=stage,
            inputs={role: str(clip)} | {name: str(path) for name, path in more.items() if path},
            parameters={name.replace("__", "."): value for name, value in parameters.items()},
            target=VideoTarget(width=160, height=120, fps=24.0),
            out_dir=str(out),
            kept_dir=str(kept or ""),
            outside=OutsideWork(workflow=document, urls=urls) if document else None,
        )
        return await self.engine.run(request, lambda done, total: None, notes)


def look(result: StageResult) -> MediaInfo:
    (output,) = result.outputs
    return probe(ProbeRequest(path=output.path), lambda done, total: None)


def sha256(result: StageResult) -> str:
    return hashlib.sha256(Path(result.outputs[0].path).read_bytes()).hexdigest()


async def test_every_frame_is_a_prompt_and_the_clip_keeps_its_length_and_rate(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        result = await Bench(worker, tmp_path, server.url).run(frames_workflow(), clip, Notes())
    info = look(result)
    assert (info.frames, info.fps, info.width, info.height) == (FRAMES, 24.0, 24, 16)
    assert info.duration_s == pytest.approx(FRAMES / 24, abs=1e-3)
    assert result.outputs[0].role == "motion"
    assert server.renders == {f"frame-{index:06d}": 1 for index in range(FRAMES)}


async def test_what_a_prompt_is_called_is_noted_before_the_server_has_it(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    notes = Notes()
    async with FakeComfy(tmp_path / "server") as server:
        await Bench(worker, tmp_path, server.url).run(frames_workflow(), clip, notes)
    assert notes.order == [f"{server.url}#{prompt_id}" for prompt_id in server.posts]
    assert list(notes.handles) == [f"frame-{index:06d}" for index in range(FRAMES)]


async def test_what_was_handed_over_before_is_taken_up_and_not_rendered_again(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    notes = Notes()
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        first = await bench.run(frames_workflow(), clip, notes)
        posts = list(server.posts)
        again = await bench.run(frames_workflow(), clip, Notes(notes.handles))
    assert server.posts == posts
    assert sha256(again) == sha256(first)


async def test_a_render_that_is_all_here_needs_no_server_to_be_put_together(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    notes, kept = Notes(), tmp_path / "kept"
    kept.mkdir()
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        whole = await bench.run(frames_workflow(), clip, Notes())
        bench.engine.worker = StoppedBefore("assemble", worker)
        with pytest.raises(asyncio.CancelledError):
            await bench.run(frames_workflow(), clip, notes, kept=kept)
    bench.engine.worker = worker
    again = await bench.run(frames_workflow(), clip, Notes(notes.handles), kept=kept)
    assert sha256(again) == sha256(whole)
    assert [again.facts[name] for name in ("server", "server_version", "prompts")] == [
        server.url,
        whole.facts["server_version"],
        FRAMES,
    ]
    [picture, *_] = sorted(kept.rglob("*.png"))
    picture.write_bytes(b"damaged")
    with pytest.raises(TryAgainError):
        await bench.run(frames_workflow(), clip, Notes(notes.handles), kept=kept)


async def test_the_facts_say_what_the_render_took_and_with_what(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    notes = Notes()
    async with FakeComfy(tmp_path / "server") as server:
        result = await Bench(worker, tmp_path, server.url).run(frames_workflow(), clip, notes)
    facts = result.facts
    assert (facts["prompts"], facts["prompts_cached"], facts["frames"]) == (FRAMES, 0, FRAMES)
    assert (facts["server"], facts["server_version"]) == (server.url, "0.33.0")
    assert facts["device"] == "cuda:0 Test Card"
    assert facts["vram_peak_mb"] == 18 * 1024
    assert isinstance(facts["node_ms.2.Pause"], int)
    assert len(str(facts["workflow_sha256"])) == 64
    assert "motion · frame-000000: Pause 2 1/2" in notes.did


async def test_parameters_of_the_nodes_reach_the_server(worker: Worker, tmp_path: Path, clip: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        await bench.run(frames_workflow(), clip, Notes(), **{"2__ticks": 5})
        graphs = [entry["prompt"][2] for entry in server.history.values()]
    assert {graph["2"]["inputs"]["ticks"] for graph in graphs} == {5}


async def test_a_stage_s_own_parameters_work_on_what_was_rendered(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        result = await bench.run(frames_workflow(), clip, Notes(), temporal_smoothing=0.5)
    assert "seam_reason" in result.facts
    assert result.facts["prompts"] == FRAMES
    assert Path(result.outputs[0].path).name == "motion.mp4"


async def test_chunks_are_sent_as_clips_of_so_many_frames(worker: Worker, tmp_path: Path, clip: Path) -> None:
    document = loading("__CAF_CLIP_VIDEO__", caf_mode="motion_chunks", caf_chunk_frames=4)
    async with FakeComfy(tmp_path / "server") as server:
        result = await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert set(server.renders) == {"chunk-000000", "chunk-000001"}
    given = sorted(path for path in (server.root / "input").rglob("*") if path.is_file())
    assert sorted(sum(1 for _ in read_frames(path)) for path in given) == [2, 4]
    assert (look(result).frames, look(result).fps) == (2, 24.0)


async def test_a_whole_clip_is_one_prompt(worker: Worker, tmp_path: Path, clip: Path) -> None:
    document = loading("__CAF_CLIP_VIDEO__")
    async with FakeComfy(tmp_path / "server") as server:
        await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert set(server.renders) == {"clip-000000"}
    (given,) = [path for path in (server.root / "input").rglob("*") if path.is_file()]
    assert [frame.image.tobytes() for frame in read_frames(given)] == [
        frame.image.tobytes() for frame in read_frames(clip)
    ]


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
async def test_a_clip_in_a_picture_s_file_is_taken_with_all_its_frames(
    worker: Worker, tmp_path: Path, clip: Path, suffix: str
) -> None:
    animation = cv2.Animation()
    animation.frames = [np.full((16, 24, 4), 30 * index, np.uint8) for index in range(FRAMES)]
    animation.durations = np.array([40] * FRAMES)
    assert cv2.imwriteanimation(str(tmp_path / f"combined{suffix}"), animation)
    document = loading("__CAF_CLIP_VIDEO__")
    document["nodes"]["9"]["class_type"] = "VHS_VideoCombine"
    async with FakeComfy(tmp_path / "server") as server:
        server.gpu.combined = suffix, (tmp_path / f"combined{suffix}").read_bytes()
        result = await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert (look(result).frames, look(result).fps) == (FRAMES, 24.0)


async def test_a_picture_becomes_a_still_clip_of_the_frame_stage(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        result = await bench.run(loading("__CAF_SEED_IMAGE__"), clip, Notes(), stage="frame")
    assert set(server.renders) == {"image-000000"}
    assert result.outputs[0].role == "frames"
    pictures = [frame.image.tobytes() for frame in read_frames(result.outputs[0].path)]
    assert (len(pictures), len(set(pictures))) == (72, 1)


async def test_a_stage_without_work_outside_asks_no_server(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    bench = Bench(worker, tmp_path, "http://127.0.0.1:1")
    result = await bench.run(None, clip, Notes(), stage="frame")
    assert look(result).frames == FRAMES


def poses_of(path: Path, *missing: int) -> Landmarks:
    """A body that walks to the right, in all frames but these; written to the path."""
    points = np.zeros((FRAMES, LANDMARK_COUNT, 4), np.float32)
    points[..., 0] = 40 + 10 * np.arange(FRAMES)[:, None] + np.arange(LANDMARK_COUNT)
    points[..., 1] = 20 + 2 * np.arange(LANDMARK_COUNT)
    points[..., 3] = 1
    points[list(missing)] = np.nan
    found = Landmarks(points, np.isfinite(points[:, 0, 0]))
    save_landmarks(path, found)
    return found


async def test_a_workflow_that_is_steered_by_poses_gets_each_frame_s_own_as_openpose_draws_it(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    poses = poses_of(tmp_path / "landmarks.npz", 2)
    async with FakeComfy(tmp_path / "server", picture=(160, 120)) as server:
        bench = Bench(worker, tmp_path, server.url)
        result = await bench.run(
            loading("__CAF_POSE_IMAGE__"), clip, Notes(), pose=tmp_path / "landmarks.npz"
        )
        prompts = {entry["prompt"][3]["caf"]["key"]: entry["prompt"][2] for entry in server.history.values()}
    uploads = tmp_path / "server" / "input"
    given = [cv2.imread(str(uploads / prompts[key]["1"]["inputs"]["image"])) for key in sorted(prompts)]
    assert len(given) == look(result).frames == FRAMES
    for index, picture in enumerate(given):
        drawn = np.zeros((120, 160, 3), np.uint8)
        draw_openpose(drawn, poses.points[index])
        assert picture is not None
        assert np.array_equal(picture, drawn)
        assert drawn.any() == (index != 2)


async def test_the_poses_of_a_chunk_are_a_clip_of_its_frames(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    poses_of(tmp_path / "landmarks.npz")
    document = loading("__CAF_POSE_VIDEO__", caf_mode="motion_chunks", caf_chunk_frames=4)
    async with FakeComfy(tmp_path / "server") as server:
        await Bench(worker, tmp_path, server.url).run(
            document, clip, Notes(), pose=tmp_path / "landmarks.npz"
        )
    given = sorted(path for path in (server.root / "input").rglob("*") if path.is_file())
    assert sorted(sum(1 for _ in read_frames(path)) for path in given) == [2, 4]


async def test_a_job_s_own_pose_video_stands_above_the_poses_of_its_clip_and_keeps_its_times(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    poses_of(tmp_path / "landmarks.npz")
    given = make_clip(tmp_path / "poses.mp4", frames=3, fps=12, size=(64, 48), shake=3.0)
    async with FakeComfy(tmp_path / "server") as server:
        bench = Bench(worker, tmp_path, server.url)
        pose = tmp_path / "landmarks.npz"
        await bench.run(loading("__CAF_POSE_IMAGE__"), clip, Notes(), pose=pose, pose_video=given)
        prompts = {entry["prompt"][3]["caf"]["key"]: entry["prompt"][2] for entry in server.history.values()}
    uploads = tmp_path / "server" / "input"
    sent = [cv2.imread(str(uploads / prompts[key]["1"]["inputs"]["image"])) for key in sorted(prompts)]
    frames = [frame.image for frame in read_frames(given)]
    # Half as many a second, and over before the clip is.
    meant = [frames[min(index // 2, 2)] for index in range(FRAMES)]
    assert all(np.array_equal(one, other) for one, other in zip(sent, meant, strict=True))


async def test_a_workflow_that_is_steered_by_poses_says_what_it_lacks_when_there_are_none(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        with pytest.raises(InputError) as caught:
            await Bench(worker, tmp_path, server.url).run(loading("__CAF_POSE_IMAGE__"), clip, Notes())
    assert caught.value.kind == "missing_input"
    assert "__CAF_POSE_IMAGE__" in caught.value.message
    assert "pose" in caught.value.remedy
    assert not server.posts


async def test_the_weights_that_rendered_are_told_by_their_size_time_and_own_digest(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    document = frames_workflow()
    for node, name in (("4", "xl/cat.safetensors"), ("5", "old.ckpt")):
        document["nodes"][node] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
    header = json.dumps({"__metadata__": {"modelspec.hash_sha256": "0xabc1"}}).encode()
    checkpoints = tmp_path / "server" / "models" / "checkpoints"
    (checkpoints / "xl").mkdir(parents=True)
    (checkpoints / "xl" / "cat.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (checkpoints / "old.ckpt").write_bytes(bytes(1000))
    for file in checkpoints.rglob("*.*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    async with FakeComfy(tmp_path / "server") as server:
        result = await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert {name: told for name, told in result.facts.items() if name.startswith("model.")} == {
        "model.old.ckpt": "checkpoints: 1000 bytes of 2023-11-14T22:13:20Z",
        "model.xl/cat.safetensors": f"checkpoints: {8 + len(header)} bytes of 2023-11-14T22:13:20Z, says sha256 abc1",
    }


async def test_a_missing_model_is_found_before_anything_is_uploaded_or_rendered(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    document = frames_workflow()
    document["nodes"]["4"] = {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "cat.safetensors"},
    }
    document["nodes"]["5"] = {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}}
    async with FakeComfy(tmp_path / "server") as server:
        with pytest.raises(InputError) as caught:
            await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert caught.value.kind == "comfy_missing_model"
    assert "'cat.safetensors' is not among the server's" in caught.value.message
    assert not [call for call in server.calls if call.startswith("POST")]


async def test_a_missing_class_of_nodes_is_found_before_anything_is_uploaded_or_rendered(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    document = frames_workflow()
    document["nodes"]["2"]["class_type"] = "AnimeteCat"
    async with FakeComfy(tmp_path / "server") as server:
        with pytest.raises(InputError) as caught:
            await Bench(worker, tmp_path, server.url).run(document, clip, Notes())
    assert caught.value.kind == "comfy_missing_node"
    assert not [call for call in server.calls if call.startswith("POST")]


async def test_no_server_is_no_fault_of_the_job(worker: Worker, tmp_path: Path, clip: Path) -> None:
    bench = Bench(worker, tmp_path, "http://127.0.0.1:1")
    with pytest.raises(TryAgainError) as caught:
        await bench.run(frames_workflow(), clip, Notes())
    assert (caught.value.kind, caught.value.transient) == ("comfy_unreachable", True)


async def test_a_node_that_fails_is_told_once_and_never_tried_again(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    document = frames_workflow()
    document["nodes"]["2"] = {
        "class_type": "Raise",
        "inputs": {"image": ["1", 0], "type": "torch.OutOfMemoryError", "message": "CUDA out of memory"},
    }
    notes = Notes()
    async with FakeComfy(tmp_path / "server") as server:
        with pytest.raises(CafError) as caught:
            await Bench(worker, tmp_path, server.url).run(document, clip, notes)
    assert caught.value.kind == "comfy_oom"
    assert not caught.value.transient
    assert server.freed == 1
    assert len(server.posts) == len(set(server.posts))
    assert len(notes.order) == len(notes.handles)


async def test_the_picture_of_the_subject_goes_to_its_node(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    document = frames_workflow()
    document["nodes"]["5"] = {"class_type": "LoadImage", "inputs": {"image": "__CAF_ANCHOR_IMAGE__"}}
    document["nodes"]["11"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    document["caf_outputs"] = ["9"]
    reference = tmp_path / "mochi.png"
    reference.write_bytes((Path(__file__).parent / "pixels.py").read_bytes())
    async with FakeComfy(tmp_path / "server") as server:
        await Bench(worker, tmp_path, server.url).run(document, clip, Notes(), reference=reference)
        graphs = [entry["prompt"][2] for entry in server.history.values()]
    (anchor,) = {graph["5"]["inputs"]["image"] for graph in graphs}
    assert (server.root / "input" / anchor).read_bytes() == reference.read_bytes()


async def test_the_server_with_the_least_to_do_renders_and_the_one_that_cannot_does_not(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:
        bench = Bench(worker, tmp_path, "http://127.0.0.1:1", one.url, other.url)
        one.queue.append((99, "somebody-else", {}, {}, []))
        await bench.run(frames_workflow(), clip, Notes())
    assert (len(one.posts), len(other.posts)) == (0, FRAMES)


async def test_work_is_taken_up_on_the_server_that_has_it(worker: Worker, tmp_path: Path, clip: Path) -> None:
    notes = Notes()
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:
        await Bench(worker, tmp_path, one.url).run(frames_workflow(), clip, notes)
        later = Bench(worker, tmp_path / "b", other.url, one.url)
        # A busy machine is none away.
        later.engine.limits = msgspec.structs.replace(LIMITS, unreachable_s=20.0)
        await later.run(frames_workflow(), clip, notes)
    assert (len(one.posts), len(other.posts)) == (FRAMES, 0)


async def test_of_two_servers_that_had_the_work_the_one_that_has_most_of_it_goes_on(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "a") as first, FakeComfy(tmp_path / "b") as then:
        bench = Bench(worker, tmp_path, first.url, then.url)
        notes = Notes({"frame-000000": f"{first.url}#gone"})
        for index in range(1, FRAMES):
            notes.handles[f"frame-{index:06d}"] = f"{then.url}#lost-{index}"
        await bench.run(frames_workflow(), clip, notes)
    assert (len(first.posts), len(then.posts)) == (0, FRAMES)


async def test_a_job_s_own_server_stands_above_the_configured_ones(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:
        bench = Bench(worker, tmp_path, one.url)
        await bench.run(frames_workflow(), clip, Notes(), urls=(other.url,))
    assert (len(one.posts), len(other.posts)) == (0, FRAMES)


@pytest.mark.parametrize("seed", range(3))
async def test_a_line_that_drops_cuts_and_doubles_changes_nothing_about_the_clip(
    worker: Worker, tmp_path: Path, clip: Path, seed: int
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        good = await Bench(worker, tmp_path / "server", server.url).run(frames_workflow(), clip, Notes())
        chance = Chance(seed, 0.15)
        async with FaultProxy(server.url, chance.request, chance.socket) as line:
            bench = Bench(worker, tmp_path, line.url)
            bench.engine.limits = msgspec.structs.replace(LIMITS, unreachable_s=20.0)
            result = await bench.run(frames_workflow(), clip, Notes())
    assert look(result).frames == look(good).frames == FRAMES
    assert sha256(result) == sha256(good)


async def test_what_an_earlier_attempt_left_waiting_is_taken_out_only_when_that_was_decided(
    worker: Worker, tmp_path: Path, clip: Path
) -> None:
    left = {"job_id": Notes.job_id, "workspace_id": Notes.workspace_id, "attempt_id": "run-0000"}
    others = {"key": "other", "job_id": "another-job", "workspace_id": "here", "attempt_id": "run-0001"}
    for decided, rendered in (("NORMAL", 1), ("CLEAR_STALE_ITEMS", 0)):
        async with FakeComfy(tmp_path / decided) as server, Comfy(server.url) as comfy:
            for index, mark in enumerate((others, {**left, "key": "left"})):
                made = graph(index, seconds=1.0)
                prompt_id = f"00000000-0000-4000-8000-{index:012}"
                await comfy.submit(made, prompt_id=prompt_id, extra_data={"caf": mark})
            bench = Bench(worker, tmp_path / decided, server.url)
            await bench.run(frames_workflow(), clip, Notes(), caf__queue_management=decided)
            assert (server.renders["other"], server.renders["left"]) == (1, rendered)
