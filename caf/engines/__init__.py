"""Engines: run one stage with exactly the parameters they are told; report facts, judge nothing.

`local` works on the pixels of this machine; it loads OpenCV and PyAV, so it is imported on first use.
"""

import importlib
from types import ModuleType

__all__ = ["local", "parameters"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
