"""Which artifacts an event names: what verifying proves and a backup copies."""

from caf.events import Artifact, DaemonEvent, Event, QCFailed, QCPassed, StageCompleted

__all__ = ["artifacts_of"]


def artifacts_of(event: Event | DaemonEvent) -> tuple[Artifact, ...]:
    """Those that were made, or taken in, when it happened."""
    match event:
        case StageCompleted(artifacts=made):
            return made
        case QCPassed(series=Artifact() as series) | QCFailed(series=Artifact() as series):
            return (series,)
        case _:
            return ()
