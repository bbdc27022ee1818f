"""An exception on its way to the caller: as the class of `caf.errors` that says what a person can do."""

import errno
from typing import Final

import caf.errors
from caf.errors import CafError, TryAgainError, UnavailableError
from caf.system import require_system_libraries
from caf.worker.protocol import Fault

__all__ = ["error_of", "fault_of"]

_OPENCV_NO_MEMORY: Final = -4
"""cv2.error.code for a failed allocation. Source: OpenCV, cv::Error::StsNoMem."""

_NO_ROOM: Final = ("failed to map segment", "Cannot allocate memory", "can't start new thread")
"""How it is said that a library or a thread's stack does not fit below the limit. Source: glibc, CPython.

The system's own words for the latter are EAGAIN, which nothing else in a child that waits for nothing says.
"""

_LONGEST: Final = 10_000
"""Characters of a message: it is recorded, and told to a person."""


def fault_of(error: Exception) -> Fault:
    """What the caller is told; anything that is not a CafError becomes the nearest one."""
    told = _as_told(error)
    known = next(c for c in type(told).__mro__ if c.__module__ == caf.errors.__name__)
    return Fault(
        raised_as=known.__name__,
        kind=told.kind,
        message=_encodable(told.message),
        remedy=_encodable(told.remedy),
        transient=told.transient,
    )


def error_of(fault: Fault) -> CafError:
    """The caller's side of `fault_of`: an error of the class that was raised."""
    kind: type[CafError] = getattr(caf.errors, fault.raised_as)
    return kind(fault.message, remedy=fault.remedy, kind=fault.kind, transient=fault.transient)


def _as_told(error: Exception) -> CafError:
    if isinstance(error, CafError):
        return error
    if _is_want_of_memory(error):
        return CafError("Out of memory.", remedy="", kind="out_of_memory")
    if isinstance(error, ImportError | OSError) and getattr(error, "errno", None) is None:
        try:
            require_system_libraries()
        except UnavailableError as missing:
            return missing
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return TryAgainError(
            f"The disk is full{where}.",
            remedy="Free some space, then try again.",
            kind="disk_full",
            transient=True,
        )
    return CafError(
        f"{type(error).__name__}: {error}",
        remedy="This is a defect of caf or of a library it uses; please report it with the log.",
        kind="task_failed",
    )


def _is_want_of_memory(error: Exception) -> bool:
    if isinstance(error, ImportError | OSError | RuntimeError):
        no_room = getattr(error, "errno", None) in (errno.ENOMEM, errno.EAGAIN)
        return no_room or any(sign in str(error) for sign in _NO_ROOM)
    return isinstance(error, MemoryError) or getattr(error, "code", None) == _OPENCV_NO_MEMORY


def _encodable(text: str) -> str:
    """Names of files need not be valid text; JSON must be. Some libraries put all that they had into their message."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
