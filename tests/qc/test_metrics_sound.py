"""audio_video: sound that is missing, late, early, short, other or damaged."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.media.read import read_frames
from caf.ports import Measurement, MeasureRequest
from caf.qc.measure import measure
from caf.qc.metrics.audio import RATE_HZ, Sound, audio_video, load_sound
from tests.clips import tuned_in, write_clip
from tests.qc.metric_clips import FPS, noise, pan, picture

SECONDS = 4.0


def sound(samples: NDArray[np.float32], picture_s: float = SECONDS) -> Sound:
    return Sound(samples.astype(np.float32), 0.0, picture_s)


@pytest.fixture(scope="module")
def wave() -> NDArray[np.float32]:
    count = round(SECONDS * RATE_HZ)
    swell = 0.6 + 0.4 * np.sin(np.arange(count) / 1700)
    return (np.random.default_rng(8).normal(0, 0.1, count) * swell).astype(np.float32)


def late(samples: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    shift = round(seconds * RATE_HZ)
    return np.concatenate([np.zeros(shift, np.float32), samples])[: len(samples)]


def score(found: Measurement) -> float:
    assert found.score is not None, found.reason
    return found.score


def test_the_same_sound_is_perfect(wave: NDArray[np.float32]) -> None:
    assert score(audio_video(sound(wave), sound(wave))) == 1.0


@pytest.mark.parametrize("offset_s", [0.08, 0.3, 1.0])
def test_late_sound_fails_and_its_offset_is_told_to_the_sample(
    wave: NDArray[np.float32], offset_s: float
) -> None:
    found = audio_video(sound(late(wave, offset_s)), sound(wave))
    assert score(found) < 0.95
    assert found.raw["offset_ms"] == pytest.approx(1000 * offset_s, abs=0.2)


def test_early_sound_has_a_negative_offset(wave: NDArray[np.float32]) -> None:
    found = audio_video(sound(np.concatenate([wave[800:], wave[:800] * 0])), sound(wave))
    assert found.raw["offset_ms"] == pytest.approx(-100, abs=0.2)
    assert "early" in found.reason


def test_an_offset_that_nobody_notices_passes(wave: NDArray[np.float32]) -> None:
    assert score(audio_video(sound(late(wave, 0.02)), sound(wave))) >= 0.95


def test_sound_that_drifts_away_fails(wave: NDArray[np.float32]) -> None:
    stretched = np.interp(np.arange(len(wave)) * 0.9, np.arange(len(wave)), wave)
    assert score(audio_video(sound(stretched.astype(np.float32)), sound(wave))) < 0.95


@pytest.mark.parametrize(("tempo", "told"), [(1.05, "5.0% faster"), (0.98, "2.0% slower")])
def test_sound_that_runs_at_another_tempo_is_told_as_that_and_not_as_early_or_other(
    wave: NDArray[np.float32], tempo: float, told: str
) -> None:
    words = wave * np.repeat(np.random.default_rng(3).uniform(0.05, 1, len(wave) // 800), 800)
    played = np.interp(np.arange(len(wave)) * tempo, np.arange(len(wave)), words, right=0)
    found = audio_video(sound(played), sound(words))
    assert score(found) < 0.5
    assert found.reason == f"The sound runs {told} than the source's."


def test_missing_and_muted_sound_score_nothing(wave: NDArray[np.float32]) -> None:
    assert score(audio_video(None, sound(wave))) == 0
    assert score(audio_video(sound(wave * 0), sound(wave))) == 0


def test_a_silent_source_that_stays_silent_is_measured_as_perfect(wave: NDArray[np.float32]) -> None:
    for source in (None, sound(wave * 0)):
        found = audio_video(None, source)
        assert score(found) == 1.0
        assert found.raw == {"audible": 0.0}


def test_sound_that_stops_too_early_fails(wave: NDArray[np.float32]) -> None:
    found = audio_video(sound(wave[: -RATE_HZ // 2]), sound(wave))
    assert score(found) < 0.95
    assert found.raw["short_s"] == pytest.approx(0.5)


def test_a_shortened_clip_with_its_own_part_of_the_sound_is_perfect(wave: NDArray[np.float32]) -> None:
    assert score(audio_video(sound(wave[: 2 * RATE_HZ], 2.0), sound(wave))) == 1.0


def test_a_hole_in_the_sound_fails(wave: NDArray[np.float32]) -> None:
    holed = wave.copy()
    holed[RATE_HZ : RATE_HZ * 3 // 2] = 0
    found = audio_video(sound(holed), sound(wave))
    assert score(found) < 0.95
    assert found.raw["missing_share"] == pytest.approx(1 / 8, abs=0.03)


def test_other_sound_fails(wave: NDArray[np.float32]) -> None:
    found = audio_video(sound(np.roll(wave, 3)[::-1].copy()), sound(wave))
    assert score(found) < 0.5
    assert found.raw["correlation"] < 0.3


def test_of_other_sound_no_offset_is_told_where_chance_finds_one(wave: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(3)
    told = [
        audio_video(sound(rng.normal(0, 0.1, len(wave)).cumsum() % 0.3 - 0.15), sound(wave)) for _ in range(8)
    ]
    assert max(abs(one.raw["offset_ms"]) for one in told) > 500
    for one in told:
        assert score(one) < 0.1
        assert one.reason == "The sound is not the source's sound."


def test_clipped_sound_fails(wave: NDArray[np.float32]) -> None:
    assert score(audio_video(sound(np.clip(wave * 12, -1, 1)), sound(wave))) < 0.95


@pytest.mark.parametrize("level", [0.02, 0.3, 0.8])
def test_sound_whose_peaks_were_cut_off_fails_however_loud_it_is_now(
    wave: NDArray[np.float32], level: float
) -> None:
    cut = np.clip(wave, -0.1, 0.1) * (level / 0.1)
    found = audio_video(sound(late(cut, 0.01)), sound(wave))
    assert score(found) < 0.95
    assert found.reason == "The sound is clipped."


def test_sound_that_is_softer_dulled_or_evenly_loud_is_not_clipped(wave: NDArray[np.float32]) -> None:
    swell = 0.6 + 0.4 * np.sin(np.arange(len(wave)) / 1700)
    dulled = np.convolve(wave, [0.25, 0.5, 0.25], "same").astype(np.float32)
    noisy = wave + np.random.default_rng(9).normal(0, 0.02, len(wave)).astype(np.float32)
    for changed in (wave / 20, dulled, wave / swell, noisy):
        found = audio_video(sound(changed), sound(wave))
        assert found.raw["flattened"] < 0.1
        assert "clipped" not in found.reason


def test_a_track_that_starts_late_is_placed_on_the_pictures_time_line(tmp_path: Path) -> None:
    frames = pan(picture("chelsea"), 24)
    path = write_clip(tmp_path / "late.mp4", frames, fps=FPS, sound=noise(0.7), sound_start_s=0.3)
    found = load_sound(str(path))
    assert found is not None
    assert found.start_s == pytest.approx(0.3, abs=0.03)
    assert found.picture_s == pytest.approx(1.0, abs=0.05)


def test_the_sound_of_a_real_file_is_compared_with_its_source(clip_of: Callable[..., str]) -> None:
    frames, wave = pan(picture("chelsea"), 48), noise(2.0)
    source, delayed, mute = (
        clip_of(frames, wave),
        clip_of(frames, np.concatenate([np.zeros(8820, np.float32), wave])[: len(wave)]),
        clip_of(frames),
    )
    assert score(audio_video(load_sound(source), load_sound(source))) == 1.0
    late_one = audio_video(load_sound(delayed), load_sound(source))
    assert late_one.raw["offset_ms"] == pytest.approx(200, abs=2)
    assert score(late_one) < 0.5
    assert load_sound(mute) is None


def test_of_a_silent_clip_without_a_source_no_source_is_spoken_of(clip_of: Callable[..., str]) -> None:
    frames = pan(picture("chelsea"), 24)
    mute, hushed = clip_of(frames), clip_of(frames, noise(1.0) * 0)
    told = []
    for video, source in ((mute, mute), (hushed, hushed), (hushed, mute)):
        request = MeasureRequest(video=video, source=source, metrics=("audio_video",))
        (found,) = measure(request, lambda done, total: None)
        assert score(found) == 1.0
        told.append(found.reason)
    assert told == [
        "The clip has no sound.",
        "The clip's sound track is silent.",
        "The source is silent, and so is the clip.",
    ]


def cut_without_encoding(source: Path, out: Path, at_s: float) -> Path:
    """As `ffmpeg -ss AT -c copy`: pictures from the key frame before are kept, and hidden by an edit list."""
    with av.open(str(source)) as reader, av.open(str(out), "w") as writer:
        to = {one.index: writer.add_stream_from_template(one) for one in reader.streams}
        for packet in reader.demux():
            if packet.dts is None or packet.pts is None:
                continue
            shift = round(at_s / packet.time_base)
            if packet.stream.type == "audio" and packet.pts < shift:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = to[packet.stream_index]
            writer.mux(packet)
    return out


def test_pictures_that_an_edit_list_hides_do_not_shift_the_sound(tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.mp4", pan(picture("chelsea"), 60), fps=FPS, sound=noise(2.5))
    found = load_sound(str(cut_without_encoding(long, tmp_path / "cut.mp4", 1.25)))
    assert found is not None
    assert found.start_s == pytest.approx(0.0, abs=0.03)
    assert found.picture_s == pytest.approx(1.25, abs=0.05)


def test_a_damaged_packet_is_a_hole_in_the_sound_and_stops_nothing(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", pan(picture("chelsea"), 48), fps=FPS, sound=noise(2.0))
    broken = tmp_path / "broken.mp4"
    with av.open(str(whole)) as reader, av.open(str(broken), "w") as writer:
        to = {one.index: writer.add_stream_from_template(one) for one in reader.streams}
        for packet in reader.demux():
            if packet.dts is None or packet.pts is None:
                continue
            sent = packet
            if packet.stream.type == "audio" and 1.0 <= float(packet.pts * packet.time_base) < 1.2:
                sent = av.Packet(b"\xff" * packet.size)
                sent.pts, sent.dts, sent.duration = packet.pts, packet.dts, packet.duration
                sent.time_base = packet.time_base
            sent.stream = to[packet.stream_index]
            writer.mux(sent)
    heard, source = load_sound(str(broken)), load_sound(str(whole))
    assert heard is not None
    assert source is not None
    assert abs(len(heard.samples) - len(source.samples)) < RATE_HZ // 100
    assert np.abs(heard.samples[round(1.05 * RATE_HZ) : round(1.15 * RATE_HZ)]).max() < 0.01
    found = audio_video(heard, source)
    assert found.raw["offset_ms"] == 0
    assert found.raw["missing_share"] == pytest.approx(0.1, abs=0.05)


def test_sound_that_changes_its_rate_midway_is_measured(tmp_path: Path) -> None:
    frames = pan(picture("chelsea"), 24)
    parts = [
        write_clip(
            tmp_path / f"{rate_hz}.ts",
            frames,
            fps=FPS,
            sound=noise(1.0)[:rate_hz],
            rate_hz=rate_hz,
            audio_codec="ac3",
            video_codec="mpeg2video",
            options={},
        )
        for rate_hz in (48_000, 32_000)
    ]
    mixed = tmp_path / "mixed.ts"
    mixed.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = load_sound(str(mixed))
    assert found is not None
    assert found.end_s == pytest.approx(2.0, abs=0.1)


def test_sound_stamped_hours_late_takes_no_memory_for_the_silence_before(tmp_path: Path) -> None:
    frames = pan(picture("chelsea"), 24)
    path = write_clip(tmp_path / "late.mkv", frames, fps=FPS, sound=noise(0.5), sound_start_s=40_000.0)
    found = load_sound(str(path))
    assert found is not None
    assert found.start_s == pytest.approx(40_000, abs=0.1)
    assert found.end_s < 100


def test_sound_of_a_recording_that_begins_inside_a_group_is_heard_from_its_first_picture_on(
    tmp_path: Path,
) -> None:
    path = tuned_in(tmp_path / "recording.ts")
    shown = [(float(frame.image.mean()), frame.time_s) for frame in read_frames(path)]
    found = load_sound(str(path))
    assert found is not None
    assert int(np.argmax(np.abs(found.samples) > 0.2)) / RATE_HZ == pytest.approx(max(shown)[1], abs=0.005)
    assert found.picture_s == pytest.approx(len(shown) / 30, abs=0.04)  # no length of the last one


def test_sound_added_to_a_silent_clip_of_minutes_is_as_long_as_its_picture(tmp_path: Path) -> None:
    frames = pan(picture("chelsea"), 20)
    silent = write_clip(tmp_path / "silent.mp4", frames, fps=0.2)
    heard = write_clip(
        tmp_path / "heard.mp4", frames, fps=0.2, sound=noise(100 * 8_000 / 44_100), rate_hz=8_000
    )
    request = MeasureRequest(metrics=("audio_video",), video=str(heard), source=str(silent))
    (found,) = measure(request, lambda done, total: None)
    assert score(found) > 0.95
    assert found.raw["short_s"] == 0.0
