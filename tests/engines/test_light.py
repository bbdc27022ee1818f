"""Flicker of a known gain is taken out; light that is meant to change is left."""

import cv2
import numpy as np
import pytest

from caf.engines.light import LightMeter, LightPlan, lit, plan_light
from caf.media.read import Frame
from tests.clips import Image, add_subject, camera_frames, shake_path, texture

SIZE = (160, 120)
FRAMES = 48


def corrected(
    gains: np.ndarray, *, shake_px: float = 0.0, strength: float = 1.0
) -> tuple[np.ndarray, float, float]:
    """What is left of `gains` after correction (log, zero mean), and the flicker reported before and after."""
    scene = (texture(280, 240).astype(float) * 0.6).astype(np.uint8)  # room to brighten without burning out
    meter = LightMeter()
    for image, gain in zip(
        camera_frames(scene, shake_path(FRAMES, amplitude_px=shake_px), SIZE), gains, strict=True
    ):
        meter.add(np.clip(image * gain + 0.5, 0, 255).astype(np.uint8))
    plan = plan_light(meter, 30.0, strength)
    left = np.log(gains) + np.log(plan.gains.mean(axis=1))
    return left - left.mean(), plan.flicker_before_pct, plan.flicker_after_pct


def jitter(series: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.diff(series) ** 2)))


@pytest.mark.parametrize("shake_px", [0.0, 3.0])
@pytest.mark.parametrize("kind", ["alternating", "random", "mains"])
def test_flicker_of_a_known_gain_is_reduced_to_a_tenth(kind: str, shake_px: float) -> None:
    at = np.arange(FRAMES)
    gains = {
        "alternating": 1 + 0.1 * (-1.0) ** at,
        "random": 1 + 0.08 * np.random.default_rng(1).normal(size=FRAMES).clip(-2, 2),
        "mains": 1 + 0.12 * np.sin(at * 2.4),
    }[kind]
    left, before_pct, after_pct = corrected(gains, shake_px=shake_px)
    assert jitter(left) < 0.1 * jitter(np.log(gains))
    assert before_pct == pytest.approx(100 * np.log(gains).std(), rel=0.15)
    assert after_pct < 0.1 * before_pct


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_shaking_camera_in_even_light_is_no_drift_of_the_light(seed: int) -> None:
    meter = LightMeter()
    path = shake_path(96, amplitude_px=8.0, seed=seed)
    for image in camera_frames(texture(640, 400, seed=seed), path, (320, 180)):
        meter.add(image)
    drift = [float(level.factors.mean()) for level in meter.levels]
    assert np.abs(drift).max() < 0.0015


def test_a_fade_stays_a_fade() -> None:
    left, _, _ = corrected(np.linspace(0.5, 1.2, FRAMES))
    assert np.abs(np.diff(left) - np.diff(np.log(np.linspace(0.5, 1.2, FRAMES)))).max() < 0.01


def test_a_light_that_is_switched_on_stays_a_step() -> None:
    gains = np.where(np.arange(FRAMES) < 24, 0.6, 1.2)
    left, _, _ = corrected(gains)
    assert left[24] - left[23] == pytest.approx(np.log(2.0), abs=0.02)
    assert np.abs(np.diff(left)).sum() == pytest.approx(np.log(2.0), abs=0.05)


def test_an_even_clip_is_left_exactly_as_it_is() -> None:
    scene = camera_frames(texture(280, 240), shake_path(FRAMES, amplitude_px=1.0), SIZE)
    meter = LightMeter()
    for image in scene:
        meter.add(image)
    plan = plan_light(meter, 30.0, 1.0)
    assert (plan.gains == 1.0).all()
    assert np.array_equal(lit(scene[0], plan.gains[0]), scene[0])


def test_light_that_flickers_less_than_it_is_measured_wrong_is_left_as_it_is() -> None:
    scene = (texture(280, 240).astype(float) * 0.6).astype(np.uint8)
    meter = LightMeter()
    for image in camera_frames(scene, shake_path(FRAMES, amplitude_px=0.0), SIZE):
        gain = 1.0 + 0.008 * (-1.0) ** len(meter.levels)
        meter.add(np.clip(image * gain + 0.5, 0, 255).astype(np.uint8))
    assert max(meter.errors) < 0.001, "the light itself is no error"
    assert not (plan_light(meter, 30.0, 1.0).gains == 1.0).all()
    meter.errors[:] = [0.004] * len(meter.errors)
    assert (plan_light(meter, 30.0, 1.0).gains == 1.0).all()


def test_more_strength_never_leaves_more_flicker() -> None:
    gains = 1 + 0.1 * (-1.0) ** np.arange(FRAMES)
    left = [jitter(corrected(gains, strength=s)[0]) for s in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_frames_are_left_alone(count: int) -> None:
    meter = LightMeter()
    for index in range(count):
        meter.add(texture(16, 16, seed=index))
    plan = plan_light(meter, 30.0, 1.0)
    assert plan.gains.shape == (count, 3)
    assert (plan.gains == 1.0).all()


def test_black_frames_have_no_gain() -> None:
    meter = LightMeter()
    for _ in range(5):
        meter.add(np.zeros((32, 32, 3), np.uint8))
    assert (plan_light(meter, 30.0, 1.0).gains == 1.0).all()


def evened(frames: list[Image]) -> list[Image]:
    meter = LightMeter()
    for frame in frames:
        meter.add(frame)
    plan = plan_light(meter, 30.0, 1.0)
    return [
        shown.image for shown in plan.over(Frame(image, index / 30) for index, image in enumerate(frames))
    ]


def dance() -> list[Image]:
    """A subject that crosses a quarter of the picture before a wall, and changes its mean brightness by that."""
    wall = (texture(*SIZE) * 0.6 + 20).astype(np.uint8)
    return [add_subject(wall, (50 + 40 * np.sin(0.2 * i), 60), 22.0) for i in range(FRAMES)]


def error_pct(shown: list[Image], clean: list[Image], intended: np.ndarray) -> float:
    light = [a.mean() / (b.mean() * g) for a, b, g in zip(shown, clean, intended, strict=True)]
    return float(100 * np.std(np.log(light)))


INTENDED = {
    "steady": np.full(FRAMES, 0.8),
    "fade": np.linspace(0.9, 0.6, FRAMES),
    "switched": np.where(np.arange(FRAMES) < 24, 0.9, 0.55),
}
FLICKER = {
    "random": 0.05 * np.random.default_rng(4).normal(size=FRAMES).clip(-2.5, 2.5),
    "hum": 0.1 * np.sin(2 * np.pi * 8 * np.arange(FRAMES) / 30.0),
}


@pytest.mark.parametrize("kind", FLICKER)
@pytest.mark.parametrize(("meant", "left_pct"), [("steady", 0.2), ("fade", 0.9), ("switched", 1.5)])
def test_a_clip_with_a_moving_subject_is_held_to_its_intended_light(
    meant: str, left_pct: float, kind: str
) -> None:
    clean, intended = dance(), INTENDED[meant]
    spoiled = [
        np.clip(f * g + 0.5, 0, 255).astype(np.uint8)
        for f, g in zip(clean, intended * (1 + FLICKER[kind]), strict=True)
    ]
    assert error_pct(spoiled, clean, intended) > 4.0
    assert error_pct(evened(spoiled), clean, intended) < left_pct


def test_flicker_of_gamma_is_taken_out_of_the_darks_and_the_lights() -> None:
    clean = dance()
    levels = np.arange(256.0) / 255.0
    powers = 1 + 0.06 * np.random.default_rng(2).normal(size=FRAMES).clip(-2, 2)
    tables = [np.clip(255 * levels**power + 0.5, 0, 255).astype(np.uint8) for power in powers]
    spoiled = [np.asarray(cv2.LUT(f, t), np.uint8) for f, t in zip(clean, tables, strict=True)]

    def flicker_levels(frames: list[Image]) -> float:
        """Of each pixel over time, apart from what moves."""
        return float(np.std([a.astype(float) - b for a, b in zip(frames, clean, strict=True)], axis=0).mean())

    assert flicker_levels(evened(spoiled)) < 0.2 * flicker_levels(spoiled)


def test_a_camera_that_passes_a_scene_quickly_is_no_flicker_of_gamma() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    path[:, 0] += 12.0 * (np.arange(FRAMES) - FRAMES / 2)
    frames = camera_frames(texture(SIZE[0] + 636, SIZE[1] + 60, seed=2), path, SIZE)
    assert all(np.array_equal(a, b) for a, b in zip(evened(frames), frames, strict=True))


def test_flicker_of_single_channels_is_taken_out() -> None:
    clean = dance()
    gains = 0.8 * (1 + 0.04 * np.random.default_rng(3).normal(size=(FRAMES, 3)).clip(-2, 2))
    spoiled = [np.clip(f * g + 0.5, 0, 255).astype(np.uint8) for f, g in zip(clean, gains, strict=True)]
    shown = evened(spoiled)
    for channel in range(3):
        before, after = (
            error_pct([f[..., channel] for f in frames], [f[..., channel] for f in clean], INTENDED["steady"])
            for frames in (spoiled, shown)
        )
        assert after < 0.2 * before


def test_a_moving_subject_before_a_steady_light_is_left_exactly_as_it_is() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(evened(dance()), dance(), strict=True))


def test_the_same_clip_has_the_same_pixels_each_time() -> None:
    gains = 0.8 * (1 + FLICKER["random"])
    spoiled = [np.clip(f * g, 0, 255).astype(np.uint8) for f, g in zip(dance(), gains, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(evened(spoiled), evened(spoiled), strict=True))


def test_only_what_is_burnt_out_is_dimmed_less_than_the_rest() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, :40], image[:, 40:80], image[:, 80:] = 200, 244, 255
    found = lit(image, np.full(3, 0.92))
    levels = [int(found[20, x, 1]) for x in (20, 60, 100)]
    assert levels[:2] == [184, 224]
    assert 236 < levels[2] < 246


def burning(gains: np.ndarray) -> tuple[list[Image], list[Image]]:
    """A subject before a wall whose red burns out where the light gains more than a tenth: clean, and with `gains`."""
    wall = (texture(*SIZE) * 0.5 + 20).astype(np.uint8)
    wall[:50, 60:] = (190, 205, 236)
    clean = [add_subject(wall, (50 + 40 * np.sin(0.2 * i), 60), 22.0) for i in range(FRAMES)]
    return clean, [np.clip(f * g + 0.5, 0, 255).astype(np.uint8) for f, g in zip(clean, gains, strict=True)]


def test_a_colour_that_burnt_out_for_a_frame_is_taken_from_the_frames_beside() -> None:
    clean, spoiled = burning(1 + 0.12 * np.random.default_rng(5).normal(size=FRAMES).clip(-2, 2))

    def hue_levels(frames: list[Image]) -> float:
        """How far the wall's red over its green is from what it was, at worst."""
        seen = np.array([f[5:25, 80:150].reshape(-1, 3).mean(axis=0) for f in frames])
        return float(np.abs(seen[:, 2] / seen[:, 1] - 236 / 205).max() * 205)

    assert hue_levels(clean) < 0.5
    assert hue_levels(spoiled) > 15
    assert hue_levels(evened(spoiled)) < 4


def test_what_passes_a_burnt_out_place_leaves_no_trace_there() -> None:
    """The wall's burnt red is not given to a white figure that stands before it in one frame."""
    clean, _ = burning(np.ones(FRAMES))
    gains = np.where(np.arange(FRAMES) % 2 == 0, 1.15, 0.95)
    for index in range(0, FRAMES, 6):
        clean[index][5:25, 80:100] = 235
    spoiled = [np.clip(f * g + 0.5, 0, 255).astype(np.uint8) for f, g in zip(clean, gains, strict=True)]
    shown = evened(spoiled)
    for index in range(0, FRAMES, 6):
        blue, green, red = shown[index][10:20, 85:95].reshape(-1, 3).mean(axis=0)
        assert max(blue, green, red) - min(blue, green, red) < 4


def test_burnt_highlights_of_another_shot_are_not_taken() -> None:
    burnt, other = (
        np.full((40, 40, 3), (219, 236, 255), np.uint8),
        np.full((40, 40, 3), (190, 205, 236), np.uint8),
    )
    gains = np.array([np.full(3, 0.87), np.ones(3)])

    def first(cuts: tuple[int, ...]) -> Image:
        plan = LightPlan(gains, np.ones(2), 0.0, 0.0, cuts)
        return next(plan.over([Frame(burnt, 0.0), Frame(other, 0.1)])).image

    assert first(())[20, 20, 2] == 236
    assert np.array_equal(first((1,)), lit(burnt, gains[0]))
