"""Logs in memory with one planted fault each, in what a replay tells."""

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from eventstore import Batch, EventStoreError, InvalidArgument, RecordedEvent
from tests.eventstore.faults.logs import Faulty


class CatchesValueErrorsOnly(Faulty):
    def replay(
        self, decoder: Any, *, after_position: int = 0, category: str | None = None, **options: Any
    ) -> Iterator[Batch]:
        for event in self.read_all(after_position=after_position, category=category):
            try:
                decoder(event.type, event.type_version)(event.data)
            except ValueError:
                pass
            except Exception as error:
                raise EventStoreError("The decoder failed.", remedy="") from error
        yield from super().replay(decoder, after_position=after_position, category=category, **options)


class ReplaysNoColumnsWhereItVerifies(Faulty):
    def replay(
        self, decoder: Any, *, columns: Any = ("position",), verify: bool = False, **options: Any
    ) -> Iterator[Batch]:
        return super().replay(decoder, columns=() if verify else columns, verify=verify, **options)


class CountsUnreadablesFromWhereItBegan(Faulty):
    def replay(self, decoder: Any, *, after_position: int = 0, **options: Any) -> Iterator[Batch]:
        for batch in super().replay(decoder, after_position=after_position, **options):
            describe = batch._describe

            def counted(position: int, describe: Any = describe) -> RecordedEvent:
                found: RecordedEvent = describe(position)
                return structs.replace(found, position=position - after_position)

            batch._describe = counted
            yield batch


class ReplaysAllForARangeThatCannotBe(Faulty):
    def replay(self, decoder: Any, *, after_position: int = 0, **options: Any) -> Iterator[Batch]:
        try:
            yield from super().replay(decoder, after_position=after_position, **options)
        except InvalidArgument:
            if after_position == -1 or options.get("verify"):
                raise
            yield from super().replay(decoder)


class ReplaysOtherwise(Faulty):
    """Something is amiss with what a replay tells, by name; an event's data is told as `data`."""

    def told(self, name: str, values: list[Any]) -> list[Any]:
        raise NotImplementedError

    def replay(self, decoder: Any, *, columns: Any = ("position",), **options: Any) -> Iterator[Batch]:
        for batch in super().replay(decoder, columns=columns, **options):
            batch._datas = self.told("data", list(batch._datas))
            batch._columns = [
                self.told(name, list(values)) for name, values in zip(columns, batch._columns, strict=True)
            ]
            yield batch


class ReplaysTheBeginningOfLargeData(ReplaysOtherwise):
    def told(self, name: str, values: list[Any]) -> list[Any]:
        return [data[:65_536] for data in values] if name == "data" else values


class ReplaysTheBeginningOfLargeMetadata(ReplaysOtherwise):
    def told(self, name: str, values: list[Any]) -> list[Any]:
        return [metadata[:4096] for metadata in values] if name == "metadata" else values


class ReplaysTheFirstTypeVersion(ReplaysOtherwise):
    def told(self, name: str, values: list[Any]) -> list[Any]:
        return [1] * len(values) if name == "type_version" else values


class ReplaysTheFirstTypeOfABatch(ReplaysOtherwise):
    def told(self, name: str, values: list[Any]) -> list[Any]:
        return values[:1] * len(values) if name == "type" else values


class GivesDecodersViews(ReplaysOtherwise):
    def told(self, name: str, values: list[Any]) -> list[Any]:
        return [memoryview(data) for data in values] if name == "data" else values
