"""5.0 is a whole number in JSON, wherever a document has one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from caf.contracts import EscalationAnswer, JobDocument
from caf.contracts.read import read_document
from caf.contracts.whole import is_whole, with_whole_numbers
from caf.errors import DocumentError


class Inner(Struct):
    count: int


class Outer(Struct):
    wanted: int
    maybe: int | None = None
    many: tuple[int, ...] = ()
    named: dict[str, int] = {}
    inner: Inner | None = None
    inners: list[Inner] = []
    any_number: float | int | str | bool = 0
    share: float = 0.0


def test_a_whole_number_may_be_written_with_a_point_at_every_depth() -> None:
    written = {
        "wanted": 1.0,
        "maybe": 2.0,
        "many": [3.0, 4],
        "named": {"a": 5.0},
        "inner": {"count": 6.0},
        "inners": [{"count": 7.0}],
        "any_number": 8.0,
        "share": 9.0,
        "unknown": 10.0,
    }
    read = msgspec.convert(with_whole_numbers(written, Outer), Outer)
    assert read == Outer(1, 2, (3, 4), {"a": 5}, Inner(6), [Inner(7)], 8.0, 9.0)
    assert isinstance(read.any_number, float)


@pytest.mark.parametrize("odd", [1.5, True, "1", None, [], {}])
def test_nothing_else_becomes_one(odd: object) -> None:
    assert not is_whole(odd)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(with_whole_numbers({"wanted": odd}, Outer), Outer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["wanted", "many", "inner", "count"]), inner)
    ),
)


@given(JSON)
def test_only_numbers_change_and_only_in_how_they_are_written(value: Any) -> None:
    changed = with_whole_numbers(value, Outer)
    assert changed == value
    assert with_whole_numbers(changed, Outer) == changed


def test_documents_are_read_so_and_other_mistakes_in_them_are_still_found() -> None:
    answer = {"job_id": "cat-0001", "action": "retry", "by": "ada", "question": 7.0}
    assert read_document(json.dumps(answer).encode(), EscalationAnswer, where="here").question == 7
    job = {
        "job_id": "cat-0001",
        "video": {},
        "render": {"background_asset": "cat.mp4"},
        "comfyui": {"bindings": {"seed": 12.0}},
    }
    document = read_document(json.dumps(job).encode(), JobDocument, where="here")
    assert document.comfyui is not None
    assert document.comfyui.bindings.seed == 12
    with pytest.raises(DocumentError, match="action"):
        read_document(json.dumps({**answer, "action": 1.0}).encode(), EscalationAnswer, where="here")
    with pytest.raises(DocumentError, match=r"question is 7\.5; allowed is a whole number"):
        read_document(json.dumps({**answer, "question": 7.5}).encode(), EscalationAnswer, where="here")
