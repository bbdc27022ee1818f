"""The daemon's own stream as a fold: whether the queue stands, what was refused, who ran last. Pure."""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from caf.events import (
    ConfigReloaded,
    DaemonEvent,
    DaemonStarted,
    DaemonStopped,
    DocumentRejected,
    QueuePaused,
    QueueUnpaused,
    Settings,
)

__all__ = ["Daemon", "evolve_daemon", "pause", "reject", "unpause"]


class Daemon(Struct, frozen=True, kw_only=True):
    """What is known of the daemon after some prefix of its stream."""

    version: int = 0
    paused: QueuePaused | None = None
    paused_at_ms: int | None = None
    started: DaemonStarted | None = None
    stopped: DaemonStopped | None = None
    """How the last one ended; None while it runs, or when it was killed."""
    settings: Settings | None = None
    rejected: dict[str, DocumentRejected] = {}
    """Path to what was refused there last."""


def evolve_daemon(daemon: Daemon, event: DaemonEvent | None, recorded_at_ms: int) -> Daemon:
    """The state after one more event; None stands for one that cannot be read."""
    return replace(_apply(daemon, event, recorded_at_ms), version=daemon.version + 1)


def _apply(daemon: Daemon, event: DaemonEvent | None, at_ms: int) -> Daemon:
    match event:
        case None:
            return daemon
        case DaemonStarted():
            return replace(daemon, started=event, stopped=None, settings=event.settings)
        case DaemonStopped():
            return replace(daemon, stopped=event)
        case ConfigReloaded():
            return replace(daemon, settings=event.settings)
        case QueuePaused():
            return replace(daemon, paused=event, paused_at_ms=at_ms)
        case QueueUnpaused():
            return replace(daemon, paused=None, paused_at_ms=None)
        case DocumentRejected():
            return replace(daemon, rejected={**daemon.rejected, event.path: event})
        case _:
            assert_never(event)


def pause(daemon: Daemon, *, by: str, reason: str) -> list[DaemonEvent]:
    """Let nothing new begin; nothing when the queue stands already."""
    return [] if daemon.paused else [QueuePaused(by=by, reason=reason)]


def unpause(daemon: Daemon, *, by: str) -> list[DaemonEvent]:
    """Let the queue go on; nothing when it does."""
    return [QueueUnpaused(by=by)] if daemon.paused else []


def reject(daemon: Daemon, refused: DocumentRejected) -> list[DaemonEvent]:
    """Record why a file was not taken; nothing when that very content was refused there before."""
    known = daemon.rejected.get(refused.path)
    return [] if known and known.sha256 == refused.sha256 else [refused]
