"""`caf` in a process whose wall clock is set back while it runs: by an hour, once the file CAF_TEST_BACK is there."""

import os
import sys
import time
from pathlib import Path

BACK_NS = 3_600_000_000_000
_now_ns = time.time_ns
_there = Path(os.environ["CAF_TEST_BACK"]).exists


def _set_back_ns() -> int:
    return _now_ns() - BACK_NS * _there()


time.time_ns = _set_back_ns
time.time = lambda: _set_back_ns() / 1e9

from caf.cli.__main__ import main  # noqa: E402 - what it loads must see this clock

if __name__ == "__main__":
    sys.exit(main())
