"""The real clock and real ids; everything else gets them handed in."""

import time
import uuid

__all__ = ["RandomIds", "SystemClock"]


class SystemClock:
    """Wall clock and stopwatch of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class RandomIds:
    """Random UUIDs in canonical form."""

    def new(self) -> str:
        return str(uuid.uuid4())
