"""MediaPipe as the pose stage loads it."""

import importlib
import sys
import types
from typing import Any, Final

__all__ = ["load_mediapipe"]

_PLOTTING: Final = ("matplotlib", "matplotlib.pyplot")


def load_mediapipe() -> Any:
    """The module `mediapipe`. It loads matplotlib for plots that nobody here makes, and without that it is
    there after 0.25 instead of 0.62 s of a processor: each helper of a pose task would pay them.

    Where matplotlib is loaded already nothing is different; otherwise it can be loaded afterwards, but not
    by MediaPipe's own plots.
    """
    if "mediapipe" in sys.modules or _PLOTTING[0] in sys.modules:
        return importlib.import_module("mediapipe")
    plots, pyplot = (types.ModuleType(name) for name in _PLOTTING)
    plots.pyplot = pyplot  # type: ignore[attr-defined]
    sys.modules.update(zip(_PLOTTING, (plots, pyplot), strict=True))
    try:
        return importlib.import_module("mediapipe")
    finally:
        for name in _PLOTTING:
            del sys.modules[name]
