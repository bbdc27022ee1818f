"""Every requirement and every line of the responsibilities names tests, and they exist."""

import re

from tests.docs.pages import ROOT, missing_tests, named_tests, text

REQUIREMENTS = text(ROOT / "docs" / "requirements.md")
ROW = re.compile(r"^\| (REQ-\d{3}) \|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def test_requirements_are_numbered_without_repeats_and_in_order() -> None:
    numbers = [row[1] for row in ROW.finditer(REQUIREMENTS)]
    assert numbers
    assert numbers == sorted(set(numbers))
    assert len(numbers) == REQUIREMENTS.count("| REQ-")


def test_every_requirement_is_proved_by_tests_that_exist() -> None:
    unproved = [
        row[1] for row in ROW.finditer(REQUIREMENTS) if not any(test for _, test in named_tests(row[3]))
    ]
    assert unproved == []
    assert missing_tests(named_tests(REQUIREMENTS)) == []


def test_stage_level_gates_and_structured_escalation_are_required() -> None:
    said = {row[2].lower() for row in ROW.finditer(REQUIREMENTS)}
    assert any("after the stage" in one for one in said)
    assert any("user_action_required.v1" in one for one in said)


def test_every_responsibility_is_proved_by_a_test_that_exists() -> None:
    page = text(ROOT / "docs" / "responsibilities.md")
    rows = re.findall(r"^\| (?!may or may never |---)(.*)\|$", page, re.MULTILINE)
    assert rows
    assert [row for row in rows if not any(test for _, test in named_tests(row))] == []
    assert missing_tests(named_tests(page)) == []
