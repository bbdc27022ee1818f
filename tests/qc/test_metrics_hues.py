"""Hues that turn steadily in a clip alone: a subject's drift, and what is none."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from caf.qc.metrics.hues import hue_turn
from caf.qc.metrics.samples import Sample
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FPS, FRAMES, SIZE, Image, lit, pan, picture
from tests.qc.test_metrics_moments import on_the_cat
from tests.qc.test_metrics_subject import turned

Judge = Callable[..., Scores]
Writer = Callable[..., str]


def samples(frames: list[Image], every: int = 9) -> list[Sample]:
    return [Sample(at, at / FPS, frame, 1.0) for at, frame in list(enumerate(frames))[::every]]


def room() -> Image:
    return np.asarray(cv2.resize(picture("coffee"), SIZE, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def dancing(degrees: float, frames: int = FRAMES) -> list[Image]:
    """A figure in blue and green that goes to and fro in a room, its hues turned by so much at the end."""
    figure = np.zeros((90, 40, 3), np.uint8)
    figure[:45], figure[45:] = (190, 90, 40), (60, 160, 70)
    out = []
    for index, colours in enumerate(turned([figure] * frames, np.linspace(0, degrees, frames))):
        frame = room().copy()
        left = round(160 + 90 * np.sin(2 * np.pi * index / 25))
        frame[110:200, left : left + 40] = colours
        out.append(frame)
    return out


@pytest.mark.parametrize("degrees", [-25, 25, 60])
def test_a_figure_whose_hues_drift_is_seen_without_a_source_however_it_moves(
    clip_of: Writer, judge: Judge, degrees: int
) -> None:
    found = judge(clip_of(dancing(degrees)), "identity_drift")["identity_drift"]
    assert (found.score if found.score is not None else 1) < 0.8
    assert "turn steadily" in found.reason
    assert found.raw["turn_deg"] * degrees > 0


def test_a_cat_whose_hues_drift_is_seen_without_a_source(clip_of: Writer, judge: Judge) -> None:
    frames = pan(picture("chelsea"))
    clean = judge(clip_of(frames), "identity_drift")["identity_drift"]
    assert (clean.score or 0) > 0.9
    drifting = clip_of(on_the_cat(frames, turned(frames, np.linspace(0, 40, FRAMES))))
    assert (judge(drifting, "identity_drift")["identity_drift"].score or 0) < 0.8


def warmer(frames: list[Image]) -> list[Image]:
    """Light that becomes redder and brighter."""
    return [
        np.clip(frame * (1 + index / FRAMES * np.array([-0.25, 0.05, 0.3])), 0, 255).astype(np.uint8)
        for index, frame in enumerate(frames)
    ]


def test_figures_that_move_light_that_changes_and_a_camera_that_goes_on_are_no_drift() -> None:
    steady = dancing(0)
    wide = np.hstack([cv2.resize(picture(one), SIZE) for one in ("coffee", "chelsea", "astronaut", "rocket")])
    along = [wide[:, 12 * at : 12 * at + SIZE[0]] for at in range(FRAMES)]
    for frames in (steady, lit(steady, np.linspace(0.8, 1.2, FRAMES)), warmer(steady), along):
        found = hue_turn(samples([np.ascontiguousarray(one) for one in frames]))
        assert found is not None
        assert found.share < 0.003


def test_still_pictures_of_other_hues_in_a_row_are_no_drift() -> None:
    part = FRAMES // 3
    slides = [one for at in (0, FRAMES // 2, FRAMES - 1) for one in [dancing(60)[at]] * part]
    found, steady = hue_turn(samples(slides)), hue_turn(samples(dancing(60)))
    assert found is not None
    assert steady is not None
    assert found.share < 0.003 < 0.008 < steady.share


def test_without_colours_or_with_few_samples_nothing_is_said_about_hues() -> None:
    grey = np.repeat(cv2.cvtColor(room(), cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    assert hue_turn(samples([np.asarray(grey, np.uint8)] * FRAMES)) is None
    assert hue_turn(samples(dancing(60), every=18)) is None


def towards(name: str, reach_px: float) -> list[Image]:
    """A camera that goes towards a picture with many colours, and swings by so much of 800 pixels on its way."""
    whole, frames = cv2.resize(picture(name), (800, 800)), []
    for part in np.linspace(0, 1, FRAMES):
        side = int(300 + 150 * part)
        middle = (800 - side) / 2
        x = int(middle + reach_px * np.sin(8.2 * part + 1.5))
        y = int(middle + reach_px * np.cos(5.7 * part + 1.5))
        frames.append(cv2.resize(whole[y : y + side, x : x + side], SIZE, interpolation=cv2.INTER_AREA))
    return [np.asarray(frame, dtype=np.uint8) for frame in frames]


@pytest.mark.parametrize("reach_px", [60, 120])
def test_hues_that_happen_to_become_a_little_more_alike_when_turned_back_are_no_drift(
    reach_px: float,
) -> None:
    found = hue_turn(samples(towards("astronaut", reach_px)))
    assert found is not None
    assert found.share < 0.003


@pytest.mark.parametrize("degrees", [70, 90])
def test_a_large_figure_whose_hues_turn_so_far_that_the_picture_is_otherwise_coloured_drifts(
    degrees: int,
) -> None:
    figure = cv2.resize(picture("chelsea"), (160, 160)).astype(np.float32) / 255
    lab, frames = cv2.cvtColor(figure, cv2.COLOR_BGR2LAB), []
    for at, angle in enumerate(np.deg2rad(np.linspace(0, degrees, FRAMES))):
        turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        colours = cv2.cvtColor((lab @ turn.T).astype(np.float32), cv2.COLOR_LAB2BGR)
        frame, left = room().copy(), round(100 + 20 * np.sin(at / 4))
        frame[40:200, left : left + 160] = np.clip(colours * 255, 0, 255)
        frames.append(frame)
    found = hue_turn(samples(frames))
    assert found is not None
    assert found.share > 0.02
