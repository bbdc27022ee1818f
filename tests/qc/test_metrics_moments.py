"""A clip held against the same moments of its source: turned hues and added rims."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from caf.qc.metrics.frames import seen_image
from caf.qc.metrics.halo import added_line
from caf.qc.metrics.moments import changes_of, same_moments, turned_deg
from caf.qc.metrics.samples import sample_of
from caf.qc.metrics.scene import middle
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FPS, FRAMES, SIZE, Image, lit, pan, picture
from tests.qc.test_metrics_subject import turned

Judge = Callable[..., Scores]
Writer = Callable[..., str]

CENTRE, AXES = (180, 120), (95, 90)


def disc(grow: int = 0) -> Image:
    """Where the cat's face is, about."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    cv2.ellipse(mask, CENTRE, (AXES[0] + grow, AXES[1] + grow), 0, 0, 360, 1, -1)
    return mask


def on_the_cat(frames: list[Image], changed: list[Image]) -> list[Image]:
    """The frames, inside the disc as in `changed`."""
    inside = disc()[..., None] > 0
    return [np.where(inside, after, frame) for frame, after in zip(frames, changed, strict=True)]


def rimmed(frames: list[Image], width_px: int, strength: float) -> list[Image]:
    """A green rim around the disc."""
    rim = (disc(width_px) - disc()).astype(np.float32)[..., None] * strength
    green = np.array((80, 255, 80), np.float32)
    return [(frame * (1 - rim) + green * rim).astype(np.uint8) for frame in frames]


def coded(frame: Image) -> Image:
    ok, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert ok
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


@pytest.fixture(scope="module")
def source(clip_of: Writer) -> str:
    return clip_of(pan(picture("chelsea")))


@pytest.mark.parametrize("degrees", [-16, 16])
def test_hues_turned_a_little_on_the_cat_alone_are_seen_against_the_source(
    clip_of: Writer, judge: Judge, source: str, degrees: int
) -> None:
    frames = pan(picture("chelsea"))
    clip = clip_of(on_the_cat(frames, turned(frames, degrees)))
    found = judge(clip, "identity_consistency", source=source)["identity_consistency"]
    assert (found.score or 0) < 0.8
    assert found.raw["turned_deg"] > 9


def test_what_is_coded_again_sharper_or_brighter_is_the_same_cat(
    clip_of: Writer, judge: Judge, source: str
) -> None:
    frames = pan(picture("chelsea"))
    sharper = [cv2.addWeighted(one, 1.6, cv2.GaussianBlur(one, (0, 0), 1.2), -0.6, 0) for one in frames]
    variants = [[coded(one) for one in frames], sharper, lit(frames, np.full(FRAMES, 1.2))]
    for variant in variants:
        found = judge(
            clip_of([np.asarray(one, np.uint8) for one in variant]),
            "identity_consistency",
            "identity_drift",
            "mask_edge_bleed",
            source=source,
        )
        assert {name: one for name, one in found.items() if (one.score or 0) < 0.85} == {}


def test_a_black_and_white_clip_of_a_coloured_source_is_the_same_cat(
    clip_of: Writer, judge: Judge, source: str
) -> None:
    grey = [
        cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        for one in pan(picture("chelsea"))
    ]
    found = judge(clip_of([np.asarray(one, np.uint8) for one in grey]), "identity_consistency", source=source)
    assert (found["identity_consistency"].score or 0) > 0.85


def quilt(shift_px: int = 0) -> Image:
    """Patches of strong colours and many tones over the middle of a grey picture."""
    rng = np.random.default_rng(8)
    patches = np.zeros((12, 18, 3), np.uint8)
    patches[...] = rng.integers(40, 200, (12, 18, 1))
    inner = (slice(3, 9), slice(6, 12))
    hsv = np.full((6, 6, 3), 200, np.uint8)
    hsv[..., 0], hsv[..., 2] = rng.integers(0, 180, (6, 6)), rng.integers(90, 230, (6, 6))
    patches[inner] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    large = cv2.resize(patches, SIZE, interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.roll(large, shift_px, axis=1), dtype=np.uint8)


def turn_of(clip: Image, source: Image) -> float | None:
    sample = sample_of(seen_image(0, 0.0, clip))
    return turned_deg(middle(sample)[0], sample_of(seen_image(0, 0.0, source)).image)


def test_a_costume_of_other_hues_is_the_same_picture_although_its_tones_change_with_them() -> None:
    assert turn_of(quilt(), coded(quilt())) == pytest.approx(0, abs=2)
    turn = turn_of(turned([quilt()], 120)[0], quilt())
    assert turn is not None
    assert turn > 60
    assert turn_of(quilt(40), quilt()) is None


@pytest.mark.parametrize(("same", "known"), [(2, 0), (4, 4)])
def test_where_few_moments_are_the_same_picture_none_is_held_against_the_other(same: int, known: int) -> None:
    one, other = quilt(), quilt(40)
    samples = [sample_of(seen_image(index, index / 2, one)) for index in range(6)]
    moments = {index: one if index < same else other for index in range(6)}
    sightings = [seen for sample in samples for seen in middle(sample)]
    assert len(changes_of(sightings, samples, moments)) == known


def test_a_small_figure_whose_hues_are_turned_a_little_is_seen_without_a_face() -> None:
    one = picture("chelsea")
    small = (slice(30, 80), slice(160, 200))
    changed = one.copy()
    changed[small] = turned([one], 24)[0][small]
    assert turn_of(coded(one), one) == pytest.approx(0, abs=3)
    turn = turn_of(coded(changed), one)
    assert turn is not None
    assert turn > 9


def test_hues_that_drift_away_from_the_source_are_a_drift(clip_of: Writer, judge: Judge, source: str) -> None:
    frames = pan(picture("chelsea"))
    clip = clip_of(on_the_cat(frames, turned(frames, np.linspace(0, 26, FRAMES))))
    found = judge(clip, "identity_drift", source=source)["identity_drift"]
    assert (found.score or 0) < 0.8
    assert "more than the source's" in found.reason


def test_a_drift_that_was_mended_is_none(clip_of: Writer, judge: Judge) -> None:
    frames = pan(picture("chelsea"))
    drifting = clip_of(on_the_cat(frames, turned(frames, np.linspace(0, 60, FRAMES))))
    found = judge(clip_of(frames), "identity_drift", "identity_consistency", source=drifting)
    assert (found["identity_drift"].score or 0) > 0.85
    assert (found["identity_consistency"].score or 0) > 0.7


def test_a_faint_rim_is_seen_against_the_source_and_text_is_no_rim(
    clip_of: Writer, judge: Judge, source: str
) -> None:
    frames = pan(picture("chelsea"))
    rim = judge(clip_of(rimmed(frames, 2, 0.4)), "mask_edge_bleed", source=source)["mask_edge_bleed"]
    assert (rim.score or 0) < 0.6
    assert "was added" in rim.reason
    texted = [one.copy() for one in frames]
    for one in texted:
        cv2.putText(one, "watch this", (60, 215), cv2.FONT_HERSHEY_DUPLEX, 1.0, (255, 255, 255), 2)
    text = judge(clip_of(texted), "mask_edge_bleed", source=source)["mask_edge_bleed"]
    assert (text.score or 0) > 0.85


@pytest.mark.parametrize("size", [0.35, 0.4])
def test_many_lines_of_words_above_each_other_are_no_rim(size: float) -> None:
    plain = pan(picture("chelsea"))[0]
    texted = plain.copy()
    for line in range(5):
        place = (40, 60 + round(line * 34 * size))
        cv2.putText(
            texted, "the cats that dance are back", place, cv2.FONT_HERSHEY_SIMPLEX, size, (255,) * 3, 1
        )
    assert added_line(texted, plain) == (0.0, 0.0)


def test_pictures_of_another_moment_are_not_held_against_each_other() -> None:
    frames = pan(picture("chelsea"), scale=6.0)
    assert added_line(frames[0], frames[FRAMES // 2]) is None
    assert added_line(frames[0], coded(frames[0])) == (0.0, 0.0)


def test_the_sources_moment_is_found_by_time_at_any_rate(source: str) -> None:
    frames = pan(picture("chelsea"))
    samples = [
        sample_of(seen_image(index, place / FPS, frames[place])) for index, place in enumerate((0, 30, 70))
    ]
    late = sample_of(seen_image(3, 100.0, frames[0]))
    beats: list[int] = []
    found = same_moments(source, [*samples, late], lambda: beats.append(1))
    assert sorted(found) == [0, 1, 2]
    for sample in samples:
        apart = np.abs(found[sample.index].picture.astype(float) - sample.image.astype(float)).mean()
        assert apart < 6
    assert found[0].earlier is None
    for index, place in ((1, 30), (2, 70)):
        earlier = found[index].earlier
        assert earlier is not None
        apart = [
            np.abs(earlier.astype(float) - frames[place - before].astype(float)).mean() for before in range(6)
        ]
        assert int(np.argmin(apart)) in (2, 3), "a tenth of a second before"
    assert len(beats) >= FRAMES
