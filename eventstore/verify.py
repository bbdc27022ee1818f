"""Checks a log batch by batch: the chain, and that positions and versions have no gap."""

from collections.abc import Sequence

from eventstore.chain import Chain, Frame, Mark, adler32, encode_frame, seal
from eventstore.model import Fault, VerifyReport, Witness

__all__ = ["Verifier"]


class Verifier:
    """Fed with all events in order; stops at the first that is not what was recorded."""

    def __init__(self, witness: Witness | None = None) -> None:
        self._witness = witness
        self._chain = Chain()
        self._good = 0
        self._versions: dict[int, int] = {}
        self._fault: Fault | None = None

    @property
    def fault(self) -> Fault | None:
        """What was found wrong so far."""
        return self._fault

    @property
    def good(self) -> int:
        """The position up to which all is well."""
        return self._good

    def feed(self, frames: Sequence[Frame], marks: Sequence[Mark]) -> bool:
        """Check the next events against what is stored with each; False once a fault is found."""
        witness = self._witness
        if self._fault is None and witness is not None and 0 < witness.position - self._good < len(frames):
            # The digest is only known at the end of what was fed.
            cut = witness.position - self._good
            return self.feed(frames[:cut], marks[:cut]) and self.feed(frames[cut:], marks[cut:])
        if self._fault is None and frames:
            self._check(frames, marks)
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
        return VerifyReport(events=self._good, head_digest=self._chain.digest, fault=self._fault)

    def _check(self, frames: Sequence[Frame], marks: Sequence[Mark]) -> None:
        # Places first: frames from the wrong place have no checksum to speak of.
        count = self._in_place(frames)
        encoded = list(map(encode_frame, frames[:count]))
        due: list[Mark] = [*map(adler32, encoded)]
        before = self._chain.copy()
        for index, digest in self._chain.extend(encoded):
            due[index] = seal(adler32(encoded[index]), digest)
        if due != list(marks[:count]):
            count = next(index for index, mark in enumerate(due) if mark != marks[index])
            self._fault = self._mismatch(self._good + count + 1, due[count], marks[count])
            self._chain = before
            self._chain.extend(encoded[:count])
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

    def _in_place(self, frames: Sequence[Frame]) -> int:
        """How many of them come one after the other, with nothing missing; notes the fault at the next."""
        versions = self._versions
        known = versions.get
        due = self._good
        for frame in frames:
            due += 1
            stream, version = frame[1], frame[2]
            if frame[0] != due or known(stream, 0) != version - 1:
                what = f"Position {due} has version {version} of its stream, not {known(stream, 0) + 1}."
                if frame[0] != due:
                    what = f"Position {due} is missing; the next is {frame[0]}."
                self._fault = Fault(position=due, what=what)
                return due - self._good - 1
            versions[stream] = version
        return len(frames)
