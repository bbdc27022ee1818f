"""How deep and how manifold a document may be: what is recorded is read again and again, also deep within a call."""

from typing import Any, Final

__all__ = ["MOST_DEPTH", "MOST_VALUES", "has_too_many", "is_too_deep"]

MOST_DEPTH: Final = 64
"""Lists and objects within each other. Readers give up at about 900, less what calls they are in."""

MOST_VALUES: Final = 20_000
"""In one document. A megabyte of empty lists is a quarter of a second in which nothing else goes on."""


def has_too_many(data: bytes) -> bool:
    """True when JSON may hold more than `MOST_VALUES`; counted by the marks between them, before it is decoded."""
    return sum(data.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES


def is_too_deep(value: Any, most: int = MOST_DEPTH) -> bool:
    """True when lists and objects stand more than `most` within each other; found without recursion."""
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
