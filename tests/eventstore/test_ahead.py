"""A log that is verified is hashed ahead by a thread, and nobody can tell: neither by what is found, nor by when."""

import asyncio
import hashlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import SqliteStore, StoreCorrupt, VerifyReport
from eventstore import _ahead as ahead_module
from eventstore._ahead import Parts
from eventstore._compiled import CRYPTO, SQLITE, native, new_sha256
from eventstore._frames import Frames
from eventstore._reader import Reader
from eventstore._scan import new_scan
from eventstore.chain import SEGMENT, Chain, adler32
from tests.eventstore.support import events, new, raw, refused
from tests.eventstore.test_chain import tamper
from tests.eventstore.test_compiled import CELLS, ROOT

threaded = pytest.mark.skipif(not (SQLITE and CRYPTO), reason="nothing is hashed ahead here")
COUNT = 3 * 1024 + 300
"""Three parts, and one that is short."""
SWAP = (
    "UPDATE events SET position = -1 WHERE position = {0}",
    "UPDATE events SET position = {0} WHERE position = {0} + 1",
    "UPDATE events SET position = {0} + 1 WHERE position = -1",
)


async def write(path: Path, *, count: int = COUNT) -> None:
    """Streams of 50, so that every part brings names; their events have a type of their own now and then."""
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for first in range(0, count, 50):
            made = [
                new(b"%d" % number, type=f"T{number // 700}", correlation_id=f"t-{first // 200}")
                for number in range(first, min(first + 50, count))
            ]
            await store.append(f"job-{first // 50}", made)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("log") / "log.db"
    asyncio.run(write(path))
    return path.read_bytes()


def as_it_is(kind: str, version: int) -> Callable[[bytes], bytes]:
    return bytes


async def replayed(path: Path) -> tuple[list[int], str, VerifyReport]:
    """What a replay that verifies gives, how it ends, and what `verify` says."""
    seen: list[int] = []
    end = ""
    async with SqliteStore.open(path, read_only=True) as store:
        try:
            async for batch in store.replay(as_it_is, verify=True):
                seen.extend(batch.positions)
        except StoreCorrupt as error:
            end = str(error)
        return seen, end, await store.verify()


@threaded
@pytest.mark.parametrize("position", [1, 256, 257, 1024, 1025, 2500, 3072, 3300])
@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE events SET data = CAST(data || 'x' AS BLOB) WHERE position = {0}",),
        ("DELETE FROM events WHERE position = {0}",),
        SWAP,
        ("UPDATE events SET mark = zeroblob(36) WHERE position = {0}",),
        ("UPDATE events SET version = version + 1 WHERE position = {0}",),
        ("UPDATE events SET type_key = 1000000 WHERE position = {0}",),
    ],
    ids=["changed", "dropped", "swapped", "marked", "counted", "of no type"],
)
async def test_a_fault_is_found_where_it_was_found_without_a_thread(
    tmp_path: Path, log: bytes, monkeypatch: pytest.MonkeyPatch, statements: tuple[str, ...], position: int
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    if position + 1 < COUNT:
        tamper(path, "PRAGMA ignore_check_constraints = ON", *(one.format(position) for one in statements))
    else:
        tamper(path, "UPDATE events SET data = x'00' WHERE position = 3300")
    found = await replayed(path)
    assert found[0] == list(range(1, position))
    assert found[2].fault is not None
    assert found[2].fault.position == position
    assert found[2].fault.what in found[1]
    monkeypatch.setattr(ahead_module, "_THREADED", False)
    assert await replayed(path) == found


@threaded
@pytest.mark.parametrize(
    ("statements", "position"),
    [
        (["UPDATE streams SET name = CAST(x'ff' AS TEXT) WHERE stream_key = 30"], 1451),
        (["UPDATE streams SET name = 'job-other' WHERE stream_key = 30"], 1451),
        (["DELETE FROM streams WHERE stream_key = 50"], 2451),
        (["UPDATE correlations SET first_position = 7 WHERE correlation_key = 10"], 1801),
        (["DELETE FROM types WHERE type_key = 4"], 2101),
        (["UPDATE events SET position = 0 WHERE position = 3300"], 1),
    ],
)
async def test_what_is_wrong_with_names_is_told_when_it_is_its_turn(
    tmp_path: Path, log: bytes, monkeypatch: pytest.MonkeyPatch, statements: list[str], position: int
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    tamper(path, "PRAGMA ignore_check_constraints = ON", *statements)
    found = await replayed(path)
    assert found[0] == list(range(1, position))
    assert found[1]
    monkeypatch.setattr(ahead_module, "_THREADED", False)
    assert await replayed(path) == found


@threaded
@pytest.mark.parametrize("end", [1280, 2048, 3328])
async def test_a_tail_whose_checksums_were_rewritten_is_found_at_the_end_of_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    path = tmp_path / "log.db"
    await write(path, count=3400)
    whole = await replayed(path)
    assert whole[2].ok
    assert whole[0] == list(range(1, 3401))
    first = end - 20
    with_checksum = (
        f"UPDATE events SET data = x'21', mark = {_checksum(path, first, b'!')} WHERE position = {first}"
    )
    tamper(path, with_checksum)
    found = await replayed(path)
    assert found[0] == list(range(1, end))
    assert "digest" in found[1]
    monkeypatch.setattr(ahead_module, "_THREADED", False)
    assert await replayed(path) == found


def _checksum(path: Path, position: int, data: bytes) -> int:
    """Of the frame of a row in the middle of its stream, with other data."""
    connection = raw(path)
    columns = "position, stream_key, version, type_key, recorded_at_ms, event_id, correlation_key, causation, metadata"
    row = connection.execute(f"SELECT {columns} FROM events WHERE position = ?", (position,)).fetchone()
    connection.close()
    return adler32(Frames(tuple([item] for item in (*row, data)), {}).joined(0, 1))


@threaded
@pytest.mark.parametrize("size", [1, 5_000, 30_000])
async def test_parts_may_end_inside_a_segment(
    tmp_path: Path, log: bytes, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    whole = await replayed(path)
    monkeypatch.setattr(ahead_module, "SLICE_BYTES", size)
    assert await replayed(path) == whole
    tamper(path, "UPDATE events SET data = x'00' WHERE position = 2222")
    found = await replayed(path)
    assert found[0] == list(range(1, 2222))
    assert "2222" in found[1]


@threaded
async def test_what_is_read_ahead_is_hashed_by_the_thread(
    tmp_path: Path, log: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    begun: list[bool] = []
    begin = Parts._begin

    def told(self: Parts, part: Any, scan: Any) -> None:
        begin(self, part, scan)
        begun.append(part.ahead is not None)

    monkeypatch.setattr(Parts, "_begin", told)
    await replayed(path)
    assert begun == [True, True, True, False] * 2


@threaded
async def test_nothing_is_given_before_it_is_verified(tmp_path: Path, log: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    tamper(path, "UPDATE events SET data = x'00' WHERE position = 1025")
    async with SqliteStore.open(path, read_only=True) as store:
        batches = store.replay(as_it_is, verify=True)
        assert (await anext(batches)).positions == list(range(1, 1025))
        # What was read ahead is bad, which is told now, and was not before the first were given.
        assert "1025" in str(await refused(StoreCorrupt, anext(batches)))


@pytest.mark.parametrize("apart", [True, False])
async def test_events_that_come_meanwhile_are_given_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    monkeypatch.setattr(ahead_module, "_THREADED", apart and SQLITE and CRYPTO)
    path = tmp_path / "log.db"
    await write(path, count=1100)
    async with SqliteStore.open(path, synchronous="OFF") as store:
        seen: list[int] = []
        async for batch in store.replay(as_it_is, verify=True):
            if not seen:
                await store.append("job-late", events(10))
            seen.extend(batch.positions)
        assert seen == list(range(1, 1111))


def native_threads() -> int:
    return len(os.listdir("/proc/self/task")) - threading.active_count()  # noqa: PTH208


@threaded
async def test_a_replay_that_is_abandoned_leaves_no_thread_behind(tmp_path: Path, log: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    async with SqliteStore.open(path, read_only=True) as store:
        async for _ in store.replay(as_it_is, verify=True):
            pass
        before = native_threads()
        for turns in range(20):
            batches = store.replay(as_it_is, verify=True)
            for _ in range(turns % 3 + 1):
                await anext(batches)
            await batches.aclose()  # type: ignore[attr-defined]
            del batches
        # One that was joined just now may not be gone yet.
        assert native_threads() <= before + 1
        replay = asyncio.create_task(replayed(path))
        await asyncio.sleep(0)
        replay.cancel()
        await asyncio.wait([replay])
        assert (await replayed(path))[0] == list(range(1, COUNT + 1))


@threaded
async def test_several_replays_at_once_do_not_meet(tmp_path: Path, log: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    bad = tmp_path / "bad.db"
    bad.write_bytes(log)
    tamper(bad, "UPDATE events SET data = x'00' WHERE position = 2500")
    whole = await replayed(path)
    found = await asyncio.gather(*(replayed(one) for one in (path, bad, path, bad, path)))
    assert [one[0][-1] for one in found] == [COUNT, 2499, COUNT, 2499, COUNT]
    assert found[0] == found[2] == found[4] == whole


_LEFT = """
import asyncio, os, sys
from eventstore import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1], read_only=True)
    batches = store.replay(lambda kind, version: bytes, verify=True)
    seen = len(await anext(batches))
    if sys.argv[2] == "exit":
        sys.exit(7)
    if os.fork() == 0:
        del batches
        os._exit(0)
    child = os.wait()[1]
    async for batch in batches:
        seen += len(batch)
    print(seen, child)
    await store.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize(("how", "code", "told"), [("exit", 7, ""), ("fork", 0, f"{COUNT} 0\n")])
def test_neither_the_interpreter_s_end_nor_a_fork_is_held_up(
    tmp_path: Path, log: bytes, how: str, code: int, told: str
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    words = [sys.executable, "-c", _LEFT, str(path), how]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (code, told), done.stderr


@given(st.binary(max_size=5000), st.binary(max_size=5000), st.binary(max_size=5000))
def test_a_running_hash_is_that_of_hashlib(start: bytes, more: bytes, other: bytes) -> None:
    one = new_sha256(start)
    one.update(more)
    copied = one.copy()
    copied.update(bytearray(other))
    assert one.digest() == hashlib.sha256(start + more).digest()
    assert copied.digest() == hashlib.sha256(start + more + other).digest()
    assert one.digest() == hashlib.sha256(start + more).digest()


@threaded
@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.integers(0, 3), st.data())
def test_frames_that_a_thread_makes_are_the_same(
    rows: list[tuple[Any, Any]], done: int, data: st.DataObject
) -> None:
    position = SEGMENT - done
    firsts: Any = {}
    if rows:
        places = st.sampled_from(range(len(rows)))
        firsts = data.draw(st.dictionaries(places, st.just(("job-1", ("Done", 1), None))))
    connection = raw(Path(":memory:"))
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, a, b)")
    connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
    scan = new_scan(connection, "SELECT a, b, n FROM t ORDER BY n")
    scan.fetch((), 2**30)
    plain = scan.frames(2, firsts)
    chains = [Chain(), Chain()]
    for chain in chains:
        chain.extend([b"x"] * position)
    begun = scan.ahead(2, firsts, *chains[0].running())
    frames, digests, running = begun.take()
    ends = chains[0].adopt(len(frames), digests, running)
    assert ends == chains[1].follow(len(plain), plain.joined)
    assert chains[0].digest == chains[1].digest
    assert frames.sums() == plain.sums()
    assert frames.joined(0, len(frames)) == plain.joined(0, len(plain))
    with pytest.raises(ValueError, match="taken"):
        begun.take()
    scan.close()
    connection.close()


@threaded
def test_the_thread_is_given_only_what_it_can_take() -> None:
    connection = raw(Path(":memory:"))
    scan = new_scan(connection, "SELECT 1, 2")
    scan.fetch((), 2**30)
    running = new_sha256(b"")
    for wrong, error in (
        ((3, {}, running, 256), ValueError),
        ((2, {}, running, 0), ValueError),
        ((2, {}, running, 257), ValueError),
        ((2, {}, hashlib.sha256(), 256), TypeError),
        ((2, {0: ("one",)}, running, 256), TypeError),
        ((2, {1: (None, None, None)}, running, 256), IndexError),
    ):
        scan.fetch((), 2**30)
        with pytest.raises(error):
            scan.ahead(*wrong)
    with pytest.raises(TypeError):
        native.Ahead()
    scan.close()
    connection.close()


@pytest.mark.parametrize("verify", [False, True])
async def test_what_is_read_again_since_somebody_writes_now_comes_once(
    log: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(log)
    answers = itertools.cycle([False, True])
    monkeypatch.setattr(Reader, "still_good", lambda reader: next(answers))
    async with SqliteStore.open(path) as store:
        found = [position async for batch in store.replay(as_it_is, verify=verify) for _, position in batch]
    assert found == list(range(1, COUNT + 1))
