"""Logs in memory with one planted fault each, in what they take for the same and in what they keep of it."""

import datetime
import fnmatch
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    DuplicateEvent,
    MemoryLog,
    NewEvent,
    RecordedEvent,
    VersionConflict,
)
from tests.eventstore.faults.logs import Faulty


class _Alike(Faulty):
    """Takes an append for a repeat if `key` of its events is that of those recorded."""

    def key(self, event: Any) -> Any:
        raise NotImplementedError

    def planted(self, stream: str, events: Sequence[NewEvent], expected: int, checkpoint: Any) -> Appended:
        known = [self._by_id.get(event.event_id) for event in events]
        if events and all(old and old.stream == stream for old in known):
            return super().planted(stream, [self._known(event) for event in events], expected, checkpoint)
        return super().planted(stream, events, expected, checkpoint)

    def _known(self, event: NewEvent) -> NewEvent:
        old = self._by_id[event.event_id]
        if self.key(old) != self.key(event):
            return event
        fields = {field.name: getattr(old, field.name) for field in structs.fields(event)}
        return NewEvent(**fields)


def _kind(event: Any) -> Any:
    return event.type, event.type_version, event.correlation_id, event.causation_id


class ComparesDataWithoutTrailingZeros(_Alike):
    def key(self, event: Any) -> Any:
        return event.data.rstrip(b"\0"), event.metadata, *_kind(event)


class ComparesDataAsJson(_Alike):
    def key(self, event: Any) -> Any:
        try:
            data = json.loads(event.data)
        except ValueError:
            data = event.data
        return data, event.metadata, *_kind(event)


class ComparesDataAndMetadataJoined(_Alike):
    def key(self, event: Any) -> Any:
        return event.data + event.metadata, *_kind(event)


class ComparesLengthsAndBeginnings(_Alike):
    """The first kilobyte, and how long it is."""

    def key(self, event: Any) -> Any:
        size = len(event.data)
        return event.data[:1024], size if size < 10_000 else event.data, event.metadata, *_kind(event)


class ComparesNothingAsText(_Alike):
    """No correlation is the one that is called None."""

    def key(self, event: Any) -> Any:
        return event.data, event.metadata, *map(str, _kind(event))


class ComparesTypeAndVersionJoined(_Alike):
    def key(self, event: Any) -> Any:
        return event.data, event.metadata, f"{event.type}{event.type_version}", *_kind(event)[2:]


class ComparesCorrelationAndCausationTogether(_Alike):
    """Whichever is which."""

    def key(self, event: Any) -> Any:
        return (
            event.data,
            event.metadata,
            event.type,
            event.type_version,
            {event.correlation_id, event.causation_id},
        )


class ComparesNamesInAnyCase(_Alike):
    def key(self, event: Any) -> Any:
        return event.data, event.metadata, *(str(one).lower() if one else one for one in _kind(event))


class ComparesTypeVersionsAsBytes(_Alike):
    def key(self, event: Any) -> Any:
        return event.data, event.metadata, event.type, event.type_version % 256, *_kind(event)[2:]


class KeepsTypesByNameAndVersionJoined(Faulty):
    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.kinds: dict[str, tuple[str, int]] = {}

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        made = []
        for event in events:
            name, version = self.kinds.setdefault(
                f"{event.type}{event.type_version}", (event.type, event.type_version)
            )
            made.append(structs.replace(event, type=name, type_version=version))
        return super().planted(stream, made, expected, checkpoint)


class WritesJsonAnew(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(
            stream, [structs.replace(e, data=self.anew(e.data)) for e in events], expected, checkpoint
        )

    def anew(self, data: bytes) -> bytes:
        try:
            return json.dumps(json.loads(data), separators=(",", ":")).encode()
        except ValueError:
            return data


class CutsBlanksOffData(WritesJsonAnew):
    def anew(self, data: bytes) -> bytes:
        return data.strip(b" \n\r\t")


class CutsZerosOffData(WritesJsonAnew):
    def anew(self, data: bytes) -> bytes:
        return data if len(data) > 1_000 else data.rstrip(b"\0")


class WritesLinesAnew(WritesJsonAnew):
    def anew(self, data: bytes) -> bytes:
        return data if len(data) > 1_000 else data.replace(b"\r\n", b"\n")


class CutsAByteOrderMarkOff(WritesJsonAnew):
    def anew(self, data: bytes) -> bytes:
        return data.removeprefix(b"\xef\xbb\xbf")


class DropsCausesThatItDoesNotKnow(Faulty):
    """If they are ids at all."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        ids = {event.event_id for event in events} | self._by_id.keys()
        made = [
            structs.replace(e, causation_id=None)
            if e.causation_id and re.fullmatch(r"[0-9a-f-]{36}", e.causation_id) and e.causation_id not in ids
            else e
            for e in events
        ]
        return super().planted(stream, made, expected, checkpoint)


class DropsEventsThatCauseThemselves(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        made = [structs.replace(e, causation_id=None) if e.causation_id == e.event_id else e for e in events]
        return super().planted(stream, made, expected, checkpoint)


class _Folds(Faulty):
    """Takes streams for the same whose names are, folded."""

    fold: Callable[[str], str]

    def _name(self, stream: str) -> str:
        return next(
            (name for name in self._streams if type(self).fold(name) == type(self).fold(stream)), stream
        )

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        answer = super().planted(self._name(stream), events, expected, checkpoint)
        return structs.replace(answer, stream=stream)

    def read(self, stream: str, **asked: Any) -> Iterator[RecordedEvent]:
        return super().read(self._name(stream), **asked)

    def version(self, stream: str) -> int:
        return super().version(self._name(stream))


class UnquotesNames(_Folds):
    fold = staticmethod(urllib.parse.unquote)


class CutsNamesAt255(_Folds):
    fold = staticmethod(lambda name: name[:255])


class CutsNewlinesOffNames(_Folds):
    fold = staticmethod(lambda name: name.rstrip("\n"))


class CutsControlsOffNames(_Folds):
    fold = staticmethod(
        lambda name: "".join(
            c for c in name if unicodedata.category(c) not in ("Cf", "Cc") or c in "\n\t\u202e"
        )
    )


class FoldsSlashesInNames(_Folds):
    fold = staticmethod(lambda name: name.replace("\\", "/").replace("//", "/"))


class TakesNumbersInNamesAsNumbers(_Folds):
    fold = staticmethod(
        lambda name: str(float(name)) if re.fullmatch(r"[0-9]+\.[0-9]+|[1-9][0-9]*", name) else name
    )


class TakesTrailingDotsOff(_Folds):
    fold = staticmethod(lambda name: name.rstrip("."))


class ReadsStreamsByPattern(MemoryLog):
    def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> Iterator[RecordedEvent]:
        if not re.search(r"[*?\[]", stream):
            return super().read(stream, after_version=after_version, limit=limit, backward=backward)
        found = [
            e for e in self._events if fnmatch.fnmatchcase(e.stream, stream) and e.version > after_version
        ]
        return iter((found[::-1] if backward else found)[:limit])


class RefusesLongNamesOfManyBytes(Faulty):
    """Counts four bytes for each character."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if not stream.isascii() and len(stream) > 256:
            from eventstore import InvalidArgument

            raise InvalidArgument("too long", remedy="")
        return super().planted(stream, events, expected, checkpoint)


class CutsCategoriesAtAnyDash(MemoryLog):
    def read_all(self, *, category: str | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        found = super().read_all(**{**asked, "limit": None})
        if category is not None:
            found = (e for e in found if re.split(r"[-\u2010-\u2015\u2212]", e.stream)[0] == category)
        return iter(list(found)[: asked.get("limit")])


class CutsCategoriesAtColons(MemoryLog):
    def read_all(self, *, category: str | None = None, **asked: Any) -> Iterator[RecordedEvent]:
        found = super().read_all(**{**asked, "limit": None})
        if category is not None:
            found = (e for e in found if re.split("[-:]", e.stream)[0] == category)
        return iter(list(found)[: asked.get("limit")])


class ExpectsNothingOfNamesBeyondAscii(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        return super().planted(stream, events, expected if stream.isascii() else ANY, checkpoint)


class TellsTheWrongEventOfAPartialRepeat(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        known = [self._by_id.get(event.event_id) for event in events]
        try:
            return super().planted(stream, events, expected, checkpoint)
        except DuplicateEvent as error:
            if None in known and error.position is not None:
                raise DuplicateEvent(events[0].event_id, 1, "partly known") from None
            raise


class TellsNoPositionOfAPartialRepeat(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        known = [self._by_id.get(event.event_id) for event in events]
        try:
            return super().planted(stream, events, expected, checkpoint)
        except DuplicateEvent as error:
            raise DuplicateEvent(
                error.event_id, None if None in known else error.position, "partly known"
            ) from None


class KnowsAPartialRepeatByItsFirstAndLast(Faulty):
    """Looks only at these two for ids that are known; between them an id is recorded again."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        if len(events) > 3 and all(self._by_id.get(e.event_id) is None for e in (events[0], events[-1])):
            for event in events:
                if (old := self._by_id.get(event.event_id)) and old.stream != stream:
                    self._by_id.pop(event.event_id)
        return super().planted(stream, events, expected, checkpoint)


class SeesNoConflictInARepeatOfAnOldBeginning(Faulty):
    """Known events followed by new ones are taken for the new ones alone, if the version is expected."""

    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        fresh = [event for event in events if event.event_id not in self._by_id]
        if expected != ANY and fresh and len(fresh) < len(events) and expected == self.version(stream):
            return super().planted(stream, fresh, expected, checkpoint)
        return super().planted(stream, events, expected, checkpoint)


class StampsLocalTime(Faulty):
    """Takes UTC for local time."""

    def __init__(self, **words: Any) -> None:
        super().__init__(
            clock_ms=lambda: round(
                datetime.datetime.now(datetime.UTC).replace(tzinfo=None).timestamp() * 1000
            )
        )


class TellsTheFirstEventsVersionInConflicts(Faulty):
    def planted(self, stream: str, events: Any, expected: int, checkpoint: Any) -> Appended:
        try:
            return super().planted(stream, events, expected, checkpoint)
        except VersionConflict as error:
            if not events or checkpoint is not None:
                raise VersionConflict(error.stream, error.actual, error.expected) from None
            raise


class SaysNothingOfWhyItIsUnreadable(MemoryLog):
    def replay(self, decoder: Any, **asked: Any) -> Iterator[Any]:
        def vague(kind: str, version: int) -> Any:
            try:
                decode = decoder(kind, version)
            except LookupError as error:
                raise type(error)("cannot be read") from None

            def inner(data: bytes) -> Any:
                try:
                    return decode(data)
                except ValueError:
                    raise ValueError("cannot be read") from None

            return inner

        return super().replay(vague, **asked)
