"""Scores that are kept for the next time."""

import pytest
from hypothesis import given

from caf.errors import DocumentError
from caf.qc.kept import KeptClip, KeptScore, MeasuredOf, kept_bytes, parse_kept
from tests.contracts.strategies import documents

CLIP = KeptClip(
    clip="good/a.mp4",
    of=MeasuredOf(sha256="ab", source_sha256="cd"),
    metrics={
        "glitch": KeptScore(version=2, score=0.5),
        "jitter": KeptScore(version=1, score=None, reason="no"),
    },
)


@given(documents(KeptClip))
def test_what_is_kept_is_read_again(clip: KeptClip) -> None:
    assert parse_kept(kept_bytes({clip.of: clip}), "scores.json") == {clip.of: clip}


def test_equal_scores_give_equal_bytes_whatever_came_first() -> None:
    other = KeptClip(clip="bad/b.mp4", of=MeasuredOf(sha256="ef"), metrics={})
    assert kept_bytes({CLIP.of: CLIP, other.of: other}) == kept_bytes({other.of: other, CLIP.of: CLIP})


def test_the_file_says_of_what_by_which_version() -> None:
    text = kept_bytes({CLIP.of: CLIP}).decode()
    for said in ('"version": "qc_scores.v1"', '"sha256": "ab"', '"source_sha256": "cd"', '"version": 2'):
        assert said in text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": "qc_policy.v1", "clips": []}',
        b'{"version": "qc_scores.v1", "clips": [{"clip": "a", "of": {"sha256": "ab"}, "metrics":'
        b' {"glitch": {"version": 1, "score": 7}}}]}',
    ],
)
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_kept(data, "scores.json")
