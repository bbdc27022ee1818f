"""The encoded frames of rows that come as columns, for the chain: see `eventstore.chain`."""

from collections.abc import Callable
from typing import Any, Final

from eventstore._compiled import native
from eventstore._keys import First
from eventstore.chain import Mark, adler32, encode_frame, seal

__all__ = ["Columns", "Frames", "highest", "in_place", "new_frames", "plain_highest", "plain_in_place"]

Columns = tuple[list[Any], ...]
"""The items of some frames, a list for each of the first ten."""


class Frames:
    """The frames of some rows."""

    def __init__(self, columns: Columns, firsts: dict[int, First]) -> None:
        """`firsts` has the names that some of the rows bring, by their places here."""
        self._encoded = [encode_frame(row) for row in zip(*columns, strict=True)]
        for index, names in firsts.items():
            self._encoded[index] = encode_frame((*(column[index] for column in columns), *names))

    def __len__(self) -> int:
        return len(self._encoded)

    def joined(self, start: int, stop: int) -> bytes:
        """The bytes of the frames from `start` up to `stop`."""
        return b"".join(self._encoded[start:stop])

    def sums(self) -> list[int]:
        """The checksum of each."""
        return [*map(adler32, self._encoded)]

    def unlike(self, marks: list[Mark], start: int, stop: int, ends: list[tuple[int, bytes]]) -> int:
        """The first place from `start` on whose mark is not the frame's, else `stop`.

        Of the places in `ends`, which come in order, the mark has that digest too.
        """
        due: list[Mark] = [*self.sums()[start:stop]]
        for place, digest in ends:
            due[place - start] = seal(adler32(self._encoded[place]), digest)
        for place, mark in enumerate(due, start):
            # A number is equal to itself as a float, and no store wrote that.
            if marks[place] != mark or marks[place].__class__ is not mark.__class__:
                return place
        return stop


def plain_in_place(
    positions: list[Any], streams: list[Any], versions: list[Any], known: dict[Any, Any], due: int
) -> int:
    """`in_place` in Python."""
    count = 0
    for position, stream, version in zip(positions, streams, versions, strict=True):
        due += 1
        if position != due or known.get(stream, 0) + 1 != version:
            break
        known[stream] = version
        count += 1
    return count


def plain_highest(keys: list[int | None]) -> int:
    """`highest` in Python."""
    return max(key or 0 for key in keys)


new_frames: Final[Callable[[Columns, dict[int, First]], Frames]] = Frames if native is None else native.Frames
"""`Frames`, compiled where that is at hand."""
in_place: Final[Callable[[list[Any], list[Any], list[Any], dict[Any, Any], int], int]] = (
    plain_in_place if native is None else native.in_place
)
"""How many of these rows follow the position `due`, with neither a position nor a version missing.

`known` has the last version of each stream, and is brought up to date.
"""
highest: Final[Callable[[list[Any]], int]] = plain_highest if native is None else native.highest
"""The highest of some keys, of which None counts as 0."""
