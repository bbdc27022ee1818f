"""System libraries that the wheels of OpenCV and MediaPipe take for granted, checked by loading them."""

import ctypes
import sys
from collections.abc import Callable
from typing import Final

from caf.errors import UnavailableError

__all__ = ["APT_LINE", "missing_system_libraries", "require_system_libraries"]

APT_LINE: Final = "sudo apt-get install -y libgl1 libegl1 libgles2 libglib2.0-0"
"""For every Debian and Ubuntu: where the last package is called libglib2.0-0t64, apt takes that for it."""

_LIBRARIES: Final = ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libglib-2.0.so.0")
"""Source: the NEEDED entries of libmediapipe.so and of the Qt that OpenCV's wheel carries."""


def missing_system_libraries(load: Callable[[str], object] | None = None) -> tuple[str, ...]:
    """The libraries that cannot be loaded; always empty on systems whose wheels need none (macOS)."""
    if sys.platform != "linux":
        return ()
    return tuple(name for name in _LIBRARIES if not _loads(name, load or ctypes.CDLL))


def require_system_libraries(load: Callable[[str], object] | None = None) -> None:
    """Raises UnavailableError with the line that installs what is missing."""
    missing = missing_system_libraries(load)
    if missing:
        noun = "library is" if len(missing) == 1 else "libraries are"
        raise UnavailableError(
            f"The system {noun} missing that OpenCV and MediaPipe need: {', '.join(missing)}.",
            remedy=f"On Debian or Ubuntu run: {APT_LINE} (elsewhere install the packages with these files).",
            kind="system_library_missing",
        )


def _loads(name: str, load: Callable[[str], object]) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True


def _main() -> int:
    """Called by the Makefile before anything is installed."""
    try:
        require_system_libraries()
    except UnavailableError as fault:
        sys.stderr.write(f"caf: {fault.message}\n     {fault.remedy}\n")
        return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main())
