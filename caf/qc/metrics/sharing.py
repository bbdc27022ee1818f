"""Collect what a clip leaves behind, by this process alone or shared with helpers: the outcome is the same bits.

A clip is cut into pieces where it can be decoded from, each piece is collected by whoever is free, and the pieces are
joined in order. Pieces that lie beside each other have eleven frames in common. Where these are not the same pictures,
or a piece is not what the file promises, everything is done again as a whole. Of a clip that is too short for that, or
cannot be cut, a thread decodes what comes next.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import msgspec

from caf.errors import MediaError
from caf.media.read import is_animated_webp
from caf.media.spans import OtherFramesError, Timetable, timetable
from caf.pose.workers import processors_each
from caf.qc.metrics.collected import Collected
from caf.qc.metrics.frames import batches, see
from caf.qc.metrics.helpers import IdleEndError, borrow, hand_back
from caf.qc.metrics.parts import TICK_FRAMES, Part, PartsRequest, collect_part, joined
from caf.qc.metrics.piece import BEFORE, GRID, Piece
from caf.qc.metrics.samples import Sample, picks_of

__all__ = ["LEAST_PIECE", "collect", "pieces_of"]

LEAST_PIECE: Final = 180
"""Frames that a piece is worth where two share the clip: threads share a shorter one as well as two processes."""
_LEAST_OF_MANY: Final = 24
"""The same of more than two."""
_PIECES_EACH: Final = 3
"""So that nobody waits for long for the one that is last."""
_DECODING: Final = 0.55
"""Of all that a frame takes."""
_WORTH: Final = 0.85
"""A cut pays that makes the dearest piece so much cheaper."""
_LOOK_S: Final = 0.1


def collect(
    video: str,
    wanted: frozenset[str],
    workers: int,
    beat: Callable[[int], None],
    *,
    early: Callable[[Sample], object] | None = None,
    against: bool = False,
    least_piece: int | None = None,
) -> Collected:
    """What `video` leaves behind for the `wanted` metrics; `beat` is told how many frames are done.

    `early` is given samples in order while others are still to come. Whether they are all, and the same pictures as
    those that are kept, shows in the end: where a piece was not what the file promises they may not be. `against`: as
    `Collected` has it.

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
            at_it = min(workers, len(pieces))
            request = PartsRequest(
                video=video,
                table=table,
                metrics=tuple(sorted(wanted)),
                against=against,
                threads=processors_each(at_it),
            )
            return _shared(request, pieces, at_it, beat, early)
        early = None
    whole = Collected(wanted, Piece(frames=table.frames), against=against)
    for batch in batches(see(video, ahead=workers > 1)):
        whole.add(batch)
        if early is not None:
            for sample in whole.fresh():
                early(sample)
        for frame in batch:
            beat(frame.index + 1)
    return whole


def pieces_of(table: Timetable, workers: int, least: int | None = None) -> list[Piece]:
    """Where a clip is cut for so many workers; a single piece where that is not worth while, or not possible.

    After key frames; for more than two workers also between them, where one would still wait for the others then.
    """
    frames = len(table.times)
    least = least or (LEAST_PIECE if workers <= 2 else _LEAST_OF_MANY)
    length = max(least, frames // (max(1, workers) * _PIECES_EACH))
    cuts = [0]
    for key in table.keys if workers > 1 else ():
        cut = -(-(key + BEFORE) // GRID) * GRID
        if key > 0 and cut - cuts[-1] >= length and frames - cut >= least:
            cuts.append(cut)
    pieces = [Piece(start, stop, frames) for start, stop in pairwise([*cuts, frames])] if frames else []
    while pieces and 2 < workers > len(pieces):
        dearest = max(pieces, key=lambda piece: _cost(piece, table))
        halves = _halves(dearest, table)
        least_half = min(one.stop - one.start for one in halves)
        if least_half < least or _cost(halves[1], table) > _WORTH * _cost(dearest, table):
            break
        at = pieces.index(dearest)
        pieces[at : at + 1] = halves
    return pieces


def _cost(piece: Piece, table: Timetable) -> float:
    """In frames that are decoded and measured; those before the piece are only decoded."""
    key = _key(piece, table)
    return (piece.stop - key) * _DECODING + (piece.stop - piece.start) * (1 - _DECODING)


def _halves(piece: Piece, table: Timetable) -> tuple[Piece, Piece]:
    """Two pieces that cost about the same, if the first key frame is that of both."""
    share = 1 - _DECODING
    middle = (piece.stop + piece.start * share) / (1 + share)
    cut = round(middle / GRID) * GRID
    return piece._replace(stop=cut), piece._replace(start=cut)


def _key(piece: Piece, table: Timetable) -> int:
    """The frame that decoding starts at."""
    return max(key for key in table.keys if key <= max(0, piece.start - BEFORE))


def _shared(
    request: PartsRequest,
    pieces: Sequence[Piece],
    workers: int,
    beat: Callable[[int], None],
    early: Callable[[Sample], object] | None,
) -> Collected:
    in_order = _InOrder(request.table.frames, early)
    with _Sharing(pieces, request, workers - 1, in_order) as sharing:
        while (number := sharing.take()) is not None:

            def count() -> None:
                beat(sharing.count(1))

            sharing.parts[number] = collect_part(request, pieces[number], count, in_order.add)
            sharing.check()
        while sharing.wait():
            beat(sharing.count(0))
        parts = [sharing.parts[number] for number in range(len(pieces))]
    return joined(parts, pieces)


class _InOrder:
    """Passes samples on in the order of the clip, whoever has them first."""

    def __init__(self, frames: int, early: Callable[[Sample], object] | None) -> None:
        self._due = deque(picks_of(frames))
        self._early = early
        self._held: dict[int, Sample] = {}
        self._lock = threading.Lock()

    def add(self, sample: Sample) -> None:
        if self._early is None:
            return
        with self._lock:
            self._held[sample.index] = sample
            while self._due and self._due[0] in self._held:
                self._early(self._held.pop(self._due.popleft()))


class _Sharing:
    """The pieces that wait, the helpers that fetch them, a thread for each, and what came of them.

    Use as a context, after which no helper has anything to do.
    """

    def __init__(
        self, pieces: Sequence[Piece], request: PartsRequest, helpers: int, in_order: _InOrder
    ) -> None:
        self._pieces, self._in_order = pieces, in_order
        self._request = msgspec.json.encode(request)
        self._waiting = deque(range(len(pieces)))
        self._lock = threading.Lock()
        self._frames = 0
        self._told = 0
        self._fault: Exception | None = None
        self._over = False
        self.parts: dict[int, Part] = {}
        self._helpers = borrow(helpers)
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), daemon=True) for place in range(helpers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        at_rest = kind is None and self._fault is None
        if not at_rest:
            with self._lock:
                self._over = True
                self._waiting.clear()
            for helper in self._helpers:
                helper.kill()
        for thread in self._threads:
            thread.join()
        hand_back(self._helpers, keep=at_rest)

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

    def _serve(self, place: int) -> None:
        try:
            self._helpers[place].begin(self._request)
            while (number := self.take()) is not None:
                self.parts[number] = self._collected(place, self._pieces[number])
        except Exception as error:  # noqa: BLE001  told in the thread that waits
            with self._lock:
                self._waiting.clear()
                self._fault = self._fault or error

    def _collected(self, place: int, piece: Piece) -> Part:
        def tick() -> None:
            self.count(TICK_FRAMES)

        while True:
            try:
                return self._helpers[place].collect(piece, tick, self._in_order.add)
            except IdleEndError:
                if self._over:
                    raise
            hand_back([self._helpers[place]], keep=False)
            self._helpers[place] = borrow(1)[0]
            self._helpers[place].begin(self._request)
