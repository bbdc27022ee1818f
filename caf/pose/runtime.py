"""MediaPipe as the pose stage loads it."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any, Final

from caf.errors import UnavailableError

__all__ = ["load_mediapipe"]

_PROCESSORS: Final = Path("/sys/devices/system/cpu/possible")
"""Without it MediaPipe's memory allocator ends the process (tcmalloc, NumCPUs). Found by trial in a mount namespace."""

_PLOTTING: Final = ("matplotlib", "matplotlib.pyplot")
_RECORDING: Final = "sounddevice"


def load_mediapipe() -> Any:
    """The module `mediapipe`. It loads matplotlib for plots that nobody here makes, and without that it is
    there after 0.25 instead of 0.62 s of a processor: each helper of a pose task would pay them. Nor is
    sounddevice loaded, which asks three compilers and linkers where PortAudio is.

    Where matplotlib is loaded already nothing is different; otherwise both can be loaded afterwards, but not
    by MediaPipe's own plots and recordings. Raises UnavailableError with the kind `system_files_missing` on a
    Linux without /sys, where loading it would end the process.
    """
    if sys.platform == "linux" and not _PROCESSORS.exists():
        raise UnavailableError(
            f"{_PROCESSORS} is not there, and MediaPipe ends the process without it.",
            remedy="Let the container or the sandbox see /sys (mount -t sysfs sysfs /sys).",
            kind="system_files_missing",
        )
    if "mediapipe" in sys.modules or _PLOTTING[0] in sys.modules:
        return importlib.import_module("mediapipe")
    plots, pyplot = (types.ModuleType(name) for name in _PLOTTING)
    plots.pyplot = pyplot  # type: ignore[attr-defined]
    hidden: dict[str, Any] = dict(zip(_PLOTTING, (plots, pyplot), strict=True))
    if _RECORDING not in sys.modules:
        hidden[_RECORDING] = None  # it cannot be imported
    sys.modules.update(hidden)
    try:
        return importlib.import_module("mediapipe")
    finally:
        for name in hidden:
            del sys.modules[name]
