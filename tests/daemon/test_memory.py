"""The daemon's memory does not grow by the threads that come and go, nor by the names that it has met."""

import platform
import subprocess
import sys

import pytest

COUNT_ARENAS = """
import re, sys, threading
from pathlib import Path

from caf.daemon.memory import bound_malloc

if sys.argv[1] == "shared":
    assert bound_malloc()
together, done = threading.Barrier(13), threading.Event()

def hold() -> None:
    kept = [bytes(50_000) for _ in range(10)]
    together.wait()
    done.wait()

threads = [threading.Thread(target=hold) for _ in range(12)]
for thread in threads:
    thread.start()
together.wait()
# The memory of an arena begins at a multiple of 64 MiB.
found = re.findall(r"^([0-9a-f]+)-[0-9a-f]+ rw-p 00000000 00:00 0 *$", Path("/proc/self/maps").read_text(), re.M)
done.set()
print(sum(int(start, 16) % (64 << 20) == 0 for start in found))
"""

GROW_BY_NAMES = """
import sys
from pathlib import Path

import caf.daemon.serve
import caf.web.server
from caf.daemon.memory import bound_malloc, settle_interned

def resident_kb() -> int:
    [told] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(told.split()[1])

bound_malloc()
if sys.argv[1] == "settled":
    settle_interned()
resident_kb()
before = resident_kb()
for number in range(100_000):
    str(Path(f"job-{number}") / f"stage-{number}" / f"file-{number}")
print(resident_kb() - before)
"""


def counted(program: str, how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", program, how], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such arenas")
def test_threads_share_the_memory_that_they_give_back() -> None:
    assert counted(COUNT_ARENAS, "each its own") > 2
    assert counted(COUNT_ARENAS, "shared") <= 2


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.version_info >= (3, 12),
    reason="another table of interned strings",
)
def test_the_table_of_names_has_its_size_from_the_start() -> None:
    assert counted(GROW_BY_NAMES, "as it is") > 500
    assert counted(GROW_BY_NAMES, "settled") < 300


KEPT = """
import gc

import caf.daemon.serve
from caf.daemon.memory import settle_objects

class Known:
    pass

def looked_at() -> int:
    return sum(isinstance(each, Known) for each in gc.get_objects())

known = [Known() for number in range(100)]
before = looked_at()
settle_objects()
later = [Known() for number in range(7)]
print(before, looked_at(), len([each for each in known if each.__class__ is Known]))
"""


def test_garbage_is_sought_only_among_what_came_since_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["100", "7", "100"]
