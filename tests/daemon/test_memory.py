"""The daemon's memory does not grow by the threads that come and go."""

import platform
import subprocess
import sys

import pytest

COUNT_ARENAS = """
import re, sys, threading
from pathlib import Path

from caf.daemon.memory import share_arenas

if sys.argv[1] == "shared":
    assert share_arenas()
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


def arenas(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_ARENAS, how], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such arenas")
def test_threads_share_the_memory_that_they_give_back() -> None:
    assert arenas("each its own") > 2
    assert arenas("shared") <= 2
