"""How long a caller still waits for a child, counted in slices."""

from typing import Final

__all__ = ["Patience"]

_SLICE_S: Final = 1.0


class Patience:
    """Two budgets: `stall_s` between two signs of progress, `deadline_s` for the whole task.

    Waiting is counted in slices of at most a second. Time in which the caller itself stood still
    (a stopped terminal job, a sleeping laptop) therefore costs one slice, not the child's life.
    """

    def __init__(self, stall_s: float, deadline_s: float) -> None:
        self.stall_s = stall_s
        self.deadline_s = deadline_s
        self._stall_left_s = stall_s
        self._deadline_left_s = deadline_s

    @property
    def slice_s(self) -> float:
        """How long to wait next, at most."""
        return max(0.0, min(_SLICE_S, self._stall_left_s, self._deadline_left_s))

    @property
    def stalled(self) -> bool:
        return self._stall_left_s <= 0

    @property
    def expired(self) -> bool:
        return self._deadline_left_s <= 0

    def waited(self, elapsed_s: float, *, heard: bool) -> None:
        """Counts a wait that followed `slice_s`; `heard` says that progress ended it."""
        counted_s = min(elapsed_s, self.slice_s)
        self._deadline_left_s -= counted_s
        self._stall_left_s = self.stall_s if heard else self._stall_left_s - counted_s
