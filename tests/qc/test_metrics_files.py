"""The technical metrics on files of every kind that a clean clip may come as: no false alarm, no crash."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from msgspec.structs import replace

from caf.ports import MeasureRequest, VideoTarget
from caf.qc.measure import find, measure
from caf.qc.metrics import METRICS
from tests.clips import write_clip
from tests.hdr import HLG, PQ, write_hdr_clip
from tests.qc.metric_clips import FPS, Image, lit, pan, picture

TECHNICAL = tuple(name for name, metric in METRICS.items() if metric.technical)
SIZE = (360, 240)


def poor(path: Path, **asked: object) -> dict[str, str]:
    """The technical metrics of a file below their threshold, and why; without a source it is its own."""
    request = MeasureRequest(
        metrics=TECHNICAL, video=str(path), source=str(asked.pop("source", path)), **asked
    )
    return {
        one.metric: one.reason
        for one in measure(request, lambda done, of: None)
        if one.score is not None and one.score < (METRICS[one.metric].threshold or 0.0)
    }


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    return pan(picture("chelsea"), 48)


OTHER = pan(picture("astronaut"), 48)
GRAIN = np.random.default_rng(4).normal(0, 5, (4, SIZE[1], SIZE[0], 3))


def barred(frame: Image) -> Image:
    out = frame.copy()
    out[:32], out[-32:] = 0, 0
    return out


def worded(frame: Image, at: int) -> Image:
    words = ("meow", "again", "purr")[at // 16]
    out = frame.copy()
    cv2.putText(out, words, (70, 210), cv2.FONT_HERSHEY_DUPLEX, 1.5, (255, 255, 255), 3, cv2.LINE_AA)
    return out


KINDS: dict[str, Callable[[Path, list[Image]], Path]] = {
    # As fast as the others by the clock: four times as many frames of the same path.
    "120 frames a second": lambda path, frames: write_clip(
        path, pan(picture("chelsea"), 4 * len(frames)), fps=120
    ),
    "variable rate": lambda path, frames: write_clip(
        path, frames, times_s=(np.arange(len(frames)) / 30 + np.arange(len(frames)) % 3 / 90).tolist()
    ),
    "turned by a flag": lambda path, frames: write_clip(path, frames, rotation_deg=90),
    "10 bits": lambda path, frames: write_clip(path, frames, pixel_format="yuv420p10le"),
    "4:4:4": lambda path, frames: write_clip(path, frames, pixel_format="yuv444p"),
    "one frame": lambda path, frames: write_clip(path, frames[:1]),
    "two frames": lambda path, frames: write_clip(path, frames[:2]),
    "portrait": lambda path, frames: write_clip(
        path, [np.ascontiguousarray(np.rot90(frame)) for frame in frames]
    ),
    "alpha": lambda path, frames: write_clip(
        path.with_suffix(".mov"), frames, video_codec="qtrle", pixel_format="argb", options={}
    ),
    "alpha in ProRes": lambda path, frames: write_clip(
        path.with_suffix(".mov"), frames, video_codec="prores_ks", pixel_format="yuva444p10le", options={}
    ),
    "alpha in VP9": lambda path, frames: write_clip(
        path.with_suffix(".webm"),
        frames,
        video_codec="libvpx-vp9",
        pixel_format="yuva420p",
        options={"crf": "15", "b": "0", "deadline": "realtime", "cpu-used": "8"},
    ),
    "PQ": lambda path, frames: write_hdr_clip(path, frames, PQ),
    "HLG": lambda path, frames: write_hdr_clip(path, frames, HLG),
    "HEVC with 10 bits": lambda path, frames: write_clip(
        path,
        frames,
        video_codec="libx265",
        pixel_format="yuv420p10le",
        options={"crf": "14", "preset": "ultrafast", "x265-params": "log-level=none"},
    ),
    "16 bits of grey": lambda path, frames: write_clip(
        path.with_suffix(".mkv"), frames, video_codec="ffv1", pixel_format="gray16le", options={}
    ),
    "4K": lambda path, frames: write_clip(
        path,
        [cv2.resize(frame, (3840, 2160), interpolation=cv2.INTER_CUBIC) for frame in frames[:13]],
        options={"crf": "16", "preset": "superfast"},
    ),
    "black and white": lambda path, frames: write_clip(path, frames, pixel_format="gray"),
    "slides": lambda path, frames: write_clip(path, [frames[16 * (at // 16)] for at in range(48)]),
    "cuts": lambda path, frames: write_clip(path, [*frames[:16], *OTHER[:16], *frames[32:]]),
    "fades": lambda path, frames: write_clip(
        path, lit(frames, np.clip(np.minimum(np.arange(48), np.arange(48)[::-1]) / 14, 0, 1))
    ),
    "slow motion": lambda path, frames: write_clip(
        path,
        [
            cv2.addWeighted(frames[at // 2], 0.5, frames[at // 2 + 1], 0.5, 0) if at % 2 else frames[at // 2]
            for at in range(48)
        ],
    ),
    "bars": lambda path, frames: write_clip(path, [barred(frame) for frame in frames]),
    "words": lambda path, frames: write_clip(path, [worded(frame, at) for at, frame in enumerate(frames)]),
    "grain": lambda path, frames: write_clip(
        path, [np.clip(frame + GRAIN[at % 4], 0, 255).astype(np.uint8) for at, frame in enumerate(frames)]
    ),
    "a small picture": lambda path, frames: write_clip(
        path, [np.ascontiguousarray(frame[:64, :64]) for frame in frames]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_clip_of_any_kind_is_poor_in_nothing(kind: str, frames: list[Image], tmp_path: Path) -> None:
    assert poor(KINDS[kind](tmp_path / "clip.mp4", frames)) == {}


@pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
@pytest.mark.parametrize("light", [1.0, 0.35])
def test_an_hdr_clip_is_as_well_exposed_as_its_copy_for_an_ordinary_screen(
    transfer: int, light: float, frames: list[Image], tmp_path: Path
) -> None:
    seen = lit(frames[:24], np.full(24, light))
    plain = write_clip(tmp_path / "plain.mp4", seen, fps=24)
    hdr = write_hdr_clip(tmp_path / "hdr.mp4", seen, transfer)
    asked = MeasureRequest(metrics=("exposure",), video=str(hdr), source=str(plain))
    (found,) = measure(asked, lambda done, of: None)
    (same,) = measure(replace(asked, video=str(plain)), lambda done, of: None)
    assert abs(found.raw["stops_off"]) < 0.1
    assert found.raw["lightest_levels"] == pytest.approx(same.raw["lightest_levels"], abs=6)


def test_alpha_lies_on_black(frames: list[Image], tmp_path: Path) -> None:
    height, width = frames[0].shape[:2]
    with av.open(str(tmp_path / "half.mov"), "w") as out:
        stream = out.add_stream("qtrle", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "argb"
        for frame in frames[:24]:
            clear = np.dstack([np.full((height, width), 255, np.uint8), frame[..., ::-1]])
            clear[:, : width // 2, 0] = 0
            out.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(clear), format="argb")))
        out.mux(stream.encode(None))
    barred = [np.hstack([np.zeros_like(one[:, : width // 2]), one[:, width // 2 :]]) for one in frames[:24]]
    plain = write_clip(
        tmp_path / "plain.mkv", barred, fps=24, video_codec="ffv1", pixel_format="bgr0", options={}
    )
    half, same = (
        measure(MeasureRequest(metrics=TECHNICAL, video=path, source=path), lambda done, of: None)
        for path in (str(tmp_path / "half.mov"), str(plain))
    )
    assert [one.raw for one in half[:-1]] == [one.raw for one in same[:-1]]


@pytest.mark.parametrize(("width", "height"), [(360, 8), (320, 18), (9, 240), (2, 2), (1, 1)])
def test_a_strip_and_a_clip_of_a_pixel_are_examined_like_any_other(
    width: int, height: int, frames: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mkv"
    cut = [np.ascontiguousarray(frame[:height, :width]) for frame in frames[:24]]
    write_clip(path, cut, video_codec="ffv1", pixel_format="bgr0", options={})
    names = tuple(METRICS)
    measured = measure(
        MeasureRequest(metrics=names, video=str(path), source=str(path)), lambda done, of: None
    )
    assert [one.metric for one in measured] == list(names)
    assert all(one.reason for one in measured)


def test_every_technical_metric_says_what_a_viewer_sees_and_where_it_is_poor() -> None:
    assert len(TECHNICAL) == 11
    for name in TECHNICAL:
        metric = METRICS[name]
        assert metric.viewer
        assert metric.threshold is not None
        assert metric.unit == "score, 0..1"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (VideoTarget(width=180, height=320, fps=30.0), "the size is 360x240 and not 180x320"),
        (VideoTarget(width=360, height=240, fps=25.0), "the frame rate is 30.00 and not 25.00"),
        (
            VideoTarget(width=360, height=240, fps=30.0, length_seconds=9.0),
            "the clip lasts 1.6 s and not 9.0 s",
        ),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_is_told_in_words(
    asked: VideoTarget, words: str, frames: list[Image], tmp_path: Path
) -> None:
    found = poor(write_clip(tmp_path / "clip.mp4", frames), target=asked)
    assert list(found) == ["format"]
    assert words in found["format"].lower()


def test_without_a_wish_or_a_source_nothing_is_said_about_the_format(
    frames: list[Image], tmp_path: Path
) -> None:
    path = str(write_clip(tmp_path / "clip.mp4", frames))
    (found,) = measure(MeasureRequest(metrics=("format",), video=path, source=path), lambda done, of: None)
    assert found.score is None
    assert "asked for" in found.reason


def test_pixels_that_not_every_player_shows_are_told_against_a_source_that_had_others(
    frames: list[Image], tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "source.mp4", frames)
    assert poor(write_clip(tmp_path / "same.mp4", frames), source=source) == {}
    found = poor(write_clip(tmp_path / "odd.mp4", frames, pixel_format="yuv444p"), source=source)
    assert "yuv444p" in found["format"]
    turned = poor(write_clip(tmp_path / "turned.mp4", frames, rotation_deg=180), source=source)
    assert "180 degrees" in turned["format"]


def test_blamed_frames_and_series_are_as_long_as_the_clip(frames: list[Image], tmp_path: Path) -> None:
    spoiled = list(frames)
    spoiled[20] = np.ascontiguousarray(np.roll(frames[20], 60, axis=1))
    path = str(write_clip(tmp_path / "clip.mp4", spoiled, fps=FPS))
    found = find(MeasureRequest(metrics=TECHNICAL, video=path, source=path), lambda done, of: None)
    assert len(found.time_s) == len(frames)
    for one in found.findings:
        assert all(len(series) == len(frames) for series in one.series.values())
        assert set(one.measurement.worst_frames) <= set(range(len(frames)))
    by_name = {one.measurement.metric: one for one in found.findings}
    assert by_name["glitch"].blamed == (20,)
    assert by_name["glitch"].measurement.worst_frames == (20,)
