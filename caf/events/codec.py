"""Events to bytes and back, by explicit type tags, with one upcaster for each step of a stored shape."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Final, get_args

from caf.events import DaemonEvent, Event
from eventstore.codec import Codec, UnreadableEvent, UnwritableEvent, Upcaster

__all__ = [
    "CODEC",
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

TYPES: Final[dict[str, type]] = {cls.__name__: cls for cls in (*get_args(Event), *get_args(DaemonEvent))}

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""(type, version) to a function that turns that version's fields into the next version's."""

_NAMESPACE: Final = uuid.UUID("6f1d3b1e-6f0a-5c39-9a55-7d3f4a0c2b11")
CODEC: Final[Codec[Event | DaemonEvent]] = Codec(TYPES, UPCASTERS, reader="caf")

type_version: Final = CODEC.version
"""The version of a type's stored shape that this code writes."""
encode: Final = CODEC.encode
"""(type tag, type version, JSON payload); the same event always gives the same bytes. Raises `UnwritableEvent`."""
decoder: Final = CODEC.decoder
"""The function that decodes events of a type and version. Raises `UnreadableEvent`, as does `decode`."""
decode: Final = CODEC.decode
"""The event in its current shape. Raises `UnreadableEvent` for what this version cannot read."""


def derived_id(actor: str, causing_event_id: str, index: int) -> str:
    """The id of an actor's `index`-th event in answer to a cause: the same for every redelivery."""
    return str(uuid.uuid5(_NAMESPACE, f"{actor}/{causing_event_id}/{index}"))


def digest(document: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(document).hexdigest()
