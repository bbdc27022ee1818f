"""Clips and pictures: probe, read, resize, write. Knows frames and seconds, never jobs or the log.

The modules load PyAV and OpenCV, so they are imported on first use.
"""

import importlib
from types import ModuleType

__all__ = ["picture", "probe", "read", "resize", "write"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
