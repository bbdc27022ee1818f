"""Logs in memory with one planted fault each, in what values they take, answer with and give back."""

import uuid
from collections.abc import Iterator
from typing import Any

from msgspec import structs

from eventstore import ANY, Appended, InvalidArgument, RecordedEvent
from tests.eventstore.faults.logs import Faulty


class TakesListsOnly(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if not isinstance(events, list):
            raise InvalidArgument("That is no list.", remedy="Give a list.")
        return super().planted(stream, events, expected, checkpoint)


class KeepsTypeVersionsAsFloats(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        rounded = [
            structs.replace(event, type_version=min(int(float(event.type_version)), 2**63 - 1))
            for event in events
        ]
        return super().planted(stream, rounded, expected, checkpoint)


class TakesRandomUuidsOnly(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        for event in events:
            if uuid.UUID(event.event_id).version not in (4, 7):
                raise InvalidArgument("That is no random id.", remedy="Take one of version 4 or 7.")
        return super().planted(stream, events, expected, checkpoint)


class AnswersEmptyAppendsWithZeros(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(stream, events, expected, checkpoint)
        if events or expected != ANY:
            return answer
        return structs.replace(answer, first_version=0, last_version=0, first_position=0, last_position=0)


class CountsVersionsOfNamesInAnyCase(Faulty):
    def version(self, stream: str) -> int:
        alike = [len(own) for name, own in self._streams.items() if name.lower() == stream.lower()]
        return super().version(stream) or max(alike, default=0)


class ReadsBackwardInAnyCase(Faulty):
    def read(self, stream: str, *, backward: bool = False, **options: Any) -> Iterator[RecordedEvent]:
        if backward:
            stream = next((name for name in self._streams if name.lower() == stream.lower()), stream)
        return super().read(stream, backward=backward, **options)


class ReturnsByteArrays(Faulty):
    def read(self, *words: Any, **options: Any) -> Iterator[RecordedEvent]:
        return map(self._changed, super().read(*words, **options))

    def read_all(self, **options: Any) -> Iterator[RecordedEvent]:
        return map(self._changed, super().read_all(**options))

    def _changed(self, event: RecordedEvent) -> RecordedEvent:
        return structs.replace(event, data=bytearray(event.data), metadata=bytearray(event.metadata))
