"""Where the metrics' clips and pictures are written to."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.ports import Measurement, MeasureRequest
from caf.qc.measure import measure
from tests.clips import write_clip
from tests.qc.metric_clips import FPS, Image, noise, pan, picture

Scores = dict[str, Measurement]

POLICY_METRICS = (
    "identity_consistency",
    "mask_edge_bleed",
    "temporal_stability",
    "loop_seam",
    "audio_video",
    "costume_fidelity",
    "background_stability",
    "identity_drift",
)


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Write frames (and sound) to a new file and give its path."""
    folder = tmp_path_factory.mktemp("clips")

    def write(frames: list[Image], sound: NDArray[np.float32] | None = None) -> str:
        path = folder / f"{len(list(folder.iterdir())):03}.mp4"
        write_clip(path, frames, fps=FPS, sound=sound)
        return str(path)

    return write


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Image], str]:
    """Write a picture to a new file and give its path."""
    folder: Path = tmp_path_factory.mktemp("pictures")

    def write(image: Image) -> str:
        path = folder / f"{len(list(folder.iterdir())):03}.png"
        cv2.imwrite(str(path), image)
        return str(path)

    return write


@pytest.fixture(scope="session")
def cat_clip(clip_of: Callable[..., str]) -> str:
    """Three seconds of a slowly moving close-up of a cat that loops, with sound: nothing is wrong with it."""
    frames = pan(picture("chelsea"))
    return clip_of(frames, noise(len(frames) / FPS))


@pytest.fixture(scope="session")
def judge() -> Callable[..., Scores]:
    """Measure, by metric name; the source is the clip itself unless told otherwise."""

    def run(
        video: str,
        *metrics: str,
        source: str | None = None,
        reference: str | None = None,
        costume_required: bool = False,
    ) -> Scores:
        request = MeasureRequest(
            metrics=metrics or POLICY_METRICS,
            video=video,
            source=source or video,
            reference=reference,
            costume_required=costume_required,
        )
        return {one.metric: one for one in measure(request, lambda done, of: None)}

    return run
