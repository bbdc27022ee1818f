"""Decoded sound on a time line: silence where there is none, and one kind of samples whatever comes."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from av.audio.frame import AudioFrame

from caf.media.sound import Samples, laid_out

RATE_HZ = 8000


def frame(at_s: float, length: int = 800, *, layout: str = "mono", rate_hz: int = RATE_HZ) -> AudioFrame:
    channels = 1 if layout == "mono" else 2
    made = AudioFrame.from_ndarray(np.full((channels, length), 0.5, np.float32), format="fltp", layout=layout)
    made.sample_rate, made.pts, made.time_base = rate_hz, round(at_s * rate_hz), Fraction(1, rate_hz)
    return made


def laid(frames: list[AudioFrame | None], zero_s: float = 0.0, layout: str = "mono") -> Samples:
    return np.concatenate(list(laid_out(frames, layout=layout, rate_hz=RATE_HZ, zero_s=zero_s)), axis=1)


def test_a_late_start_and_a_gap_are_silence() -> None:
    sound = laid([frame(0.3), frame(0.4), frame(0.7)], zero_s=0.1)
    assert sound.shape == (1, 5600)
    heard = (sound[0].reshape(-1, 800) == 0.5).all(axis=1)
    assert heard.tolist() == [False, False, True, True, False, False, True]


def test_what_sounds_before_zero_is_left_out() -> None:
    sound = laid([frame(-2.0), frame(-0.05), frame(0.05)])
    assert sound.shape == (1, 1200)
    assert (sound == 0.5).all()


def test_a_frame_that_could_not_be_decoded_is_silence_however_short() -> None:
    sound = laid([frame(0.0, 160), None, frame(0.04, 160), frame(0.06, 160)])
    assert (sound[0].reshape(-1, 160) == 0.5).all(axis=1).tolist() == [True, False, True, True]


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_the_source_may_change_its_layout_and_its_rate_midway(layout: str) -> None:
    kinds = [("stereo", 8000), ("mono", 8000), ("stereo", 16_000), ("stereo", 8000), ("mono", 4000)]
    frames = [
        frame(0.5 * place, rate_hz // 2, layout=kind, rate_hz=rate_hz)
        for place, (kind, rate_hz) in enumerate(kinds)
    ]
    sound = laid(list(frames), layout=layout)
    assert len(sound) == (1 if layout == "mono" else 2)
    assert sound.shape[1] == pytest.approx(2.5 * RATE_HZ, abs=50)
    middles = sound[:, RATE_HZ // 4 :: RATE_HZ // 2]
    assert middles.shape[1] == 5
    assert np.abs(middles) == pytest.approx(0.5, abs=0.21)  # two equal sides are 3 dB louder


@pytest.mark.parametrize("form", ["s16", "s32", "flt", "fltp"])
@pytest.mark.parametrize(
    ("source", "sides"), [("9 channels", (0.5, -0.25)), ("12 channels", (0.5, -0.25)), ("ambisonic 1", None)]
)
def test_of_more_channels_than_have_a_name_the_first_two_are_heard(
    form: str, source: str, sides: tuple[float, float] | None
) -> None:
    made = AudioFrame(format=form, layout=source, samples=800)
    made.sample_rate, made.pts, made.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
    count = made.layout.nb_channels
    values = np.zeros((800, count), np.float32)
    values[:, :2] = (0.5, -0.25)
    if made.format.is_planar:
        for side in range(2):
            made.planes[side].update(np.ascontiguousarray(values[:, side]))
    else:
        kind, full = {"s16": (np.int16, 2**15), "s32": (np.int32, 2**31)}.get(form, (np.float32, 1))
        made.planes[0].update((values * full).astype(kind))
    sound = laid([made], layout="stereo")
    assert sound.shape == (2, 800)
    if sides is None:  # of a sound field what comes from all around, on both sides
        assert (sound[0] == sound[1]).all()
        assert (np.abs(sound) > 0.3).all()
    else:
        assert sound[:, 400] == pytest.approx(sides, abs=1e-4)


def test_silence_comes_by_the_second_however_late_the_sound_is() -> None:
    blocks = laid_out([frame(1e6)], layout="mono", rate_hz=RATE_HZ, zero_s=0.0)
    assert [block.shape for block in islice(blocks, 5)] == [(1, RATE_HZ)] * 5
