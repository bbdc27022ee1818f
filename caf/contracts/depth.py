"""How deep a document may be nested: what is recorded must be readable again, also from deep within a call."""

from typing import Any, Final

__all__ = ["MOST_DEPTH", "is_too_deep"]

MOST_DEPTH: Final = 64
"""Lists and objects within each other. Readers give up at about 900, less what calls they are in."""


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
