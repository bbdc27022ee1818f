"""A clock that goes on when a test tells it to."""

__all__ = ["SetClock"]


class SetClock:
    """`caf.ports.Clock` at `ms`, for the wall and monotonic alike."""

    def __init__(self, ms: int = 0) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms
