"""What a replay yields: the log's events decoded, some hundred at a time, with what else is asked for of each.

`read_all` makes a `RecordedEvent` of every row; a fold over the whole log needs little of that. Here rows stay as
SQLite gives them, columns that nobody asks for are not read, and an event is decoded when it is its turn.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from eventstore.checks import check_filter, check_range
from eventstore.errors import EventStoreError, InvalidArgument, StoreCorrupt
from eventstore.model import Fault, RecordedEvent

__all__ = [
    "COLUMNS",
    "Batch",
    "Column",
    "Decoder",
    "Decoders",
    "Unreadable",
    "batch_of",
    "broken",
    "check_replay",
    "fails",
]

Decoder = Callable[[str, int], Callable[[bytes], Any]]
"""From a type and its version to the function that decodes its data; either may raise what it likes."""
Column = Literal[
    "position",
    "stream",
    "version",
    "recorded_at_ms",
    "event_id",
    "type",
    "type_version",
    "correlation_id",
    "causation_id",
    "metadata",
]
COLUMNS: Final[tuple[str, ...]] = get_args(Column)


class Unreadable(Struct, frozen=True, kw_only=True):
    """Takes the place of an event that could not be decoded; those behind it come all the same.

    Where the file is damaged, so that not even the row can be read, `stream` and `type` are empty.
    """

    position: int
    stream: str
    version: int
    type: str
    type_version: int
    why: str
    """What the decoder said."""


class Decoders:
    """The decoding functions by any key that stands for a type and its version, found once each."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.by_key: dict[Any, Callable[[bytes], Any]] = {}

    def add(self, key: object, kind: tuple[str, int]) -> None:
        """Find the function for a key, unless it is known; one that cannot be found fails at each event."""
        if key in self.by_key:
            return
        try:
            self.by_key[key] = self._decoder(*kind)
        except Exception as error:  # noqa: BLE001 - whatever the caller's decoder raises
            self.by_key[key] = fails(error)


def fails(error: Exception) -> Callable[[bytes], Any]:
    """A decoding function for what cannot be decoded."""

    def fail(data: bytes) -> Any:
        raise error

    return fail


class Batch:
    """Events that follow each other in the log: iterate it for tuples of the event and its columns."""

    __slots__ = ("_columns", "_datas", "_decoders", "_describe", "_keys", "positions")

    def __init__(
        self,
        keys: Sequence[Any],
        datas: Sequence[bytes],
        positions: Sequence[int],
        columns: Sequence[Iterable[Any]],
        decoders: Decoders,
        describe: Callable[[int], RecordedEvent],
    ) -> None:
        """`keys` are known to `decoders`; `describe` finds the event at a position, if it must be told of."""
        self._keys = keys
        self._datas = datas
        self.positions = positions
        """Of all its events, in order."""
        self._columns = columns
        self._decoders = decoders
        self._describe = describe

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(self.events(), *self._columns, strict=True)

    def events(self) -> Iterator[Any]:
        """The events alone."""
        decoders = self._decoders.by_key
        for key, data, position in zip(self._keys, self._datas, self.positions, strict=True):
            try:
                event = decoders[key](data)
            except Exception as error:  # noqa: BLE001 - whatever the caller's decoder raises
                event = self._unreadable(position, error)
            yield event

    def _unreadable(self, position: int, error: Exception) -> Unreadable:
        why = str(error) or type(error).__name__
        try:
            found = self._describe(position)
        except EventStoreError:
            # Not even its row can be read.
            return Unreadable(position=position, stream="", version=0, type="", type_version=0, why=why)
        return Unreadable(
            position=found.position,
            stream=found.stream,
            version=found.version,
            type=found.type,
            type_version=found.type_version,
            why=why,
        )


def check_replay(columns: Sequence[str], after: int, category: str | None, verify: bool) -> None:
    """Raise `InvalidArgument` for what no replay can do."""
    check_range(after, None)
    check_filter(category)
    names: Any = columns
    for name in names if isinstance(names, Sequence) else (names,):
        if name not in COLUMNS:
            raise InvalidArgument(
                f"A replay has no column {name!r}.", remedy=f"Choose from {', '.join(COLUMNS)}."
            )
    if verify and (after or category is not None):
        raise InvalidArgument("Only a whole log can be verified.", remedy="Replay it from position 0 on.")


def broken(fault: Fault) -> StoreCorrupt:
    """The error that ends a replay at a fault of the chain."""
    return StoreCorrupt(fault.what, remedy="Restore a backup, or replay it without verifying.")


def batch_of(events: Sequence[RecordedEvent], columns: Sequence[Column], decoders: Decoders) -> Batch:
    """A batch of events that are at hand."""
    keys = [(event.type, event.type_version) for event in events]
    for key in set(keys):
        decoders.add(key, key)
    known = {event.position: event for event in events}
    return Batch(
        keys,
        [event.data for event in events],
        [event.position for event in events],
        [[getattr(event, name) for event in events] for name in columns],
        decoders,
        known.__getitem__,
    )
