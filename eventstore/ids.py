"""Event ids: canonical texts of UUIDs, and their 16 bytes."""

from collections.abc import Callable, Iterable, Sequence
from struct import unpack
from typing import Final
from uuid import uuid4

from eventstore._compiled import native

__all__ = [
    "HASH_BITS",
    "fold_ids",
    "hash_folds",
    "hash_ids",
    "id_bytes",
    "id_text",
    "new_id",
    "plain_id_bytes",
    "plain_id_text",
]

HASH_BITS: Final = 47
_FOLD: Final = (1 << HASH_BITS) - 1
_FACTOR: Final = 0x4F1BBCDCBFA5
"""2^47 over the golden ratio. Source: Knuth, The Art of Computer Programming 3, 6.4."""
_HALF: Final = 24


def plain_id_bytes(text: str) -> bytes | None:
    """`id_bytes` in Python."""
    digits = text.replace("-", "")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    # fromhex takes capitals and spaces as well; 36 characters with 32 digits and dashes in four places have no others.
    if len(raw) == 16 and len(text) == 36 and text[8:24:5] == "----" and raw.hex() == digits:
        return raw
    return None


def plain_id_text(raw: bytes) -> str:
    """`id_text` in Python."""
    if len(raw) != 16:
        raise ValueError("an event id is 16 bytes")
    # In groups of four digits first: fewer pieces to put together, and this is most of the cost of reading.
    fours = raw.hex("-", 2)
    return f"{fours[:4]}{fours[5:29]}{fours[30:34]}{fours[35:]}"


def fold_ids(ids: Sequence[bytes]) -> list[int]:
    """One number of 47 bits for each id of 16 bytes, as logs of schema 3 and 4 keep it."""
    halves = unpack(f">{2 * len(ids)}Q", b"".join(ids))
    return [(first ^ last) & _FOLD for first, last in zip(halves[::2], halves[1::2], strict=True)]


def hash_folds(folds: Iterable[int]) -> list[int]:
    """The hash of each fold, its own: alike for every part of their range, even for ids that count upwards."""
    spread = [fold * _FACTOR & _FOLD for fold in folds]
    return [number ^ number >> _HALF for number in spread]


def hash_ids(ids: Sequence[bytes]) -> list[int]:
    """One number of 47 bits for each id of 16 bytes; different ids may share one, but hardly do."""
    return hash_folds(fold_ids(ids))


def _new_id() -> str:
    return str(uuid4())


id_bytes: Final[Callable[[str], bytes | None]] = plain_id_bytes if native is None else native.id_bytes
"""The 16 bytes of a canonical UUID text, None for any other text."""
id_text: Final[Callable[[bytes], str]] = plain_id_text if native is None else native.id_text
"""The canonical UUID text of 16 bytes."""
new_id: Final[Callable[[], str]] = _new_id if native is None else native.new_id
"""A fresh id for an event: the text of a random UUID (version 4)."""
