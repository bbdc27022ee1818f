"""Decisions have a form, so that each can be read in a minute and would be noticed if it were broken."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, missing_tests, named_tests, text

FOLDER = ROOT / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("*.md"))
PAGE_LINES = 80

each = pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)


@each
def test_a_decision_has_all_its_parts_in_order(page: Path) -> None:
    number = int(page.name[:4])
    whole = text(page)
    assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", page.name)
    assert whole.startswith(f"# {number}. ")
    parts = ["**Status:**", "**Decision.**", "## Forces", "## Consequences", "## Rejected", "**Checked by:**"]
    places = [whole.find(part) for part in parts]
    assert -1 not in places, f"without {parts[places.index(-1)]}"
    assert places == sorted(places)
    assert whole.count("\n") <= PAGE_LINES


@each
def test_the_forces_have_numbers(page: Path) -> None:
    assert re.search(r"\d", text(page).partition("## Forces")[2].partition("\n## ")[0])


@each
def test_a_decision_is_checked_by_tests_that_exist(page: Path) -> None:
    named = named_tests(text(page).partition("**Checked by:**")[2])
    assert named, "it names no test"
    assert missing_tests(named) == []


def test_no_number_is_given_twice() -> None:
    numbers = [page.name[:4] for page in DECISIONS]
    assert len(numbers) == len(set(numbers))
