"""How much detail a picture has, cell by cell: compiled where there was a compiler when caf was installed, else by
OpenCV, to the same bits."""

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.compiled import NATIVE
from caf.qc.metrics.frames import Gray

__all__ = ["laplacian_means", "opencv_laplacian_sums"]

Floats = NDArray[np.float64]


def laplacian_means(gray: Gray, cells: int) -> Floats:
    """(cells, cells) mean absolute Laplacian, of at most 255 a pixel; the picture is mirrored beyond its rim."""
    height, width = gray.shape
    if min(height, width) < cells:
        parts = cv2.resize(_laplacian(gray).astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
        return np.asarray(parts, dtype=np.float64)
    if NATIVE is None:
        sums = opencv_laplacian_sums(gray, cells)
    else:
        sums = np.empty((cells, cells), dtype=np.int64)
        NATIVE.laplacian_sums(gray, cells, sums)
    return np.asarray(sums / _borders(height, width, cells)[2], dtype=np.float64)


def opencv_laplacian_sums(gray: Gray, cells: int) -> NDArray[np.int64]:
    """The sums behind `laplacian_means` without compiled code, of a picture of at least so many rows and columns."""
    laplacian = _laplacian(gray)
    rows, columns, _ = _borders(*laplacian.shape, cells)
    sums = np.empty((cells, laplacian.shape[1]), dtype=np.int32)
    for row, (top, bottom) in enumerate(pairwise(rows)):
        cv2.reduce(laplacian[top:bottom], 0, cv2.REDUCE_SUM, sums[row : row + 1], cv2.CV_32S)
    return np.asarray(np.add.reduceat(sums, columns, axis=1), dtype=np.int64)


def _laplacian(gray: Gray) -> Gray:
    return np.asarray(cv2.convertScaleAbs(cv2.Laplacian(gray, cv2.CV_16S, ksize=1)), dtype=np.uint8)


@lru_cache(maxsize=16)
def _borders(height: int, width: int, cells: int) -> tuple[list[int], NDArray[np.int64], Floats]:
    """Where the cells' rows begin and end, where their columns begin, and how large each is."""
    rows, columns = (np.arange(cells + 1) * side // cells for side in (height, width))
    return rows.tolist(), columns[:-1], np.outer(np.diff(rows), np.diff(columns)).astype(np.float64)
