"""A moved picture shows what it should at every place, sharp, and mirrored beyond its rim."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines import warp
from caf.engines.warp import warped
from tests.clips import Image, texture

SIZE = (320, 240)


def similarity(x: float, y: float, turn_deg: float = 0.0, zoom: float = 1.0) -> NDArray[np.float64]:
    matrix = cv2.getRotationMatrix2D(((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2), turn_deg, zoom)
    matrix[:, 2] += (x, y)
    return np.asarray(matrix, np.float64)


MOVES = {
    "shift": similarity(2.3, -1.7),
    "turn": similarity(0.4, 0.2, 1.5),
    "zoom": similarity(-3.6, 2.2, -0.4, 1.06),
    "out": similarity(0.0, 0.0, 0.0, 0.9),
}


def waves(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) levels of a pattern known at every place (..., 2), its finest waves seven pixels long."""
    x, y = at[..., 0], at[..., 1]
    levels = 128 + 50 * np.sin(0.9 * x) * np.cos(0.5 * y) + 40 * np.sin(0.07 * x + 0.11 * y)
    return np.stack([levels, 255 - levels, 0.5 * levels], axis=-1)


def grid() -> NDArray[np.float64]:
    y, x = np.indices(SIZE[::-1], np.float64)
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize("kind", MOVES)
def test_every_place_shows_what_lay_there_before(kind: str) -> None:
    matrix = MOVES[kind]
    image = np.rint(waves(grid())).astype(np.uint8)
    back = cv2.invertAffineTransform(matrix)
    wanted = waves(grid() @ back[:, :2].T + back[:, 2])
    cubic = cv2.warpAffine(image, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inner = np.s_[16:-16, 20:-20]
    error, usual = (
        float(np.abs(made[inner] - wanted[inner]).mean()) for made in (warped(image, matrix), cubic)
    )
    assert error < max(1.0, 1.2 * usual)


@pytest.mark.parametrize("kind", MOVES)
def test_a_moved_picture_is_as_sharp_as_by_cubic_interpolation(kind: str) -> None:
    image = texture(*SIZE)
    cubic = cv2.warpAffine(image, MOVES[kind], SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    found, usual = (
        float(cv2.Laplacian(made, cv2.CV_32F).std()) for made in (warped(image, MOVES[kind]), cubic)
    )
    assert 0.97 * usual < found < 1.03 * usual


def test_beyond_the_rim_the_picture_is_mirrored() -> None:
    image = texture(*SIZE)
    for x, y in ((13.0, 0.0), (0.0, 60.0), (-9.0, -41.0)):
        found = warped(image, similarity(x, y)).astype(int)
        wanted = cv2.warpAffine(image, similarity(x, y), SIZE, borderMode=cv2.BORDER_REFLECT_101)
        assert np.abs(found - wanted).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 5), (40, 9), (9, 40), (33, 97), (64, 200)])
def test_pictures_of_any_size_keep_theirs(size: tuple[int, int]) -> None:
    image: Image = np.ascontiguousarray(texture(*size))
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert np.abs(warped(image, still).astype(int) - image).max() <= 12
    assert warped(image, similarity(1.0, 2.0, 30.0)).shape == image.shape


def test_a_picture_is_the_same_in_one_band_as_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.ascontiguousarray(np.rot90(texture(*SIZE)))
    found = {}
    for least in (16, 64, 1000):
        monkeypatch.setattr(warp, "_BAND_PIXELS", 1)
        monkeypatch.setattr(warp, "_BAND_PX", least)
        found[least] = warped(image, MOVES["zoom"]).astype(int)
    assert np.abs(found[16] - found[1000]).max() <= 1
    assert np.abs(found[64] - found[1000]).max() <= 1


def test_the_same_picture_and_move_have_the_same_pixels() -> None:
    image = texture(*SIZE)
    assert np.array_equal(warped(image, MOVES["zoom"]), warped(image.copy(), MOVES["zoom"]))


def test_a_moved_picture_stays_as_it_is_when_the_next_one_is_moved() -> None:
    first = warped(texture(*SIZE), MOVES["turn"])
    before = first.copy()
    warped(255 - texture(*SIZE), MOVES["zoom"])
    assert np.array_equal(first, before)


def test_pictures_moved_at_once_in_two_threads_are_as_those_moved_one_by_one() -> None:
    images = [np.ascontiguousarray(np.roll(texture(*SIZE), step, 1)) for step in range(24)]
    wanted = [warped(image, MOVES["zoom"]) for image in images]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda image: warped(image, MOVES["zoom"]), images))
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_a_small_picture_after_a_large_one_shows_nothing_of_it() -> None:
    small = texture(*SIZE)
    wanted = warped(small, MOVES["turn"])
    warped(255 - texture(4 * SIZE[0], 4 * SIZE[1]), MOVES["turn"])
    assert np.array_equal(warped(small, MOVES["turn"]), wanted)


def test_what_is_kept_for_the_next_picture_is_a_bands_and_not_a_pictures() -> None:
    def kept_bytes(width: int, height: int) -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(_kept_after, width, height).result()

    assert kept_bytes(3840, 4320) == kept_bytes(3840, 2160) < 3840 * 2160 * 3


def _kept_after(width: int, height: int) -> int:
    """In a thread that has moved nothing yet."""
    warped(np.zeros((height, width, 3), np.uint8), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    return sum(part.nbytes for part in warp._KEPT.by_part.values())
