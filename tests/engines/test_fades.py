"""A fade between times of rest is told from flicker, and stays as it was made."""

import numpy as np
import pytest

from caf.engines.fades import fade_course
from caf.engines.light import LightMeter, plan_light
from tests.clips import texture

FPS = 30.0
AT = np.arange(120.0)
FADES = {
    "out of the dark": np.interp(AT, [0, 20], [0.05, 1.0]),
    "to half the light": np.interp(AT, [40, 60], [1.0, 0.5]),
    "out and in again": np.interp(AT, [40, 52, 66], [1.0, 0.2, 1.0]),
    "eased": 0.4 + 0.6 / (1.0 + np.exp((60.0 - AT) / 4.0)),
}
NONE = {
    "even light": np.ones(120),
    "a switched light": np.where(AT < 60, 0.85, 0.55),
    "one slow fade": np.linspace(0.9, 0.5, 120),
    "a light that swings": 1.0 + 0.25 * np.sin(2 * np.pi * 2.0 * AT / FPS),
}


def flickering(gain: np.ndarray, flicker: float) -> np.ndarray:
    return np.asarray(np.log(gain) + np.random.default_rng(3).normal(0.0, flicker, len(gain)))


@pytest.mark.parametrize("flicker", [0.0, 0.015, 0.035])
@pytest.mark.parametrize("kind", FADES)
def test_a_fade_is_found_under_its_flicker(kind: str, flicker: float) -> None:
    course = fade_course(flickering(FADES[kind], flicker), FPS)
    assert float(np.std(course - np.log(FADES[kind]))) < 0.03


@pytest.mark.parametrize("flicker", [0.0, 0.035])
@pytest.mark.parametrize("kind", NONE)
def test_what_does_not_lead_from_rest_to_rest_is_no_fade(kind: str, flicker: float) -> None:
    assert not fade_course(flickering(NONE[kind], flicker), FPS).any()


@pytest.mark.parametrize("flicker", [0.0, 0.03])
def test_a_clip_that_comes_out_of_black_and_goes_back_keeps_its_fades(flicker: float) -> None:
    scene = texture(160, 120).astype(np.float64) * 0.8
    meant = np.interp(np.arange(75), [0, 15, 59, 74], [0.0, 1.0, 1.0, 0.0])
    gains = meant * np.exp(flickering(np.ones(75), flicker))
    meter = LightMeter()
    for gain in gains:
        meter.add(np.clip(scene * gain + 0.5, 0, 255).astype(np.uint8))
    plan = plan_light(meter, FPS, 1.0)
    lit = (meant > 0.1) & (np.abs(np.log(plan.gains)).max(axis=1) < 1.0)
    left = np.log(gains[lit] * plan.gains[lit].mean(axis=1) / meant[lit])
    assert lit.sum() > 60
    assert float(np.std(left)) < max(0.003, 0.5 * flicker)
    assert (plan.gains[meant < 0.05] == 1.0).all()
