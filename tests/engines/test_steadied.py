"""Steadied in one go a clip is what the motion stage and then the video stage make of it."""

from pathlib import Path

import numpy as np
import pytest

from caf.engines.local import run_stage
from caf.engines.stage import look
from caf.engines.steadied import steadied
from caf.media.read import read_frames
from caf.ports import StageRequest, StageResult, VideoTarget
from tests.clips import camera_frames, make_clip, shake_path, sine, texture, write_clip

HELD = {"pose_weight": 0.95, "max_crop": 0.15}


def request(stage: str, clip: Path, out: Path, **inputs: str) -> StageRequest:
    out.mkdir()
    info = look(clip)
    return StageRequest(
        stage=stage,
        inputs={"source": str(clip)} | inputs,
        parameters=dict(HELD) if stage == "motion" else {},
        target=VideoTarget(width=info.width, height=info.height, fps=info.fps),
        out_dir=str(out),
    )


def quiet(done: int, total: int | None) -> None:
    pass


def in_one_go(clip: Path, out: Path) -> StageResult:
    return steadied(request("motion", clip, out), quiet)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("times", ["even", "uneven"])
def test_it_is_both_stages_one_after_the_other(tmp_path: Path, suffix: str, times: str) -> None:
    frames = camera_frames(texture(280, 240), shake_path(48, amplitude_px=3.0), (160, 120))
    uneven = list(np.cumsum([0.0, *([0.04, 0.04, 0.07] * 16)])[:48]) if times == "uneven" else None
    clip = write_clip(tmp_path / f"clip{suffix}", frames, times_s=uneven, sound=sine(1.5))
    moved = run_stage(request("motion", clip, tmp_path / "motion"), quiet)
    shown = run_stage(request("video", clip, tmp_path / "video", motion=moved.outputs[0].path), quiet)
    at_once = in_one_go(clip, tmp_path / "steady")
    meant, one, other = (list(read_frames(result.outputs[0].path)) for result in (moved, shown, at_once))
    assert [frame.time_s for frame in one] == [frame.time_s for frame in other]
    # Colours are rounded on two different ways to the encoder, so that it loses other bits, as many.
    lost, also = (
        np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(meant, each, strict=True)])
        for each in (one, other)
    )
    assert also < 1.03 * lost
    kept = {name: shown.facts[name] for name in ("frames", "duration_s", "fps", "sound")}
    told = {name: fact for name, fact in at_once.facts.items() if name != "bytes"}
    assert told.pop("fps") == pytest.approx(kept.pop("fps"), abs=1e-4)
    assert told == dict(moved.facts) | kept
    assert told["sound"] in ("copied", "encoded")


def test_what_is_steady_is_not_written_again_unless_it_is_no_mp4(tmp_path: Path) -> None:
    still = make_clip(tmp_path / "still.mp4", frames=12)
    found = in_one_go(still, tmp_path / "a")
    assert (found.outputs, found.facts["stabilised"], found.facts["frames"]) == ((), False, 12)
    assert not list((tmp_path / "a").iterdir())
    other = make_clip(tmp_path / "still.mkv", frames=12)
    (written,) = in_one_go(other, tmp_path / "b").outputs
    assert look(Path(written.path)).frames == 12


@pytest.mark.parametrize("step_s", [10.0, 3600.0])
def test_slides_that_stand_for_long_are_a_clip_as_any_other(tmp_path: Path, step_s: float) -> None:
    slides = [np.clip(texture(96, 64) * gain, 0, 255).astype(np.uint8) for gain in (0.8, 1.0, 0.9) * 3]
    times = [index * step_s for index in range(len(slides))]
    clip = write_clip(tmp_path / "slides.mkv", slides, fps=1 / step_s, times_s=times)
    made = in_one_go(clip, tmp_path / "steady")
    assert [frame.time_s for frame in read_frames(made.outputs[0].path)] == pytest.approx(times)
    assert look(Path(made.outputs[0].path)).duration_s == pytest.approx(len(slides) * step_s)
