"""Contract: what reading promises."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from eventstore.contract._support import Contract, collect, events, new, same
from eventstore.model import RecordedEvent
from eventstore.store import EventStore

__all__ = ["ReadContract"]


async def _three_streams(store: EventStore) -> None:
    """Positions 1..9: job-a, job-b, other-c in turn; every second event belongs to the thread `t`."""
    for number in range(9):
        stream = ("job-a", "job-b", "other-c")[number % 3]
        thread = "t" if number % 2 else None
        await store.append(stream, [new(b"%d" % number, correlation_id=thread)])


class ReadContract(Contract):
    async def test_a_stream_is_read_from_any_version_both_ways(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-b", events(2))
            await store.append("job-a", events(5))
            for after in range(7):
                for limit in (None, 0, 1, 3, 9):
                    due = list(range(after + 1, 6))
                    found = await collect(store.read("job-a", after_version=after, limit=limit))
                    same([e.version for e in found], due[:limit])
                    assert all(e.stream == "job-a" for e in found)
                    back = store.read("job-a", after_version=after, limit=limit, backward=True)
                    same([e.version for e in await collect(back)], due[::-1][:limit])

    async def test_the_log_is_read_from_any_position_both_ways(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await _three_streams(store)
            for after in range(11):
                for limit in (None, 0, 1, 4, 20):
                    due = list(range(after + 1, 10))
                    found = store.read_all(after_position=after, limit=limit)
                    same([e.position for e in await collect(found)], due[:limit])
                    back = store.read_all(after_position=after, limit=limit, backward=True)
                    same([e.position for e in await collect(back)], due[::-1][:limit])

    async def test_there_is_nothing_after_the_largest_number(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            for backward in (False, True):
                for limit in (None, 1, 2**63 - 1):
                    last = 2**63 - 1
                    stream = store.read("job-a", after_version=last, limit=limit, backward=backward)
                    log = store.read_all(after_position=last, limit=limit, backward=backward)
                    same(await collect(stream), [])
                    same(await collect(log), [])

    async def test_the_log_is_read_by_category_and_by_correlation(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await _three_streams(store)
            jobs, thread = [1, 2, 4, 5, 7, 8], [2, 4, 6, 8]
            for category, correlation, due in (
                ("job", None, jobs),
                ("other", None, [3, 6, 9]),
                ("jo", None, []),
                (None, "t", thread),
                (None, "T", []),
                ("job", "t", [2, 4, 8]),
                ("other", "t", [6]),
            ):
                for after in (0, 2, 4, 9):
                    for limit in (None, 1, 2):
                        for backward in (False, True):
                            found = store.read_all(
                                after_position=after,
                                limit=limit,
                                category=category,
                                correlation_id=correlation,
                                backward=backward,
                            )
                            want = [position for position in due if position > after]
                            want = (want[::-1] if backward else want)[:limit]
                            same([e.position for e in await collect(found)], want)

    async def test_a_long_log_is_read_whole_both_ways(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for start in range(0, 5_000, 500):
                await store.append("job-a", events(500))
                await store.append(f"other-{start}", events(100))
            every = list(range(1, 6_001))
            same([e.position for e in await collect(store.read_all())], every)
            same([e.position for e in await collect(store.read_all(backward=True))], every[::-1])
            own = list(range(1, 5_001))
            same([e.version for e in await collect(store.read("job-a"))], own)
            same([e.version for e in await collect(store.read("job-a", backward=True))], own[::-1])
            limited = await collect(store.read("job-a", after_version=100, limit=3_000))
            same([e.version for e in limited], list(range(101, 3_101)))
            jobs = await collect(store.read_all(category="other", backward=True))
            assert len(jobs) == 1_000
            same([e.position for e in jobs], sorted((e.position for e in jobs), reverse=True))

    async def test_what_is_rare_in_a_long_log_is_found_both_ways(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            due: list[int] = []
            for _ in range(3):
                rare = [new(correlation_id="rare"), new(correlation_id="often")]
                due.append((await store.append("rare-a", rare)).first_position)
                many = [new(correlation_id="often") for _ in range(4_000)]
                await store.append("often-a", many)
            due.append((await store.append("often-a", [new(correlation_id="rare")])).first_position)
            for backward in (False, True):
                turn = -1 if backward else 1
                rare_ones = await collect(store.read_all(correlation_id="rare", backward=backward))
                same([e.position for e in rare_ones], due[::turn])
                kinds = await collect(store.read_all(category="rare", backward=backward, limit=5))
                places = [place for first in due[:3] for place in (first, first + 1)]
                same([e.position for e in kinds], places[::turn][:5])
                often = await collect(store.read_all(correlation_id="often", backward=backward, limit=12_001))
                assert len(often) == 12_001
            whole = await collect(store.read_all())
            same([e.position for e in whole], list(range(1, 12_008)))
            last = await collect(store.read("often-a", backward=True, limit=4_097))
            same([e.version for e in last], list(range(12_001, 12_001 - 4_097, -1)))

    async def test_what_is_acknowledged_is_found_at_once_by_category_and_by_correlation(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as store:
            for number in range(1, 30):
                made = [new(correlation_id=f"t-{number % 3}")]
                answer = await store.append(f"job{number % 2}-a", made)
                filters: Any
                for filters in ({"category": f"job{number % 2}"}, {"correlation_id": f"t-{number % 3}"}):
                    last = await collect(store.read_all(**filters, backward=True, limit=1))
                    same([e.position for e in last], [answer.last_position])
                    assert (await collect(store.read_all(**filters)))[-1] == last[0]

    async def test_a_reader_that_stops_early_holds_nothing_up(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(1_000))
            reading = store.read_all()
            assert (await anext(reading)).position == 1
            assert (await store.append("job-a", events(1))).last_position == 1_001
            rest = [e.position for e in await collect(reading)]
            same(rest, list(range(2, len(rest) + 2)))
            assert len(rest) in (999, 1_000)

    async def test_backward_reading_is_not_moved_by_what_is_appended(self, tmp_path: Path) -> None:
        reads: tuple[Callable[[EventStore], AsyncIterator[RecordedEvent]], ...] = (
            lambda store: store.read_all(backward=True),
            lambda store: store.read_all(backward=True, category="job"),
            lambda store: store.read_all(backward=True, correlation_id="t"),
            lambda store: store.read("job-a", backward=True),
            lambda store: store.read("job-a", backward=True, limit=1_400),
        )
        async with self.open(tmp_path) as store:
            for _ in range(3):
                await store.append("job-a", [new(correlation_id="t") for _ in range(500)])
            for read in reads:
                found = read(store)
                got = [(await anext(found)).position]
                await store.append("job-a", [new(correlation_id="t")])
                got += [e.position for e in await collect(found)]
                same(got, list(range(got[0], got[0] - len(got), -1)))
                assert got[-1] == 1 or len(got) == 1_400

    async def test_events_hold_bytes(self, tmp_path: Path) -> None:
        """Of any other type, some would be equal all the same."""
        async with self.open(tmp_path) as store:
            await store.append("job-a", [new(b"1", metadata=b"{}"), new(b"")])
            for found in (store.read("job-a"), store.read_all(), store.subscribe()):
                for event in await collect(found, 2):
                    assert type(event.data) is type(event.metadata) is bytes
                    assert type(event.event_id) is str

    async def test_what_is_acknowledged_is_read_at_once(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number in range(1, 50):
                answer = await store.append("job-a", events(1))
                assert await store.version("job-a") == answer.last_version == number
                same(
                    [e.version for e in await collect(store.read("job-a", after_version=number - 1))],
                    [number],
                )
