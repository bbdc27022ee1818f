"""Checks a log event by event: the chain, and that positions and versions have no gap."""

from eventstore.chain import GENESIS, link_recorded
from eventstore.model import Fault, RecordedEvent, VerifyReport, Witness

__all__ = ["Verifier"]


class Verifier:
    """Fed with all events in order; stops at the first that is not what was recorded."""

    def __init__(self, witness: Witness | None = None) -> None:
        self._witness = witness
        self._position = 0
        self._digest = GENESIS
        self._versions: dict[str, int] = {}
        self._fault: Fault | None = None

    def feed(self, event: RecordedEvent) -> bool:
        """Check the next event; False once a fault is found."""
        if self._fault is None:
            self._fault = self._check(event)
        if self._fault is None:
            self._position = event.position
            self._digest = event.digest
            self._versions[event.stream] = event.version
        return self._fault is None

    def unreadable(self, why: str) -> None:
        """Note that the next event cannot be read at all."""
        due = self._position + 1
        self._fault = self._fault or Fault(position=due, what=f"Position {due} cannot be read: {why}.")

    def report(self) -> VerifyReport:
        """What was found, once everything was fed."""
        witness = self._witness
        if self._fault is None and witness is not None and witness.position > self._position:
            due = self._position + 1
            what = f"The log ends at {self._position}, but {witness.position} was witnessed."
            self._fault = Fault(position=due, what=what)
        return VerifyReport(events=self._position, head_digest=self._digest, fault=self._fault)

    def _check(self, event: RecordedEvent) -> Fault | None:
        due = self._position + 1
        if event.position != due:
            return Fault(position=due, what=f"Position {due} is missing; the next is {event.position}.")
        version = self._versions.get(event.stream, 0) + 1
        if event.version != version:
            what = f"Position {due} has version {event.version} of stream {event.stream!r}, not {version}."
            return Fault(position=due, what=what)
        if event.digest != link_recorded(self._digest, event):
            what = f"The digest at position {due} does not fit its content and its predecessor's digest."
            return Fault(position=due, what=what)
        witness = self._witness
        if witness is not None and witness.position == due and witness.digest != event.digest:
            what = f"Position {due} has not the witnessed digest: the log was rewritten up to there."
            return Fault(position=due, what=what)
        return None
