"""Runs of ids find what was put into them, whatever was merged meanwhile."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import StoreCorrupt
from eventstore._compiled import native
from eventstore._runs import (
    LEVELS,
    Runs,
    first_of,
    hash_at,
    items_of,
    merge_runs,
    pack,
    pack_ids,
    plain_first_of,
    plain_merge_runs,
    plain_pack_ids,
    position_at,
)
from eventstore._schema import SCHEMA_VERSION, statements
from eventstore.ids import HASH_BITS

IDS = st.lists(st.binary(min_size=16, max_size=16), max_size=60)
HASHES = st.one_of(
    st.integers(0, 2**HASH_BITS - 1),
    st.sampled_from([0, 1, 2**HASH_BITS - 1, 2**43, 2**43 - 1, 2**39]),
)
compiled = pytest.mark.skipif(native is None, reason="nothing is compiled here")


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    with closing(new_tables()) as db:
        yield db


def new_tables() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(statements(SCHEMA_VERSION))
    return db


@compiled
@given(IDS, IDS, st.integers(0, 2**39), HASHES)
def test_the_compiled_runs_are_those_of_python(
    one: list[bytes], other: list[bytes], first: int, hashed: int
) -> None:
    runs = [pack_ids(one, first), pack_ids(other, first + len(one)), b"", pack_ids(one[:5], first + 500)]
    assert runs[:2] == [plain_pack_ids(one, first), plain_pack_ids(other, first + len(one))]
    for count in range(len(runs) + 1):
        assert merge_runs(runs[:count]) == plain_merge_runs(runs[:count])
    whole = merge_runs(runs)
    for wanted in (hashed, 2**HASH_BITS, *(hash_at(whole, place) for place in range(len(whole) // 11))):
        assert first_of(whole, wanted) == plain_first_of(whole, wanted)


@compiled
def test_the_compiled_runs_refuse_what_is_none() -> None:
    for bad in ([b"short"], ["text"], [None]):
        with pytest.raises(ValueError, match="16 bytes"):
            pack_ids(bad, 1)  # type: ignore[arg-type]
    for first in (-1, 2**40):
        with pytest.raises(ValueError, match="too many"):
            pack_ids([bytes(16)], first)
    with pytest.raises(ValueError, match="too many"):
        pack_ids([bytes(16)] * (2**17 + 1), 1)
    for run in (b"short", "text"):
        with pytest.raises(ValueError, match="11 for each"):
            merge_runs([run])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="11 for each"):
            first_of(run, 1)  # type: ignore[arg-type]


@given(
    st.lists(st.lists(HASHES, max_size=12), max_size=70),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 3, 720]),
)
def test_what_was_put_into_runs_is_found_at_its_positions_and_nothing_else(
    steps: list[list[int]], bits: int, row_ids: int
) -> None:
    due: dict[int, list[int]] = defaultdict(list)
    position = 0
    with pytest.MonkeyPatch.context() as patch, closing(new_tables()) as db:
        patch.setattr("eventstore._runs._BITS", bits)
        patch.setattr("eventstore._runs._ROW_IDS", row_ids)
        runs = Runs(db)
        for step in steps:
            pairs = [(hashed, position + number) for number, hashed in enumerate(step)]
            position += len(step)
            runs.add(pack(pairs))
            while runs.merge() is not None:
                pass
            for hashed, at in pairs:
                due[hashed].append(at)
        for hashed in (*due, 5, 2**46):
            assert sorted(runs.find(hashed)) == due.get(hashed, [])
        rows = list(runs.rows())
        assert sorted(item for row in rows for item in items_of(row.ids)) == sorted(
            pack([(hashed, at)]) for hashed, places in due.items() for at in places
        )
        for row in rows:
            assert row.low <= row.first <= hash_at(row.ids, 0)
            assert hash_at(row.ids, len(row.ids) // 11 - 1) < row.high
        for low, high in ((0, 2**HASH_BITS), (2**43, 2**44), (2**39 - 1, 2**39 + 1)):
            seen = {item for ids in runs.within(low, high, range(LEVELS)) for item in items_of(ids)}
            assert seen >= {
                pack([(hashed, at)])
                for hashed, places in due.items()
                for at in places
                if low <= hashed < high
            }


def test_ids_that_count_upwards_fill_all_slots_alike(tables: sqlite3.Connection) -> None:
    runs = Runs(tables)
    for start in range(0, 16_384, 64):
        runs.add(pack_ids([number.to_bytes(16) for number in range(start, start + 64)], start))
        runs.merge()
    counts: dict[int, int] = defaultdict(int)
    for row in runs.rows():
        if row.level == 1:
            counts[row.low] += len(row.ids) // 11
    assert len(counts) == 16
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_a_run_is_about_as_long_on_every_level_and_each_slot_holds_few(tables: sqlite3.Connection) -> None:
    runs = Runs(tables)
    most = 0
    for start in range(0, 160_000, 32):
        ids = [number.to_bytes(16) for number in range(start, start + 32)]
        runs.add(pack_ids(ids, start))
        runs.merge()
        if start % 4096 == 0:
            most = max(most, *(row.run for row in runs.rows()))
    sizes: dict[int, list[int]] = defaultdict(list)
    for row in runs.rows():
        sizes[row.level].append(len(row.ids) // 11)
    assert set(sizes) == {0, 1, 2, 3}
    for level in (0, 1, 2, 3):
        assert 24 < sum(sizes[level]) / len(sizes[level]) < 40
    assert most < 20


def test_more_runs_than_can_be_numbered_are_refused(tables: sqlite3.Connection) -> None:
    runs = Runs(tables)
    for number in range(64):
        runs.add(pack([(number, number)]))
    with pytest.raises(StoreCorrupt, match="too many runs"):
        runs.add(pack([(64, 64)]))
    assert sorted(position_at(row.ids, 0) for row in runs.rows()) == list(range(64))
