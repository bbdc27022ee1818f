"""Events to bytes and back, by explicit type tags, with one upcaster for each step of a stored shape."""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec

from caf.events import Event

__all__ = [
    "TYPES",
    "UnreadableEvent",
    "UnwritableEvent",
    "decode",
    "decoder",
    "derived_id",
    "digest",
    "encode",
    "type_version",
]

TYPES: Final[dict[str, type]] = {cls.__name__: cls for cls in get_args(Event)}

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""(type, version) to a function that turns that version's fields into the next version's."""

_NAMESPACE: Final = uuid.UUID("6f1d3b1e-6f0a-5c39-9a55-7d3f4a0c2b11")
_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(cls) for name, cls in TYPES.items()
}


class UnreadableEvent(Exception):  # noqa: N818 - a fact about an event, told with its place
    """An event in the log that this version cannot read: an unknown type, or damaged content."""

    def __init__(self, type_name: str, why: str) -> None:
        super().__init__(f"event of type {type_name!r} cannot be read: {why}")
        self.type_name = type_name


class UnwritableEvent(Exception):  # noqa: N818 - a fact about an event
    """An event that cannot be recorded, because nobody could read it again."""

    def __init__(self, type_name: str, why: str) -> None:
        super().__init__(f"event of type {type_name!r} cannot be recorded: {why}")
        self.type_name = type_name


def type_version(type_name: str) -> int:
    """The version of a type's stored shape that this code writes; 1 until an upcaster says otherwise."""
    return 1 + max((version for name, version in UPCASTERS if name == type_name), default=0)


def encode(event: Event) -> tuple[str, int, bytes]:
    """(type tag, type version, JSON payload); the same event always gives the same bytes.

    Raises `UnwritableEvent` for one that could not be read back: what is recorded stays for ever.
    """
    name = type(event).__name__
    try:
        data = _encoder.encode(event)
        same = _decoders[name].decode(data) == event
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, RecursionError) as fault:
        raise UnwritableEvent(name, str(fault)) from fault
    if not same:
        raise UnwritableEvent(name, "it would not be read back as it is; a number in it may not be finite")
    return name, type_version(name), data


def decoder(type_name: str, version: int) -> Callable[[bytes], Event]:
    """The function that decodes events of a type and version; as quick as can be for those of today's shape."""
    own = _decoders.get(type_name)
    if own is not None and version == type_version(type_name):
        return own.decode
    return lambda data: decode(type_name, version, data)


def decode(type_name: str, version: int, data: bytes) -> Event:
    """The event in its current shape. Raises `UnreadableEvent` for what this version cannot read."""
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise UnreadableEvent(type_name, "the type is unknown to this version of caf")
    newest = type_version(type_name)
    if version > newest:
        raise UnreadableEvent(type_name, f"it has version {version}; this caf knows up to {newest}")
    try:
        if version < newest:
            fields = msgspec.json.decode(data)
            for step in range(version, newest):
                fields = UPCASTERS[type_name, step](fields)
            data = msgspec.json.encode(fields)
        event: Event = decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, UnicodeDecodeError) as fault:
        raise UnreadableEvent(type_name, str(fault)) from fault
    return event


def derived_id(actor: str, causing_event_id: str, index: int) -> str:
    """The id of an actor's `index`-th event in answer to a cause: the same for every redelivery."""
    return str(uuid.uuid5(_NAMESPACE, f"{actor}/{causing_event_id}/{index}"))


def digest(document: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(document).hexdigest()
