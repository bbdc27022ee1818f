"""The video stage: shape, rate, length and sound of the finished clip."""

from pathlib import Path

import av
import numpy as np
import pytest

from caf.errors import UnavailableError
from caf.media.encoders import HARDWARE, working
from caf.media.probe import probe
from caf.media.read import read_frames
from caf.media.write import ClipWriter
from caf.ports import MediaInfo, ProbeRequest, VideoTarget
from tests.clips import click_times_s, clicks, make_clip, texture, write_clip
from tests.engines.stages import fact, images, run


def look(path: Path) -> MediaInfo:
    return probe(ProbeRequest(path=str(path)), lambda done, total: None)


def counting_clip(path: Path, count: int, *, fps: float = 30.0, times_s: list[float] | None = None) -> Path:
    """Frame n shows a white bar at the n-th place."""
    frames = []
    for index in range(count):
        image = np.full((48, 64, 3), 40, np.uint8)
        image[:, 3 * index : 3 * index + 3] = 230
        frames.append(image)
    return write_clip(path, frames, fps=fps, times_s=times_s)


def numbers(path: Path) -> list[int]:
    return [int(np.argmax(i.mean(axis=(0, 2))[:63].reshape(21, 3).mean(axis=1))) for i in images(path)]


SMALL = VideoTarget(width=64, height=48, fps=30.0)


PATCHES = [(200, 60, 40), (40, 190, 60), (50, 60, 210), (180, 180, 180), (20, 20, 20), (30, 200, 220)]


def patches(path: Path, pixel: str, matrix: int, full: bool) -> Path:
    """Six patches of colour, as they are coded with this matrix (ITU-T H.273) and range."""
    image = np.repeat(np.repeat(np.array([PATCHES], np.uint8), 48, axis=0), 16, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb" if pixel == "gbrp" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "rgb24" if pixel == "gbrp" else pixel
        stream.options = {"crf": "4", "bf": "0"}
        if pixel != "gbrp":
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full else 1
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            if pixel != "gbrp":
                frame = frame.reformat(format=pixel, dst_colorspace=matrix, dst_color_range=2 if full else 1)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("pixel", "matrix", "full"),
    [
        ("yuv420p", 1, False),
        ("yuv420p", 5, False),
        ("yuv420p", 1, True),
        ("yuv444p", 1, False),
        ("gbrp", 0, True),
    ],
)
def test_colours_stay_whatever_way_the_source_codes_them(
    tmp_path: Path, pixel: str, matrix: int, full: bool
) -> None:
    source = patches(tmp_path / "c.mp4", pixel, matrix, full)
    _, out = run("video", tmp_path / "out", {"source": source}, VideoTarget(width=96, height=48, fps=30.0))
    before, after = (images(path)[2].astype(float) for path in (source, out))
    for place, colour in enumerate(PATCHES):
        middle = np.s_[20:28, 16 * place + 5 : 16 * place + 11]
        assert np.abs(before[middle].mean(axis=(0, 1)) - colour).max() < 6, colour
        assert np.abs(after[middle].mean(axis=(0, 1)) - before[middle].mean(axis=(0, 1))).max() < 6, colour


def test_frames_that_are_encoded_as_decoded_can_be_shown_twice(tmp_path: Path) -> None:
    source = patches(tmp_path / "c.mp4", "yuv420p", 1, False)
    target = VideoTarget(width=96, height=48, fps=60.0)
    _, out = run("video", tmp_path / "out", {"source": source}, target, fps_strategy="resample")
    times = [frame.time_s for frame in read_frames(out)]
    assert times == pytest.approx([tick / 60 for tick in range(8)], abs=1e-4)


def test_the_encoder_chooses_its_own_key_frames_whatever_the_source_s_are(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "all-key.mp4", [texture(64, 48)] * 20, options={"g": "1"})
    _, out = run("video", tmp_path / "out", {"source": source}, SMALL)
    with av.open(str(out)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [True] + [False] * 19


def test_letterbox_bars_are_black_and_exactly_where_they_belong(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "c.mp4", [np.full((60, 80, 3), 200, np.uint8)] * 3)
    target = VideoTarget(width=80, height=160, fps=30.0)
    _, out = run("video", tmp_path / "out", {"source": source, "motion": source}, target)
    image = images(out)[1]
    assert image.shape == (160, 80, 3)
    assert image[:46].max() <= 20
    assert image[-46:].max() <= 20
    assert (np.abs(image[54:106].astype(int) - 200) <= 12).all()


@pytest.mark.parametrize("policy", ["crop_center", "pad_reflect"])
def test_the_other_policies_leave_no_black(tmp_path: Path, policy: str) -> None:
    source = write_clip(tmp_path / "c.mp4", [np.full((60, 80, 3), 200, np.uint8)] * 3)
    target = VideoTarget(width=80, height=160, fps=30.0)
    _, out = run(
        "video", tmp_path / "out", {"source": source, "motion": source}, target, resolution_policy=policy
    )
    assert images(out)[1].min() > 180


def test_preserve_keeps_variable_times_and_the_duration(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.25, 0.26, 0.6]
    source = counting_clip(tmp_path / "c.mp4", 6, times_s=times)
    _, out = run("video", tmp_path / "out", {"source": source, "motion": source}, SMALL)
    assert [f.time_s for f in read_frames(out)] == pytest.approx(times, abs=2e-5)
    assert numbers(out) == [0, 1, 2, 3, 4, 5]
    assert look(out).duration_s == pytest.approx(look(source).duration_s, abs=1 / 30)


def test_a_last_frame_that_is_shown_for_longer_than_the_others_is_so_still(tmp_path: Path) -> None:
    source, scene = tmp_path / "held.mp4", texture(100, 48)
    with ClipWriter(source, width=64, height=48, fps=10.0) as writer:
        for index in range(20):
            writer.write(np.ascontiguousarray(scene[:, index : index + 64]), index / 10)
        writer.end(2.5)
    assert not look(source).variable_fps
    result, out = run("video", tmp_path / "out", {"source": source, "motion": source}, SMALL)
    assert look(out).frames == 20
    assert look(out).duration_s == fact(result, "duration_s") == pytest.approx(2.5, abs=1e-3)


def test_resample_shows_the_right_frame_at_every_tick_of_the_new_rate(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 12, fps=12.0)
    target = VideoTarget(width=64, height=48, fps=24.0)
    _, out = run(
        "video", tmp_path / "up", {"source": source, "motion": source}, target, fps_strategy="resample"
    )
    assert numbers(out) == [i // 2 for i in range(24)]
    assert (look(out).fps, look(out).duration_s) == (24.0, pytest.approx(1.0, abs=1e-3))
    target = VideoTarget(width=64, height=48, fps=6.0)
    _, out = run(
        "video", tmp_path / "down", {"source": source, "motion": source}, target, fps_strategy="resample"
    )
    assert numbers(out) == [0, 2, 4, 6, 8, 10]
    assert look(out).duration_s == pytest.approx(1.0, abs=1e-3)


def test_reduce_halves_the_rate_until_the_target_is_met(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 20, fps=60.0)
    result, out = run(
        "video", tmp_path / "out", {"source": source, "motion": source}, SMALL, fps_strategy="reduce"
    )
    assert numbers(out) == list(range(0, 20, 2))
    assert fact(result, "fps") == 30.0
    assert look(out).duration_s == pytest.approx(20 / 60, abs=1e-3)


def test_reduce_leaves_a_rate_that_is_low_enough(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 6, fps=24.0)
    _, out = run(
        "video", tmp_path / "out", {"source": source, "motion": source}, SMALL, fps_strategy="reduce"
    )
    assert numbers(out) == list(range(6))


@pytest.mark.parametrize("limit", [1, 7, 500])
def test_max_frames_ends_the_clip_and_its_sound(tmp_path: Path, limit: int) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=24, size=(64, 48), audio=True)
    _, out = run("video", tmp_path / "out", {"source": source, "motion": source}, SMALL, max_frames=limit)
    info = look(out)
    assert info.frames == min(limit, 24)
    assert info.duration_s == pytest.approx(min(limit, 24) / 30, abs=1e-3)
    assert (info.audio_duration_s or 0.0) <= info.duration_s + 0.024


def test_the_targets_length_cuts_a_longer_clip(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=24, size=(64, 48))
    target = VideoTarget(width=64, height=48, fps=30.0, length_seconds=0.5)
    _, out = run("video", tmp_path / "out", {"source": source, "motion": source}, target)
    assert (look(out).frames, look(out).duration_s) == (15, pytest.approx(0.5, abs=1e-3))


def test_sound_goes_through_all_three_stages_in_its_place(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "c.mp4",
        [texture(64, 48, seed=1)] * 36,
        sound=clicks(1.0, [0.3, 0.6]),
        sound_start_s=0.12,
    )
    _, frames = run("frame", tmp_path / "f", {"source": source}, SMALL, sharpen=0.2)
    _, motion = run("motion", tmp_path / "m", {"source": source, "frames": frames}, SMALL, pose_weight=0.95)
    result, out = run("video", tmp_path / "v", {"source": source, "motion": motion}, SMALL)
    assert click_times_s(out) == pytest.approx([0.42, 0.72], abs=0.003)
    assert result.facts["sound"] == "copied"
    assert look(out).duration_s == pytest.approx(1.2, abs=1 / 30)


def test_a_silent_source_gives_a_silent_clip(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=4, size=(64, 48))
    result, out = run("video", tmp_path / "out", {"source": source, "motion": source}, SMALL)
    assert not look(out).has_audio
    assert result.facts["sound"] == "none"


def test_one_frame_is_enough(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "c.mkv", [texture(33, 21)], video_codec="ffv1", pixel_format="bgr0")
    for strategy in ("preserve", "resample", "reduce"):
        _, out = run(
            "video", tmp_path / strategy, {"source": source, "motion": source}, SMALL, fps_strategy=strategy
        )
        assert look(out).frames == 1


def test_a_clip_that_is_shorter_than_half_a_frame_of_the_new_rate_keeps_its_first(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 1, fps=60.0)
    target = VideoTarget(width=64, height=48, fps=24.0)
    result, out = run(
        "video", tmp_path / "out", {"source": source, "motion": source}, target, fps_strategy="resample"
    )
    assert (numbers(out), result.facts["frames"]) == ([0], 1)


def test_hardware_is_used_where_it_works_and_refused_by_name_where_not(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 6)
    given = {"source": source, "motion": source}
    if working():
        result, _ = run("video", tmp_path / "out", given, SMALL, encoder="hardware")
        assert result.facts["encoder"] in working()
        return
    with pytest.raises(UnavailableError) as refused:
        run("video", tmp_path / "out", given, SMALL, encoder="hardware")
    assert refused.value.kind == "no_hardware_encoder"
    assert all(name in refused.value.message for name in HARDWARE)
    assert "hardware_or_libx264" in refused.value.remedy


def test_the_processor_takes_over_only_if_it_was_told_to(tmp_path: Path) -> None:
    source = counting_clip(tmp_path / "c.mp4", 6)
    given = {"source": source, "motion": source}
    result, out = run("video", tmp_path / "either", given, SMALL, encoder="hardware_or_libx264")
    assert result.facts["encoder"] == (*working(), "libx264")[0]
    assert len(images(out)) == 6
