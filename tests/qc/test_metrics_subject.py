"""Identity, costume, outline and presence, on a real cat and a real person."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.appearance import look_of, look_similarity
from caf.qc.metrics.edges import mask_edge_bleed
from caf.qc.metrics.faces import Box, cat_faces, close_up_cat_face, human_faces
from caf.qc.metrics.frames import seen_image
from caf.qc.metrics.identity import Anchor, identity_consistency, identity_drift
from caf.qc.metrics.rim import rim_contrast, shared_rim
from caf.qc.metrics.samples import SampleCollector, sample_of, spread
from caf.qc.metrics.scene import Kind, Scene, Sighting, scan
from caf.qc.metrics.subject import Subject, follow, subject_of_picture
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FRAMES, Image, pan, picture, seen

Judge = Callable[..., Scores]
Writer = Callable[..., str]

LOOKS = ("identity_consistency", "costume_fidelity")


def turned(frames: list[Image], degrees: float | NDArray[np.float64]) -> list[Image]:
    """Every colour turned around the hue circle."""
    angles = np.broadcast_to(np.asarray(degrees, dtype=np.float64), len(frames))
    out = []
    for frame, angle in zip(frames, angles, strict=True):
        hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(float(angle) / 2)) % 180
        out.append(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), dtype=np.uint8))
    return out


def test_a_tilted_close_up_of_a_cat_is_found_and_things_are_not() -> None:
    box = close_up_cat_face(picture("chelsea"))
    assert box is not None
    assert box.w > 150
    for name in ("astronaut", "coffee", "rocket"):
        assert close_up_cat_face(picture(name)) is None


def test_of_the_right_cat_no_frame_is_blamed(cat_clip: str, judge: Judge) -> None:
    found = judge(cat_clip, "identity_consistency")["identity_consistency"]
    assert found.score == 1.0
    assert (found.worst_frames, found.spans) == ((), ())


def test_a_known_cat_is_found_again_near_by_and_another_one_only_where_all_is_searched() -> None:
    around = cv2.copyMakeBorder(picture("chelsea"), *4 * (200,), cv2.BORDER_CONSTANT, value=(110, 110, 110))
    height, width = around.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 6.0, 1.0)
    upright = cv2.warpAffine(around, turn, (width, height), borderValue=(110, 110, 110))
    cat = cv2.resize(upright, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    two = np.hstack([cat, cat])
    left, right = cat_faces(two)
    assert left.centre[0] < 212 < right.centre[0]
    (again,) = cat_faces(two, [left], near=True)
    assert np.hypot(*np.subtract(again.centre, left.centre)) < 8
    assert len(cat_faces(two, [left])) == 2
    assert cat_faces(two, [Box(0.0, 0.0, 20.0, 20.0)]) == []


def test_a_person_is_found_where_she_is() -> None:
    (box,) = human_faces(picture("astronaut"))
    x, y = box.centre
    assert 190 < x < 260
    assert 80 < y < 150
    assert human_faces(picture("coffee")) == []


def test_the_cat_matches_her_own_picture_in_look_and_costume(
    cat_clip: str, judge: Judge, picture_file: Writer
) -> None:
    found = judge(cat_clip, *LOOKS, reference=picture_file(picture("chelsea")), costume_required=True)
    assert (found["identity_consistency"].score or 0) > 0.9
    assert found["costume_fidelity"].score == 1.0


def test_a_cat_in_black_and_white_is_itself_and_the_one_of_the_source_in_colours(
    cat_clip: str, clip_of: Writer, judge: Judge
) -> None:
    colour = pan(picture("chelsea"))
    gray = [np.repeat(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2) for frame in colour]
    path = clip_of(gray)
    found = judge(path, "identity_consistency", "identity_drift")
    assert {name: one.score for name, one in found.items()} == {
        "identity_consistency": 1.0,
        "identity_drift": 1.0,
    }
    (style,) = judge(path, "identity_consistency", source=cat_clip).values()
    assert (style.score or 0) > 0.9


def test_a_person_as_reference_fails_the_cat_in_look_and_costume(
    cat_clip: str, judge: Judge, picture_file: Writer
) -> None:
    found = judge(cat_clip, *LOOKS, reference=picture_file(picture("astronaut")), costume_required=True)
    assert (found["identity_consistency"].score or 0) < 0.35
    assert (found["costume_fidelity"].score or 0) < 0.5
    assert "cat where the reference shows a person" in found["costume_fidelity"].reason


@pytest.mark.parametrize("shape", [(16, 16), (3, 900), (240, 320)])
def test_a_reference_that_shows_nothing_is_no_match_but_unknown(
    cat_clip: str, judge: Judge, picture_file: Writer, shape: tuple[int, int]
) -> None:
    grey = np.full((*shape, 3), 128, np.uint8)
    small = cv2.resize(picture("chelsea"), shape[::-1], interpolation=cv2.INTER_AREA)
    reference = picture_file(grey if min(shape) > 100 else np.asarray(small, np.uint8))
    found = judge(cat_clip, *LOOKS, reference=reference, costume_required=True)
    for name in LOOKS:
        assert found[name].score is None
        assert "reference picture shows nothing to compare" in found[name].reason


def test_a_reference_without_a_face_is_told_beside_what_it_matches(
    cat_clip: str, judge: Judge, picture_file: Writer
) -> None:
    faceless = np.ascontiguousarray(picture("chelsea")[200:])
    found = judge(cat_clip, *LOOKS, reference=picture_file(faceless), costume_required=True)
    assert "no face was found in the reference" in found["identity_consistency"].reason


def test_a_clip_of_a_person_fails_against_a_cat(clip_of: Writer, judge: Judge, picture_file: Writer) -> None:
    clip = clip_of(pan(picture("astronaut")[:340], 36))
    found = judge(
        clip,
        "identity_consistency",
        "human_presence",
        "feline_presence",
        reference=picture_file(picture("chelsea")),
    )
    assert (found["identity_consistency"].score or 0) < 0.35
    assert (found["human_presence"].score or 0) > 0.6
    assert (found["feline_presence"].score or 0) < 0.2


@pytest.mark.parametrize("degrees", [60, 150])
def test_a_recoloured_costume_fails_against_the_reference(
    clip_of: Writer, judge: Judge, picture_file: Writer, degrees: int
) -> None:
    clip = clip_of(turned(pan(picture("chelsea"), 36), degrees))
    found = judge(clip, *LOOKS, reference=picture_file(picture("chelsea")), costume_required=True)
    assert (found["costume_fidelity"].score or 0) < 0.8
    assert (found["identity_consistency"].score or 0) < 0.7


def test_without_a_reference_the_source_is_the_anchor_and_the_reason_says_so(
    cat_clip: str, clip_of: Writer, judge: Judge
) -> None:
    same = judge(cat_clip, "identity_consistency")["identity_consistency"]
    assert (same.score or 0) > 0.9
    assert "no reference given" in same.reason
    other = clip_of(turned(pan(picture("chelsea"), 36), 60))
    changed = judge(other, "identity_consistency", source=cat_clip)["identity_consistency"]
    assert (changed.score or 0) < 0.7


def test_a_costume_without_a_reference_is_not_scored(cat_clip: str, judge: Judge) -> None:
    found = judge(cat_clip, "costume_fidelity", costume_required=True)["costume_fidelity"]
    assert found.score is None
    assert "no reference picture" in found.reason


def test_a_look_that_stays_has_no_drift_and_one_that_changes_does(
    cat_clip: str, clip_of: Writer, judge: Judge
) -> None:
    assert (judge(cat_clip, "identity_drift")["identity_drift"].score or 0) > 0.9
    drifting = clip_of(turned(pan(picture("chelsea")), np.linspace(0, 100, FRAMES)))
    found = judge(drifting, "identity_drift")["identity_drift"]
    assert (found.score or 0) < 0.8
    assert min(found.worst_frames) > FRAMES // 3


def test_without_a_face_a_scene_that_changes_is_no_subject_that_does(clip_of: Writer, judge: Judge) -> None:
    part = FRAMES // 3
    frames = [*pan(picture("coffee"))[:part], *pan(picture("rocket"))[part:]]
    clip = clip_of(frames)
    alone = judge(clip, "identity_drift", "identity_consistency")
    for one in alone.values():
        assert one.score is None
        assert "the scene does" in one.reason
    against = judge(clip, "identity_drift", source=clip_of([*frames[:-1], frames[-2]]))["identity_drift"]
    assert (against.score or 0) > 0.9


def test_without_a_face_a_middle_that_changes_alone_is_a_subject_that_does(
    clip_of: Writer, judge: Judge
) -> None:
    frames = pan(picture("coffee"), scale=0.2)
    other = turned(frames, np.linspace(0, 140, FRAMES))
    width = frames[0].shape[1]
    for one, here in zip(frames, other, strict=True):
        one[:, width // 5 : -width // 5] = here[:, width // 5 : -width // 5]
    for name, found in judge(clip_of(frames), "identity_drift", "identity_consistency").items():
        assert (found.score if found.score is not None else 1) < 0.8, name
        assert "middle of the picture" in found.reason


@pytest.mark.parametrize(("share", "keeps"), [(0.1, True), (1.0, False)])
def test_hands_before_a_dark_jacket_are_no_drift_and_a_red_jacket_is_one(share: float, keeps: bool) -> None:
    dark = cv2.resize(picture("chelsea"), (200, 400), interpolation=cv2.INTER_AREA)
    dark[100:] = (40, 38, 36)
    covered = dark.copy()
    covered[120 : 120 + int(200 * share)] = (90, 120, 200)
    box = Box(50, 0, 100, 90)
    looks = [look_of(picture, box) for picture in (dark, covered)]
    samples = [sample_of(seen_image(index, index / 2, dark)) for index in range(6)]
    sightings = [
        Sighting(sample, box, look, Kind.CAT)
        for sample in samples
        if (look := looks[sample.index in (2, 3)]) is not None
    ]
    found = identity_drift(Subject(sightings, Kind.CAT, 1))
    assert ((found.score or 0) >= 0.8) is keeps, found


def test_a_subject_that_turns_away_is_not_followed_into_its_twin_beside_it() -> None:
    cat = picture("chelsea")
    twin = turned([cat], 14)[0]
    box = close_up_cat_face(cat)
    assert box is not None
    looks = [look_of(cat, box), look_of(twin, box)]
    assert looks[0] is not None
    assert looks[1] is not None
    assert 0.78 < look_similarity(looks[0], looks[1]) < 0.98
    samples = [sample_of(seen_image(index, index / 2, cat)) for index in range(5)]

    def sighted(place: int, who: int) -> Sighting:
        look = looks[who]
        assert look is not None
        return Sighting(samples[place], Box(100.0 + 110 * who + place, 60, 40, 40), look, Kind.CAT)

    seen_by_sample = [[sighted(place, who) for who in (0, 1) if who or place < 3] for place in range(5)]
    subject = follow(Scene(samples, seen_by_sample, 5, 0, 2), looks[0])
    assert subject is not None
    assert [one.box.x for one in subject.sightings] == [100, 101, 102]


@pytest.mark.parametrize(("cut", "followed"), [(False, 5), (True, 3)])
def test_after_a_cut_only_what_looks_just_like_the_subject_is_taken_for_it(cut: bool, followed: int) -> None:
    cat = picture("chelsea")
    box = close_up_cat_face(cat)
    assert box is not None
    mine, alike = look_of(cat, box), look_of(turned([cat], 14)[0], box)
    assert mine is not None
    assert alike is not None
    assert 0.78 < look_similarity(mine, alike) < 0.9
    later = picture("coffee") if cut else cat
    samples = [sample_of(seen_image(index, index / 2, cat if index < 3 else later)) for index in range(5)]
    seen_by_sample = [
        [Sighting(sample, Box(100.0, 60, 40, 40), mine, Kind.CAT)]
        if sample.index < 3
        else [Sighting(sample, Box(160.0, 150, 40, 40), alike, Kind.CAT)]
        for sample in samples
    ]
    subject = follow(Scene(samples, seen_by_sample, 5, 0, 2), mine)
    assert subject is not None
    assert len(subject.sightings) == followed


def outline(frames: list[Image]) -> float:
    collector = SampleCollector()
    for frame in seen(frames):
        collector.add(frame)
    scene = scan(spread(collector.result(), 4))
    found = mask_edge_bleed(follow(scene, None))
    assert found.score is not None, found.reason
    return found.score


def cat_at_a_wall() -> tuple[Image, Image]:
    """The picture, and where in it the cat is."""
    wall = np.full((360, 300, 3), (150, 140, 130), np.uint8)
    wall += np.random.default_rng(4).integers(0, 12, wall.shape, dtype=np.uint8)
    body = np.zeros(wall.shape[:2], np.uint8)
    cv2.ellipse(body, (150, 130), (62, 75), 0, 0, 360, 1, -1)
    cv2.rectangle(body, (95, 190), (205, 352), 1, -1)
    head = cv2.resize(picture("chelsea")[:, 95:385], (130, 134), interpolation=cv2.INTER_AREA)
    cat = wall.copy()
    cat[body > 0] = (60, 120, 60)
    cat[64:198, 86:216] = np.where(body[64:198, 86:216, None] > 0, head, cat[64:198, 86:216])
    return cat, body


def ringed(cat: Image, body: Image, width_px: int, strength: float, colour: tuple[int, int, int]) -> Image:
    kernel = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    ring = (cv2.dilate(body, kernel) - body)[..., None] * strength
    return np.asarray(cat * (1 - ring) + np.array(colour) * ring, dtype=np.uint8)


def test_a_ring_of_foreign_colour_around_the_subject_is_seen() -> None:
    cat, body = cat_at_a_wall()
    assert outline([cat] * 4) >= 0.6
    assert outline([ringed(cat, body, 4, 1.0, (80, 255, 80))] * 4) < 0.6


@pytest.mark.parametrize(("width_px", "colour"), [(2, (255, 120, 30)), (3, (60, 60, 255))])
def test_a_faint_ring_too_narrow_for_the_cut_out_is_seen(width_px: int, colour: tuple[int, int, int]) -> None:
    cat, body = cat_at_a_wall()
    assert outline([ringed(cat, body, width_px, 0.5, colour)] * 4) < 0.6


def test_a_rim_is_of_one_colour_all_the_way_round_and_around_more_than_one_outline() -> None:
    cat, body = cat_at_a_wall()
    green, red = (ringed(cat, body, 3, 0.6, colour) for colour in ((80, 255, 80), (60, 60, 255)))
    half = np.where(np.arange(cat.shape[0])[:, None, None] < 180, green, red)
    clean, whole, other, mixed = (
        rim_contrast(np.asarray(one, np.uint8), body > 0) for one in (cat, green, red, half)
    )
    assert clean is not None
    assert whole is not None
    assert other is not None
    assert mixed is not None
    assert shared_rim([clean, clean]) < 3
    assert shared_rim([mixed, mixed]) < 7
    assert shared_rim([whole, whole]) > 15
    assert shared_rim([whole]) == 0
    assert shared_rim([whole, clean]) < 3
    assert shared_rim([whole, other]) < 7


def test_of_several_pictures_the_face_tells_what_the_reference_shows() -> None:
    cat, person = (
        subject_of_picture(sample_of(seen_image(0, 0.0, picture("chelsea")))),
        subject_of_picture(sample_of(seen_image(0, 0.0, picture("astronaut")))),
    )
    assert cat is not None
    assert person is not None
    assert (cat.kind, person.kind) == (Kind.CAT, Kind.PERSON)


def test_one_look_taken_for_a_person_in_the_source_and_for_a_cat_in_the_clip_is_one_subject() -> None:
    cat, person = (
        subject_of_picture(sample_of(seen_image(0, 0.0, picture(name)))) for name in ("chelsea", "astronaut")
    )
    assert cat is not None
    assert person is not None
    subject = Subject([cat], Kind.CAT, 1)
    same, other, reference = (
        identity_consistency(subject, anchor).score
        for anchor in (
            Anchor(cat.look, Kind.PERSON, from_reference=False),
            Anchor(person.look, Kind.PERSON, from_reference=False),
            Anchor(cat.look, Kind.PERSON, from_reference=True),
        )
    )
    told = identity_consistency(subject, Anchor(person.look, Kind.PERSON, from_reference=False))
    assert told.reason == "The clip shows a cat where the source shows a person."
    assert same == 1.0
    assert other is not None
    assert reference is not None
    assert max(other, reference) <= 0.1
