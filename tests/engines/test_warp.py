"""A moved picture shows what it should at every place, sharp, and mirrored beyond its rim."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines import warp
from caf.engines.warp import opencv_warped, warped
from caf.media.compiled import COMPILED, NATIVE
from tests.clips import Image, texture

Way = Callable[[Image, NDArray[np.float64]], Image]

SIZE = (320, 240)
WAYS = (warped, opencv_warped) if COMPILED else (warped,)

compiled = pytest.mark.skipif(not COMPILED, reason="there was no compiler when caf was installed")
either_way = pytest.mark.parametrize("way", WAYS)


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


@either_way
@pytest.mark.parametrize("kind", MOVES)
def test_every_place_shows_what_lay_there_before(kind: str, way: Way) -> None:
    matrix = MOVES[kind]
    image = np.rint(waves(grid())).astype(np.uint8)
    back = cv2.invertAffineTransform(matrix)
    wanted = waves(grid() @ back[:, :2].T + back[:, 2])
    cubic = cv2.warpAffine(image, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inner = np.s_[16:-16, 20:-20]
    error, usual = (float(np.abs(made[inner] - wanted[inner]).mean()) for made in (way(image, matrix), cubic))
    assert error < max(1.0, 1.2 * usual)


@either_way
@pytest.mark.parametrize("kind", MOVES)
def test_a_moved_picture_is_as_sharp_as_by_cubic_interpolation(kind: str, way: Way) -> None:
    image = texture(*SIZE)
    cubic = cv2.warpAffine(image, MOVES[kind], SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    found, usual = (float(cv2.Laplacian(made, cv2.CV_32F).std()) for made in (way(image, MOVES[kind]), cubic))
    assert 0.97 * usual < found < 1.03 * usual


@either_way
def test_beyond_the_rim_the_picture_is_mirrored(way: Way) -> None:
    image = texture(*SIZE)
    for x, y in ((13.0, 0.0), (0.0, 60.0), (-9.0, -41.0)):
        found = way(image, similarity(x, y)).astype(int)
        wanted = cv2.warpAffine(image, similarity(x, y), SIZE, borderMode=cv2.BORDER_REFLECT_101)
        assert np.abs(found - wanted).mean() < 1.5


@either_way
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 5), (40, 9), (9, 40), (33, 97), (64, 200)])
def test_pictures_of_any_size_keep_theirs(size: tuple[int, int], way: Way) -> None:
    image: Image = np.ascontiguousarray(texture(*size))
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert np.abs(way(image, still).astype(int) - image).max() <= 12
    assert way(image, similarity(1.0, 2.0, 30.0)).shape == image.shape


def test_a_picture_is_the_same_in_one_band_as_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.ascontiguousarray(np.rot90(texture(*SIZE)))
    found = {}
    for least in (16, 64, 1000):
        monkeypatch.setattr(warp, "_BAND_PIXELS", 1)
        monkeypatch.setattr(warp, "_BAND_PX", least)
        found[least] = opencv_warped(image, MOVES["zoom"]).astype(int)
    assert np.abs(found[16] - found[1000]).max() <= 1
    assert np.abs(found[64] - found[1000]).max() <= 1


@either_way
def test_the_same_picture_and_move_have_the_same_pixels(way: Way) -> None:
    image = texture(*SIZE)
    assert np.array_equal(way(image, MOVES["zoom"]), way(image.copy(), MOVES["zoom"]))


@either_way
def test_a_moved_picture_stays_as_it_is_when_the_next_one_is_moved(way: Way) -> None:
    first = way(texture(*SIZE), MOVES["turn"])
    before = first.copy()
    way(255 - texture(*SIZE), MOVES["zoom"])
    assert np.array_equal(first, before)


@either_way
def test_pictures_moved_at_once_in_two_threads_are_as_those_moved_one_by_one(way: Way) -> None:
    images = [np.ascontiguousarray(np.roll(texture(*SIZE), step, 1)) for step in range(24)]
    wanted = [way(image, MOVES["zoom"]) for image in images]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda image: way(image, MOVES["zoom"]), images))
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_a_small_picture_after_a_large_one_shows_nothing_of_it() -> None:
    small = texture(*SIZE)
    wanted = opencv_warped(small, MOVES["turn"])
    opencv_warped(255 - texture(4 * SIZE[0], 4 * SIZE[1]), MOVES["turn"])
    assert np.array_equal(opencv_warped(small, MOVES["turn"]), wanted)


@compiled
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 4), (6, 6), (9, 40), (64, 48), (321, 97)])
def test_a_processors_own_instructions_give_what_the_plain_loop_gives(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    for _ in range(40):
        image = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        matrix = cv2.getRotationMatrix2D(
            (size[0] / 2, size[1] / 2), rng.normal(0, 10), np.exp(rng.normal(0, 0.3))
        )
        matrix[:, 2] += rng.normal(0, size[0], 2)
        back = tuple(cv2.invertAffineTransform(matrix).ravel().tolist())
        plain = np.full_like(image, 7)
        NATIVE.moved_anyhow(image, plain, *size, back)
        assert np.array_equal(warped(image, matrix), plain)


@compiled
def test_a_picture_of_one_column_is_moved_from_as_far_as_is_allowed() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 1, 3), dtype=np.uint8)
    for back in ((1.98e9, 0.0, -9.9e8, 0.0, 1.0, 0.0), (-1.98e9, 0.0, 9.9e8, 0.0, 1.0, 0.0)):
        found, plain = np.full_like(image, 7), np.full_like(image, 8)
        NATIVE.moved(image, found, 1, 8, back)
        NATIVE.moved_anyhow(image, plain, 1, 8, back)
        assert np.array_equal(found, plain)


@compiled
@pytest.mark.parametrize("kind", MOVES)
def test_compiled_it_is_cubic_interpolation_but_for_a_level(kind: str) -> None:
    image = texture(*SIZE)
    cubic = cv2.warpAffine(image, MOVES[kind], SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    apart = np.abs(warped(image, MOVES[kind]).astype(int) - cubic)
    assert apart.max() <= 8  # OpenCV knows 32 places between two pixels, this 128
    assert apart.mean() < 0.5


@compiled
def test_what_is_no_picture_or_no_move_is_refused() -> None:
    image = texture(*SIZE)
    out, still = np.empty_like(image), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    for words in (
        (image, out, SIZE[0] + 1, SIZE[1], still),
        (image, out[1:], *SIZE, still),
        (image, out, 0, SIZE[1], still),
        (image, out, *SIZE, (float("nan"), *still[1:])),
        (image, out, *SIZE, (1e30, *still[1:])),
        (image, out, sys.maxsize, sys.maxsize, still),
    ):
        with pytest.raises(ValueError, match="of that size"):
            NATIVE.moved(*words)
    with pytest.raises(TypeError, match="read-write"):
        NATIVE.moved(image, image.tobytes(), *SIZE, still)


def test_what_is_kept_for_the_next_picture_is_a_bands_and_not_a_pictures() -> None:
    def kept_bytes(width: int, height: int) -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(_kept_after, width, height).result()

    assert kept_bytes(3840, 4320) == kept_bytes(3840, 2160) < 3840 * 2160 * 3


def _kept_after(width: int, height: int) -> int:
    """In a thread that has moved nothing yet."""
    opencv_warped(np.zeros((height, width, 3), np.uint8), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    return sum(part.nbytes for part in warp._KEPT.by_part.values())
