"""Collect what a clip leaves behind, by this process alone or shared with helpers: the outcome is the same bits.

A clip is cut into pieces where it can be decoded from, each piece is collected by whoever is free, and the pieces are
joined in order. Pieces that lie beside each other have eleven frames in common. Where these are not the same pictures,
or a piece is not what the file promises, everything is done again as a whole. Of a clip that is too short for that, or
cannot be cut, a thread decodes what comes next.
"""

import contextlib
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import msgspec

from caf.errors import CafError, MediaError, TryAgainError
from caf.media.read import is_animated_webp
from caf.media.spans import OtherFramesError, Timetable, timetable
from caf.qc.metrics.collected import Collected
from caf.qc.metrics.frames import batches, see
from caf.qc.metrics.parts import (
    FAULT,
    HEAD,
    OTHER_FRAMES,
    PART,
    TICK,
    TICK_FRAMES,
    Part,
    PartsRequest,
    collect_part,
    joined,
)
from caf.qc.metrics.piece import BEFORE, GRID, Piece
from caf.qc.metrics.samples import Sample
from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.fault import error_of
from caf.worker.memory import oom_kills
from caf.worker.protocol import Fault
from caf.worker.tether import start_tethered

__all__ = ["LEAST_PIECE", "collect", "pieces_of"]

LEAST_PIECE: Final = 180
"""Frames that a piece is worth: a helper's start costs as much as some sixty."""
_PIECES_EACH: Final = 3
"""So that nobody waits for long for the one that is last."""
_LOOK_S: Final = 0.1
_TAIL_BYTES: Final = 8192


def collect(
    video: str,
    wanted: frozenset[str],
    workers: int,
    beat: Callable[[int], None],
    *,
    early: Callable[[Sample], object] | None = None,
    least_piece: int = LEAST_PIECE,
) -> Collected:
    """What `video` leaves behind for the `wanted` metrics; `beat` is told how many frames are done.

    `early` is given all samples in order while others are still to come, or none.

    Raises:
        InputError: no such file.
        MediaError: the file cannot be read as a clip or picture.
        UnavailableError: a helper died.
        TryAgainError: a helper could not be started.
    """
    if not Collected(wanted).looks:
        return Collected(wanted)
    table = Timetable(0, (), ()) if is_animated_webp(Path(video)) else timetable(video)
    pieces = pieces_of(table, workers, least_piece)
    if len(pieces) > 1:
        with contextlib.suppress(OtherFramesError, MediaError):
            return _shared(video, wanted, table, pieces, min(workers, len(pieces)), beat)
    whole = Collected(wanted, Piece(frames=table.frames))
    for batch in batches(see(video, ahead=workers > 1)):
        whole.add(batch)
        if early is not None:
            for sample in whole.fresh():
                early(sample)
        for frame in batch:
            beat(frame.index + 1)
    return whole


def pieces_of(table: Timetable, workers: int, least: int = LEAST_PIECE) -> list[Piece]:
    """Where a clip is cut for so many workers; a single piece where that is not worth while, or not possible."""
    frames = len(table.times)
    length = max(least, frames // (max(1, workers) * _PIECES_EACH))
    cuts = [0]
    for key in table.keys if workers > 1 else ():
        cut = -(-(key + BEFORE) // GRID) * GRID
        if key > 0 and cut - cuts[-1] >= length and frames - cut >= least:
            cuts.append(cut)
    return [Piece(start, stop, frames) for start, stop in pairwise([*cuts, frames])] if frames else []


def _shared(
    video: str,
    wanted: frozenset[str],
    table: Timetable,
    pieces: Sequence[Piece],
    workers: int,
    beat: Callable[[int], None],
) -> Collected:
    request = msgspec.json.encode(PartsRequest(video=video, metrics=tuple(sorted(wanted))))
    with _Sharing(pieces, request, workers - 1) as sharing:
        while (number := sharing.take()) is not None:

            def count() -> None:
                beat(sharing.count(1))

            sharing.parts[number] = collect_part(video, wanted, table, pieces[number], count)
            sharing.check()
        while sharing.wait():
            beat(sharing.count(0))
        parts = [sharing.parts[number] for number in range(len(pieces))]
    return joined(parts, pieces)


class _Sharing:
    """The pieces that wait, the helpers that fetch them, a thread for each, and what came of them.

    Use as a context, after which no helper is left.
    """

    def __init__(self, pieces: Sequence[Piece], request: bytes, helpers: int) -> None:
        self._pieces = pieces
        self._waiting = deque(range(len(pieces)))
        self._lock = threading.Lock()
        self._frames = 0
        self._told = 0
        self._fault: Exception | None = None
        self.parts: dict[int, Part] = {}
        self._helpers: list[_Helper] = []
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(helpers):
                self._helpers.append(_Helper(request))
        except OSError as error:
            self.__exit__()
            raise TryAgainError(
                f"A child process could not be started: {error.strerror}.",
                remedy="Close other programs, or set fewer measure_workers; then try again.",
                kind="worker_not_started",
                transient=True,
            ) from error
        self._threads = [
            threading.Thread(target=self._serve, args=(helper,), daemon=True) for helper in self._helpers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._waiting.clear()
        for helper in self._helpers:
            helper.end()
        for thread in self._threads:
            thread.join()
        for helper in self._helpers:
            helper.close()

    def take(self) -> int | None:
        """The number of a piece that nobody has taken yet."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def count(self, frames: int) -> int:
        """So many more are done; how many that makes in all."""
        with self._lock:
            self._frames += frames
            return self._frames

    def check(self) -> None:
        """Raises what went wrong with a helper."""
        if self._fault is not None:
            raise self._fault

    def wait(self) -> bool:
        """Waits until something new is done, and raises as `check`; False once everything is."""
        while any(thread.is_alive() for thread in self._threads):
            for thread in self._threads:
                thread.join(_LOOK_S)
            self.check()
            # One that stands still must look like it to whoever watches this process.
            if self._frames > self._told:
                self._told = self._frames
                return True
        self.check()
        return False

    def _serve(self, helper: "_Helper") -> None:
        try:
            while (number := self.take()) is not None:
                self.parts[number] = helper.collect(self._pieces[number], lambda: self.count(TICK_FRAMES))
        except Exception as error:  # noqa: BLE001  told in the thread that waits
            with self._lock:
                self._waiting.clear()
                self._fault = self._fault or error


class _Helper:
    """One running helper."""

    def __init__(self, request: bytes) -> None:
        self._oom_kills = oom_kills()
        self._process = start_tethered("caf.qc.metrics.part")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._asks, self._answers, self._noise = (
            self._process.stdin,
            self._process.stdout,
            self._process.stderr,
        )
        self._tail = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        with contextlib.suppress(BrokenPipeError):  # it is dead already, and that is told when it is asked
            self._asks.write(request + b"\n")

    def collect(self, piece: Piece, tick: Callable[[], object]) -> Part:
        """Waits for one piece. Raises what the helper raised, or what it died of."""
        with contextlib.suppress(BrokenPipeError):
            self._asks.write(msgspec.json.encode(tuple(piece)) + b"\n")
        while True:
            kind, length = HEAD.unpack(self._read(HEAD.size))
            body = self._read(length)
            match kind:
                case _ if kind == TICK:
                    tick()
                case _ if kind == PART:
                    part: Part = pickle.loads(body)  # noqa: S301  of a process of ours
                    return part
                case _ if kind == OTHER_FRAMES:
                    raise OtherFramesError
                case _ if kind == FAULT:
                    raise error_of(msgspec.json.decode(body, type=Fault))

    def end(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """After `end`, and after nobody waits for it."""
        self._process.wait()
        self._listener.join()
        for pipe in (self._asks, self._answers, self._noise):
            pipe.close()

    def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            more = self._answers.read(min(size - len(got), 1 << 20))
            if not more:
                raise self._cause()
            got += more
        return bytes(got)

    def _listen(self) -> None:
        """What it prints goes to this process's standard error."""
        while printed := self._noise.read(1 << 16):
            self._tail = (self._tail + printed)[-_TAIL_BYTES:]
            os.write(2, printed)

    def _cause(self) -> CafError:
        status = self._process.wait()
        self._listener.join()
        killed = oom_kills() > self._oom_kills
        words = last_words(self._tail)
        return cause_of_death(
            "measure", status, words, limit_bytes=None, peak_bytes=0, system_killed_for_memory=killed
        )
