"""Brightness and colours by the planes that a frame is coded in, beside the converted picture."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.media.planes import FULL_LEVELS, planes_of, shrunk
from caf.media.read import read_picture, shown_frames
from caf.qc.metrics.frames import see
from tests.clips import texture

SIZE = (96, 64)


def coded(folder: Path, pixel_format: str = "yuv420p", **told: Any) -> Path:
    """A picture of calm colours as a clip of two frames."""
    path = folder / f"{pixel_format}.mp4"
    picture = np.asarray(cv2.GaussianBlur(texture(*SIZE), (0, 0), 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        if "aspect" in told:
            stream.codec_context.sample_aspect_ratio = told["aspect"]
        if "turn_deg" in told:
            stream.set_display_rotation(told["turn_deg"], hflip=told.get("mirrored", False))
        for _ in range(2):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))
    return path


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize(
    ("pixel_format", "told"),
    [
        ("yuv420p", {}),
        ("yuvj420p", {}),
        ("yuv422p", {}),
        ("yuv444p", {}),
        ("yuv420p", {"turn_deg": 90}),
        ("yuv420p", {"turn_deg": 180}),
        ("yuv420p", {"turn_deg": 270, "mirrored": True}),
        ("yuv420p", {"aspect": Fraction(2)}),
    ],
)
def test_the_planes_show_what_the_converted_picture_does(
    tmp_path: Path, pixel_format: str, told: dict[str, Any]
) -> None:
    path = coded(tmp_path, pixel_format, **told)
    picture = read_picture(path)
    planes = planes_of(next(shown_frames(path)))
    assert planes is not None
    assert planes.luma.shape == picture.shape[:2]
    luma = planes.luma if planes.full_range else FULL_LEVELS[planes.luma]
    assert apart(luma, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)) < 2.5
    height, width = picture.shape[:2]
    assert apart(planes.bgr((width, height)), picture) < 4
    small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    assert apart(planes.bgr((width // 2, height // 2)), np.asarray(small, np.uint8)) < 4


def test_more_than_eight_bits_are_seen_by_the_converted_picture(tmp_path: Path) -> None:
    path = coded(tmp_path, "yuv420p10le")
    assert planes_of(next(shown_frames(path))) is None
    frame = next(see(str(path)))
    assert apart(frame.luma, np.asarray(cv2.cvtColor(read_picture(path), cv2.COLOR_BGR2GRAY), np.uint8)) == 0


def test_a_plane_made_small_keeps_its_mean() -> None:
    plane = texture(400, 300)[..., 0]
    small = shrunk(plane, (40, 30))
    assert small.shape == (30, 40)
    assert abs(float(small.mean()) - float(plane.mean())) < 1


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuvj420p"])
def test_tones_by_the_planes_are_those_of_the_picture(tmp_path: Path, pixel_format: str) -> None:
    frame = next(see(str(coded(tmp_path, pixel_format))))
    expected = cv2.cvtColor(frame.picture(900), cv2.COLOR_BGR2YCrCb)
    tones = frame.tones(900)
    assert tones.shape == expected.shape
    assert apart(tones, expected) < 2.0
