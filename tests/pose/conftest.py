"""Fixtures: the real model (fetched once per machine), and clips of a person made from a picture."""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from caf.media.write import ClipWriter
from caf.pose.model import ensure_model
from caf.pose.source import ModelSource

Picture = NDArray[np.uint8]
MakeClip = Callable[[str, Iterable[tuple[Picture, float]]], str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model() -> str:
    return str(ensure_model(ModelSource(), lambda done, total: None))


@pytest.fixture(scope="session")
def person() -> Picture:
    """(256, 256, 3) uint8 BGR: a woman, head and shoulders, her face right of the upper middle."""
    picture = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(name: str, frames: Iterable[tuple[Picture, float]]) -> str:
        path, told = tmp_path / name, list(frames)
        height, width = told[0][0].shape[:2]
        with ClipWriter(path, width=width, height=height, fps=25, variable_fps=True) as writer:
            for picture, time_s in told:
                writer.write(picture, time_s)
        return str(path)

    return make
