"""Ways in which a child process fails its caller.

UnavailableError (caf.errors)
└── WorkerError
    ├── WorkerCrashedError       the child died: a signal, an exit, a broken answer
    ├── WorkerStalledError       no progress for too long; the child was killed
    ├── DeadlineExceededError    it made progress but took too long; the child was killed
    └── OutOfMemoryError         it reached its memory limit, or the system had no more memory
"""

from caf.errors import UnavailableError

__all__ = [
    "DeadlineExceededError",
    "OutOfMemoryError",
    "WorkerCrashedError",
    "WorkerError",
    "WorkerStalledError",
]


class WorkerError(UnavailableError):
    """The child could not finish `task`. What it printed is in the log given for the call."""

    default_kind = "worker_failed"

    def __init__(self, task: str, message: str, *, remedy: str, transient: bool) -> None:
        super().__init__(message, remedy=remedy, transient=transient)
        self.task = task


class WorkerCrashedError(WorkerError):
    """`cause` is a signal's name (`SIGABRT`) or `exit 3`; `last_words` the last line on stderr."""

    default_kind = "worker_crashed"

    def __init__(self, task: str, cause: str, last_words: str) -> None:
        said = f'; its last words: "{last_words}"' if last_words else ""
        super().__init__(
            task,
            f"The child process for the task '{task}' ended with {cause} instead of an answer{said}.",
            remedy="Try again; if it happens with this clip every time, convert the clip to H.264 first.",
            transient=True,
        )
        self.cause = cause
        self.last_words = last_words


class WorkerStalledError(WorkerError):
    default_kind = "worker_stalled"

    def __init__(self, task: str, stall_s: float) -> None:
        super().__init__(
            task,
            f"The task '{task}' made no progress for {stall_s:g} s; its child process was ended.",
            remedy="Try again; if the machine is very busy, allow more time without progress.",
            transient=True,
        )
        self.stall_s = stall_s


class DeadlineExceededError(WorkerError):
    default_kind = "deadline_exceeded"

    def __init__(self, task: str, deadline_s: float) -> None:
        super().__init__(
            task,
            f"The task '{task}' was not done within {deadline_s:g} s; its child process was ended.",
            remedy="Give it a later deadline, or a shorter or smaller clip.",
            transient=True,
        )
        self.deadline_s = deadline_s


class OutOfMemoryError(WorkerError):
    """`limit_bytes` is the child's own limit; None when it was the system that ran out."""

    default_kind = "out_of_memory"

    def __init__(self, task: str, limit_bytes: int | None) -> None:
        where = f"its limit of {limit_bytes / 2**20:.0f} MiB" if limit_bytes else "the memory of this machine"
        super().__init__(
            task,
            f"The task '{task}' needs more memory than {where}.",
            remedy="Use a smaller picture or a shorter clip, or allow the child more memory.",
            transient=limit_bytes is None,
        )
        self.limit_bytes = limit_bytes
