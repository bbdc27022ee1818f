"""The pictures of docs/tools.md are there, small, and what the tools really make."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import Image
from tests.docs.pages import ROOT
from tests.docs.pictures import FOLDER, NAMES, pictures

MOST_BYTES = 150_000


def sharpness(image: Image) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_64F).std())


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_there_small_and_shown(name: str) -> None:
    assert (FOLDER / name).stat().st_size <= MOST_BYTES
    assert f"](images/{name})" in (ROOT / "docs" / "tools.md").read_text("utf-8")


def test_the_committed_pictures_are_those_that_the_tools_make(tmp_path: Path) -> None:
    for name, made in pictures(tmp_path).items():
        kept = cv2.imread(str(FOLDER / name))
        assert kept is not None
        assert kept.shape == made.shape
        assert float(np.abs(kept.astype(int) - made).mean()) < 8


def test_what_is_laid_over_each_other_is_sharp_only_after_steadying() -> None:
    shown = cv2.imread(str(FOLDER / "stabilize.jpg"))
    assert shown is not None
    height, width = shown.shape[:2]
    laid = shown[:, 2 * width // 3 :]
    before, after = (np.asarray(half[30:], np.uint8) for half in (laid[: height // 2], laid[height // 2 :]))
    assert sharpness(after) > 2 * sharpness(before)
