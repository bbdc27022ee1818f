"""The power goes out under a log: a file system of its own on a loop device, and what the device had by then.

What a program has written and not synced is in the memory of the kernel alone. The image behind the device, copied
while the writer stands still, holds what had reached the device, as after a power cut; mounted again, the file system
and SQLite recover. Needs root and loop devices; `test_crash.py` cuts the WAL everywhere without them.
"""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import pytest

from eventstore import SqliteStore
from tests.eventstore.support import events, survived

ROOT = Path(__file__).parents[2]
IMAGE_BYTES = 96 * 1024 * 1024
CUTS = 5

# Six writers; a line is printed for each append once it is acknowledged. The payload makes the WAL long enough to be
# checkpointed, and the ids numerous enough to go into their tables, several times in a run.
CHILD = """
import os, sys, uuid, anyio
from eventstore import Checkpoint, NewEvent, SqliteStore, _ids
_ids.STEP = 256
async def main(path, synchronous):
    async with SqliteStore.open(path, synchronous=synchronous) as store:
        async def write(number):
            while True:
                ids = [str(uuid.uuid4()) for _ in range(3)]
                made = [NewEvent(event_id=i, type="T", data=i.encode() * 60) for i in ids]
                answer = await store.append(f"job-{number}", made)
                mark = Checkpoint(consumer=f"c-{number}", position=answer.last_position)
                await store.save_checkpoint(mark)
                os.write(1, f"{answer.first_position} {number} {' '.join(ids)}\\n".encode())
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(write, number)
anyio.run(main, *sys.argv[1:])
"""


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """The file system of an image, mounted at a place."""
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        run("umount", place)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The image of an empty file system, where such a thing can be made and mounted here."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        pytest.skip("needs root, mkfs.ext4 and loop devices")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", image)
    try:
        with mounted(image, tmp_path / "try"):
            pass
    except subprocess.CalledProcessError as fault:
        pytest.skip(f"cannot mount: {fault.stderr.decode()}")
    return image


def standing_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def cut_power(disk: Path, synchronous: str, chance: random.Random) -> list[tuple[Path, list[str]]]:
    """Images as they were at some moments under load, each with what had been acknowledged by then."""
    found: list[tuple[Path, list[str]]] = []
    with mounted(disk, disk.parent / "live") as live:
        command = [sys.executable, "-c", CHILD, str(live / "log.db"), synchronous]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
            assert child.stdout is not None
            told = b""
            try:
                for number in range(CUTS):
                    due = told.count(b"\n") + chance.randint(1, 700)
                    while told.count(b"\n") < due:
                        more = os.read(child.stdout.fileno(), 65536)
                        assert more, "the writer ended by itself"
                        told += more
                    os.kill(child.pid, signal.SIGSTOP)
                    while not standing_still(child.pid):
                        pass
                    while select.select([child.stdout], [], [], 0)[0]:
                        told += os.read(child.stdout.fileno(), 65536)
                    image = disk.with_name(f"cut-{number}.img")
                    shutil.copyfile(disk, image)
                    found.append((image, told.decode().splitlines()))
                    os.kill(child.pid, signal.SIGCONT)
            finally:
                child.kill()
    return found


async def check(image: Path, acknowledged: list[str], *, all_of_them: bool) -> int:
    """How many of the acknowledged appends are gone; the log is whole in every other respect."""
    with mounted(image, image.with_suffix("")) as place:
        path = place / "log.db"
        if not path.exists():
            assert not all_of_them or not acknowledged
            return len(acknowledged)
        async with SqliteStore.open(path) as store:
            told = [line.split() for line in acknowledged]
            log, lost = await survived(store, [(int(first), ids) for first, _, *ids in told])
            for first, number, *_ in told:
                mark = await store.checkpoint(f"c-{number}")
                assert not all_of_them or mark >= int(first) + 2
                assert mark <= len(log)
            assert (await store.append("after", events(2))).last_position == len(log) + 2
    os.unlink(image)  # noqa: PTH108
    return lost


async def test_what_was_acknowledged_survives_a_power_cut(disk: Path) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    cuts = await anyio.to_thread.run_sync(cut_power, disk, "FULL", random.Random(seed))
    assert len(cuts[-1][1]) > len(cuts[0][1])
    for image, acknowledged in cuts:
        assert await check(image, acknowledged, all_of_them=True) == 0


async def test_without_a_sync_for_each_commit_a_power_cut_takes_the_end_and_nothing_else(disk: Path) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    lost = [
        await check(image, acknowledged, all_of_them=False)
        for image, acknowledged in await anyio.to_thread.run_sync(
            cut_power, disk, "NORMAL", random.Random(seed)
        )
    ]
    # Otherwise these cuts would take nothing from anybody, and the test above would prove nothing.
    assert sum(lost) > 0
