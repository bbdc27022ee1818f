"""The benchmark's own arithmetic and paper: ratios within a round, figures by the median, a section between markers."""

import pytest

from bench.log.figures import FIGURES, Figure, reached, spread_of
from bench.log.measures import MEASURES, questions
from bench.log.plot import share
from bench.log.question import Answer, Question, Sample, Scale
from bench.log.report import BEGIN, END, Run, replace_section, section
from bench.log.rounds import Found
from bench.log.stats import Spread, percentile, ratios, spread

AT_LEAST = Figure("rate", "raw", ("rate", "own"), ("rate", "raw"), 0.5, True)
AT_MOST = Figure("delay", "ms", ("delay", "own"), None, 4, False)
RUN = Run(date="2026-02-05", command="make", machine="m", versions="v", load="1 and 2", rounds=3)


def found(**values: dict[str, list[float]]) -> Found:
    """What was measured, by subject, a value for each round."""
    made = Found()
    for key, by_subject in values.items():
        for subject, numbers in by_subject.items():
            for number, value in enumerate(numbers):
                answer = Answer(samples=[Sample(key, subject, value)])
                made.add(number, Question(measure="m", subject=subject), answer)
    return made


def test_a_ratio_is_taken_within_a_round_and_only_where_both_sides_were_measured() -> None:
    assert ratios({0: 10.0, 1: 30.0, 2: 7.0}, {0: 5.0, 1: 10.0, 3: 1.0}) == [2.0, 3.0]


def test_the_median_of_ratios_is_not_the_ratio_of_medians() -> None:
    measured = spread_of(AT_LEAST, found(rate={"own": [1, 2, 9], "raw": [10, 2, 3]}))
    assert measured == Spread(1.0, 0.1, 3.0)


def test_a_spread_of_nothing_is_nothing() -> None:
    assert spread([]) is None
    assert spread([3.0, 1.0, 2.0, 9.0]) == Spread(2.5, 1.0, 9.0)


@pytest.mark.parametrize(("share_", "value"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_one_of_the_values(share_: int, value: int) -> None:
    assert percentile(range(1, 101), share_) == value


def test_a_figure_is_reached_by_its_median_from_the_side_of_its_bound() -> None:
    assert reached(AT_LEAST, Spread(0.5, 0.1, 0.9))
    assert not reached(AT_LEAST, Spread(0.49, 0.1, 0.9))
    assert reached(AT_MOST, Spread(4, 1, 99))
    assert not reached(AT_MOST, Spread(4.1, 1, 99))


def test_the_plot_has_more_to_the_right_for_both_kinds_of_bounds() -> None:
    assert share(AT_LEAST, Spread(1.0, 0.5, 2.0)) == Spread(2.0, 1.0, 4.0)
    assert share(AT_MOST, Spread(2.0, 1.0, 8.0)) == Spread(2.0, 0.5, 4.0)


def test_a_section_replaces_only_what_stands_between_its_markers() -> None:
    before = replace_section("# Measured\n\n## Before\n", "old")
    text = before + "\n## After\n"
    assert replace_section(text, "new") == text.replace("old", "new")
    assert before == f"# Measured\n\n## Before\n\n{BEGIN}\nold\n{END}\n"


@pytest.mark.parametrize("text", [f"x\n{BEGIN}\n", f"x\n{END}\n", f"{END}\n{BEGIN}\n"])
def test_a_section_with_one_marker_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="both markers"):
        replace_section(text, "new")


def test_the_report_says_why_a_peer_has_no_figure_and_invents_none() -> None:
    made = found(**{"append/256/FULL": {"own": [100.0], "raw": [200.0]}})
    asked = Question(
        measure="append", subject="umadb", with_={"writers": 256, "synchronous": "FULL", "seconds": 1}
    )
    made.add(0, asked, Answer(why="umadb is not installed"))
    text = section(RUN, made, None)
    assert "| umadb (Rust server) | – | – | umadb is not installed |" in text
    assert "| append, 256 writers, FULL | raw batched by 256 | ≥ 0.8 | 0.5 | **no** |" in text
    assert "| append, 256 writers, FULL | umadb | ≥ 3 | not measured | – |" in text
    assert "NORMAL" not in text.partition("###")[2].partition("Appends")[2]


def test_every_question_has_a_name_of_its_own_and_every_figure_a_measure() -> None:
    names = [question.name for measure in MEASURES for question in questions(measure, Scale())]
    assert len(names) == len(set(names))
    kinds = {*MEASURES, "busy", "size"}
    assert all(figure.above[0].split("/")[0] in kinds for figure in FIGURES)
