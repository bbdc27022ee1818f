"""Logs in memory with one planted fault each, in what their chain covers and how it is verified."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from msgspec import structs

from eventstore import InvalidArgument, RecordedEvent, VerifyReport, Witness
from eventstore.chain import GENESIS, SEGMENT, Frame, Keyring, encode_frame
from tests.eventstore.faults.logs import Faulty


class _Without(Keyring):
    """Frames events as if all had the same values in some fields."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values

    def frame(self, event: RecordedEvent, positions: Mapping[str, int]) -> Frame:
        return super().frame(structs.replace(event, **self.values), positions)


class ChainsNoMetadata(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Without(metadata=b"")


class ChainsNoCorrelation(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Without(correlation_id=None)


class ChainsNoCausation(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Without(causation_id=None)


class ChainsNoTypeVersion(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Without(type_version=1)


class ChainsNoType(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Without(type="Happened")


class _Unplaced(Keyring):
    def frame(self, event: RecordedEvent, positions: Mapping[str, int]) -> Frame:
        return super().frame(event, {})


class ChainsNoCauseByItsPosition(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Unplaced()


class _Boundless(Keyring):
    def frame(self, event: RecordedEvent, positions: Mapping[str, int]) -> Frame:
        frame = super().frame(event, positions)
        found = positions.get(event.causation_id or "")
        return frame if found is None else (*frame[:7], found, *frame[8:])


class ChainsCausesByTheirPositionHoweverFar(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self._keys = _Boundless()


class ChainsWithoutSegments(Faulty):
    """With one digest over all."""

    def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        report = super().verify(witness=witness)
        if len(self._frames) <= SEGMENT:
            return report
        digest = sha256(GENESIS + b"".join(map(encode_frame, self._frames))).digest()
        return structs.replace(report, head_digest=digest)


class RefusesAWitnessOfTheEmptyLog(Faulty):
    def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        if witness is not None and not witness.position:
            raise InvalidArgument("A witness is of an event.", remedy="Append one first.")
        return super().verify(witness=witness)
