"""What is written is what was given: every pixel, every time, the sound where it was; or nothing at all."""

import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer
from av.stream import Stream

from caf.errors import MediaError
from caf.media.planes import planes_of
from caf.media.probe import probe
from caf.media.read import read_frames, shown_frames
from caf.media.write import ClipWriter
from caf.ports import MediaInfo, ProbeRequest
from tests.clips import click_times_s, clicks, texture, tuned_in, write_clip


def look(path: Path) -> MediaInfo:
    return probe(ProbeRequest(path=str(path)), lambda done, total: None)


def noise(count: int, width: int, height: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def rewritten(source: Path, out: Path, *, end_s: float | None = None) -> ClipWriter:
    """The whole of `source`, or its start, as a final clip with its sound."""
    info = look(source)
    with ClipWriter(
        out,
        width=info.width,
        height=info.height,
        fps=info.fps,
        variable_fps=info.variable_fps,
        mode="final",
        preset="ultrafast",
        sound_from=source,
    ) as writer:
        for frame in read_frames(source):
            if end_s is None or frame.time_s < end_s - 1e-6:
                writer.write(frame.image, frame.time_s)
        writer.end(end_s or info.duration_s)
    return writer


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_lossless_mode_keeps_every_value_of_odd_sized_noise(tmp_path: Path, suffix: str) -> None:
    images = noise(7, 45, 31)
    path = tmp_path / f"kept{suffix}"
    with ClipWriter(path, width=45, height=31, fps=30.0) as writer:
        for index, image in enumerate(images):
            writer.write(image, index / 30)
    found = [frame.image for frame in read_frames(path)]
    assert len(found) == 7
    assert all(np.array_equal(a, b) for a, b in zip(images, found, strict=True))


def test_variable_times_survive_two_rounds_to_the_microsecond(tmp_path: Path) -> None:
    times = [0.0, 0.0331, 0.0833331, 0.1, 0.5, 0.500999, 0.75]
    path = tmp_path / "vfr.mp4"
    for _ in range(2):
        with ClipWriter(path, width=32, height=32, fps=9.0, variable_fps=True) as writer:
            for image, time in zip(noise(7, 32, 32), times, strict=True):
                writer.write(image, time)
            writer.end(1.0)
        times = [frame.time_s for frame in read_frames(path)]
    assert times == pytest.approx([0.0, 0.0331, 0.0833331, 0.1, 0.5, 0.500999, 0.75], abs=1e-6)
    assert look(path).variable_fps
    assert look(path).duration_s == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001, 25.0, 60.0, 12.5])
def test_a_constant_rate_stays_exactly_that_rate(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "cfr.mp4"
    with ClipWriter(path, width=32, height=32, fps=fps, mode="final") as writer:
        for index, image in enumerate(noise(13, 32, 32)):
            writer.write(image, index / fps + (0.0004 if index % 2 else 0.0))
    info = look(path)
    assert info.fps == pytest.approx(fps, rel=1e-9)
    assert not info.variable_fps
    assert info.duration_s == pytest.approx(13 / fps, abs=1e-4)


def test_the_final_mode_is_h264_420_tagged_bt709_with_the_index_first(tmp_path: Path) -> None:
    path = tmp_path / "final.mp4"
    with ClipWriter(path, width=64, height=48, fps=30.0, mode="final") as writer:
        for index in range(5):
            writer.write(texture(64, 48, seed=index), index / 30)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (stream.codec_context.name, frame.format.name) == ("h264", "yuv420p")
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)


@pytest.mark.parametrize("grey", [20, 64, 128, 200])
def test_the_final_mode_darkens_nothing(tmp_path: Path, grey: int) -> None:
    path = tmp_path / "grey.mp4"
    with ClipWriter(path, width=64, height=48, fps=30.0, mode="final") as writer:
        writer.write(np.full((48, 64, 3), grey, np.uint8), 0.0)
    (shown,) = shown_frames(path)
    planes = planes_of(shown)
    assert planes is not None
    assert planes.luma[24, 32] == round(16 + grey * 219 / 255)


def test_colours_come_back_from_the_final_mode(tmp_path: Path) -> None:
    patches = np.zeros((64, 96, 3), np.uint8)
    for index, colour in enumerate(
        [(200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 40), (90, 90, 90), (230, 220, 240)]
    ):
        patches[:, index * 16 : index * 16 + 16] = colour
    path = tmp_path / "colours.mp4"
    with ClipWriter(path, width=96, height=64, fps=30.0, mode="final", crf=4) as writer:
        for index in range(3):
            writer.write(patches, index / 30)
    found = next(iter(read_frames(path))).image.astype(int)
    middles = found[32, 8::16] - patches[32, 8::16].astype(int)
    assert np.abs(middles).max() <= 4


def test_an_odd_side_grows_by_one_in_the_final_mode(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with ClipWriter(path, width=45, height=31, fps=30.0, mode="final") as writer:
        writer.write(texture(45, 31), 0.0)
    info = look(path)
    assert (info.width, info.height, info.frames) == (46, 32, 1)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "in.mov",
        [texture(64, 48, seed=i) for i in range(12)],
        sound=clicks(0.4, [0.1]),
        audio_codec="pcm_s16le",
    )
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    rewritten(source, first)
    rewritten(source, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("name", "late_s", "video", "audio", "how"),
    [
        ("same.mp4", 0.0, "libx264", "aac", "copied"),
        ("late.mp4", 0.25, "libx264", "aac", "copied"),
        ("early.mp4", -0.2, "libx264", "aac", "copied"),
        ("late.mkv", 0.25, "libx264", "aac", "copied"),
        ("late.mov", 0.25, "libx264", "pcm_s16le", "encoded"),
        ("late.webm", 0.1, "libvpx", "libopus", "encoded"),
        ("late.ts", 0.1, "libx264", "aac", "encoded"),
        ("early.mkv", -0.2, "libx264", "flac", "encoded"),
    ],
)
def test_sound_stays_where_it_was_to_within_milliseconds(
    tmp_path: Path, name: str, late_s: float, video: str, audio: str, how: str
) -> None:
    rate = 48_000
    path = tmp_path / name
    write_clip(
        path,
        [texture(64, 48, seed=i) for i in range(36)],
        sound=clicks(1.3, [0.4, 0.7], rate_hz=rate),
        sound_start_s=late_s,
        rate_hz=rate,
        video_codec=video,
        audio_codec=audio,
    )
    before = click_times_s(path)
    assert before == pytest.approx([0.4 + late_s, 0.7 + late_s], abs=0.003)  # the source itself is as meant
    writer = rewritten(path, tmp_path / "out.mp4")
    assert writer.sound == how
    assert click_times_s(tmp_path / "out.mp4") == pytest.approx(before, abs=0.003)


def white_s(path: Path) -> float:
    return max((float(frame.image.mean()), frame.time_s) for frame in read_frames(path))[1]


def test_sound_of_a_recording_that_begins_inside_a_group_stays_with_its_picture(tmp_path: Path) -> None:
    recording = tuned_in(tmp_path / "recording.ts")
    rewritten(recording, tmp_path / "out.mp4")
    assert white_s(tmp_path / "out.mp4") == pytest.approx(white_s(recording), abs=1e-3)
    assert click_times_s(tmp_path / "out.mp4") == pytest.approx([white_s(recording)], abs=0.005)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mov"])
def test_sound_ends_with_the_picture(tmp_path: Path, name: str) -> None:
    codec = "aac" if name.endswith("mp4") else "pcm_s16le"
    path = write_clip(
        tmp_path / name,
        [texture(64, 48, seed=i) for i in range(30)],
        sound=clicks(3.0, [0.2, 2.0]),
        audio_codec=codec,
    )
    rewritten(path, tmp_path / "out.mp4", end_s=0.5)
    info = look(tmp_path / "out.mp4")
    assert info.duration_s == pytest.approx(0.5, abs=1e-3)
    assert info.audio_duration_s == pytest.approx(0.5, abs=0.024)
    assert len(click_times_s(tmp_path / "out.mp4")) == 1


def test_sound_that_changes_its_rate_midway_is_carried(tmp_path: Path) -> None:
    parts = []
    for rate, images in ((48_000, noise(25, 64, 48)), (32_000, noise(25, 64, 48))):
        path = tmp_path / f"{rate}.ts"
        sound = clicks(1.0, [0.5], rate_hz=rate)
        write_clip(
            path, images, fps=25, sound=sound, rate_hz=rate, audio_codec="ac3", video_codec="mpeg2video"
        )
        parts.append(path.read_bytes())
    source = tmp_path / "mixed.ts"
    source.write_bytes(b"".join(parts))
    with ClipWriter(
        tmp_path / "out.mp4", width=64, height=48, fps=25, mode="final", sound_from=source
    ) as writer:
        for index, image in enumerate(noise(50, 64, 48)):
            writer.write(image, index / 25)
    assert writer.sound == "encoded"
    first, second = click_times_s(tmp_path / "out.mp4")
    assert second - first == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "how"), [("two.mp4", "aac", "copied"), ("two.mov", "pcm_s16le", "encoded")]
)
def test_every_sound_track_of_the_source_is_carried(tmp_path: Path, name: str, codec: str, how: str) -> None:
    at_s = ([0.2, 0.6], [0.4])
    one = [
        write_clip(
            tmp_path / f"{index}-{name}", noise(30, 64, 48), sound=clicks(1.0, times), audio_codec=codec
        )
        for index, times in enumerate(at_s)
    ]
    path = joined(one, tmp_path / name)
    assert rewritten(path, tmp_path / "out.mp4").sound == how
    for index, times in enumerate(at_s):
        alone = only_track(tmp_path / "out.mp4", index, tmp_path / f"track{index}.mp4")
        assert click_times_s(alone) == pytest.approx(times, abs=0.003)


def test_a_further_track_that_no_decoder_knows_is_left_out(tmp_path: Path) -> None:
    sound = clicks(1.0, [0.4])
    one = write_clip(tmp_path / "one.mov", noise(30, 64, 48), sound=sound, audio_codec="pcm_s16le")
    path = joined([one, one], tmp_path / "two.mov")
    before, between, after = path.read_bytes().rsplit(b"sowt", 2)
    path.write_bytes(before + b"sowt" + between + b"zzzz" + after)
    assert rewritten(path, tmp_path / "out.mp4").sound == "encoded"
    assert click_times_s(tmp_path / "out.mp4") == pytest.approx([0.4], abs=0.003)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 1


def joined(clips: list[Path], path: Path) -> Path:
    """The picture of the first clip with the sound of each."""
    with ExitStack() as scope:
        read = [scope.enter_context(av.open(str(clip))) for clip in clips]
        again = scope.enter_context(av.open(str(clips[0])))
        return copied([again.streams.video[0], *(container.streams.audio[0] for container in read)], path)


def only_track(clip: Path, index: int, path: Path) -> Path:
    """A clip with one of its sound tracks."""
    with av.open(str(clip)) as read, av.open(str(clip)) as again:
        return copied([read.streams.video[0], again.streams.audio[index]], path)


def copied(streams: Sequence[Stream], path: Path) -> Path:
    """The packets of these streams, each of a reading of its own."""
    with av.open(str(path), "w") as out:
        given = [out.add_stream_from_template(stream) for stream in streams]
        for stream, to in zip(streams, given, strict=True):
            assert isinstance(stream.container, InputContainer)
            for packet in stream.container.demux(stream):
                if packet.size:
                    packet.stream = to
                    out.mux(packet)
    return path


def test_a_clip_without_sound_gets_none(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "silent.mp4", [texture(64, 48)] * 3)
    assert rewritten(path, tmp_path / "out.mp4").sound == "none"
    assert not look(tmp_path / "out.mp4").has_audio


def interrupted(path: Path) -> None:
    with ClipWriter(path, width=32, height=32, fps=30.0) as writer:
        writer.write(texture(32, 32), 0.0)
        writer.write(texture(32, 32), 0.1)
        raise ZeroDivisionError


def test_a_block_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "never.mp4")
    assert list(tmp_path.iterdir()) == []


def paused(path: Path, pause_s: float) -> None:
    with ClipWriter(path, width=32, height=32, fps=1.0, variable_fps=True) as writer:
        for time_s in (0.0, pause_s):
            writer.write(texture(32, 32), time_s)


def test_a_frame_that_is_shown_for_longer_than_can_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"at 0.00 s is shown for 3000 s") as refused:
        paused(tmp_path / "never.mp4", 3000.0)
    assert refused.value.kind == "frame_too_long"
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_fails_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.mp4"
    path.write_bytes(b"older")
    with pytest.raises(ZeroDivisionError):
        interrupted(path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_sound_from_something_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("dance " * 100)
    with (
        pytest.raises(MediaError),
        ClipWriter(tmp_path / "o.mp4", width=32, height=32, fps=30.0, sound_from=path),
    ):
        pass
    assert list(tmp_path.iterdir()) == [path]


_FILLS_THE_DISK = """
import resource, sys
import numpy as np
from caf.errors import TryAgainError
from caf.media.write import ClipWriter
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
try:
    with ClipWriter(sys.argv[1], width=128, height=128, fps=30.0, mode="{mode}") as writer:
        for index in range(60):
            writer.write(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8), index / 30)
except TryAgainError as fault:
    assert fault.kind == "disk_full" and fault.transient and fault.remedy
    print("told")
"""


@pytest.mark.parametrize("mode", ["lossless", "final"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, mode: str) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    code = _FILLS_THE_DISK.format(limit=200_000, mode=mode)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.mp4")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "told", done.stderr
    assert list(tmp_path.iterdir()) == []
