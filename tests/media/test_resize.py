"""Fitting a picture into another shape: exact geometry, no distortion, any size."""

import numpy as np
import pytest

from caf.media.resize import POLICIES, ResolutionPolicy, fit, placement
from tests.clips import texture


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [
        ((1920, 1080), (1080, 1920), (0, 656, 1080, 608)),
        ((1080, 1920), (1080, 1080), (236, 0, 608, 1080)),
        ((640, 360), (1280, 720), (0, 0, 1280, 720)),
        ((1, 1), (1080, 1920), (0, 420, 1080, 1080)),
        ((3000, 1), (100, 100), (0, 49, 100, 1)),
    ],
)
def test_the_letterbox_lies_where_arithmetic_says(
    size: tuple[int, int], target: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert placement(*size, target) == expected
    shown = fit(np.full((size[1], size[0], 3), 255, np.uint8), target, "letterbox")
    left, top, width, height = expected
    assert (shown[top : top + height, left : left + width] == 255).all()
    shown[top : top + height, left : left + width] = 0
    assert not shown.any()


def test_a_crop_shows_the_middle_undistorted() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    shown = fit(image, (200, 200), "crop_center")
    assert shown.shape == (200, 200, 3)
    assert (shown[:, 2:-2] == 255).all()  # the outermost columns mix in their neighbours


def test_a_crop_keeps_a_circle_round() -> None:
    y, x = np.mgrid[0:360, 0:640]
    image = np.repeat((((x - 319.5) ** 2 + (y - 179.5) ** 2) < 100**2)[:, :, None] * np.uint8(255), 3, axis=2)
    shown = fit(image, (1080, 1920), "crop_center")[:, :, 0] > 127
    across, down = shown.any(axis=0).sum(), shown.any(axis=1).sum()
    assert abs(int(across) - int(down)) <= 4
    assert across == pytest.approx(200 * 1920 / 360, abs=6)


def test_a_mirrored_border_continues_the_picture() -> None:
    image = texture(120, 60)
    shown = fit(image, (120, 100), "pad_reflect")
    assert np.array_equal(shown[20:80], image)
    assert np.array_equal(shown[19], image[1])
    assert np.array_equal(shown[80], image[-2])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4000), (4000, 5), (641, 361)])
def test_any_size_becomes_exactly_the_target(policy: ResolutionPolicy, size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), (10, 120, 230), np.uint8)
    for target in ((108, 192), (108, 108), (2, 2)):
        shown = fit(image, target, policy)
        assert shown.shape == (target[1], target[0], 3)
        assert shown.dtype == np.uint8
        if policy != "letterbox":
            assert (np.abs(shown.astype(int) - (10, 120, 230)) <= 1).all()


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = texture(64, 48)
    for policy in POLICIES:
        assert np.array_equal(fit(image, (64, 48), policy), image)
