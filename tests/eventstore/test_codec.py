"""Schema evolution: old shapes are lifted step by step, what is unknown is told, nothing in the log is rewritten."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import Codec, MemoryLog, MemoryStore, NewEvent, Unreadable, UnreadableEvent, UnwritableEvent
from tests.eventstore.support import new


class Placed(msgspec.Struct, frozen=True):
    first: str
    last: str
    items: tuple[str, ...]


class Paid(msgspec.Struct, frozen=True):
    cents: int


class Odd(msgspec.Struct, frozen=True):
    value: float


def split_name(fields: dict[str, Any]) -> dict[str, Any]:
    first, _, last = fields.pop("name").partition(" ")
    return {**fields, "first": first, "last": last}


def many_items(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "items": [fields.pop("item")]}


STEPS = {("Placed", 1): split_name, ("Placed", 2): many_items}
CODEC: Codec[Any] = Codec({"Placed": Placed, "Paid": Paid}, STEPS)

words = st.text(st.characters(exclude_characters=" ", exclude_categories=["Cs"]), min_size=1)


@given(first=words, last=words, item=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_old_shape_becomes_what_the_newest_says(first: str, last: str, item: str) -> None:
    due = Placed(first, last, (item,))
    shapes = [
        {"name": f"{first} {last}", "item": item},
        {"first": first, "last": last, "item": item},
        {"first": first, "last": last, "items": [item]},
    ]
    for version, fields in enumerate(shapes, 1):
        data = msgspec.json.encode(fields)
        assert CODEC.decode("Placed", version, data) == due == CODEC.decoder("Placed", version)(data)


def test_an_event_is_written_in_the_newest_shape_and_read_back() -> None:
    event = Placed("Ada", "Lovelace", ("engine",))
    name, version, data = CODEC.encode(event)
    assert (name, version) == ("Placed", 3)
    assert CODEC.decode(name, version, data) == event
    assert CODEC.version("Paid") == 1


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ({("Placed", 2): many_items}, "the step from version 1 is missing"),
        ({("Placed", 1): split_name, ("Placed", 3): many_items}, "the step from version 2 is missing"),
        ({("Unheard", 1): split_name}, "the type is unknown"),
    ],
)
def test_a_chain_of_upcasters_with_a_gap_is_refused_before_any_event_is_met(steps: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Codec({"Placed": Placed}, steps)


def test_a_type_under_two_tags_is_refused() -> None:
    with pytest.raises(ValueError, match="two tags"):
        Codec({"Paid": Paid, "Payed": Paid})


@pytest.mark.parametrize(
    ("name", "version", "data", "why"),
    [
        ("Unheard", 1, b"{}", "unknown to this version"),
        ("Paid", 2, b"{}", "version 2; this program knows up to 1"),
        ("Paid", 0, b"{}", "begin with 1"),
        ("Paid", 1, b"no json", "malformed"),
        ("Paid", 1, b'{"cents":"many"}', "int"),
        ("Paid", 1, b"\xff", "cannot be read"),
        ("Placed", 1, b'{"item":"x"}', "name"),
        ("Placed", 1, b"[]", "cannot be read"),
        ("Placed", 1, b'{"name":7,"item":"x"}', "cannot be read"),
        ("Placed", 2, b"[" * 100_000, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_type_and_never_with_another_error(
    name: str, version: int, data: bytes, why: str
) -> None:
    with pytest.raises(UnreadableEvent, match=why) as caught:
        CODEC.decode(name, version, data)
    assert caught.value.type_name == name


@pytest.mark.parametrize("per", [b"0", b"1e-308"])
def test_whatever_an_upcaster_fails_with_is_an_event_that_cannot_be_read(per: bytes) -> None:
    codec = Codec({"Paid": Paid}, {("Paid", 1): lambda fields: {"cents": int(1e9 / fields["per"])}})
    with pytest.raises(UnreadableEvent, match="cannot be read"):
        codec.decode("Paid", 1, b'{"per":' + per + b"}")


@pytest.mark.parametrize("event", [Odd(float("nan")), Odd(float("inf")), Paid("\ud800")])  # type: ignore[arg-type]
def test_what_nobody_could_read_again_is_never_written(event: Any) -> None:
    with pytest.raises(UnwritableEvent, match="cannot be recorded"):
        Codec[Any]({"Odd": Odd, "Paid": Paid}).encode(event)


def test_a_type_without_a_tag_is_not_written() -> None:
    with pytest.raises(UnwritableEvent, match="no tag"):
        CODEC.encode(Odd(1.0))


async def test_a_replay_lifts_old_shapes_and_tells_what_it_cannot_read() -> None:
    log = MemoryLog()
    given = [
        new(b'{"name":"Ada Lovelace","item":"engine"}', type="Placed"),
        new(b"{}", type="Unheard"),
        new(b'{"first":"Ada","last":"Lovelace","item":"engine"}', type="Placed", type_version=2),
        new(b"{}", type="Placed", type_version=4),
        NewEvent(event_id=new().event_id, type="Paid", data=b'{"cents":7}'),
    ]
    log.append("order-1", given)
    async with MemoryStore(log) as store:
        found = [event async for batch in store.replay(CODEC.decoder) for event in batch.events()]
    due = Placed("Ada", "Lovelace", ("engine",))
    assert [found[0], found[2], found[4]] == [due, due, Paid(7)]
    told = [(event.position, event.why) for event in found if isinstance(event, Unreadable)]
    assert [position for position, _ in told] == [2, 4]
    assert "unknown to this version" in told[0][1]
    assert "knows up to 3" in told[1][1]
