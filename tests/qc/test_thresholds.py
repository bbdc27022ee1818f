"""Thresholds between good and bad scores: what is proposed, and what is known of it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.qc.thresholds import LOWEST_AUC, NoProposal, Outcome, auc, outcome, propose, roc, upper_limit

scores = st.lists(st.floats(0, 1).map(lambda score: round(score, 6)), min_size=1, max_size=30)
coarse = st.lists(st.integers(0, 8).map(lambda score: score / 8), min_size=1, max_size=30)
"""With many ties."""
either = scores | coarse
allowances = st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])


def proposed(good: list[float], bad: list[float], allowed: float = 0.02) -> Outcome:
    found = propose(good, bad, allowed)
    assert isinstance(found, Outcome), found.reason
    return found


def refused(good: list[float], bad: list[float], allowed: float = 0.02) -> str:
    found = propose(good, bad, allowed)
    assert isinstance(found, NoProposal)
    return found.reason


@given(either, either)
def test_the_auc_is_the_probability_that_a_good_clip_scores_above_a_bad_one(
    good: list[float], bad: list[float]
) -> None:
    wins = sum(1.0 if fine > poor else 0.5 if fine == poor else 0.0 for fine in good for poor in bad)
    assert auc(good, bad) == pytest.approx(wins / (len(good) * len(bad)), abs=1e-12)


@given(either, either)
def test_what_keeps_the_order_of_scores_keeps_the_auc(good: list[float], bad: list[float]) -> None:
    def risen(score: float) -> float:  # strictly, also in floats of six digits
        return math.atan(9 * score - 3) + 2 * score

    assert auc([*map(risen, good)], [*map(risen, bad)]) == auc(good, bad)


@given(either, either)
def test_good_and_bad_exchanged_give_the_rest_to_one(good: list[float], bad: list[float]) -> None:
    there, back = auc(good, bad), auc(bad, good)
    assert there is not None
    assert back is not None
    assert there + back == pytest.approx(1, abs=1e-12)


def test_without_good_or_bad_clips_there_is_no_auc_and_no_curve() -> None:
    assert auc([], [0.5]) is auc([0.5], []) is None
    assert roc([], [0.5]) == roc([0.5], []) == ()


@given(either, either)
def test_the_area_under_the_curve_is_the_auc(good: list[float], bad: list[float]) -> None:
    corners = roc(good, bad)
    assert (corners[0], corners[-1]) == ((0, 0), (1, 1))
    assert list(corners) == sorted(corners)
    area = sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(corners))
    assert area == pytest.approx(auc(good, bad), abs=1e-12)


@given(either, either, allowances)
def test_a_proposal_never_has_more_false_alarms_than_are_allowed(
    good: list[float], bad: list[float], allowed: float
) -> None:
    found = propose(good, bad, allowed)
    if isinstance(found, Outcome):
        assert sum(score < found.threshold for score in good) / len(good) <= allowed
        assert found == outcome(found.threshold, good, bad)


@given(either, either, allowances)
def test_no_allowed_threshold_catches_more_than_the_proposed_one(
    good: list[float], bad: list[float], allowed: float
) -> None:
    found = propose(good, bad, allowed)
    middles = [(below + above) / 2 for below, above in pairwise(sorted({*good, *bad}))]
    catches = [
        sum(score < threshold for score in bad)
        for threshold in middles
        if sum(score < threshold for score in good) / len(good) <= allowed
    ]
    if isinstance(found, Outcome):
        assert found.caught == max(catches)
        assert found.caught > 0
    elif len(good) >= 5 and (auc(good, bad) or 0) >= LOWEST_AUC:
        assert max(catches, default=0) == 0


@given(either, either, allowances)
def test_a_proposed_threshold_lies_between_the_lowest_and_the_highest_score(
    good: list[float], bad: list[float], allowed: float
) -> None:
    found = propose(good, bad, allowed)
    if isinstance(found, Outcome):
        assert min(good + bad) < found.threshold <= max(good + bad)


@given(either, either, allowances)
def test_the_order_of_the_clips_changes_nothing(good: list[float], bad: list[float], allowed: float) -> None:
    assert propose(sorted(good), bad[::-1], allowed) == propose(good, bad, allowed)


def test_scores_that_lie_apart_are_parted_in_the_middle() -> None:
    found = proposed([0.8, 0.85, 0.9, 0.95, 1.0], [0.2, 0.4])
    assert (found.threshold, found.false_alarms, found.caught) == (0.6, 0, 2)
    assert (found.false_alarm_rate, found.catch_rate) == (0, 1)


def test_among_thresholds_that_catch_as_much_the_widest_gap_is_taken() -> None:
    good = [0.5, *(0.9 + index / 1000 for index in range(99))]
    assert proposed(good, [0.1, 0.4]).threshold == 0.7  # one of a hundred is allowed, and the gap is wider
    assert proposed(good, [0.1, 0.4], allowed=0).threshold == 0.45


def test_more_false_alarms_are_taken_only_for_more_bad_clips() -> None:
    good = [0.3, 0.6, 0.7, 0.8, 0.9]
    assert proposed(good, [0.1, 0.2, 0.5], allowed=0).caught == 2
    found = proposed(good, [0.1, 0.2, 0.5], allowed=0.2)
    assert (found.threshold, found.caught, found.false_alarms) == (0.55, 3, 1)


def test_a_score_at_the_threshold_passes() -> None:
    told = outcome(0.7, [0.7, 0.69], [0.7, 0.3])
    assert (told.false_alarms, told.caught) == (1, 1)


def test_scores_that_are_neighbouring_numbers_are_still_parted() -> None:
    below = 0.7
    above = math.nextafter(below, 1)
    found = proposed([above] * 6, [below] * 3)
    assert (found.false_alarms, found.caught) == (0, 3)


def test_where_nothing_can_be_proposed_it_is_said_why() -> None:
    five = [0.9, 0.91, 0.92, 0.93, 0.94]
    assert refused(five, []) == "no bad clip was measured"
    assert refused(five[:4], [0.1]) == "only 4 of the 5 good clips that are needed were measured"
    assert "AUC 0.600 is below 0.70" in refused(five, [0.915, 0.915])
    assert refused([0.1, *five], [0.5]) == "none catches a bad clip with at most 2 % of false alarms"
    assert "AUC 0.500" in refused([0.5] * 5, [0.5])


@pytest.mark.parametrize(
    ("events", "trials", "limit"),
    [
        # The first four: Newcombe, Statistics in Medicine 17 (1998) 857-872, table I.
        (81, 263, 0.3676),
        (15, 148, 0.1617),
        (0, 20, 0.1684),
        (1, 29, 0.1776),
        (0, 10, 0.3085),
        (10, 10, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_interval_s_upper_end_is_that_of_published_tables(events: int, trials: int, limit: float) -> None:
    assert upper_limit(events, trials) == pytest.approx(limit, abs=5e-5)


@given(st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials - 1), st.just(trials))))
def test_at_the_interval_s_upper_end_so_few_events_have_a_fortieth_of_the_chance(
    seen: tuple[int, int],
) -> None:
    events, trials = seen
    limit = upper_limit(events, trials)
    chance = sum(math.comb(trials, k) * limit**k * (1 - limit) ** (trials - k) for k in range(events + 1))
    assert events / trials < limit < 1
    assert chance == pytest.approx(0.025, rel=1e-6)


def test_no_event_has_the_closed_form() -> None:
    for trials in (1, 7, 50, 5000):
        assert upper_limit(0, trials) == pytest.approx(1 - 0.025 ** (1 / trials), rel=1e-9)


def test_without_clips_there_are_no_rates() -> None:
    told = outcome(0.7, [], [])
    assert (told.false_alarm_rate, told.false_alarm_limit, told.catch_rate) == (None, None, None)
