"""Pictures that stand because they are meant to: slides that dissolve, and what a fade ends in."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from caf.qc.metrics.course import EMPTY_LEVELS
from caf.qc.metrics.timing import freeze
from tests.qc.metric_clips import Image, pan, picture
from tests.qc.test_metrics_technical import course_of, poor, score

CARDS = ("chelsea", "coffee", "astronaut")


def card(name: str) -> Image:
    return pan(picture(name), 1)[0]


def between(one: Image, other: Image, share: float) -> Image:
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)


def dissolved(frames: int, *, eased: bool = False) -> list[Image]:
    """Each card stands for a second, and takes so many frames to become the next."""
    shown: list[Image] = []
    for one, other in pairwise(CARDS):
        shares = np.arange(1, frames) / frames
        shares = 0.5 - 0.5 * np.cos(np.pi * shares) if eased else shares
        shown += [card(one)] * 24
        shown += [between(card(one), card(other), float(share)) for share in shares]
    return [*shown, *[card(CARDS[-1])] * 24]


@pytest.mark.parametrize(("frames", "eased"), [(8, False), (24, False), (16, True)])
def test_slides_that_dissolve_into_each_other_hang_nowhere(frames: int, eased: bool) -> None:
    assert not poor(dissolved(frames, eased=eased)).keys() & {"freeze", "cadence", "flicker"}


def test_slides_that_go_to_black_and_come_from_it_neither_hang_nor_flicker() -> None:
    dips = [min(1.0, at / 12, (47 - at) / 12) for at in range(48)]
    shown = [between(np.zeros_like(card(one)), card(one), share) for one in CARDS for share in dips]
    assert not poor(shown).keys() & {"freeze", "cadence", "flicker", "glitch"}


def test_a_card_that_a_moving_clip_dissolves_into_at_its_end_does_not_hang() -> None:
    moving = pan(picture("chelsea"), scale=3.0)
    end = [between(frame, card("coffee"), min(1.0, at / 12)) for at, frame in enumerate(moving[36:])]
    assert freeze(course_of([*moving[:36], *end])).blamed == ()


@pytest.mark.parametrize("level", [0, 255])
def test_a_clip_that_fades_and_stays_black_or_white_does_not_hang(level: int) -> None:
    moving = pan(picture("chelsea"))
    nothing = np.full_like(moving[0], level)
    faded = [between(frame, nothing, min(1.0, max(0, at - 30) / 15)) for at, frame in enumerate(moving)]
    assert poor(faded) == {}
    assert poor(faded[::-1]) == {}


def test_between_two_dissolves_a_clip_that_hangs_while_it_moves_is_still_a_freeze() -> None:
    moving = pan(picture("chelsea"), scale=3.0)
    moving[30:42] = [moving[29]] * 12
    first, last = card("coffee"), card("astronaut")
    shown = [between(first, frame, min(1.0, at / 12)) for at, frame in enumerate(moving)]
    shown = [between(frame, last, max(0.0, (at - 60) / 12)) for at, frame in enumerate(shown)]
    found = freeze(course_of(shown))
    assert score(found) < 0.7
    assert set(range(31, 41)) <= set(found.blamed)


def test_the_light_of_a_clip_that_pulses_between_light_and_half_as_light_flickers() -> None:
    lit = [
        between(np.zeros_like(card("coffee")), card("coffee"), 1.0 - 0.5 * (at % 3 == 0)) for at in range(48)
    ]
    assert min(float(frame.std()) for frame in lit) > EMPTY_LEVELS
    assert "flicker" in poor(lit)
