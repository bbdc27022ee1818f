"""How a clip goes through its source where hardly anything moves: frames that are shown again or are missing."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from caf.qc.metrics import added, passage
from caf.qc.metrics.added import Added, added_of
from tests.qc.conftest import Scores
from tests.qc.metric_clips import Image, pan, picture
from tests.qc.test_metrics_added import mosaic, without
from tests.qc.test_metrics_bend import FRAMES, room

Judge = Callable[..., Scores]
Writer = Callable[..., str]


def creeping() -> list[Image]:
    """A camera that drifts by less than a pixel a frame."""
    return pan(picture("coffee"), FRAMES, scale=1.5)


def coded(frames: Sequence[Image]) -> list[Image]:
    """As well as clips usually are."""
    data = [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for one in frames]
    return [np.asarray(cv2.imdecode(one, cv2.IMREAD_COLOR), np.uint8) for one in data]


def doubled(frames: Sequence[Image], places: Sequence[int]) -> list[Image]:
    return [frames[at - 1] if at in places else frame for at, frame in enumerate(frames)]


def through(clip: Sequence[Image], source: Sequence[Image]) -> Added:
    found = added_of(mosaic(clip), mosaic(source))
    assert found is not None
    return found


@pytest.mark.parametrize("places", [(20,), (20, 33, 50), (20, 21, 40)])
def test_frames_that_are_shown_again_are_told_one_by_one_though_hardly_anything_moves(
    places: tuple[int, ...],
) -> None:
    twice = doubled(creeping(), places)
    if 21 in places:
        twice[21] = twice[20]
    found = through(coded(twice), creeping())
    assert np.flatnonzero(found.doubled).tolist() == list(places)
    assert not found.lost.any()


@pytest.mark.parametrize("places", [(20,), (20, 33, 50), (20, 21)])
def test_frames_that_are_missing_are_told_by_the_one_after_them_though_hardly_anything_moves(
    places: tuple[int, ...],
) -> None:
    found = through(coded(without(creeping(), places)), creeping())
    after = sorted({at - sum(other < at for other in places) for at in places})
    assert np.flatnonzero(found.lost).tolist() == after
    assert not found.doubled.any()


def test_a_clip_that_shows_every_moment_once_repeats_and_loses_nothing() -> None:
    for source in (creeping(), room()):
        brighter = [np.clip(frame * 1.1, 0, 255).astype(np.uint8) for frame in source]
        for clip in (coded(source), coded(brighter)):
            found = through(clip, source)
            assert not found.doubled.any()
            assert not found.lost.any()


def test_where_the_source_stands_still_nothing_is_shown_again() -> None:
    still = creeping()[:30] + [creeping()[29]] * 20 + creeping()[30:]
    found = through(coded(still), still)
    assert not found.doubled.any()
    assert not found.lost.any()


def test_a_long_clip_goes_the_same_way_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, source = coded(doubled(creeping(), [19, 40])), creeping()
    whole = through(clip, source)
    for module in (added, passage):
        monkeypatch.setattr(module, "_TOGETHER", 20)
    for one, other in zip(whole, through(clip, source), strict=True):
        assert np.array_equal(one, other)


def test_cadence_blames_the_doubled_frames_of_a_slow_clip_against_its_source(
    clip_of: Writer, judge: Judge
) -> None:
    source = clip_of(creeping())
    found = judge(clip_of(doubled(creeping(), [20, 33, 50])), "cadence", source=source)["cadence"]
    assert sorted(found.worst_frames) == [20, 33, 50]
    assert found.raw["again_share"] == pytest.approx(3 / FRAMES, abs=1e-6)
    assert (found.score or 0) < 0.7
    assert "held against the source" in found.reason
    same = judge(clip_of(coded(creeping())), "cadence", source=source)["cadence"]
    assert same.raw["again_share"] == same.raw["lost_share"] == 0
