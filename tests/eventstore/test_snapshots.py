"""Snapshots are a cache: with them, without them, and with broken ones a fold comes to the same."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import Fold, MemoryStore, RecordedEvent, Snapshots
from tests.eventstore.support import events, new, raw


class Sum(msgspec.Struct, frozen=True):
    total: int = 0
    count: int = 0


def add(state: Sum, event: RecordedEvent) -> Sum:
    folded.append(event.version)
    return Sum(state.total + int(event.data), state.count + 1)


folded: list[int] = []
FOLD = Fold(
    name="sum",
    version=1,
    initial=Sum(),
    evolve=add,
    encode=msgspec.json.encode,
    decode=msgspec.json.Decoder(Sum).decode,
)


@pytest.fixture(autouse=True)
def forget() -> None:
    folded.clear()


async def test_a_fold_begins_where_the_last_snapshot_ended(tmp_path: Path) -> None:
    async with MemoryStore() as store:
        await store.append("job-a", events(25))
        with Snapshots(tmp_path / "cache.db", every=10) as snapshots:
            assert await snapshots.fold(store, "job-a", FOLD) == (Sum(300, 25), 25)
            await store.append("job-a", [new(b"5")])
            folded.clear()
            assert await snapshots.fold(store, "job-a", FOLD) == (Sum(305, 26), 26)
            assert folded == [26]
        with Snapshots(tmp_path / "cache.db", every=10) as again:
            folded.clear()
            assert await again.fold(store, "job-a", FOLD) == (Sum(305, 26), 26)
            assert folded == [26]
            assert await again.fold(store, "job-none", FOLD) == (Sum(), 0)


async def test_a_snapshot_of_another_fold_or_another_log_is_not_used(tmp_path: Path) -> None:
    with Snapshots(tmp_path / "cache.db", every=1) as snapshots:
        async with MemoryStore() as store:
            await store.append("job-a", events(5))
            await snapshots.fold(store, "job-a", FOLD)
            newer = msgspec.structs.replace(
                FOLD, version=2, evolve=lambda state, event: Sum(state.total - 1, 0)
            )
            assert await snapshots.fold(store, "job-a", newer) == (Sum(-5, 0), 5)
        async with MemoryStore() as other:
            await other.append("job-a", [new(b"7") for _ in range(6)])
            assert await snapshots.fold(other, "job-a", newer) == (Sum(-6, 0), 6)
            assert await snapshots.fold(other, "job-a", FOLD) == (Sum(42, 6), 6)


@pytest.mark.parametrize("damage", ["deleted", "rubbish", "emptied", "state"])
async def test_a_cache_that_is_lost_or_broken_changes_nothing(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.db"
    async with MemoryStore() as store:
        await store.append("job-a", events(9))
        with Snapshots(path, every=1) as snapshots:
            due = await snapshots.fold(store, "job-a", FOLD)
        spoil(path, damage)
        with Snapshots(path, every=1) as snapshots:
            assert await snapshots.fold(store, "job-a", FOLD) == due
            assert await snapshots.fold(store, "job-a", FOLD) == due


def spoil(path: Path, damage: str) -> None:
    if damage == "deleted":
        path.unlink()
    elif damage == "state":
        connection = raw(path)
        connection.execute("UPDATE snapshots SET state = x'00'")
        connection.close()
    else:
        path.write_bytes(b"rubbish " * 2000 if damage == "rubbish" else b"")


@given(steps=st.lists(st.integers(0, 30), max_size=8), every=st.integers(1, 20))
async def test_the_state_is_that_of_the_whole_stream_however_it_was_come_by(
    steps: list[int], every: int
) -> None:
    async with MemoryStore() as store:
        with Snapshots(None, every=every) as snapshots:
            total: Any = 0
            count = 0
            for step in steps:
                await store.append("job-a", events(step))
                total += step * (step - 1) // 2
                count += step
                assert await snapshots.fold(store, "job-a", FOLD) == (Sum(total, count), count)
