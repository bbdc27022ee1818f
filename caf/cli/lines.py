"""Lines for whoever listens, written by a thread of their own: a listener that is slow, or gone, stops nothing."""

import os
import queue
import threading
from typing import Final, TextIO

__all__ = ["Lines"]

MOST: Final = 10_000
"""Lines that wait for a slow listener; those that come then are left out, and counted."""
PARTING_S: Final = 2.0


class Lines:
    """Lines to one stream. Use as a context: at its end the last lines get a moment to be written."""

    def __init__(self, stream: TextIO, *, most: int = MOST) -> None:
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._waiting: queue.Queue[str | None] = queue.Queue(most)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write_all, name="lines", daemon=True)

    def __enter__(self) -> "Lines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._waiting.put(None, timeout=PARTING_S)
        except queue.Full:
            return  # nobody reads what was said
        self._thread.join(PARTING_S)

    def say(self, line: str) -> None:
        """Have a line written, soon; never waits."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def _write_all(self) -> None:
        while (line := self._waiting.get()) is not None:
            self._write(line)
            left_out, self._left_out = self._left_out, 0
            if left_out:
                self._write(f"caf: {left_out} lines were left out here; the log has them")

    def _write(self, line: str) -> None:
        # Past Python's own buffer, whose lock would be held at the end of the process by a write that waits.
        data = memoryview(f"{line}\n".encode(self._encoding, "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return  # nobody listens any more; the log has it all
