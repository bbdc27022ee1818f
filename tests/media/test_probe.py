"""What is refused at the door, with which sentence, and what is believed about the rest."""

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from caf.errors import InputError, MediaError
from caf.media.probe import probe
from caf.media.read import read_frames
from caf.ports import MediaInfo, ProbeRequest
from tests.clips import make_clip, make_picture, sine, texture, tuned_in, write_clip


def look(path: Path, *, require_audio: bool = False) -> MediaInfo:
    return probe(ProbeRequest(path=str(path), require_audio=require_audio), lambda done, total: None)


def refused(path: Path, **asked: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        look(path, **asked)
    fault = caught.value
    assert str(path) in fault.message
    assert fault.message.endswith(".")
    assert fault.remedy
    assert fault.exit_code == 65
    return fault


def flat_png(path: Path, width: int, height: int) -> Path:
    """A valid grey PNG of any size that costs a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(min(height, 64))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_a_clip_is_described_as_it_is(tmp_path: Path) -> None:
    info = look(make_clip(tmp_path / "clip.mp4", frames=24, size=(160, 96), fps=24.0, audio=True))
    assert (info.kind, info.codec, info.width, info.height, info.frames) == ("clip", "h264", 160, 96, 24)
    assert info.fps == 24.0
    assert not info.variable_fps
    assert info.duration_s == pytest.approx(1.0, abs=1e-6)
    assert (info.has_audio, info.audio_codec, info.audio_rate_hz, info.audio_channels) == (
        True,
        "aac",
        44100,
        1,
    )
    assert info.audio_duration_s == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_picture_is_an_image_of_one_frame(tmp_path: Path, suffix: str) -> None:
    info = look(make_picture(tmp_path / f"still{suffix}", size=(90, 60)))
    assert (info.kind, info.frames, info.width, info.height, info.fps) == ("image", 1, 90, 60, 0.0)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animated_picture_is_a_clip(tmp_path: Path, suffix: str) -> None:
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(texture(48, 32, seed=i), cv2.COLOR_BGR2BGRA) for i in range(5)]
    animation.durations = np.array([100] * 5)
    path = tmp_path / f"moving{suffix}"
    assert cv2.imwriteanimation(str(path), animation)
    info = look(path)
    assert (info.kind, info.frames, info.width, info.height) == ("clip", 5, 48, 32)
    assert info.duration_s == pytest.approx(0.5, abs=0.02)


def test_one_frame_in_a_video_container_is_a_legal_clip(tmp_path: Path) -> None:
    info = look(write_clip(tmp_path / "one.mp4", [texture(64, 48)]))
    assert (info.kind, info.frames) == ("clip", 1)
    assert info.duration_s == pytest.approx(1 / 30, abs=1e-3)


def test_what_comes_before_the_first_key_frame_of_a_recording_is_not_counted(tmp_path: Path) -> None:
    path = tuned_in(tmp_path / "recording.ts")
    info, frames = look(path), list(read_frames(path))
    assert (info.frames, info.variable_fps) == (len(frames), False)
    assert info.duration_s == pytest.approx(len(frames) / 30)
    assert len(frames) < 50


@pytest.mark.parametrize(("start_ms", "reordered"), [(-20, 0), (-120, 2)])
def test_pictures_before_zero_are_counted(tmp_path: Path, start_ms: int, reordered: int) -> None:
    path = tmp_path / "early.mkv"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream("libx264", rate=20, options={"bf": str(reordered)})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(texture(96, 64, seed=index), format="bgr24")
            frame.pts, frame.time_base = 50 * index + start_ms, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = look(path)
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx([index / 20 for index in range(12)])
    assert (info.frames, info.fps, info.duration_s) == (12, 20.0, pytest.approx(0.6))


def test_the_rotation_flag_turns_the_size_that_is_reported(tmp_path: Path) -> None:
    info = look(make_clip(tmp_path / "phone.mp4", frames=3, size=(160, 96), rotation_deg=90))
    assert (info.width, info.height, info.rotation_deg) == (96, 160, 90)


def test_a_variable_rate_is_noticed_and_milliseconds_are_not_taken_for_one(tmp_path: Path) -> None:
    images = [texture(64, 48, seed=i) for i in range(12)]
    steady = write_clip(tmp_path / "steady.mkv", images, fps=30.0)
    times = np.cumsum([0.0, *([0.03, 0.07] * 6)])[:12]
    wavering = write_clip(tmp_path / "wavering.mp4", images, times_s=list(times))
    assert not look(steady).variable_fps
    assert look(steady).fps == 30.0
    assert look(wavering).variable_fps
    assert look(wavering).duration_s == pytest.approx(float(times[-1]) + 1 / 30, abs=0.04)


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [("a.avi", "mpeg4", "libmp3lame"), ("b.webm", "libvpx", "libopus"), ("c.ts", "libx264", "aac")],
)
def test_other_containers_and_codecs_are_read(tmp_path: Path, name: str, video: str, audio: str) -> None:
    images = [texture(64, 48, seed=i) for i in range(10)]
    rate = 48_000
    path = write_clip(
        tmp_path / name,
        images,
        sound=sine(10 / 30, rate_hz=rate),
        rate_hz=rate,
        video_codec=video,
        audio_codec=audio,
    )
    info = look(path)
    assert (info.frames, info.width, info.height, info.has_audio) == (10, 64, 48, True)


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere.mp4").kind == "not_found"


def test_a_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path).kind == "not_a_file"


def test_an_empty_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert refused(path).kind == "media_empty"


@pytest.mark.parametrize(
    "content",
    [b"Dear cat,\nplease dance.\n" * 40, b'{"job_id": "cat-000001"}', bytes(range(256)) * 20, b"\0" * 4096],
)
def test_something_else_than_a_video_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert refused(path).kind == "not_a_video"


def test_a_playlist_is_refused_because_it_names_other_files(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "part.ts", frames=5)
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip.name}\n#EXT-X-ENDLIST\n")
    assert refused(path).kind == "not_a_video"


def test_sound_alone_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(sine(0.5)[None, :], format="fltp", layout="mono")
        frame.sample_rate = 44_100
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    fault = refused(path)
    assert fault.kind == "not_a_video"
    assert "only sound" in fault.message


def test_a_clip_without_sound_is_refused_where_sound_is_required(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "silent.mp4", frames=3)
    assert look(path).has_audio is False
    assert refused(path, require_audio=True).kind == "no_audio"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "suffix", [".mp4", ".mkv", ".avi", ".webm", ".flv", ".gif", ".m2ts", ".ts", ".wmv", ".vob", ".mpg"]
)
def test_a_truncated_clip_is_refused_with_a_sentence(tmp_path: Path, suffix: str, share: float) -> None:
    named = {".avi": "mpeg4", ".gif": "gif", ".webm": "libvpx", ".wmv": "wmv2", ".vob": "mpeg2video"}
    codec = {**named, ".mpg": "mpeg2video"}.get(suffix, "libx264")
    images = [texture(96, 64, seed=i) for i in range(20)]
    form = "rgb8" if suffix == ".gif" else "yuv420p"
    whole = write_clip(tmp_path / f"whole{suffix}", images, video_codec=codec, pixel_format=form)
    assert look(whole).frames == 20
    data = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * share) | 9])  # odd, and into a part, so that none ends there
    fault = refused(path)
    assert fault.kind == "media_truncated"
    assert "cut off" in fault.message


def test_a_clip_with_its_index_first_is_refused_when_its_pictures_end_early(tmp_path: Path) -> None:
    images = [texture(96, 64, seed=i) for i in range(20)]
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode(None))
    assert look(whole).frames == 20
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[:-2000])
    assert refused(path).kind == "media_truncated"


def begun_early(path: Path) -> Path:
    """40 pictures in groups of 5 with the index first; an edit list hides the first second."""
    options = {"avoid_negative_ts": "disabled", "movflags": "+faststart"}
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream("libx264", rate=20, options={"g": "5", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(texture(96, 64, seed=index), format="bgr24")
            frame.pts, frame.time_base = index - 20, Fraction(1, 20)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_groups_of_pictures_that_an_edit_list_hides_are_not_missing(tmp_path: Path) -> None:
    path = begun_early(tmp_path / "cut.mp4")
    info = look(path)
    assert (info.frames, info.fps, info.duration_s) == (20, 20.0, pytest.approx(1.0))
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 20 for index in range(20)])
    assert np.abs(frames[0].image.astype(int) - texture(96, 64, seed=20)).mean() < 20


@pytest.mark.parametrize("lost", [2000, 0.3, 0.7])
def test_a_clip_whose_edit_list_hides_pictures_is_refused_when_its_pictures_end_early(
    tmp_path: Path, lost: float
) -> None:
    data = bytearray(begun_early(tmp_path / "whole.mp4").read_bytes())
    kept = len(data) - (int(lost) if lost > 1 else int(len(data) * lost))
    start = data.index(b"mdat") - 4
    for stated in (len(data) - start, kept - start):  # the second fits, so that only pictures are missing
        data[start : start + 4] = stated.to_bytes(4, "big")
        path = tmp_path / "cut.mp4"
        path.write_bytes(data[:kept])
        assert refused(path).kind == "media_truncated"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_refused_with_a_sentence(tmp_path: Path, suffix: str) -> None:
    data = make_picture(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert refused(path).kind == "media_truncated"


def test_a_file_that_cannot_be_read_to_its_end_is_refused_as_damaged(tmp_path: Path) -> None:
    images = [texture(96, 64, seed=index) for index in range(20)]
    path = write_clip(tmp_path / "broken.apng", images, video_codec="apng", pixel_format="rgb24")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    assert refused(path).kind == "media_damaged"


def with_unknown_sound(path: Path) -> Path:
    data = make_clip(path, frames=5, audio=True).read_bytes()
    path.write_bytes(data.replace(b"A_AAC", b"A_ZZZ"))
    return path


def test_sound_that_no_decoder_knows_is_refused_with_a_sentence(tmp_path: Path) -> None:
    fault = refused(with_unknown_sound(tmp_path / "clip.mkv"))
    assert fault.kind == "media_unsupported"
    assert "sound" in fault.message


def test_a_stream_that_comes_to_light_on_the_way_is_passed_over(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.flv", frames=60, audio=True)
    data = path.read_bytes()
    # A tag of sound of another kind, PCM, which nothing before spoke of.
    body = bytes([0x3E, *bytes(40)])
    tag = b"\x08" + len(body).to_bytes(3, "big") + bytes(7) + body + (11 + len(body)).to_bytes(4, "big")
    path.write_bytes(data + tag)
    assert look(path).frames == len(list(read_frames(path))) == 60


def test_a_clip_whose_pictures_are_garbage_is_refused_as_damaged(tmp_path: Path) -> None:
    data = bytearray(make_clip(tmp_path / "whole.mp4", frames=10).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(5).integers(0, 256, end - start, dtype=np.uint8).tobytes()
    path = tmp_path / "garbage.mp4"
    path.write_bytes(data)
    assert refused(path).kind == "media_damaged"


def test_an_encrypted_clip_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "drm.mp4"
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(texture(64, 48, seed=index), format="bgr24")))
        out.mux(stream.encode(None))
    assert refused(path).kind == "media_encrypted"


def test_a_picture_of_20k_by_20k_is_refused_without_being_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = flat_png(tmp_path / "huge.png", 20_000, 20_000)
    opened: list[str] = []
    real: Callable[..., object] = av.open
    monkeypatch.setattr(
        av, "open", lambda *given, **named: opened.append(str(given[0])) or real(*given, **named)
    )
    fault = refused(path)
    assert fault.kind == "media_too_large"
    assert "20000x20000" in fault.message
    assert opened == []  # refused from 24 bytes of its header; no decoder ever saw it


def test_a_clip_of_9000_pixels_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mkv", [np.zeros((16, 9000, 3), np.uint8)], video_codec="ffv1")
    assert refused(path).kind == "media_too_large"


def test_a_picture_without_size_is_refused(tmp_path: Path) -> None:
    assert refused(flat_png(tmp_path / "nothing.png", 0, 0)).kind == "media_no_size"


def test_a_video_track_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(sine(0.5)[None, :], format="fltp", layout="mono")
        frame.sample_rate = 44_100
        out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    fault = refused(path)
    assert isinstance(fault, MediaError)
    assert fault.kind in {"media_no_frames", "not_a_video"}
