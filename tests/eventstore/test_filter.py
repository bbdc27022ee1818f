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
    KEPT,
    PARTS,
    IdFilter,
    fill_parts,
    holds,
    may_hold,
    plain_fill_parts,
    plain_may_hold,
)
from eventstore._runs import Runs, pack_ids
from eventstore._schema import SCHEMA_VERSION, statements
from eventstore.ids import hash_ids

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
    quick: list[bytearray | None] = [bytearray(size) if part % 3 else None for part in range(PARTS)]
    plain = copy.deepcopy(quick)
    fill_parts(quick, pack_ids(known, 1))
    plain_fill_parts(plain, pack_ids(known, 1))
    assert quick == plain
    for hashed in hash_ids(known):
        bits = quick[hashed >> 36]
        assert bits is None or holds(bits, hashed)
    assert may_hold(quick, known + asked) == plain_may_hold(quick, known + asked)


@pytest.mark.skipif(native is None, reason="nothing is compiled here")
def test_the_compiled_filter_refuses_what_is_none() -> None:
    parts: list[bytearray | None] = [None] * PARTS
    for bad in ([b"short"], ["text"], [None]):
        with pytest.raises(ValueError, match="16 bytes"):
            may_hold(parts, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no filter"):
        may_hold(parts[1:], [])
    with pytest.raises(TypeError):
        may_hold([b"bytes"] * PARTS, [bytes(16)])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        fill_parts([bytearray()], pack_ids([bytes(16)], 1))
    for bad in (b"not eleven", [1], "text"):
        with pytest.raises(ValueError, match="11 for each"):
            fill_parts(parts, bad)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        fill_parts(parts, b"\xff" * 11)


@pytest.mark.parametrize("bytes_each", [1, 256])
def test_it_knows_what_each_level_holds_and_few_others(
    tables: sqlite3.Connection, bytes_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_filter, "_LEAST_BYTES", bytes_each)
    known = made_up(16_200, 1)
    runs = Runs(tables)
    for start in range(0, len(known), 40):
        runs.add(pack_ids(known[start : start + 40], start + 1))
        runs.merge()
    levels = {level for (level,) in tables.execute("SELECT key >> 53 FROM id_runs")}
    assert levels == {0, 1, 2}
    found = IdFilter(tables, runs)
    found.begin(len(known))
    assert found.reconsidered(found.suspects(known)) == hash_ids(known)
    assert len(found.suspects(made_up(16_000, 2))) < 0.01 * 16_000
    later = made_up(4_000, 3)
    found.add(pack_ids(later, 16_201), 20_200)
    runs.add(pack_ids(later, 16_201))
    assert found.reconsidered(found.suspects(known + later)) == hash_ids(known + later)


def test_it_grows_with_the_log_and_denies_nothing_on_the_way(
    tables: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_filter, "_LEAST_BYTES", 1)
    known, runs = made_up(40_000, 4), Runs(tables)
    found = IdFilter(tables, runs)
    kept = 0
    for start in range(0, len(known), 100):
        run, count = pack_ids(known[start : start + 100], start + 1), start + 100
        runs.add(run)
        merged = runs.merge()
        if merged is not None and merged.level == KEPT.start:
            found.keep(merged.low, merged.high, merged.ids, count)
        found.add(run, count, first=not start)
        if start % 1_500 == 0:
            assert len(found.reconsidered(found.suspects(known[:count]))) == count
        size = tables.execute("SELECT coalesce(max(length(bits)), 0) FROM id_filters").fetchone()[0]
        assert size >= kept
        kept = size
    assert kept == 32
    assert len(found.suspects(made_up(40_000, 5))) < 0.01 * 40_000
    again = IdFilter(tables, runs)
    again.begin(len(known))
    assert again.reconsidered(again.suspects(known)) == hash_ids(known)
    assert len(again.suspects(made_up(40_000, 5))) < 0.01 * 40_000
