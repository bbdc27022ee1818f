"""The frame stage does to each frame what its parameters say, and nothing without them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from caf.ports import VideoTarget
from tests.clips import Image, add_subject, make_clip, make_picture, texture, write_clip
from tests.engines.stages import fact, images, run


def lab(image: Image) -> np.ndarray:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)


def middle_colour(image: Image) -> np.ndarray:
    height, width = image.shape[:2]
    part = lab(image)[height // 2 - 15 : height // 2 + 15, width // 2 - 15 : width // 2 + 15]
    return np.asarray(part.reshape(-1, 3).mean(axis=0), np.float64)


def hue_turned(image: Image, degrees: float) -> Image:
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + round(degrees / 2)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def cat(index: int = 0) -> Image:
    scene = (texture(160, 120, contrast=0.4).astype(int) // 2 + 60).astype(np.uint8)
    return add_subject(scene, (80 + 2 * np.sin(index / 3), 60), 38, bgr=(60, 120, 210))


def test_without_parameters_no_pixel_changes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=6)
    result, out = run("frame", tmp_path / "out", {"source": source})
    assert all(np.array_equal(a, b) for a, b in zip(images(source), images(out), strict=True))
    assert (fact(result, "frames"), fact(result, "duration_s")) == (6, pytest.approx(0.2))


def test_an_odd_sized_turned_clip_with_variable_times_is_kept_as_shown(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.2, 0.21]
    source = write_clip(
        tmp_path / "c.mp4", [texture(96, 64, seed=i) for i in range(4)], times_s=times, rotation_deg=90
    )
    _, out = run("frame", tmp_path / "out", {"source": source})
    found = images(out)
    assert found[0].shape == (96, 64, 3)
    assert all(np.array_equal(a, b) for a, b in zip(images(source), found, strict=True))


def test_a_picture_becomes_a_still_clip_of_the_targets_length(tmp_path: Path) -> None:
    source = make_picture(tmp_path / "cat.png", size=(75, 51))
    target = VideoTarget(width=108, height=192, fps=24.0, length_seconds=0.5)
    _, out = run("frame", tmp_path / "out", {"source": source}, target)
    found = images(out)
    assert len(found) == 12
    assert all(np.array_equal(image, texture(75, 51)) for image in found)


def test_a_stop_of_exposure_doubles_the_light(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "c.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 2, options={"crf": "0"})
    _, out = run("frame", tmp_path / "out", {"source": source}, exposure=1.0)
    before, after = (float((image.mean() / 255) ** 2.2) for image in (images(source)[0], images(out)[0]))
    assert after / before == pytest.approx(2.0, rel=0.03)


def test_denoising_removes_grain_and_keeps_edges(tmp_path: Path) -> None:
    clean = np.full((96, 128, 3), 70, np.uint8)
    clean[:, 64:] = 190
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    source = write_clip(tmp_path / "c.mkv", [noisy] * 2, video_codec="ffv1", pixel_format="bgr0")
    _, out = run("frame", tmp_path / "out", {"source": source}, denoise=0.7)
    found = images(out)[0].astype(float)
    assert found[20:80, 10:54].std() < 0.5 * noisy[20:80, 10:54].std()
    assert found[48, 66].mean() - found[48, 61].mean() > 100


def test_sharpening_steepens_without_halos(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur(texture(128, 96), (0, 0), 1.5)
    source = write_clip(tmp_path / "c.mkv", [soft] * 2, video_codec="ffv1", pixel_format="bgr0")
    _, out = run("frame", tmp_path / "out", {"source": source}, sharpen=0.8)
    found = images(out)[0]
    assert cv2.Laplacian(found, cv2.CV_64F).var() > 1.5 * cv2.Laplacian(soft, cv2.CV_64F).var()
    kernel = np.ones((3, 3), np.uint8)
    assert (found.astype(int) <= cv2.dilate(soft, kernel).astype(int) + 6).all()
    assert (found.astype(int) >= cv2.erode(soft, kernel).astype(int) - 6).all()


@pytest.mark.parametrize("drift", ["slow", "sudden", "jumping"])
def test_hue_drift_is_reduced_to_a_third(tmp_path: Path, drift: str) -> None:
    degrees = {
        "slow": np.linspace(-30, 30, 20),
        "sudden": np.where(np.arange(20) < 13, 0.0, 36.0),
        "jumping": 24.0 * (np.arange(20) % 4 == 3),
    }[drift]
    source = write_clip(
        tmp_path / "c.mkv",
        [hue_turned(cat(i), d) for i, d in enumerate(degrees)],
        video_codec="ffv1",
        pixel_format="bgr0",
    )
    result, out = run("frame", tmp_path / "out", {"source": source}, identity_weight=0.9)
    before, after = (np.array([middle_colour(i)[1:] for i in images(p)]) for p in (source, out))
    spread = [float(np.sqrt(((s - np.median(s, axis=0)) ** 2).sum(axis=1).mean())) for s in (before, after)]
    assert spread[1] < spread[0] / 3
    assert fact(result, "colour_drift_after_lab") < fact(result, "colour_drift_before_lab") / 3
    assert result.facts["colour_anchor"] == "clip"


def test_more_identity_weight_never_leaves_more_drift(tmp_path: Path) -> None:
    turned = [hue_turned(cat(i), d) for i, d in enumerate(np.linspace(-24, 24, 12))]
    source = write_clip(tmp_path / "c.mkv", turned, video_codec="ffv1", pixel_format="bgr0")
    left = []
    for weight in (0.1, 0.5, 0.9):
        _, out = run("frame", tmp_path / f"out{weight}", {"source": source}, identity_weight=weight)
        colours = np.array([middle_colour(i)[1:] for i in images(out)])
        left.append(float(colours.std(axis=0).sum()))
    assert left == sorted(left, reverse=True)


def test_a_reference_picture_is_approached_but_never_by_much_more_than_a_tint(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "c.mkv",
        [hue_turned(cat(i), 16) for i in range(6)],
        video_codec="ffv1",
        pixel_format="bgr0",
    )
    reference = tmp_path / "cat.png"
    cv2.imwrite(str(reference), cat())
    result, out = run(
        "frame", tmp_path / "out", {"source": source, "reference": reference}, identity_weight=0.9
    )
    goal = middle_colour(cat())
    before, after = (np.linalg.norm(middle_colour(images(p)[3]) - goal) for p in (source, out))
    assert after < 0.8 * before
    assert np.abs(lab(images(out)[3]) - lab(images(source)[3])).max() < 20
    assert result.facts["colour_anchor"] == "reference"


def test_a_steady_subject_keeps_its_colours(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "c.mkv", [cat(i) for i in range(12)], video_codec="ffv1", pixel_format="bgr0"
    )
    _, out = run("frame", tmp_path / "out", {"source": source}, identity_weight=0.9)
    moved = [np.abs(a.astype(int) - b).mean() for a, b in zip(images(source), images(out), strict=True)]
    assert max(moved) < 2.0


def test_deflicker_evens_the_light_and_says_how_much(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=24, flicker=0.1)
    result, out = run("frame", tmp_path / "out", {"source": source}, deflicker=1.0)
    light = [np.array([image.mean() for image in images(p)]) for p in (source, out)]
    assert np.abs(np.diff(light[1])).mean() < 0.15 * np.abs(np.diff(light[0])).mean()
    assert fact(result, "flicker_before_pct") == pytest.approx(10.0, rel=0.2)
    assert fact(result, "flicker_after_pct") < 1.0


def test_colours_are_anchored_in_the_light_that_was_evened(tmp_path: Path) -> None:
    lights = 1 + 0.1 * np.random.default_rng(1).normal(size=20).clip(-2, 2)
    frames = [np.clip(0.7 * light * cat(i) + 0.5, 0, 255).astype(np.uint8) for i, light in enumerate(lights)]
    source = write_clip(tmp_path / "c.mkv", frames, video_codec="ffv1", pixel_format="bgr0")
    left = []
    for weight in (0.0, 0.9):
        _, out = run(
            "frame", tmp_path / f"out{weight}", {"source": source}, deflicker=1.0, identity_weight=weight
        )
        left.append(float(np.std([np.log(image.mean()) for image in images(out)])))
    assert left[1] < 1.5 * left[0] + 0.001


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 400)])
def test_one_frame_of_any_size_goes_through_every_edit(tmp_path: Path, size: tuple[int, int]) -> None:
    source = write_clip(tmp_path / "c.mkv", [texture(*size)], video_codec="ffv1", pixel_format="bgr0")
    _, out = run(
        "frame",
        tmp_path / "out",
        {"source": source},
        exposure=0.5,
        deflicker=1.0,
        denoise=1.0,
        sharpen=1.0,
        identity_weight=1.0,
    )
    assert [image.shape[:2] for image in images(out)] == [(size[1], size[0])]
