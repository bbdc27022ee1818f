"""The filter of known ids never denies one, and hardly ever suspects a new one."""

import copy
import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import _filter
from eventstore._compiled import native
from eventstore._filter import (
    PARTS,
    IdFilter,
    fill_parts,
    holds,
    may_hold,
    plain_fill_parts,
    plain_may_hold,
)
from eventstore._schema import SCHEMA_VERSION, statements
from eventstore.ids import fold_ids, plain_fold_ids

IDS = st.lists(st.binary(min_size=16, max_size=16), max_size=40)


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(statements(SCHEMA_VERSION))
        yield db


def made_up(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [uuid.UUID(int=rng.getrandbits(128), version=4).bytes for _ in range(count)]


@given(IDS, IDS, st.sampled_from([1, 8, 256]))
@pytest.mark.skipif(native is None, reason="nothing is compiled here")
def test_the_compiled_filter_sets_and_finds_the_same_bits(
    known: list[bytes], asked: list[bytes], size: int
) -> None:
    folds = fold_ids(known)
    assert folds == plain_fold_ids(known)
    quick: list[bytearray | None] = [bytearray(size) if part % 3 else None for part in range(PARTS)]
    plain = copy.deepcopy(quick)
    fill_parts(quick, folds)
    plain_fill_parts(plain, folds)
    assert quick == plain
    for fold in folds:
        bits = quick[fold >> 36]
        assert bits is None or holds(bits, fold)
    assert may_hold(quick, known + asked) == plain_may_hold(quick, known + asked)


@pytest.mark.skipif(native is None, reason="nothing is compiled here")
def test_the_compiled_filter_refuses_what_is_none() -> None:
    parts: list[bytearray | None] = [None] * PARTS
    for bad in ([b"short"], ["text"], [None]):
        with pytest.raises(ValueError, match="16 bytes"):
            may_hold(parts, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="16 bytes"):
            fold_ids(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no filter"):
        may_hold(parts[1:], [])
    with pytest.raises(TypeError):
        may_hold([b"bytes"] * PARTS, [bytes(16)])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        fill_parts([bytearray()], [1])
    for bad in ([-1], [2**47], [2**70], ["1"]):
        with pytest.raises((IndexError, OverflowError, TypeError)):
            fill_parts(parts, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bytes_each", [1, 256])
def test_it_knows_what_each_table_holds_and_few_others(
    tables: sqlite3.Connection, bytes_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_filter, "_LEAST_BYTES", bytes_each)
    known = made_up(16_000, 1)
    folds = fold_ids(known)
    rows = list(zip(folds, range(1, len(known) + 1), strict=True))
    for table, part in (("older_ids", slice(0, 12_000)), ("middle_ids", slice(12_000, 14_000))):
        tables.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows[part])
    tables.executemany("INSERT INTO recent_ids VALUES (?, ?)", rows[14_000:])
    found = IdFilter(tables)
    found.begin(len(known))
    assert found.suspects(known) == folds
    assert len(found.suspects(made_up(16_000, 2))) < 0.06 * 16_000
    later = made_up(4_000, 3)
    found.add(fold_ids(later), 20_000)
    tables.executemany("INSERT INTO recent_ids VALUES (?, ?)", [(fold, 1) for fold in fold_ids(later)])
    assert found.suspects(known + later) == folds + fold_ids(later)


def test_it_grows_with_the_log_and_denies_nothing_on_the_way(
    tables: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_filter, "_LEAST_BYTES", 1)
    known, found = made_up(40_000, 4), IdFilter(tables)
    kept = 0
    for start in range(0, len(known), 4_000):
        step = sorted(fold_ids(known[start : start + 4_000]))
        tables.executemany("INSERT INTO older_ids VALUES (?, ?)", [(fold, start) for fold in step])
        found.keep(step, start + 4_000)
        found.add(step, start + 4_000)
        assert len(found.suspects(known[: start + 4_000])) == start + 4_000
        (size,) = tables.execute("SELECT sum(length(bits)) FROM id_filters").fetchone()
        assert size >= kept
        kept = size
    assert kept > 4 * PARTS
    assert len(found.suspects(made_up(40_000, 5))) < 0.06 * 40_000
    again = IdFilter(tables)
    again.begin(len(known))
    assert again.suspects(known) == fold_ids(known)
    assert len(again.suspects(made_up(40_000, 5))) < 0.06 * 40_000
