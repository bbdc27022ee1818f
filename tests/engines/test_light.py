"""Flicker of a known gain is taken out; light that is meant to change is left."""

import numpy as np
import pytest

from caf.engines.light import LightMeter, lit, plan_light
from tests.clips import camera_frames, shake_path, texture

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
