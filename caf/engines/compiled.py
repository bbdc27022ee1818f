"""The part of the engine that is compiled where a C compiler was at hand when caf was installed."""

from importlib import import_module
from typing import Any, Final

__all__ = ["COMPILED", "NATIVE"]

_FACE: Final = 3


def _load() -> Any:
    try:
        found: Any = import_module("caf.engines._native")
    except ImportError:
        return None
    # Else it was compiled from other sources than these.
    return found if found.FACE == _FACE else None


NATIVE: Final[Any] = _load()
"""The compiled module, or None."""
COMPILED: Final[bool] = NATIVE is not None
"""Whether pictures are followed and moved by compiled code."""
