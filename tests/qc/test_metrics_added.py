"""What a clip shows and its source does not at the same moment, and moments of the source that are missing."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from caf.qc.metrics import added
from caf.qc.metrics.added import Added, added_of
from caf.qc.metrics.mosaic import Mosaic, MosaicCollector
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FPS, Image, lit, pan, picture, seen
from tests.qc.test_metrics_bend import coded, room

Judge = Callable[..., Scores]
Writer = Callable[..., str]


def mosaic(frames: Sequence[Image], fps: float = FPS) -> Mosaic:
    collector = MosaicCollector()
    for frame in seen(list(frames)):
        collector.add(frame)
    found = collector.result()
    return found._replace(time_s=np.arange(len(frames)) / fps)


def against(clip: Sequence[Image], source: Sequence[Image]) -> Added:
    found = added_of(mosaic(clip), mosaic(source))
    assert found is not None
    return found


def popped(frames: Sequence[Image], places: Sequence[int]) -> list[Image]:
    """The one who goes to and fro is gone at these places, but for a part; the room is seen instead."""
    empty = pan(picture("coffee"), len(frames), scale=3.0)
    out = list(frames)
    for at in places:
        out[at] = out[at].copy()
        out[at][100:115] = empty[at][100:115]
    return out


def without(frames: Sequence[Image], places: Sequence[int]) -> list[Image]:
    return [frame for at, frame in enumerate(frames) if at not in places]


def test_the_same_pictures_coded_again_have_nothing_added_or_lost() -> None:
    found = against(coded(room()), room())
    assert found.excess.max() < 0.5
    assert not found.lost.any()


@pytest.mark.parametrize("places", [(30,), (30, 31), (30, 31, 32), (5, 6, 40, 41, 60)])
def test_a_part_that_is_gone_for_a_moment_is_told_to_the_frame_though_it_moves(
    places: tuple[int, ...],
) -> None:
    found = against(coded(popped(room(), places)), room())
    assert np.flatnonzero(found.excess > 1).tolist() == list(places)


def test_a_long_clip_is_judged_in_blocks_as_it_would_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, source = mosaic(coded(popped(room(), [5, 19, 20, 21, 41, 60]))), mosaic(room())
    whole = added_of(clip, source)
    monkeypatch.setattr(added, "_TOGETHER", 20)
    blocks = added_of(clip, source)
    assert whole is not None
    assert blocks is not None
    for one, other in zip(whole, blocks, strict=True):
        assert np.array_equal(one, other)


def test_while_a_long_clip_is_held_against_its_source_there_are_signs_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(added, "_TOGETHER", 20)
    beats: list[None] = []
    assert added_of(mosaic(coded(room())), mosaic(room()), lambda: beats.append(None)) is not None
    assert len(beats) > 2 * len(room()) // 20


def test_what_stays_otherwise_is_no_moment() -> None:
    clip = room()
    for frame in clip[20:]:
        frame[10:60, 10:60] = 255
    assert against(clip, room()).excess.max() < 0.5


def test_what_pops_in_the_source_as_well_was_not_added() -> None:
    twitching = popped(room(), [30, 31])
    assert against(coded(twitching), twitching).excess.max() < 0.5


def test_what_was_mended_was_not_added() -> None:
    assert against(coded(room()), popped(room(), [30, 31])).excess.max() < 0.5
    doubled = room()
    doubled[40] = doubled[39]
    found = against(coded(room()), doubled)
    assert found.excess.max() < 0.5
    assert not found.lost.any()


def test_light_that_flickers_adds_nothing() -> None:
    gains = 1 + 0.05 * np.random.default_rng(3).normal(size=len(room()))
    assert against(lit(room(), gains), room()).excess.max() < 1


@pytest.mark.parametrize("places", [(20,), (20, 21), (20, 33, 34, 50), (1,), tuple(range(10, 60, 6))])
def test_lost_frames_are_told_by_the_frame_that_comes_after_them(places: tuple[int, ...]) -> None:
    found = against(coded(without(room(), places)), room())
    after = [at - sum(other < at for other in places) for at in places]
    assert np.flatnonzero(found.lost).tolist() == sorted(set(after))
    assert found.excess.max() < 1


def test_frames_lost_from_a_picture_that_stands_still_are_nobodys_loss() -> None:
    still = [room()[0]] * 60
    assert not against(coded(without(still, [20, 21, 40])), still).lost.any()


def test_a_clip_in_slower_time_has_lost_nothing() -> None:
    every_second = room()[::2]
    found = added_of(mosaic(every_second, FPS / 2), mosaic(room()))
    assert found is not None
    assert not found.lost.any()
    assert found.excess.max() < 0.5


def test_another_clip_its_mirror_image_or_next_to_nothing_says_nothing() -> None:
    clip = mosaic(room())
    for other in (
        pan(picture("chelsea")),
        [np.ascontiguousarray(frame[:, ::-1]) for frame in room()],
        room()[:8],
    ):
        assert added_of(clip, mosaic(other)) is None
        assert added_of(mosaic(other), clip) is None
    assert added_of(clip, Mosaic(clip.cells[:0], clip.time_s[:0])) is None


def test_what_comes_after_the_end_of_the_source_is_no_moment_either() -> None:
    found = against(room(), room()[:50])
    assert found.excess.max() < 0.5
    assert not found.lost.any()


def test_a_faint_pop_is_found_against_the_source_and_alone_it_is_not(clip_of: Writer, judge: Judge) -> None:
    clean = room()
    faint = popped(clean, [30, 31])
    for at in (30, 31):
        faint[at] = np.asarray(0.7 * clean[at] + 0.3 * faint[at], np.uint8)
    source, clip = clip_of(clean), clip_of(faint)
    for name in ("glitch", "temporal_stability"):
        alone = judge(clip, name)[name]
        assert (alone.score or 0) > 0.7
        assert alone.worst_frames == ()
    found = judge(clip, "glitch", source=source)["glitch"]
    assert sorted(found.worst_frames) == [30, 31]
    assert found.raw["largest_added"] > 1
    assert (found.score or 0) < 0.7
    assert "against the source" in found.reason
    same = judge(clip_of(coded(clean)), "glitch", source=source)["glitch"]
    assert same.raw["largest_added"] < 0.5
    assert "largest_added" not in judge(clip, "glitch")["glitch"].raw


def test_lost_frames_are_blamed_by_cadence_against_the_source(clip_of: Writer, judge: Judge) -> None:
    source, clip = clip_of(room()), clip_of(without(room(), [20, 33, 34, 50]))
    found = judge(clip, "cadence", source=source)["cadence"]
    assert sorted(found.worst_frames) == [20, 32, 47]
    assert found.raw["lost_share"] == pytest.approx(3 / 68, abs=1e-6)
    assert (found.score or 0) < 0.75
    assert judge(source, "cadence", source=clip_of(coded(room())))["cadence"].raw["lost_share"] == 0


def test_where_a_clip_goes_another_way_than_its_source_nothing_is_lost_or_doubled(
    clip_of: Writer, judge: Judge
) -> None:
    frames = room()
    there = len(frames) * 5 // 8
    back = [*frames[:there], *frames[there - 2 :: -1][: len(frames) - there]]
    found = judge(clip_of(coded(without(back, [20]))), "cadence", source=clip_of(frames))["cadence"]
    assert found.worst_frames == (20,)
    assert found.raw["lost_share"] == pytest.approx(1 / (len(back) - 1), abs=1e-6)
