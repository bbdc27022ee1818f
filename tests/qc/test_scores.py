"""The files of `caf qc evaluate`: what is a score, what is none, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.errors import DocumentError
from caf.qc import parse_metrics, parse_reasons, parse_targets


def test_scores_are_read_and_everything_else_is_no_score() -> None:
    data = b"""{"job_id": "abcdef", "metrics": {
        "a": {"score": 0.5, "extra": 1}, "b": {"score": 1}, "c": {"score": null}, "d": {}, "e": null,
        "f": {"score": "0.9"}, "g": {"score": true}, "h": 0.25, "i": {"score": [1]}, "j": "x",
        "k": {"score": -3}, "l": {"score": 1e300}}}"""
    scores = parse_metrics(data, "m.json")
    assert scores == {
        "a": 0.5,
        "b": 1.0,
        "c": None,
        "d": None,
        "e": None,
        "f": None,
        "g": None,
        "h": 0.25,
        "i": None,
        "j": None,
        "k": -3.0,
        "l": 1e300,
    }
    assert all(isinstance(score, float) for score in scores.values() if score is not None)


def test_an_integer_beyond_every_float_is_no_score() -> None:
    assert parse_metrics(b'{"metrics": {"a": {"score": 1%s}}}' % (b"0" * 400), "m.json") == {"a": None}


def test_reasons_stand_beside_scores() -> None:
    data = b'{"metrics": {"a": {"score": null, "reason": "no audio"}, "b": {"reason": 4}, "c": 1, "d": {}}}'
    assert parse_reasons(data, "m.json") == {"a": "no audio"}


@pytest.mark.parametrize(
    "data", [b"{}", b'{"metrics": []}', b'{"metrics": null}', b'{"loop_seam": {"score": 1}}']
)
def test_a_file_without_metrics_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"^m\.json: metrics is no object") as caught:
        parse_metrics(data, "m.json")
    assert "score" in caught.value.remedy


def test_a_file_that_is_no_json_is_refused_with_its_place() -> None:
    with pytest.raises(DocumentError, match=r"m\.json: the JSON is malformed at line 1, column 13"):
        parse_metrics(b'{"metrics": NaN}', "m.json")


@pytest.mark.parametrize(
    "data",
    [
        b'{"version": "quality_target.v1", "profile_id": "p", "thresholds": {"a": 0.5, "b": 1}}',
        b'{"thresholds": {"a": 0.5, "b": 1}}',
        b'{"a": 0.5, "b": 1}',
    ],
)
def test_targets_come_as_a_document_or_bare(data: bytes) -> None:
    assert parse_targets(data, "t.json") == {"a": 0.5, "b": 1.0}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            b'{"thresholds": {"loop_seam": 1.5}}',
            "thresholds.loop_seam is 1.5; allowed is a number from 0 to 1",
        ),
        (b'{"version": "quality_target.v2", "thresholds": {}}', "version is 'quality_target.v2'; allowed is"),
        (b'{"loop_seam": "high"}', "loop_seam is 'high'; allowed is a number from 0 to 1"),
        (b'{"loop_seam": -0.1}', "loop_seam is -0.1; allowed is a number from 0 to 1"),
        (b'{"loop_seam": null}', "loop_seam is null; allowed is a number from 0 to 1"),
        (b'{"loop_seam": true}', "loop_seam is true; allowed is a number from 0 to 1"),
        (b'{"loop_seam": {"threshold": 1}}', "loop_seam is an object; allowed is a number from 0 to 1"),
        (b"[]", "the document is a list; allowed is an object"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_targets(data, "t.json")
    assert caught.value.message.startswith(f"t.json: {sentence}")


@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_metrics, parse_reasons, parse_targets):
        try:
            parse(data, "x.json")
        except DocumentError as fault:
            said = str(fault)
        else:
            continue
        assert said.startswith("x.json: ")
