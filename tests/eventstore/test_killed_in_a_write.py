"""Killed between any two writes: while a log is made or led to a newer schema, in its WAL, in a checkpoint, in a merge.

strace ends the process at a system call of its choice; skipped where that is missing or may not trace.
"""

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest

from eventstore import NewEvent, SqliteStore, _runs
from tests.eventstore.golden.make import ARCHIVE, golden_log
from tests.eventstore.support import collect, events, survived

ROOT = Path(__file__).parents[2]

# Small steps, so that checkpoints and merges of ids come every few appends. What is printed was acknowledged.
CHILD = """
import os, sys, uuid, anyio
from eventstore import NewEvent, SqliteStore, _ids, _runs, _writer
_ids.STEP, _runs._BITS, _writer._CHECKPOINT_PAGES = 3, 2, 24
async def main(path):
    async with SqliteStore.open(path) as store:
        for turn in range(60):
            ids = [str(uuid.uuid4()) for _ in range(3)]
            made = [NewEvent(event_id=i, type="T", data=i.encode() * 20) for i in ids]
            answer = await store.append(f"job-{turn % 3}", made)
            os.write(1, f"{answer.first_position} {' '.join(ids)}\\n".encode())
anyio.run(main, sys.argv[1])
"""

LEADER = """
import sys, anyio
from eventstore import SqliteStore
async def main(path):
    async with SqliteStore.open(path):
        pass
anyio.run(main, sys.argv[1])
"""


def run_until(path: Path, call: str, number: int, child: str = CHILD) -> tuple[bool, list[list[str]]]:
    """Whether the child was killed in its so-manieth call, or got through; and what it acknowledged."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    command += ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", child, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert killed or done.returncode == 0, done.stderr
    return killed, [line.split() for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture(scope="module")
def _strace(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    killed, _ = run_until(tmp_path_factory.mktemp("try") / "log.db", "pwrite64", 1)
    if not killed:
        pytest.skip("strace may not trace here")


@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize(
    ("call", "most"),
    [("pwrite64", 160), ("fdatasync", 60), ("ftruncate", 3), ("unlink", 2), ("pwrite64", 12)],
)
async def test_a_log_whose_writer_is_killed_in_a_write_opens_with_all_it_acknowledged(
    tmp_path: Path, call: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_runs, "_BITS", 2)
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    kills = 0
    for number in random.Random(seed).sample(range(1, most + 1), min(most, 8)):
        path = tmp_path / f"{number}.db"
        killed, acknowledged = await anyio.to_thread.run_sync(run_until, path, call, number)
        kills += killed
        async with SqliteStore.open(path) as store:
            log, lost = await survived(store, [(int(first), ids) for first, *ids in acknowledged])
            assert lost == 0
            assert len(log) <= 3 * len(acknowledged) + 3
            assert (await store.append("after", events(2))).last_position == len(log) + 2
    assert kills, "the child was never killed"


@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
async def test_a_log_whose_opener_is_killed_while_it_leads_it_to_a_newer_schema_is_led_there_the_next_time(
    tmp_path: Path, call: str
) -> None:
    step = 5 if call == "pwrite64" else 1  # there are many writes, and few syncs
    first = random.randrange(step) + 1
    sys.stdout.write(f"from number {first} on\n")
    kills = 0
    for number in range(first, 100, step):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "log.db"
        shutil.copyfile(golden_log(4), path)
        shutil.copyfile(golden_log(4).with_name(ARCHIVE.format(4)), folder / ARCHIVE.format(4))
        killed, _ = await anyio.to_thread.run_sync(run_until, path, call, number, LEADER)
        kills += killed
        async with SqliteStore.open(path) as store:
            log = await collect(store.read_all())
            assert len(log) == 290
            for event in log[::29]:
                given = NewEvent(**{name: getattr(event, name) for name in NewEvent.__struct_fields__})
                assert (await store.append(event.stream, [given])).repeated
            assert (await store.verify()).ok
            assert await store.check_file() == ()
        if not killed:
            break
    assert kills
