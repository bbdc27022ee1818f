"""Pictures of clips: the right frames, beside each other, in a file that is whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from caf.errors import MediaError
from caf.media.picture import Row, before_after, contact_sheet, sampled
from tests.clips import write_clip

GREYS = (40, 80, 120, 160, 200)


def grey_clip(path: Path) -> Path:
    return write_clip(path, [np.full((48, 64, 3), g, np.uint8) for g in GREYS], fps=10.0)


def test_the_frames_shown_at_the_asked_times_are_taken(tmp_path: Path) -> None:
    images = sampled(grey_clip(tmp_path / "c.mp4"), [0.0, 0.15, 0.2, 9.0])
    assert [round(float(i.mean()) / 40) * 40 for i in images] == [40, 80, 120, 200]


def test_a_sheet_has_a_row_for_each_caption_and_shows_every_picture() -> None:
    rows = [
        Row("before", [np.full((48, 64, 3), g, np.uint8) for g in GREYS]),
        Row("after", [np.full((64, 48, 3), 255, np.uint8)]),
    ]
    sheet = contact_sheet(rows, cell=(64, 48))
    for grey in GREYS:
        assert (sheet == grey).all(axis=2).sum() >= 64 * 48
    assert sheet.shape[1] == 5 * (64 + 6) + 6


def test_before_and_after_is_written_as_a_picture(tmp_path: Path) -> None:
    clip = grey_clip(tmp_path / "c.mp4")
    out = before_after(clip, clip, tmp_path / "pair.png", at_s=(0.0, 0.2), cell=(64, 48))
    image = cv2.imread(str(out))
    assert image is not None
    assert image.shape[1] == 2 * 70 + 6


def test_a_picture_name_without_a_known_format_is_refused(tmp_path: Path) -> None:
    clip = grey_clip(tmp_path / "c.mp4")
    with pytest.raises(MediaError, match=r"\.png or \.jpg"):
        before_after(clip, clip, tmp_path / "pair.xyz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.mp4"]
