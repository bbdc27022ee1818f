"""Contract: what a replay promises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.contract._support import Contract, collect, events, new, refused, same
from eventstore.errors import InvalidArgument
from eventstore.model import NewEvent, category_of
from eventstore.replay import COLUMNS, Unreadable
from eventstore.store import EventStore

__all__ = ["ReplayContract"]


def number(type_name: str, version: int) -> Callable[[bytes], int]:
    """A decoder that knows one type, in its first version."""
    if (type_name, version) != ("Happened", 1):
        raise ValueError(f"no {type_name} {version} here")
    return int


async def _given(store: EventStore, count: int) -> list[NewEvent]:
    """Streams of several categories, with all that a column can show."""
    given: list[NewEvent] = []
    for first in range(0, count, 5):
        thread = f"t-{first % 3}" if first % 2 else None
        cause = given[-1].event_id if first % 3 else None if first % 4 else "text"
        made = [
            new(b"%d" % n, correlation_id=thread, causation_id=cause, metadata=b"{}" * (n % 2))
            for n in range(first, min(first + 5, count))
        ]
        await store.append(("job-a", "job-b", "other-a")[first % 3], made)
        given += made
    return given


class _OddError(Exception):
    """No error that a store knows."""


def _raising(type_name: str, version: int) -> Callable[[bytes], bytes]:
    """A decoder that raises whatever it likes for what it does not know."""
    if type_name == "Unheard":
        raise KeyError(type_name)

    def decode(data: bytes) -> bytes:
        assert type(data) is bytes
        if data == b"odd":
            raise _OddError
        if data == b"stop":
            raise StopIteration
        return data

    return decode


async def _mixed(store: EventStore) -> None:
    """Several types and versions, large events, and three that `_raising` does not decode, at 6 to 8."""
    large = bytes(range(256)) * 1_024
    await store.append("job-a", events(3))
    await store.append("other", events(1))
    await store.append("job-a", [new(b"1", type="A", type_version=3), new(b"odd")])
    rest = [new(type="Unheard", type_version=2), new(b"stop"), new(large, metadata=large)]
    last = new(b"5", type="B", metadata=b"{}", correlation_id="t")
    await store.append("job", [*rest, last])


class ReplayContract(Contract):
    async def test_a_replay_yields_every_event_decoded_in_order(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await _given(store, 1_200)
            found = [item async for batch in store.replay(number) for item in batch]
            same(found, [(n, n + 1) for n in range(1_200)])
            alone = [item async for batch in store.replay(number) for item in batch.events()]
            same(alone, list(range(1_200)))
            assert sum([len(batch) async for batch in store.replay(number)]) == 1_200

    async def test_a_replay_shows_in_its_columns_what_reading_shows(self, tmp_path: Path) -> None:
        columns: Any = COLUMNS
        async with self.open(tmp_path) as store:
            await _given(store, 600)
            log = await collect(store.read_all())
            found = [item async for batch in store.replay(number, columns=columns) for item in batch]
            due = [(n, *(getattr(event, name) for name in columns)) for n, event in enumerate(log)]
            same(found, due)
            some: Any = ("metadata", "position", "stream", "position")
            found = [item async for batch in store.replay(number, columns=some) for item in batch]
            same(found, [(n, e.metadata, e.position, e.stream, e.position) for n, e in enumerate(log)])
            places = [place async for batch in store.replay(number) for place in batch.positions]
            same(places, list(range(1, 601)))
            bare = [item async for batch in store.replay(number, columns=()) for item in batch]
            same(bare, [(n,) for n in range(600)])

    async def test_a_replay_begins_after_a_position_and_keeps_to_a_category(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await _given(store, 1_100)
            log = await collect(store.read_all(after_position=7, category="job"))
            found = [
                item
                async for batch in store.replay(number, after_position=7, category="job")
                for item in batch
            ]
            same(found, [(event.position - 1, event.position) for event in log])
            same([item async for batch in store.replay(number, after_position=1_100) for item in batch], [])
            for category in ("none", "jo", "job-a", "JOB", ""):
                same([item async for batch in store.replay(number, category=category) for item in batch], [])

    async def test_an_event_that_cannot_be_decoded_stops_no_other(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            strange = [new(b"x"), new(type="Unheard"), new(b"3", type_version=2), new(b"4")]
            await store.append("job-a", [*events(1), *strange])
            found = [item async for batch in store.replay(number) for item, _ in batch]
            assert (found[0], found[4]) == (0, 4)
            for event, position, kind, version in zip(
                found[1:4], (2, 3, 4), ("Happened", "Unheard", "Happened"), (1, 1, 2), strict=True
            ):
                assert isinstance(event, Unreadable)
                assert (event.position, event.stream, event.version) == (position, "job-a", position)
                assert (event.type, event.type_version) == (kind, version)
                assert event.why

    async def test_a_replay_tells_all_wherever_it_begins(self, tmp_path: Path) -> None:
        """Large events, types, versions and all columns, beside events whose decoder raises what it likes."""
        columns: Any = COLUMNS
        asked: tuple[tuple[int, str | None, bool], ...] = (
            (0, None, False),
            (0, None, True),
            (3, None, False),
            (3, "job", False),
            (4, "job", False),
        )
        async with self.open(tmp_path) as store:
            await _mixed(store)
            log = await collect(store.read_all())
            for after, category, verify in asked:
                due = [e for e in log if e.position > after and category in (None, category_of(e.stream))]
                batches = [
                    batch
                    async for batch in store.replay(
                        _raising, columns=columns, after_position=after, category=category, verify=verify
                    )
                ]
                same([place for batch in batches for place in batch.positions], [e.position for e in due])
                found = [item for batch in batches for item in batch]
                same([item[1:] for item in found], [tuple(getattr(e, c) for c in columns) for e in due])
                for event, (decoded, *_) in zip(due, found, strict=True):
                    if event.position not in (6, 7, 8):
                        assert decoded == event.data
                        continue
                    assert isinstance(decoded, Unreadable)
                    assert decoded.why
                    for field in ("position", "stream", "version", "type", "type_version"):
                        assert getattr(decoded, field) == getattr(event, field)

    async def test_a_replay_begins_after_a_position_that_can_be(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(2))
            wrong: tuple[dict[str, Any], ...] = (
                {"after_position": 2**63},
                {"after_position": "1"},
                {"after_position": True},
                {"category": 5},
                {"category": "\ud800"},
            )
            for asked in wrong:
                await refused(InvalidArgument, anext(aiter(store.replay(number, **asked))))
            same(
                [item async for batch in store.replay(number, after_position=2**63 - 1) for item in batch], []
            )

    async def test_a_replay_that_verifies_yields_the_same(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await _given(store, 700)
            found = [item async for batch in store.replay(number, verify=True) for item in batch]
            same(found, [(n, n + 1) for n in range(700)])

    async def test_a_replay_refuses_what_it_cannot_do(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(2))
            unknown: Any = ("colour",)
            for batches in (
                store.replay(number, columns=unknown),
                store.replay(number, after_position=-1),
                store.replay(number, after_position=1, verify=True),
                store.replay(number, category="job", verify=True),
            ):
                await refused(InvalidArgument, anext(aiter(batches)))
