"""HDR is shown as an ordinary screen would show it: white is white, grey is grey, and colours are themselves."""

from pathlib import Path

import numpy as np
import pytest

from caf.media.read import is_hdr_file, read_frames, read_picture
from caf.media.tone import to_screen
from tests.clips import texture, write_clip
from tests.hdr import HLG, PQ, write_hdr_clip

BOTH = pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])
PATCHES = ((235, 235, 235), (118, 118, 118), (16, 16, 16), (30, 30, 200), (40, 170, 40), (200, 60, 30))
"""BGR: white, grey, black, red, green, blue."""


def patches(side: int = 48) -> np.ndarray:
    row = [np.full((side, side, 3), colour, np.uint8) for colour in PATCHES]
    return np.ascontiguousarray(np.hstack(row))


@BOTH
def test_white_grey_black_and_colours_come_out_as_they_went_in(transfer: int, tmp_path: Path) -> None:
    shown = read_picture(write_hdr_clip(tmp_path / "hdr.mp4", [patches()] * 3, transfer))
    for place, colour in enumerate(PATCHES):
        middle = shown[16:32, 48 * place + 16 : 48 * place + 32].reshape(-1, 3).mean(axis=0)
        # The lightest are pressed together a little, to leave room for what is lighter than white.
        assert np.abs(middle - colour).max() < 8, colour


@BOTH
def test_a_scene_is_what_it_is_without_hdr(transfer: int, tmp_path: Path) -> None:
    scene = texture(240, 160, seed=5, contrast=0.6)
    plain = read_picture(write_clip(tmp_path / "plain.mp4", [scene] * 3))
    shown = read_picture(write_hdr_clip(tmp_path / "hdr.mp4", [scene] * 3, transfer))
    assert np.abs(shown.astype(float) - plain).mean() < 5


def test_without_the_mark_the_same_numbers_are_left_as_they_are(tmp_path: Path) -> None:
    scene = texture(240, 160, seed=5, contrast=0.4)
    ten = write_clip(tmp_path / "ten.mp4", [scene] * 3, pixel_format="yuv420p10le")
    plain = read_picture(write_clip(tmp_path / "plain.mp4", [scene] * 3))
    assert np.abs(read_picture(ten).astype(float) - plain).mean() < 2
    assert not is_hdr_file(ten)
    assert is_hdr_file(write_hdr_clip(tmp_path / "hdr.mp4", [scene] * 3, PQ))


def test_what_is_lighter_than_white_is_told_apart_and_never_beyond_it() -> None:
    light = np.array([0.0, 0.1, 0.75, 1.0, 2.0, 5.0, 50.0])
    code = to_screen(light)
    assert np.all(np.diff(code) > 0)
    assert code[0] == 0
    assert code[-1] <= 1
    assert code[2] == pytest.approx(0.75 ** (1 / 2.4))
    assert 255 * code[3] == pytest.approx(241, abs=1)


def test_the_dark_has_no_steps(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(2, 42, dtype=np.uint8)[None].repeat(96, 0)[..., None], 3, 2).repeat(6, 1)
    shown = read_picture(write_hdr_clip(tmp_path / "hdr.mp4", [np.ascontiguousarray(ramp)] * 3, PQ))
    levels = np.median(shown[20:70, 3::6, 1], axis=0)
    assert np.abs(levels - np.arange(2, 42)).max() <= 2


def test_an_hdr_clip_has_its_colours_in_either_order(tmp_path: Path) -> None:
    frames = list(read_frames(write_hdr_clip(tmp_path / "hdr.mp4", [patches()] * 3, HLG), pixel="rgb24"))
    assert len(frames) == 3
    red = frames[0].image[16:32, 48 * 3 + 16 : 48 * 3 + 32].reshape(-1, 3).mean(axis=0)
    assert red[0] > 150
    assert red[2] < 60
