"""What is compiled of moving and measuring pictures, where a C compiler was at hand when caf was installed."""

from importlib import import_module
from typing import Any, Final

__all__ = ["COMPILED", "NATIVE"]

_FACE: Final = 4


def _load() -> Any:
    try:
        found: Any = import_module("caf.media._native")
    except ImportError:
        return None
    # Else it was compiled from other sources than these.
    return found if found.FACE == _FACE else None


NATIVE: Final[Any] = _load()
"""The compiled module, or None."""
COMPILED: Final[bool] = NATIVE is not None
"""Whether pictures are followed, moved and measured by compiled code."""
