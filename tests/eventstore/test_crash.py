"""Real processes, killed at random moments: what was acknowledged is there, and nothing is half there."""

import random
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from eventstore import SqliteStore
from eventstore._schema import PAGE_BYTES as PAGE
from tests.eventstore.support import collect, events, mark, new, raw, survived

ROOT = Path(__file__).parents[2]

# Six writers, each append three events and a checkpoint; a line is printed once it is acknowledged.
CHILD = """
import sys, uuid, anyio
from eventstore import Checkpoint, NewEvent, SqliteStore

async def main(path, round_):
    async with SqliteStore.open(path) as store:
        async def write(number):
            for turn in range(100000):
                ids = [str(uuid.uuid4()) for _ in range(3)]
                events = [NewEvent(event_id=i, type="T", data=i.encode() * 10) for i in ids]
                head = await store.head()
                mark = Checkpoint(consumer=f"c-{number}", position=head)
                answer = await store.append(f"job-{round_}-{number}", events, checkpoint=mark)
                print(answer.first_position, number, head, *ids, flush=True)
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(write, number)

anyio.run(main, *sys.argv[1:])
"""


def run_and_kill(path: Path, round_: int, lines: int) -> list[list[str]]:
    """What a child acknowledged until it was killed, soon after its so-manieth answer."""
    command = [sys.executable, "-c", CHILD, str(path), str(round_)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return [line.split() for line in seen if line.endswith("\n")]


async def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    acknowledged: list[list[str]] = []
    for round_, lines in enumerate(chance.sample((0, 1, 7, 40, 150), 5)):
        acknowledged += run_and_kill(path, round_, chance.randint(lines // 2, lines))
        if not path.exists():
            continue
        async with SqliteStore.open(path) as store:
            _, lost = await survived(store, [(int(first), ids) for first, _, _, *ids in acknowledged])
            assert lost == 0
            for _, number, head, *_ in acknowledged:
                assert await store.checkpoint(f"c-{number}") >= int(head)
    assert len(acknowledged) >= 95, "the children did not get far enough"


async def test_a_log_whose_last_writes_were_cut_anywhere_is_a_prefix_of_whole_appends(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    async with SqliteStore.open(live) as store:
        for turn in range(12):
            await store.append("job-a", events(3), checkpoint=mark("qc", 3 * turn + 3))
        whole = await collect(store.read_all())
        # Everything is still in the WAL: cutting it is what a power cut may leave.
        wal = live.with_name("live.db-wal").read_bytes()
        base = live.read_bytes()
    chance = random.Random(7)
    sizes: set[int] = set()
    for cut in [*sorted(chance.sample(range(len(wal)), 40)), len(wal)]:
        path = tmp_path / f"cut-{cut}.db"
        path.write_bytes(base)
        path.with_name(path.name + "-wal").write_bytes(wal[:cut])
        async with SqliteStore.open(path) as store:
            log = await collect(store.read_all())
            assert log == whole[: len(log)]
            assert len(log) % 3 == 0
            assert await store.checkpoint("qc") == len(log)
            assert (await store.append("job-a", events(1))).last_position == len(log) + 1
            assert (await store.verify()).ok
            sizes.add(len(log))
    assert {0, 36} <= sizes
    assert len(sizes) > 6


async def test_a_checkpoint_that_was_cut_anywhere_costs_nothing(tmp_path: Path) -> None:
    live, wal_name = tmp_path / "live.db", "live.db-wal"
    async with SqliteStore.open(live) as store:
        for turn in range(15):
            await store.append(f"job-{turn % 2}", [new(b"%d " % turn * 300) for _ in range(6)])
        whole = await collect(store.read_all())
        before, wal = live.read_bytes(), live.with_name(wal_name).read_bytes()
        with closing(raw(live)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        after = live.read_bytes()
        assert live.with_name(wal_name).read_bytes() == wal
    assert after != before
    old = before.ljust(len(after), b"\0")
    chance = random.Random(11)
    for number in range(30):
        # Pages go out in any order, and the one that was being written may be new at its beginning alone.
        torn = bytearray(old[: len(before) if number % 2 else len(after)])
        for start in range(0, len(after), PAGE):
            if chance.random() < number / 30:
                end = start + (PAGE if chance.random() < 0.8 else chance.randrange(PAGE))
                torn[len(torn) :] = bytes(max(0, end - len(torn)))
                torn[start:end] = after[start:end]
        path = tmp_path / f"torn-{number}.db"
        path.write_bytes(torn)
        path.with_name(path.name + "-wal").write_bytes(wal)
        async with SqliteStore.open(path) as store:
            assert await collect(store.read_all()) == whole
            assert (await store.verify()).ok
            assert await store.check_file() == ()
            assert (await store.append("after", events(1))).last_position == len(whole) + 1


async def test_a_log_with_rubbish_behind_its_last_write_opens(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    async with SqliteStore.open(live) as store:
        await store.append("job-a", events(3))
        path = tmp_path / "copy.db"
        shutil.copy(live, path)
        wal = live.with_name("live.db-wal").read_bytes()
    path.with_name("copy.db-wal").write_bytes(wal + random.Random(1).randbytes(10_000))
    async with SqliteStore.open(path) as store:
        assert await store.head() == 3
        assert (await store.verify()).ok


@pytest.mark.parametrize("ending", ["pass", "sys.exit(3)", "raise ValueError('told')"])
def test_a_store_that_nobody_closed_does_not_hold_up_the_end_of_the_process(
    tmp_path: Path, ending: str
) -> None:
    code = f"""
import asyncio, sys
from eventstore import NewEvent, SqliteStore
async def main():
    store = await SqliteStore.open(sys.argv[1])
    id = "0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01"
    await store.append("job-a", [NewEvent(event_id=id, type="T", data=b"")])
    following = store.subscribe()
    await anext(following)
    {ending}
asyncio.run(main())
"""
    path = tmp_path / "log.db"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path)],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == {"pass": 0, "sys.exit(3)": 3}.get(ending, 1), done.stderr
    assert ("Traceback" in done.stderr) == ("told" in ending), done.stderr
