"""The pictures of the QC guide: one for each metric, and what each says is so."""

import re
from collections.abc import Sequence

import pytest

from caf.qc.metrics import METRICS
from tests.docs.pages import ROOT, text
from tests.docs.qc_examples import EXAMPLES, PRESENCE, THRESHOLDS, measured
from tests.docs.qc_pictures import FOLDER, alt, facts

ANEW = "draw it anew: python -m tests.docs.qc_pictures"


def test_every_metric_has_an_example_and_a_picture_and_no_other_lies_there() -> None:
    names = sorted(METRICS)
    assert sorted(EXAMPLES) == names
    assert sorted(facts()) == names
    assert sorted(path.stem for path in FOLDER.glob("*.webp")) == names


def test_all_pictures_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 1_500_000


@pytest.mark.parametrize("metric", METRICS)
def test_the_guide_shows_the_picture_and_says_in_words_what_is_on_it(metric: str) -> None:
    shown = re.findall(rf"!\[([^\]]*)\]\(images/qc/{metric}\.webp\)", text(ROOT / "docs" / "qc-guide.md"))
    assert shown == [alt(facts()[metric])]


@pytest.mark.parametrize("metric", METRICS)
def test_a_picture_says_what_the_metric_says_today(metric: str) -> None:
    said, threshold, example = facts()[metric], THRESHOLDS[metric], EXAMPLES[metric]()
    assert (said.version, said.threshold) == (METRICS[metric].version, threshold), ANEW
    assert (said.caught.words, said.missed.words) == (example.caught.words, example.missed.words), ANEW
    caught, missed = (measured(metric, case) for case in (example.caught, example.missed))
    for found, told in ((caught, said.caught), (missed, said.missed)):
        assert found.score == pytest.approx(told.score, abs=0.05), ANEW
    below = [found.score is not None and found.score < threshold for found in (caught, missed)]
    assert below == ([False, True] if metric in PRESENCE else [True, False])
    red = {at for at in example.caught.shown if is_in(said.caught.spans, at)}
    assert {at for at in red if not is_in(caught.spans, at)} == set(), ANEW


def is_in(spans: Sequence[tuple[int, int]], frame: int) -> bool:
    return any(first <= frame <= last for first, last in spans)
