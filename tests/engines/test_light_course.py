"""The meant course of light is found under a flicker whose meant course is known."""

import numpy as np
import pytest

from caf.engines.light_course import flicker_rms, intended, switches

FPS = 30.0
FRAMES = 60

Series = np.ndarray


def random_flicker(size: float, seed: int, frames: int = FRAMES) -> Series:
    return np.log(1 + size * np.random.default_rng(seed).normal(size=frames).clip(-3, 3))


def error(course: Series, meant: Series) -> float:
    """RMS, one constant factor apart."""
    return float(np.std(course - meant))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.015, 0.09])
def test_steady_light_under_a_random_flicker_is_found_steady(size: float, seed: int) -> None:
    assert error(intended(random_flicker(size, seed), FPS), np.zeros(FRAMES)) < 0.15 * size


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.015, 0.09])
def test_a_fade_is_found_as_closely_as_that_many_frames_allow(size: float, seed: int) -> None:
    meant = np.log(np.linspace(0.9, 0.5, FRAMES))
    # The best estimate of a line's slope is off by size / sqrt(frames) on average.
    assert error(intended(meant + random_flicker(size, seed), FPS), meant) < 3 * size / np.sqrt(FRAMES)


@pytest.mark.parametrize("hertz", [3.0, 5.0, 8.0, 12.0])
@pytest.mark.parametrize(("last", "followed"), [(0.9, 0.05), (0.5, 0.15)])
def test_a_hum_is_not_followed(hertz: float, last: float, followed: float) -> None:
    meant = np.log(np.linspace(0.9, last, FRAMES))
    hum = np.log(1 + 0.1 * np.sin(2 * np.pi * hertz * np.arange(FRAMES) / FPS + 1.0))
    assert error(intended(meant + hum, FPS), meant) < followed * hum.std()


@pytest.mark.parametrize("size", [0.0, 0.015, 0.05, 0.09])
def test_a_switched_light_is_found_at_its_frame(size: float) -> None:
    meant = np.log(np.where(np.arange(FRAMES) < 30, 0.85, 0.55))
    light = meant + random_flicker(size, 5)
    assert switches(light, FPS) == [30]
    course = intended(light, FPS, [30])
    assert course[30] - course[29] == pytest.approx(
        np.log(0.55 / 0.85), abs=0.001 + 3 * size * np.sqrt(2 / 30)
    )
    assert error(course, meant) < 0.001 + 2 * size / np.sqrt(30)


@pytest.mark.parametrize("size", [0.0, 0.015])
def test_light_that_swells_and_fades_is_followed_and_was_not_switched(size: float) -> None:
    meant = np.log(0.7 * (1 + 0.2 * np.sin(2 * np.pi * 0.3 * np.arange(150) / FPS)))
    light = meant + random_flicker(size, 3, 150)
    assert switches(light, FPS) == []
    assert error(intended(light, FPS), meant) < 0.005 + 0.4 * size


@pytest.mark.parametrize("hertz", [2.0, 3.0, 5.0, 8.0])
def test_a_hum_alone_is_no_switched_light(hertz: float) -> None:
    assert switches(np.log(1 + 0.1 * np.sin(2 * np.pi * hertz * np.arange(90) / FPS)), FPS) == []


def test_a_random_flicker_alone_is_no_switched_light() -> None:
    assert [switches(random_flicker(0.09, seed, 90), FPS) for seed in range(6)] == [[]] * 6


def test_a_flash_does_not_move_the_course() -> None:
    light = random_flicker(0.005, 1)
    flash = light.copy()
    flash[20] += 0.8
    assert np.abs(intended(flash, FPS) - intended(light, FPS)).max() < 0.003


def test_a_cut_parts_the_courses() -> None:
    light = np.where(np.arange(FRAMES) < 30, 0.0, 1.0) + random_flicker(0.02, 2)
    course = intended(light, FPS, [30])
    assert np.ptp(course[:30]) < 0.02
    assert np.ptp(course[30:]) < 0.02


def test_the_same_light_has_the_same_course_to_the_bit() -> None:
    light = random_flicker(0.05, 1, 700)
    assert np.array_equal(intended(light, FPS), intended(light.copy(), FPS))


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 6, 9])
def test_the_shortest_shots_have_a_course(frames: int) -> None:
    course = intended(random_flicker(0.05, 1, frames), FPS)
    assert course.shape == (frames,)
    assert np.isfinite(course).all()


def test_flicker_is_what_is_too_quick_to_be_meant() -> None:
    at = np.arange(90) / FPS
    hum, swell = 0.1 * np.sin(2 * np.pi * 8 * at), 0.1 * np.sin(2 * np.pi * 0.2 * at)
    assert flicker_rms(hum[:, None], FPS) == pytest.approx(hum.std(), rel=0.1)
    assert flicker_rms(swell[:, None], FPS) < 0.05 * swell.std()
