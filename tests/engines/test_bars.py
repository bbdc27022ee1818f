"""Black bars beside a picture: they stand still while what is between them is steadied."""

from pathlib import Path

import numpy as np
import pytest

from tests.clips import Image, camera_frames, shake_path, texture, write_clip
from tests.engines.stages import fact, images, run

SIZE = (240, 180)
FRAMES = 36


def shaking(left: int = 0, top: int = 0) -> list[Image]:
    """A shaking camera's frames between bars of that many px on both sides."""
    frames = camera_frames(texture(360, 300), shake_path(FRAMES, amplitude_px=3.0), SIZE)
    return [np.pad(frame, ((top, top), (left, left), (0, 0))) for frame in frames]


@pytest.mark.parametrize(("left", "top"), [(0, 40), (50, 0), (2, 2), (30, 20)])
def test_bars_stand_still_while_the_picture_between_them_is_steadied(
    left: int, top: int, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", shaking(left, top))
    result, path = run("motion", tmp_path / "out", {"source": clip}, pose_weight=0.95)
    assert fact(result, "shake_after_px") < 0.2 * fact(result, "shake_before_px")
    assert result.facts["picture_between_bars"] == f"240x180+{left}+{top}"
    for image in images(path):
        inside = image[top : top + SIZE[1], left : left + SIZE[0]].astype(np.int64)
        # Colours are coded at half the size, so that beside a bar some of them are its own.
        assert inside[:2].mean() > 30
        assert inside[:, :2].mean() > 30
        assert int(image.astype(np.int64).sum()) - int(inside.sum()) < 8 * max(1, image.size - inside.size)


def test_what_was_dark_at_first_and_shows_something_later_is_no_bar(tmp_path: Path) -> None:
    frames = shaking(top=40)
    lit = [frame.copy() for frame in [*frames, *frames]]
    for frame in lit[FRAMES + 10 :]:
        frame[:40] = texture(240, 40, seed=5)
    clip = write_clip(tmp_path / "clip.mp4", lit)
    result, _ = run("motion", tmp_path / "out", {"source": clip}, pose_weight=0.95)
    assert "picture_between_bars" not in result.facts
    assert result.facts["stabilised"]


def test_a_clip_that_fades_in_from_black_has_no_bars(tmp_path: Path) -> None:
    black = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", [*[black] * FRAMES, *shaking()])
    result, _ = run("motion", tmp_path / "out", {"source": clip}, pose_weight=0.95)
    assert "picture_between_bars" not in result.facts
