"""Frames come as they are displayed, at the times they are displayed."""

import gc
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from caf.errors import MediaError
from caf.media.probe import probe
from caf.media.read import first_shown_s, read_frames, read_picture
from caf.ports import ProbeRequest
from tests.clips import texture, write_clip


def corners(width: int, height: int) -> np.ndarray:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (0, 0, 255)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (255, 0, 0)
    image[height // 2 :, width // 2 :] = 255
    return image


def quarters(image: np.ndarray) -> list[str]:
    """The colours of the four quarters, reading order."""
    height, width = image.shape[:2]
    names = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            b, g, r = (int(v) > 128 for v in image[y, x])
            names.append(
                {(0, 0, 1): "red", (0, 1, 0): "green", (1, 0, 0): "blue", (1, 1, 1): "white"}[b, g, r]
            )
    return names


@pytest.mark.parametrize(
    ("clockwise_deg", "expected"),
    [
        (0, ["red", "green", "blue", "white"]),
        (90, ["blue", "red", "white", "green"]),
        (180, ["white", "blue", "green", "red"]),
        (270, ["green", "white", "red", "blue"]),
    ],
)
def test_the_rotation_flag_is_applied(tmp_path: Path, clockwise_deg: int, expected: list[str]) -> None:
    path = write_clip(tmp_path / "phone.mp4", [corners(64, 32)] * 2, rotation_deg=clockwise_deg)
    image = read_picture(path)
    assert image.shape == ((64, 32, 3) if clockwise_deg % 180 else (32, 64, 3))
    assert quarters(image) == expected


@pytest.mark.parametrize(
    ("counter_clockwise_deg", "expected"),
    [(0, ["green", "red", "white", "blue"]), (90, ["white", "green", "blue", "red"])],
)
def test_a_mirrored_recording_is_shown_as_meant(
    tmp_path: Path, counter_clockwise_deg: int, expected: list[str]
) -> None:
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(counter_clockwise_deg, hflip=True)
        for _ in range(2):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(corners(64, 32), format="bgr24")))
        out.mux(stream.encode(None))
    found = quarters(read_picture(path))
    assert found != quarters(corners(64, 32))
    assert found == expected


def test_an_image_is_one_frame_at_zero(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), texture(40, 30))
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == [0.0]
    assert np.array_equal(frames[0].image, texture(40, 30))


def test_transparent_pixels_lie_on_black(tmp_path: Path) -> None:
    image = np.full((8, 8, 4), 200, np.uint8)
    image[:, 4:, 3] = 0
    image[:, :4, 3] = 255
    cv2.imwrite(str(tmp_path / "half.png"), image)
    found = read_picture(tmp_path / "half.png")
    assert (found[:, :4] == 200).all()
    assert (found[:, 4:] == 0).all()


def test_non_square_pixels_are_stretched_to_the_shown_shape(tmp_path: Path) -> None:
    path = tmp_path / "dv.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 72, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        out.mux(stream.encode(av.VideoFrame.from_ndarray(texture(72, 64), format="bgr24")))
        out.mux(stream.encode(None))
    info = probe(ProbeRequest(path=str(path)), lambda done, total: None)
    assert (info.width, info.height) == (144, 64)
    assert read_picture(path).shape == (64, 144, 3)


def test_times_of_a_variable_rate_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.25, 0.26, 1.0]
    path = write_clip(tmp_path / "vfr.mp4", [texture(32, 32, seed=i) for i in range(6)], times_s=times)
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx(times, abs=2e-5)


def test_reading_from_a_later_time_gives_the_same_frames(tmp_path: Path) -> None:
    images = [texture(48, 32, seed=i) for i in range(40)]
    path = write_clip(tmp_path / "long.mp4", images)
    everything = list(read_frames(path))
    later = list(read_frames(path, start_s=0.9))
    assert [frame.time_s for frame in later] == pytest.approx([f.time_s for f in everything[27:]])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(later, everything[27:], strict=True))


def test_rgb_is_bgr_the_other_way_round(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", [texture(32, 32)])
    bgr, rgb = next(read_frames(path)).image, next(read_frames(path, pixel="rgb24")).image
    assert np.array_equal(bgr, rgb[:, :, ::-1])


def test_damage_in_the_middle_is_named_with_its_time(tmp_path: Path) -> None:
    images = [texture(96, 64, seed=i) for i in range(60)]
    whole = write_clip(tmp_path / "whole.mp4", images, options={"g": "10", "crf": "12"})
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        spots = [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos]
    for pos, size in spots[28:34]:
        data[pos : pos + size] = b"\xff" * size
    path = tmp_path / "hurt.mp4"
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        list(read_frames(path))
    assert caught.value.kind == "media_damaged"
    assert " s" in caught.value.message


def test_a_frame_is_free_as_soon_as_nobody_holds_it(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", [texture(48, 32, seed=i) for i in range(40)])
    gc.collect()
    gc.disable()
    try:
        for _ in read_frames(path):
            pass
        left = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
    finally:
        gc.enable()
    assert left < 5


def test_however_many_threads_decode_the_frames_are_the_same(tmp_path: Path) -> None:
    moving = [np.roll(texture(96, 64), 3 * index, axis=1) for index in range(12)]
    path = write_clip(tmp_path / "moving.mp4", moving)
    one, many = (list(read_frames(path, threads=threads)) for threads in (1, 8))
    assert len(one) == len(many) == 12
    for left, right in zip(one, many, strict=True):
        assert left.time_s == right.time_s
        assert np.array_equal(left.image, right.image)


def test_what_is_guessed_of_damaged_pictures_is_the_same_each_time(tmp_path: Path) -> None:
    moving = [np.roll(texture(320, 240), 3 * index, axis=1) for index in range(90)]
    whole = write_clip(tmp_path / "whole.mp4", moving, options={"g": "90", "bf": "2", "crf": "12"})
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        spots = [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos]
    for pos, size in spots[20:80:7]:
        data[pos + 3 * size // 4] ^= 0x55
    path = tmp_path / "hurt.mp4"
    path.write_bytes(data)
    alone = list(read_frames(path, threads=1))
    for _ in range(3):
        shared = list(read_frames(path, threads=8))
        assert [frame.time_s for frame in shared] == [frame.time_s for frame in alone]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(shared, alone, strict=True))


@pytest.mark.parametrize("suffix", ["h264", "hevc"])
def test_frames_of_a_raw_stream_follow_each_other_at_the_rate_that_its_pictures_state(
    tmp_path: Path, suffix: str
) -> None:
    images = [texture(96, 64, seed=i) for i in range(12)]
    path = tmp_path / f"raw.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream({"h264": "libx264", "hevc": "libx265"}[suffix], rate=20, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode(None))
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 20 for index in range(12)])
    assert all(np.abs(f.image.astype(int) - i).mean() < 20 for f, i in zip(frames, images, strict=True))
    later = list(read_frames(path, start_s=0.3))
    assert [frame.time_s for frame in later] == pytest.approx([index / 20 for index in range(6, 12)])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(later, frames[6:], strict=True))
    info = probe(ProbeRequest(path=str(path)), lambda done, total: None)
    assert (info.kind, info.frames, info.fps) == ("clip", 12, 20.0)
    assert info.duration_s == pytest.approx(0.6)


def test_frames_of_an_avi_that_were_reordered_for_coding_come_in_even_steps(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "bframes=3:b-adapt=0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(40):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(texture(96, 64, seed=index), format="bgr24")))
        out.mux(stream.encode(None))
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(40)])
    assert first_shown_s(path) == 0.0  # its sound is in time with what is stored first
