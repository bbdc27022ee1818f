"""Logs in memory with one planted fault each, in what they take for a repeat and for a copy."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from eventstore import Appended, DuplicateEvent, NewEvent, new_id
from eventstore.chain import new_of
from tests.eventstore.faults.answers import repeat_of
from tests.eventstore.faults.logs import Faulty


class RefusesARepeatWithOthersBetween(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if answer.last_position - answer.first_position != answer.last_version - answer.first_version:
            raise DuplicateEvent(events[0].event_id, answer.first_position, "others are between")
        return answer


class RefusesARepeatOfTwoAppends(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self.spans: list[tuple[int, int]] = []

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        first, last = answer.first_position, answer.last_position
        if not answer.repeated:
            self.spans.append((first, last))
        elif not any(start <= first and last <= stop for start, stop in self.spans):
            raise DuplicateEvent(events[0].event_id, first, "it is not one append")
        return answer


class ComparesTheStreamOfTheFirstEventOnly(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        known = [self._by_id[event.event_id] for event in events if event.event_id in self._by_id]
        if len(known) < len(events) or not known or known[0].stream != stream:
            return super().planted(stream, events, expected, checkpoint)
        return repeat_of(known[0], known[-1])


class Forgiving(Faulty):
    """Takes an event that differs from what is recorded for the same, unless it matters to it."""

    def forgiven(self, index: int, event: NewEvent, old: NewEvent) -> NewEvent:
        raise NotImplementedError

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        forgiven = [
            self.forgiven(index, event, new_of(self._by_id[event.event_id]))
            if event.event_id in self._by_id
            else event
            for index, event in enumerate(events)
        ]
        return super().planted(stream, forgiven, expected, checkpoint)


class ComparesOnlyTheDataOfLaterEvents(Forgiving):
    def forgiven(self, index: int, event: NewEvent, old: NewEvent) -> NewEvent:
        return structs.replace(old, data=event.data) if index else event


class ComparesTheBeginningOfLargeData(Forgiving):
    def forgiven(self, index: int, event: NewEvent, old: NewEvent) -> NewEvent:
        same = event.data[:4096] == old.data[:4096] and len(event.data) == len(old.data)
        return structs.replace(event, data=old.data) if same else event


class ComparesTheBeginningOfLargeMetadata(Forgiving):
    def forgiven(self, index: int, event: NewEvent, old: NewEvent) -> NewEvent:
        same = event.metadata[:4096] == old.metadata[:4096] and len(event.metadata) == len(old.metadata)
        return structs.replace(event, metadata=old.metadata) if same else event


class TellsNoPositionOfAnIdInAnotherStream(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            return super().planted(stream, events, expected, checkpoint)
        except DuplicateEvent as error:
            old = self._by_id.get(error.event_id)
            if old is None or old.stream == stream:
                raise
            raise DuplicateEvent(error.event_id, None, "it is in another stream") from error


class ChecksNeighboursForIdsThatComeTwice(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        seen: set[str] = set()
        mended: list[NewEvent] = []
        for before, event in zip([None, *events], events, strict=False):
            far = event.event_id in seen and (before is None or before.event_id != event.event_id)
            seen.add(event.event_id)
            mended.append(structs.replace(event, event_id=new_id()) if far else event)
        return super().planted(stream, mended, expected, checkpoint)


class KnowsNoRepeatsOfLargeAppends(Faulty):
    """As one that looks for all of them in one statement, with too many variables."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if answer.repeated and len(events) > 999:
            raise DuplicateEvent(events[0].event_id, answer.first_position, "it is there")
        return answer


class KnowsIdsByAPart(Faulty):
    part: slice

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}

    def planted(self, stream: str, events: Sequence[NewEvent], expected: int, checkpoint: Any) -> Appended:
        for event in events:
            if self.parts.setdefault(event.event_id[self.part], event.event_id) != event.event_id:
                raise DuplicateEvent(event.event_id, 1, "it is there")
        return super().planted(stream, events, expected, checkpoint)


class KnowsIdsByTheirLastHalf(KnowsIdsByAPart):
    part = slice(-16, None)


class KnowsIdsByTheirFirstHalf(KnowsIdsByAPart):
    part = slice(23)
