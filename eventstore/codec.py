"""Typed events to bytes and back: explicit tags, a version for each type's stored shape, upcasters one step each.

    codec = Codec({"OrderPlaced": OrderPlaced}, {("OrderPlaced", 1): split_the_name})

says that OrderPlaced is stored in its second shape today, and how the fields of the first one become those of the
second. What is in the log is never rewritten: an old shape is lifted when it is read. A field that a newer version
added is ignored; a newer version of a whole type is not guessed at, but refused.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

__all__ = ["Codec", "UnreadableEvent", "UnwritableEvent", "Upcaster"]

E = TypeVar("E")

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""From the fields of one version of a type to those of the next."""


class UnreadableEvent(Exception):  # noqa: N818 - a fact about an event, told with its place
    """An event in the log that this program cannot read: an unknown type, a newer version, or damaged content."""

    def __init__(self, type_name: str, why: str) -> None:
        super().__init__(f"event of type {type_name!r} cannot be read: {why}")
        self.type_name = type_name
        self.why = why


class UnwritableEvent(Exception):  # noqa: N818 - a fact about an event
    """An event that cannot be recorded, because nobody could read it again."""

    def __init__(self, type_name: str, why: str) -> None:
        super().__init__(f"event of type {type_name!r} cannot be recorded: {why}")
        self.type_name = type_name
        self.why = why


class Codec(Generic[E]):
    """The types of a log. Give `decoder` to `EventStore.replay`; it is as quick as msgspec alone."""

    def __init__(
        self,
        types: Mapping[str, type[E]],
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
        *,
        reader: str = "the program",
    ) -> None:
        """`types` by their tags; `upcasters` by tag and the version that they lift to the next.

        `reader` names the program where something cannot be read. Raises `ValueError` for an upcaster of an
        unknown type, for a step that is missing, and for a type under two tags.
        """
        self.types: Final = dict(types)
        self._upcasters = dict(upcasters or {})
        self._reader = reader
        self._names = {cls: name for name, cls in self.types.items()}
        if len(self._names) < len(self.types):
            raise ValueError("two tags stand for one type; events of it could not be told apart")
        self._versions = dict.fromkeys(self.types, 1)
        for name, version in sorted(self._upcasters):
            if self._versions.get(name) != version:
                due = self._versions.get(name)
                what = "the type is unknown" if due is None else f"the step from version {due} is missing"
                raise ValueError(f"upcaster of {name!r} from version {version}: {what}")
            self._versions[name] = version + 1
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._decoders = {name: msgspec.json.Decoder(cls) for name, cls in self.types.items()}

    def version(self, type_name: str) -> int:
        """The version in which a type is stored today. Raises `KeyError` for an unknown one."""
        return self._versions[type_name]

    def encode(self, event: E) -> tuple[str, int, bytes]:
        """(tag, version, JSON); the same event always gives the same bytes.

        Raises `UnwritableEvent` for one that could not be read back: what is recorded stays for ever.
        """
        name = self._names.get(type(event))
        if name is None:
            raise UnwritableEvent(type(event).__name__, "its type has no tag")
        try:
            data = self._encode(event)
            same = self._decoders[name].decode(data) == event
        except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, RecursionError, TypeError) as fault:
            raise UnwritableEvent(name, str(fault)) from fault
        if not same:
            raise UnwritableEvent(
                name, "it would not be read back as it is; a number in it may not be finite"
            )
        return name, self._versions[name], data

    def decoder(self, type_name: str, version: int) -> Callable[[bytes], E]:
        """The function that decodes events of a type and version; msgspec's own for those of today's shape.

        Raises `UnreadableEvent` for a type or version that is unknown.
        """
        self._check(type_name, version)
        if version == self._versions[type_name]:
            return self._decoders[type_name].decode
        return lambda data: self._lift(type_name, version, data)

    def decode(self, type_name: str, version: int, data: bytes) -> E:
        """An event in its present shape. Raises `UnreadableEvent`, and nothing else."""
        decode = self.decoder(type_name, version)
        try:
            return decode(data)
        except Exception as fault:
            # An upcaster whose fields are not what it expects may raise anything.
            raise UnreadableEvent(type_name, str(fault) or type(fault).__name__) from fault

    def _check(self, type_name: str, version: int) -> None:
        newest = self._versions.get(type_name)
        if newest is None:
            raise UnreadableEvent(type_name, f"the type is unknown to this version of {self._reader}")
        if version > newest:
            raise UnreadableEvent(
                type_name,
                f"it has version {version}; this {self._reader.removeprefix('the ')} knows up to {newest}",
            )
        if version < 1:
            raise UnreadableEvent(type_name, f"it has version {version}; versions begin with 1")

    def _lift(self, type_name: str, version: int, data: bytes) -> E:
        fields = msgspec.json.decode(data)
        for step in range(version, self._versions[type_name]):
            fields = self._upcasters[type_name, step](fields)
        return self._decoders[type_name].decode(msgspec.json.encode(fields))
