"""How far a stabilised picture is from what a perfect camera would have shown: corner error in pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.steady_scenes import FPS, SIZE
from caf.engines.similarity import agreed_similarity
from caf.engines.smooth import smooth

__all__ = ["Score", "matrices_of", "moves_between", "score"]

Image = NDArray[np.uint8]
SMOOTH_S = 0.5
"""Errors slower than this are taste: another smooth path than the perfect camera's."""


class Score(NamedTuple):
    """`error_px`: RMS over the corners; `crop_share`: of width and height; `black_share`: of frames with a border."""

    error_px: float
    crop_share: float
    black_share: float


def matrices_of(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 2, 3) from the perfect to the shaken picture."""
    middle = (np.array(SIZE) - 1) / 2
    out = np.empty((len(path), 2, 3))
    for index, (x, y, roll, log_zoom) in enumerate(path):
        turn = np.exp(log_zoom) * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        out[index] = np.column_stack((turn, middle + np.array([x, y]) - turn @ middle))
    return out


def moves_between(perfect: Sequence[Image], shown: Sequence[Image]) -> NDArray[np.float64]:
    """(T, 2, 3) from the perfect picture to the one shown, found in the pictures; NaN where it was not."""
    out = np.full((len(perfect), 2, 3), np.nan)
    guess = np.eye(2, 3)
    for index, (clean, image) in enumerate(zip(perfect, shown, strict=True)):
        found = _registered(clean, image, guess)
        if found is not None:
            guess = out[index] = found
    return out


def _registered(clean: Image, image: Image, guess: NDArray[np.float64]) -> NDArray[np.float64] | None:
    before, after = (cv2.cvtColor(i, cv2.COLOR_BGR2GRAY) for i in (clean, image))
    corners = cv2.goodFeaturesToTrack(before, 300, 0.003, 9, blockSize=5)
    if corners is None:
        return None
    start = corners.reshape(-1, 2).astype(np.float32)
    near = (start @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.003)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start,
        near,
        winSize=(21, 21),
        maxLevel=4,
        criteria=stop,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    good = ok.ravel() > 0
    if good.sum() < 12:
        return None
    middle = (np.array(SIZE) - 1) / 2
    old, new = (points[good].astype(np.float64) - middle for points in (start, there))
    (x, y, roll, log_zoom), held = agreed_similarity(old, new, 1.5)
    if held.sum() < 8:
        return None
    return matrices_of(np.array([[x, y, roll, log_zoom]]))[0]


def score(moves: NDArray[np.float64], shown: Sequence[Image] = ()) -> Score:
    """Of the moves (T, 2, 3) from the perfect picture to the one shown; its constant zoom does not count."""
    known = ~np.isnan(moves[:, 0, 0])
    moves = moves[known]
    zoom = np.sqrt(np.abs(np.linalg.det(moves[:, :, :2])))
    corners = np.array([(0, 0), (SIZE[0] - 1, 0), (0, SIZE[1] - 1), (SIZE[0] - 1, SIZE[1] - 1)], np.float64)
    places = np.einsum("tij,cj->tci", moves[:, :, :2], corners) + moves[:, None, :, 2]
    error = places.reshape(len(moves), 8) / float(np.median(zoom))
    rest = error - smooth(error, SMOOTH_S * FPS, robust=False)
    black = [_has_border(image) for image in shown]
    return Score(
        error_px=float(np.sqrt((rest**2).sum(axis=1).mean() / 4)),
        crop_share=float(1 - 1 / np.median(zoom)),
        black_share=float(np.mean(black)) if black else 0.0,
    )


def _has_border(image: Image) -> bool:
    """Whether some side's outermost pixels are black along a tenth of it."""
    dark = image.max(axis=2) < 3  # black fur is not as black as nothing
    return any(float(line.mean()) > 0.1 for line in (dark[0], dark[-1], dark[:, 0], dark[:, -1]))
