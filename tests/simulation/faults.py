"""What goes wrong in a simulation, and how likely each thing is at every opportunity."""

from typing import Final, NamedTuple

__all__ = ["CALM", "STORM", "CrashError", "Faults"]


class CrashError(BaseException):
    """The process is gone: what it had only in its head is lost, and nobody catches this."""


class Faults(NamedTuple):
    """Likelihoods; every one that happens is counted under its name."""

    crash_before_effect: float = 0.003
    crash_in_effect: float = 0.02
    crash_after_effect: float = 0.004
    crash_before_append: float = 0.003
    crash_after_append: float = 0.004
    crash_at_step: float = 0.5
    """Of a life: it ends at some step of the event loop."""
    slow_append: float = 0.05
    slow_read: float = 0.02
    late_news: float = 0.05
    news_twice: float = 0.03
    reordered_wakeups: float = 0.2
    disk_full: float = 0.006
    log_busy: float = 0.003
    machine: float = 0.006
    """The machine cannot do an effect now: a full disk, a model that is missing."""
    defect: float = 0.006
    lasting_defect: float = 0.002
    """An effect that fails in the whole life of a process."""
    slow_work: float = 0.03
    hung_work: float = 0.02
    """Work that stands still until its deadline, and fails then."""
    transient_failure: float = 0.06
    lasting_failure: float = 0.03
    redelivery: float = 0.5
    """Of an actor's checkpoint, at a start: it is put back."""
    clock_jump: float = 0.03


STORM: Final = Faults()
CALM: Final = Faults(*[0.0] * len(Faults._fields))
