"""Fixtures: the real model (fetched once per machine), and clips of a person made from a picture."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from caf.media.write import ClipWriter
from caf.pose.model import cache_folder, ensure_model
from caf.pose.source import ModelSource
from caf.pose.wheel import BLAZEPOSE, PinnedFile, fetch_networks

Picture = NDArray[np.uint8]
MakeClip = Callable[[str, Iterable[tuple[Picture, float]]], str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def model() -> str:
    return str(ensure_model(ModelSource(), lambda done, total: None))


@pytest.fixture(scope="session")
def networks() -> tuple[bytes, bytes]:
    """The two networks of the pinned wheel as they are; fetched once per machine, like the model itself."""
    kept = cache_folder() / "test-networks"
    files = kept / "detector.tflite", kept / "landmarks.tflite"
    if not all(
        _is_pinned(*pair) for pair in zip(files, (BLAZEPOSE.detector, BLAZEPOSE.landmarks), strict=True)
    ):
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            for path, payload in zip(
                files, fetch_networks(Path(scratch), lambda done, total: None), strict=True
            ):
                aside = Path(scratch, path.name)
                aside.write_bytes(payload)
                aside.replace(path)
    return files[0].read_bytes(), files[1].read_bytes()


def _is_pinned(path: Path, pinned: PinnedFile) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == pinned.sha256


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
