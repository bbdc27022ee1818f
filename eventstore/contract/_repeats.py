"""Contract: what counts as an append that is made again, and what as other events under ids that are taken."""

from pathlib import Path
from typing import Any, Final

from msgspec import structs

from eventstore.contract._support import Contract, appended, events, new, refused
from eventstore.errors import DuplicateEvent
from eventstore.model import NO_STREAM

__all__ = ["RepeatsContract"]

_MANY: Final = 2_000
"""More than a statement of SQL takes values, in builds of old."""


class RepeatsContract(Contract):
    async def test_a_repeat_may_span_appends(self, tmp_path: Path) -> None:
        one, two = events(2), events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", one)
            await store.append("job-b", events(1))
            await store.append("job-a", two)
            whole = await store.append("job-a", [*one, *two], expected_version=NO_STREAM)
            assert whole == appended("job-a", 1, 5, 1, 6, repeated=True)
            middle = await store.append("job-a", [one[1], two[0]])
            assert middle == appended("job-a", 2, 3, 2, 4, repeated=True)
            assert await store.head() == 6

    async def test_a_repeat_may_span_appends_that_follow_each_other(self, tmp_path: Path) -> None:
        one, two = events(2), events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", one)
            await store.append("job-a", two)
            whole = await store.append("job-a", [*one, *two], expected_version=NO_STREAM)
            assert whole == appended("job-a", 1, 5, 1, 5, repeated=True)
            assert await store.head() == 5

    async def test_a_repeat_from_two_streams_is_refused(self, tmp_path: Path) -> None:
        one, other = new(), events(2)
        async with self.open(tmp_path) as store:
            await store.append("job-a", [one])
            await store.append("job-b", other)
            await refused(DuplicateEvent, store.append("job-a", [one, other[1]]))
            await refused(DuplicateEvent, store.append("job-b", [other[0], one]))
            error = await refused(DuplicateEvent, store.append("job-b", [one]))
            assert (error.event_id, error.position) == (one.event_id, 1)
            assert await store.head() == 3

    async def test_every_field_of_every_event_is_compared(self, tmp_path: Path) -> None:
        others: dict[str, Any] = {
            "data": b"other",
            "type": "Other",
            "type_version": 2,
            "metadata": b"{}",
            "correlation_id": "x",
            "causation_id": "x",
        }
        given = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", given)
            for index in range(3):
                for field, value in others.items():
                    changed = [*given]
                    changed[index] = structs.replace(given[index], **{field: value})
                    error = await refused(DuplicateEvent, store.append("job-a", changed))
                    assert (error.event_id, error.position) == (given[index].event_id, index + 1)
            assert await store.head() == 3

    async def test_large_data_is_compared_whole(self, tmp_path: Path) -> None:
        given = new(bytes(1_000_000), metadata=bytes(100_000))
        async with self.open(tmp_path) as store:
            await store.append("job-a", [given])
            for other in (
                structs.replace(given, data=bytes(999_999) + b"1"),
                structs.replace(given, metadata=bytes(99_999) + b"1"),
            ):
                await refused(DuplicateEvent, store.append("job-a", [other]))
            assert (await store.append("job-a", [given])).repeated

    async def test_an_id_twice_in_one_append_is_refused_however_far_apart(self, tmp_path: Path) -> None:
        twice = new()
        async with self.open(tmp_path) as store:
            for made in (
                [twice, new(), twice],
                [twice, *events(_MANY), structs.replace(twice, data=b"other")],
            ):
                error = await refused(DuplicateEvent, store.append("job-a", made))
                assert (error.event_id, error.position) == (twice.event_id, None)
            assert await store.head() == 0

    async def test_a_large_append_is_known_when_it_is_repeated(self, tmp_path: Path) -> None:
        given = events(_MANY)
        async with self.open(tmp_path) as store:
            await store.append("job-b", events(1))
            await store.append("job-a", given)
            again = await store.append("job-a", given, expected_version=NO_STREAM)
            assert again == appended("job-a", 1, _MANY, 2, _MANY + 1, repeated=True)
            other = [*given]
            other[-2] = structs.replace(given[-2], data=b"other")
            error = await refused(DuplicateEvent, store.append("job-a", other))
            assert (error.event_id, error.position) == (given[-2].event_id, _MANY)
            assert await store.head() == _MANY + 1
