"""The injector of the QC benchmark: seeded, graded, and it tells which frames it spoiled."""

import numpy as np
import pytest

from bench.qc_defects import LOCALISED
from bench.qc_inject import PICTURE, SOUND, Frames, misformed, spoil
from bench.qc_scenes import ODDITIES, SIZE, scene
from bench.qc_table import Row, auc, overlap, report

SHORT = 40
QUICK = sorted(set(LOCALISED) - {"pop"})
"""A figure's outline takes a second to find."""


@pytest.fixture(scope="module")
def frames() -> Frames:
    return [frame[::2, ::2].copy() for frame in scene(7, SHORT)]


def test_there_are_more_than_sixteen_classes_of_defects() -> None:
    assert len({*PICTURE, *SOUND, "format"}) >= 16 + 8


@pytest.mark.parametrize("defect", QUICK)
@pytest.mark.parametrize("severity", [1, 2, 3])
def test_the_frames_that_are_named_are_the_ones_that_changed(
    defect: str, severity: int, frames: Frames
) -> None:
    spoiled, blamed = spoil(frames, defect, severity, 3)
    assert blamed
    if len(spoiled) != len(frames):  # frames are missing: the ones after a gap are named
        assert len(blamed) <= len(frames) - len(spoiled)
        return
    changed = {
        index for index, pair in enumerate(zip(frames, spoiled, strict=True)) if not np.array_equal(*pair)
    }
    assert changed == set(blamed)


@pytest.mark.parametrize("defect", QUICK)
def test_the_same_seed_spoils_the_same_way(defect: str, frames: Frames) -> None:
    one, other = (spoil(frames, defect, 2, 5) for _ in range(2))
    assert one.blamed == other.blamed
    assert all(np.array_equal(a, b) for a, b in zip(one.frames, other.frames, strict=True))


def test_a_defect_of_the_whole_clip_names_no_frames(frames: Frames) -> None:
    assert spoil(frames, "blockiness", 1, 3).blamed is None


def test_a_scene_follows_from_its_seed_and_moves() -> None:
    one, same, other = scene(3, 4), scene(3, 4), scene(4, 4)
    assert one[0].shape == (SIZE[1], SIZE[0], 3)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[3])


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_is_odd_but_clean_is_about_as_long_as_the_scene(oddity: str, frames: Frames) -> None:
    assert SHORT - 3 <= len(ODDITIES[oddity](frames)) <= SHORT


def test_a_misformed_file_differs_in_the_more_the_severer_it_is() -> None:
    assert {misformed(1, seed).rate for seed in range(9)} == {0.96, 0.8}
    assert all(misformed(3, seed).width < 1 for seed in range(9))


def test_the_area_counts_ties_half() -> None:
    assert auc([1.0, 0.9], [0.5, 0.2]) == 1.0
    assert auc([1.0], [1.0]) == 0.5
    assert auc([0.2], [0.9]) == 0.0


def test_two_empty_sets_of_frames_are_the_same() -> None:
    assert overlap([], []) == 1.0
    assert overlap([1, 2, 3], [2, 3, 4]) == 0.5


def test_the_table_tells_area_overlap_and_blame() -> None:
    rows = [
        Row("tuned", "a", "clean", 0, "freeze", 1.0, [], None, ""),
        Row("tuned", "b", "clean", 0, "freeze", 0.6, [3], None, ""),
        Row("tuned", "a", "freeze", 1, "freeze", 0.5, [4, 5], [4, 5, 6], ""),
        Row("tuned", "a", "freeze", 1, "sharpness", 0.9, [], [4, 5, 6], ""),
    ]
    text = report("tuned", rows, ["freeze"], {"freeze": "freeze"}, {"freeze": 0.7, "sharpness": 0.7})
    assert "| `freeze` | 0.70 | 0.60 | 0.80 | 1 of 2 | 0 | 0 of 0  |" in text
    assert "| freeze | `freeze` | 1.00 | 1.00 | 0.67 | 1.00 of 1 |" in text
