"""Errors that reach a person.

CafError
├── InputError        65  what was given cannot be used as it is
│   ├── MediaError        a clip or image that cannot be read, or is out of bounds
│   └── DocumentError     a JSON document that breaks its contract
├── RefusedError       2  a command that the job's state or the workspace does not allow
├── UnavailableError  69  something the work needs is not there: a library, the model, a worker
└── TryAgainError     75  nothing is wrong with the input: the disk is full, the workspace is taken
"""

import errno
from typing import ClassVar, Final

__all__ = [
    "NO_ROOM",
    "CafError",
    "DocumentError",
    "InputError",
    "MediaError",
    "RefusedError",
    "TryAgainError",
    "UnavailableError",
    "child_not_started",
]

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where nothing more can be written: a full disk, a quota, a file limit."""


class CafError(Exception):
    """Something a person can act on: what is wrong and where (`message`), what to do (`remedy`).

    `kind` is a stable snake_case name for scripts and for `StageFailed`; `transient` says that the
    same request may succeed if it is made again.
    """

    exit_code: ClassVar[int] = 1
    default_kind: ClassVar[str] = "failed"

    def __init__(
        self, message: str, *, remedy: str, kind: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.kind = kind or self.default_kind
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class InputError(CafError):
    exit_code = 65
    default_kind = "bad_input"


class MediaError(InputError):
    default_kind = "media_unreadable"


class DocumentError(InputError):
    default_kind = "contract_violation"


class RefusedError(CafError):
    exit_code = 2
    default_kind = "refused"


class UnavailableError(CafError):
    exit_code = 69
    default_kind = "unavailable"


class TryAgainError(CafError):
    exit_code = 75
    default_kind = "try_again"


def child_not_started(error: OSError, fewer: str = "") -> TryAgainError:
    """A child process that the system did not start; `fewer` is the setting that asks for so many."""
    also = f", or set fewer {fewer};" if fewer else ","
    return TryAgainError(
        f"A child process could not be started: {error.strerror}.",
        remedy=f"Close other programs{also} then try again.",
        kind="worker_not_started",
        transient=True,
    )
