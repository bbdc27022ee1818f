"""temporal_smoothing: still areas calm down, moving ones stay sharp, the loop closes."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from caf.engines.temporal import averaged
from caf.media.read import Frame
from caf.ports import VideoTarget
from tests.clips import Image, add_subject, camera_frames, make_picture, texture, write_clip
from tests.engines.stages import fact, images, run


def step(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def typical_and_seam(found: list[Image]) -> tuple[float, float]:
    steps = [step(a, b) for a, b in itertools.pairwise(found)]
    return float(np.median(steps)), step(found[-1], found[0])


def panning_clip(path: Path, frames: int = 48) -> Path:
    """A pan: smooth, but the last frame is far from the first."""
    pan = np.column_stack((np.linspace(-20, 20, frames), np.zeros(frames), np.zeros(frames)))
    return write_clip(path, camera_frames(texture(320, 240), pan, (160, 120)))


def test_a_seam_becomes_like_any_other_step(tmp_path: Path) -> None:
    source = panning_clip(tmp_path / "c.mp4")
    result, out = run(
        "motion", tmp_path / "out", {"source": source, "frames": source}, temporal_smoothing=0.85
    )
    typical_before, seam_before = typical_and_seam(images(source))
    assert seam_before > 4 * typical_before
    typical, seam = typical_and_seam(images(out))
    assert seam < 1.5 * max(typical, typical_before)
    assert fact(result, "seam_step_after_levels") < 0.4 * fact(result, "seam_step_before_levels")


def seam_and_beside(found: list[Image]) -> tuple[float, float]:
    return step(found[-1], found[0]), max(step(found[-2], found[-1]), step(found[0], found[1]))


def test_a_seam_that_shows_only_because_the_clip_is_calm_there_is_closed(tmp_path: Path) -> None:
    calm = np.full(10, 0.1)
    steps = np.concatenate((calm, np.full(14, 4.0), np.full(13, -4.0), calm))
    x = np.concatenate(([0.0], np.cumsum(steps))) - 28.0
    path = np.column_stack((x, np.zeros(48), np.zeros(48)))
    source = write_clip(tmp_path / "c.mp4", camera_frames(texture(320, 240), path, (160, 120)))
    result, out = run(
        "motion", tmp_path / "out", {"source": source, "frames": source}, temporal_smoothing=0.85
    )
    seam, beside = seam_and_beside(images(source))
    assert seam < 1.5 * typical_and_seam(images(source))[0]
    assert seam > 5 * beside
    assert fact(result, "length_change_frames") < 0
    seam, beside = seam_and_beside(images(out))
    assert seam < 1.3 * beside


def test_the_change_of_length_is_reported_and_true(tmp_path: Path) -> None:
    source = panning_clip(tmp_path / "c.mp4")
    result, out = run(
        "motion",
        tmp_path / "out",
        {"source": source, "frames": source},
        temporal_smoothing=0.85,
        seam_frames=10,
    )
    assert fact(result, "length_change_frames") == -10
    assert len(images(out)) == 38 == fact(result, "frames")
    assert fact(result, "duration_s") == pytest.approx(38 / 30, abs=1e-3)


def test_frames_outside_the_blend_keep_their_content_and_place(tmp_path: Path) -> None:
    source = panning_clip(tmp_path / "c.mp4")
    _, out = run(
        "motion",
        tmp_path / "out",
        {"source": source, "frames": source},
        temporal_smoothing=0.85,
        seam_frames=8,
    )
    given, found = images(source), images(out)
    for index in (10, 20, 30):
        assert step(given[index], found[index]) < 3.0


def test_a_loop_that_closes_already_is_not_cut(tmp_path: Path) -> None:
    turn = np.arange(30) * 2 * np.pi / 30
    path = np.column_stack((8 * np.cos(turn), 8 * np.sin(turn), np.zeros(30)))
    source = write_clip(tmp_path / "c.mp4", camera_frames(texture(320, 240), path, (160, 120)))
    result, out = run(
        "motion", tmp_path / "out", {"source": source, "frames": source}, temporal_smoothing=0.85
    )
    assert fact(result, "length_change_frames") == 0
    assert len(images(out)) == 30


def test_noise_in_still_areas_is_averaged_and_movement_is_not() -> None:
    rng = np.random.default_rng(2)
    scene = np.full((64, 96, 3), 120, np.uint8)
    clean = [add_subject(scene, (20 + 6 * i, 32), 9, bgr=(20, 20, 240)) for i in range(9)]
    noisy = [np.clip(c + rng.normal(0, 3, c.shape), 0, 255).astype(np.uint8) for c in clean]
    found = list(averaged((Frame(image, i / 30) for i, image in enumerate(noisy)), 0.6))
    assert [f.time_s for f in found] == [i / 30 for i in range(9)]
    errors = [np.abs(f.image.astype(int) - c) for f, c in zip(found, clean, strict=True)]
    before = [np.abs(n.astype(int) - c) for n, c in zip(noisy, clean, strict=True)]
    assert np.mean([e[:15].mean() for e in errors]) < 0.8 * np.mean([e[:15].mean() for e in before])
    disc = [c[..., 2].astype(int) - c[..., 0] > 150 for c in clean]
    assert np.mean([e[d].mean() for e, d in zip(errors, disc, strict=True)]) < 4.0


def test_frames_of_another_shot_are_never_mixed_in() -> None:
    dark, bright = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), 103, np.uint8)
    frames = [Frame(dark, 0.0), Frame(dark, 0.1), Frame(bright, 0.2), Frame(bright, 0.3)]
    mixed = [int(f.image[0, 0, 0]) for f in averaged(iter(frames), 1.0)]
    kept = [int(f.image[0, 0, 0]) for f in averaged(iter(frames), 1.0, cuts=(2,))]
    assert mixed[1] > 100
    assert kept == [100, 100, 103, 103]


def test_more_smoothing_never_leaves_more_noise() -> None:
    rng = np.random.default_rng(4)
    noisy = [np.clip(120 + rng.normal(0, 3, (40, 40, 3)), 0, 255).astype(np.uint8) for _ in range(7)]
    left = []
    for strength in (0.0, 0.2, 0.5, 0.8, 1.0):
        found = [f.image for f in averaged((Frame(i, t / 30) for t, i in enumerate(noisy)), strength)]
        left.append(np.mean([step(a, b) for a, b in itertools.pairwise(found)]))
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_clips_too_short_to_blend_pass_through(tmp_path: Path, count: int) -> None:
    source = write_clip(tmp_path / "c.mp4", [texture(64, 48, seed=i) for i in range(count)])
    _, out = run(
        "motion",
        tmp_path / "out",
        {"source": source, "frames": source},
        temporal_smoothing=1.0,
        pose_weight=1.0,
    )
    assert 1 <= len(images(out)) <= count


@pytest.mark.parametrize(("intensity", "share"), [("low", 0.02), ("high", 0.10)])
def test_a_picture_comes_nearer_and_loops(tmp_path: Path, intensity: str, share: float) -> None:
    source = make_picture(tmp_path / "cat.png", size=(160, 120))
    target = VideoTarget(width=160, height=120, fps=20.0, length_seconds=1.5)
    _, still = run("frame", tmp_path / "frames", {"source": source}, target)
    result, out = run(
        "motion", tmp_path / "out", {"source": source, "frames": still}, target, motion_intensity=intensity
    )
    found = images(out)
    typical, seam = typical_and_seam(found)
    assert (
        seam < 1.2 * typical
    )  # next to nothing: so near its turning point it moves by a fiftieth of a pixel
    assert fact(result, "push_in_share") == share
    crop = round(160 * share / (1 + share) / 2)
    assert step(found[15][:, :], found[0]) > 1.0
    nearest = found[0][:, crop : 160 - crop]
    assert nearest.shape[1] < 160
