"""Which bytes a request wants: a table."""

import pytest

from caf.web import ranges

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-5", range(2, 6)),
        ("bytes=2-", range(2, 10)),
        ("bytes=2-99", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("BYTES=1-1", range(1, 2)),
        ("bytes=10-", ranges.NOT_SATISFIABLE),
        ("bytes=999999999999999999-", ranges.NOT_SATISFIABLE),
        ("bytes=-0", ranges.NOT_SATISFIABLE),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("bytes=a-b", None),
        ("bytes=0x1-2", None),
        ("bytes=\u0661-", None),
        ("items=0-1", None),
        ("", None),
        (f"bytes={'9' * 5000}-", None),
    ],
)
def test_a_range_header_names_these_bytes_of_ten(header: str, part: range | None) -> None:
    assert ranges.wanted({"Range": header}, 10, ETAG) == part


@pytest.mark.parametrize(
    ("condition", "part"),
    [(ETAG, range(1)), ('"other"', None), ('W/"abc"', None), ("Wed, 25 Nov 2026 15:28:34 GMT", None)],
)
def test_a_range_is_only_given_of_the_content_that_if_range_names(condition: str, part: range | None) -> None:
    assert ranges.wanted({"Range": "bytes=0-0", "If-Range": condition}, 10, ETAG) == part


@pytest.mark.parametrize(
    ("header", "unchanged"),
    [(ETAG, True), ('W/"abc"', True), ('"x", "abc"', True), ("*", True), ('"x"', False), ("abc", False)],
)
def test_content_that_the_caller_has_is_not_sent_again(header: str, unchanged: bool) -> None:
    assert ranges.is_unchanged({"If-None-Match": header}, ETAG) is unchanged


@pytest.mark.parametrize(
    ("header", "refused"), [(ETAG, False), ("*", False), ('"x"', True), ('W/"abc"', True), ("", True)]
)
def test_content_that_if_match_does_not_name_is_not_sent(header: str, refused: bool) -> None:
    assert ranges.must_not({"If-Match": header}, ETAG) is refused


def test_without_conditions_everything_is_sent() -> None:
    assert not ranges.must_not({}, ETAG)
    assert not ranges.is_unchanged({}, ETAG)
    assert ranges.wanted({}, 10, ETAG) is None
