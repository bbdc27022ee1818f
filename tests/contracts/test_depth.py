"""Documents that are nested without end are told from those that people write."""

import json
from typing import Any

import pytest

from caf.contracts.depth import MOST_DEPTH, MOST_VALUES, has_too_many, is_too_deep


def nested(levels: int, *, objects: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if objects else [value]
    return value


@pytest.mark.parametrize("objects", [False, True])
def test_a_value_is_too_deep_from_one_level_above_the_most(objects: bool) -> None:
    assert not is_too_deep(nested(MOST_DEPTH, objects=objects))
    assert is_too_deep(nested(MOST_DEPTH + 1, objects=objects))


def test_width_is_no_depth() -> None:
    assert not is_too_deep([[{} for _ in range(1000)] for _ in range(100)])


@pytest.mark.parametrize("value", [None, 1, "text", [], {}, {"a": []}])
def test_what_is_shallow_is_not_too_deep(value: Any) -> None:
    assert not is_too_deep(value)


def test_what_is_far_too_deep_is_found_without_recursion() -> None:
    assert is_too_deep(nested(100_000))
    assert json.dumps(nested(MOST_DEPTH))


def test_a_document_of_very_many_values_is_told_before_it_is_decoded() -> None:
    assert not has_too_many(json.dumps(["x"] * (MOST_VALUES - 1)).encode())
    assert has_too_many(json.dumps(["x"] * (MOST_VALUES + 1)).encode())
    assert has_too_many(json.dumps([[]] * MOST_VALUES).encode())
    assert not has_too_many(json.dumps("x" * 1_000_000).encode())
