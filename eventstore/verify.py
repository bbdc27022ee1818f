"""Checks a log batch by batch: the chain, and that positions and versions have no gap."""

from eventstore.chain import Chain, Frame, encode_frame
from eventstore.model import Fault, VerifyReport, Witness

__all__ = ["Verifier"]


class Verifier:
    """Fed with all events in order; stops at the first that is not what was recorded."""

    def __init__(self, witness: Witness | None = None) -> None:
        self._witness = witness
        self._chain = Chain()
        self._good = 0
        self._digest = self._chain.digest
        self._versions: dict[str, int] = {}
        self._fault: Fault | None = None

    def feed(self, frames: list[Frame], stored: list[bytes]) -> bool:
        """Check the next events against what is stored with each; False once a fault is found."""
        witness = self._witness
        if self._fault is None and witness is not None and 0 < witness.position - self._good < len(frames):
            # The whole digest is only known at the end of what was fed.
            cut = witness.position - self._good
            return self.feed(frames[:cut], stored[:cut]) and self.feed(frames[cut:], stored[cut:])
        if self._fault is None and frames:
            self._check(frames, stored)
        return self._fault is None

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
        return VerifyReport(events=self._good, head_digest=self._digest, fault=self._fault)

    def _check(self, frames: list[Frame], stored: list[bytes]) -> None:
        # Places first: frames from the wrong place have no digest to speak of.
        count = len(frames)
        for index, frame in enumerate(frames):
            what = self._misplaced(frame, self._good + 1 + index)
            if what is not None:
                count, self._fault = index, Fault(position=self._good + 1 + index, what=what)
                break
        before = self._chain.copy()
        marks = self._chain.extend(map(encode_frame, frames[:count]))
        if marks != stored[:count]:
            count = next(index for index, mark in enumerate(marks) if mark != stored[index])
            due = self._good + count + 1
            what = f"The digest at position {due} does not fit its content and its predecessors'."
            self._fault = Fault(position=due, what=what)
            self._chain = before
            self._chain.extend(map(encode_frame, frames[:count]))
        self._good, self._digest = self._good + count, self._chain.digest
        witness = self._witness
        if (
            self._fault is None
            and witness is not None
            and witness.position == self._good
            and not self._digest.startswith(witness.digest)
        ):
            what = f"Position {self._good} has not the witnessed digest: the log was rewritten up to there."
            self._fault = Fault(position=self._good, what=what)

    def _misplaced(self, frame: Frame, due: int) -> str | None:
        position, stream, version = frame[:3]
        if position != due:
            return f"Position {due} is missing; the next is {position}."
        expected = self._versions.get(stream, 0) + 1
        if version != expected:
            return f"Position {due} has version {version} of stream {stream!r}, not {expected}."
        self._versions[stream] = version
        return None
