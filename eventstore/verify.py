"""Checks a log batch by batch: the chain, and that positions and versions have no gap."""

from typing import Any

from eventstore._frames import Columns, Frames, in_place
from eventstore.chain import Chain, Mark, seal
from eventstore.model import Fault, VerifyReport, Witness

__all__ = ["Verifier"]


class Verifier:
    """Fed with all events in order; stops at the first that is not what was recorded."""

    def __init__(self, witness: Witness | None = None) -> None:
        self._witness = witness
        self._chain = Chain()
        self._good = 0
        self._versions: dict[Any, Any] = {}
        self._fault: Fault | None = None

    @property
    def fault(self) -> Fault | None:
        """What was found wrong so far."""
        return self._fault

    @property
    def good(self) -> int:
        """The position up to which all is well."""
        return self._good

    def running(self) -> tuple[Any, int]:
        """`Chain.running` behind what was fed."""
        return self._chain.running()

    def feed(
        self,
        columns: Columns,
        frames: Frames,
        marks: list[Mark],
        hashed: tuple[list[bytes], Any] | None = None,
    ) -> bool:
        """Check the next events, of which the first columns say the places, against what is stored with each.

        `hashed` is what else `Ahead` gave, if it made the frames. False once a fault is found.
        """
        if self._fault is None and marks:
            count = in_place(columns[0], columns[1], columns[2], self._versions, self._good)
            # Places first: frames from the wrong place have no checksum to speak of. But what is wrong before counts.
            wrong = self._misplaced(count, columns) if count < len(marks) else None
            start = self._good
            cut = count if self._witness is None else self._witness.position - start
            # The witnessed digest is only known at the end of what the chain was led on by.
            for first, last in ((0, cut), (cut, count)) if 0 < cut < count else ((0, count),):
                if self._fault is None:
                    self._check(frames, marks, first, last, hashed if last - first == len(frames) else None)
            if self._fault is None:
                self._fault = wrong
        return self._fault is None

    def misplaced(self, position: int) -> None:
        """Note an event where none can be, before the first position."""
        what = f"There is an event at position {position}; they count from 1."
        self._fault = self._fault or Fault(position=position, what=what)

    def unreadable(self, why: str) -> None:
        """Note that the next event cannot be read at all."""
        due = self._good + 1
        self._fault = self._fault or Fault(position=due, what=f"Position {due} cannot be read: {why}.")

    def report(self) -> VerifyReport:
        """What was found, once everything was fed."""
        witness = self._witness
        if self._fault is None and witness is not None and witness.position > self._good:
            due = self._good + 1
            what = f"The log ends at {self._good}, but {witness.position} was witnessed."
            self._fault = Fault(position=due, what=what)
        return VerifyReport(events=self._good, head_digest=self._chain.digest, fault=self._fault)

    def _check(
        self,
        frames: Frames,
        marks: list[Mark],
        start: int,
        stop: int,
        hashed: tuple[list[bytes], Any] | None,
    ) -> None:
        def joined(first: int, last: int) -> bytes:
            return frames.joined(start + first, start + last)

        before = self._chain.copy()
        count = stop - start
        followed = self._chain.adopt(count, *hashed) if hashed else self._chain.follow(count, joined)
        ends = [(start + index, digest) for index, digest in followed]
        first = frames.unlike(marks, start, stop, ends)
        count = first - start
        if first < stop:
            checksum, digest = frames.sums()[first], dict(ends).get(first)
            due = checksum if digest is None else seal(checksum, digest)
            self._fault = self._mismatch(self._good + count + 1, due, marks[first])
            self._chain = before
            self._chain.follow(count, joined)
        self._good += count
        self._witnessed()

    def _mismatch(self, position: int, due: Mark, found: Mark) -> Fault:
        if isinstance(due, bytes) and isinstance(found, bytes) and due[:4] == found[:4]:
            what = f"The digest at position {position} does not fit the events of its segment."
        else:
            what = f"The checksum at position {position} does not fit its content."
        return Fault(position=position, what=what)

    def _witnessed(self) -> None:
        witness = self._witness
        if (
            self._fault is None
            and witness is not None
            and witness.position == self._good
            and not self._chain.digest.startswith(witness.digest)
        ):
            what = f"Position {self._good} has not the witnessed digest: the log was rewritten up to there."
            self._fault = Fault(position=self._good, what=what)

    def _misplaced(self, index: int, columns: Columns) -> Fault:
        """What is wrong with the place of a row."""
        due, known = self._good + index + 1, self._versions.get(columns[1][index], 0)
        position, version = columns[0][index], columns[2][index]
        what = f"Position {due} has version {version} of its stream, not {known + 1}."
        if position != due:
            what = f"Position {due} is missing; the next is {position}."
        return Fault(position=due, what=what)
