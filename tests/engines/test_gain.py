"""How much brighter a frame is than another is measured beside whatever moves, on frames of a known gain."""

import cv2
import numpy as np
import pytest

from caf.engines.gain import Gain, gain_between, shrunk
from tests.clips import Image, add_subject, camera_frames, texture

SIZE = (320, 180)
PIVOT = float(np.log(100.0))


def scene(seed: int = 1) -> Image:
    return (texture(420, 260, seed=seed) * 0.6 + 20).astype(np.uint8)


def view(dx: float = 0.0, subject: tuple[float, float] | None = None) -> Image:
    world = scene() if subject is None else add_subject(scene(), subject, 45.0)
    return camera_frames(world, np.array([[dx, 0.0, 0.0]]), SIZE)[0]


def lit_by(image: Image, gain: float | np.ndarray, power: float = 1.0) -> Image:
    levels = 255.0 * (np.arange(256.0)[:, None] / 255.0) ** power * np.broadcast_to(gain, 3)
    return np.asarray(cv2.LUT(image, np.clip(levels + 0.5, 0, 255).astype(np.uint8)[None]), np.uint8)


def measured(before: Image, after: Image) -> Gain:
    gain = gain_between(shrunk(before), shrunk(after), PIVOT)
    assert gain is not None
    return gain


@pytest.mark.parametrize("gain", [0.7, 0.98, 1.0, 1.25])
@pytest.mark.parametrize("shift_px", [0.0, 0.7, 5.0])
def test_a_gain_is_found_beside_a_moving_subject_and_a_moving_camera(gain: float, shift_px: float) -> None:
    before, after = view(subject=(150, 120)), lit_by(view(shift_px, subject=(190, 110)), gain)
    assert measured(before, after).factors == pytest.approx(np.log([gain] * 3), abs=0.006)


def test_each_channel_has_its_own_gain() -> None:
    gain = np.array([0.9, 1.0, 1.1])
    assert measured(view(), lit_by(view(), gain)).factors == pytest.approx(np.log(gain), abs=0.003)


@pytest.mark.parametrize("power", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("gain", [0.8, 1.0])
def test_a_change_of_gamma_is_told_from_one_of_gain(power: float, gain: float) -> None:
    found = measured(view(), lit_by(view(), gain, power))
    bent = (1 + found.slope / 2) / (1 - found.slope / 2)
    at_pivot = np.log(gain) + (power - 1) * (PIVOT - np.log(255.0))
    assert bent == pytest.approx(power, abs=0.02)
    assert found.at_pivot / (1 - found.slope / 2) == pytest.approx([at_pivot] * 3, abs=0.01)


def test_a_black_channel_changes_as_the_others_do() -> None:
    dark = view()
    dark[..., 0] = 0
    assert measured(dark, lit_by(dark, 0.8)).factors == pytest.approx(np.log([0.8] * 3), abs=0.005)


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_frames_tell_no_gain(level: int) -> None:
    plain = np.full((90, 160, 3), level, np.uint8)
    assert gain_between(shrunk(plain), shrunk(plain), PIVOT) is None


def test_a_frame_of_one_grey_has_a_gain_and_no_gamma() -> None:
    plain = np.full((90, 160, 3), 100, np.uint8)
    found = measured(plain, lit_by(plain, 0.9))
    assert found.factors == pytest.approx(np.log([0.9] * 3), abs=0.003)
    assert found.slope == pytest.approx(0.0, abs=0.001)


def test_a_picture_that_is_dark_where_the_other_is_bright_tells_no_light() -> None:
    image = cv2.GaussianBlur(view(), (0, 0), 8.0)
    spread = np.clip(128 + 4.0 * (image.astype(float) - image.mean()), 20, 235).astype(np.uint8)
    assert gain_between(shrunk(spread), shrunk(np.asarray(255 - spread, np.uint8)), PIVOT) is None
