"""Events to bytes and back: every type, every shape ever stored, the same bytes each time."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.events import Event
from caf.events.codec import (
    TYPES,
    UnreadableEvent,
    UnwritableEvent,
    decode,
    derived_id,
    encode,
)
from eventstore.ids import id_bytes
from tests.contracts.strategies import documents
from tests.support.jobs import completed, job_cancelled, judged, posted, started, submitted


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_stored_under_its_own_name_and_says_that_its_shape_is_bound(name: str) -> None:
    assert TYPES[name].__name__ == name
    assert "Stored shape" in (TYPES[name].__doc__ or "")


def any_event() -> st.SearchStrategy[Event]:
    return st.one_of([documents(kind) for kind in TYPES.values()])


@given(event=any_event())
def test_what_is_written_is_read_back_as_it_was(event: Event) -> None:
    name, version, data = encode(event)
    assert decode(name, version, data) == event


@given(event=any_event())
def test_the_same_event_always_gives_the_same_bytes(event: Event) -> None:
    name, version, data = encode(event)
    assert encode(decode(name, version, data)) == (name, version, data)


def test_the_order_in_which_a_mapping_was_filled_is_not_recorded() -> None:
    one = submitted(parameters={"a": {"x": 1, "y": 2}, "b": {}})
    other = submitted(parameters={"b": {}, "a": {"y": 2, "x": 1}})
    assert encode(one) == encode(other)


@given(event=any_event(), data=st.data())
def test_bytes_that_are_no_event_are_refused_with_the_type_and_never_with_another_error(
    event: Event, data: st.DataObject
) -> None:
    name, version, good = encode(event)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(UnreadableEvent, match=name):
        decode(name, version, good[:cut])


@given(noise=st.binary(max_size=60), name=st.sampled_from([*TYPES, "Unheard"]), version=st.integers(-2, 9))
def test_noise_is_read_as_unreadable(noise: bytes, name: str, version: int) -> None:
    with pytest.raises(UnreadableEvent):
        decode(name, version, noise)


def test_a_type_or_a_version_of_the_future_is_told_apart_from_damage() -> None:
    with pytest.raises(UnreadableEvent, match="unknown to this version"):
        decode("JobTeleported", 1, b"{}")
    name, version, data = encode(job_cancelled())
    with pytest.raises(
        UnreadableEvent, match=f"it has version {version + 1}; this caf knows up to {version}"
    ):
        decode(name, version + 1, data)


def test_fields_of_a_later_version_are_ignored() -> None:
    name, version, data = encode(job_cancelled())
    more = msgspec.json.encode({**msgspec.json.decode(data), "mood": "sad"})
    assert decode(name, version, more) == job_cancelled()


@pytest.mark.parametrize(
    "event",
    [
        msgspec.structs.replace(completed("frame"), facts={"shift_px": float("inf")}),
        msgspec.structs.replace(completed("frame"), memory_peak_mb=float("nan")),
        submitted(document={"depth": float("-inf")}),
        submitted(source="/clips/\udcff.mp4"),
        posted("x", post_url="\ud800"),
        msgspec.structs.replace(started("frame"), stage="cooking"),
        msgspec.structs.replace(
            judged(submitted(), "frame"),
            measurements=(
                msgspec.structs.replace(
                    judged(submitted(), "frame").measurements[0], raw={"ratio": float("nan")}
                ),
            ),
        ),
    ],
)
def test_what_nobody_could_read_again_is_never_written(event: Event) -> None:
    with pytest.raises(UnwritableEvent, match="cannot be recorded"):
        encode(event)


def test_a_derived_id_is_the_same_for_every_redelivery_for_ever() -> None:
    """Recorded logs hold ids made so; another formula would answer their events a second time."""
    cause = "0b8f8b0e-8b1d-4c57-9d39-000000000001"
    assert derived_id("supervisor", cause, 0) == "3cfa5631-5a9e-500c-8ee9-5e30ef03e4b3"


@given(
    first=st.tuples(st.sampled_from(["render", "qc", "supervisor"]), st.uuids().map(str), st.integers(0, 99)),
    second=st.tuples(
        st.sampled_from(["render", "qc", "supervisor"]), st.uuids().map(str), st.integers(0, 99)
    ),
)
def test_derived_ids_are_canonical_and_differ_whenever_anything_does(
    first: tuple[str, str, int], second: tuple[str, str, int]
) -> None:
    assert id_bytes(derived_id(*first)) is not None
    assert (derived_id(*first) == derived_id(*second)) == (first == second)
