"""Facts of the daemon's own life: when it ran and by which settings, when its queue stood, what it refused."""

from msgspec import Struct

__all__ = [
    "ConfigReloaded",
    "DaemonEvent",
    "DaemonStarted",
    "DaemonStopped",
    "DocumentRejected",
    "QueuePaused",
    "QueueUnpaused",
    "Settings",
]


class Settings(Struct, frozen=True, kw_only=True):
    """What new jobs are judged by from here on. Stored shape: change only by upcaster."""

    config_sha256: str
    policy_id: str
    policy_sha256: str
    registry_sha256: str


class DaemonStarted(Struct, frozen=True, kw_only=True, tag="DaemonStarted"):
    """A daemon took over the workspace. Stored shape: change only by upcaster."""

    version: str
    host: str
    pid: int
    settings: Settings


class DaemonStopped(Struct, frozen=True, kw_only=True, tag="DaemonStopped"):
    """A daemon ended in good order; one that was killed leaves no such event. Stored shape."""

    pid: int
    reason: str
    interrupted: int
    """Stages and gates that were ended under way."""


class ConfigReloaded(Struct, frozen=True, kw_only=True, tag="ConfigReloaded"):
    """The daemon read its settings again; jobs submitted before keep theirs. Stored shape."""

    settings: Settings


class QueuePaused(Struct, frozen=True, kw_only=True, tag="QueuePaused"):
    """Nothing new is begun until the queue goes on; what runs is finished. Stored shape."""

    by: str
    reason: str


class QueueUnpaused(Struct, frozen=True, kw_only=True, tag="QueueUnpaused"):
    """The queue goes on. Stored shape: change only by upcaster."""

    by: str


class DocumentRejected(Struct, frozen=True, kw_only=True, tag="DocumentRejected"):
    """A file in the jobs or inbox folder could not be used. Stored shape: change only by upcaster."""

    path: str
    """Relative to the workspace."""
    sha256: str
    """Of the content that was refused; other content is looked at anew."""
    kind: str
    message: str
    remedy: str


DaemonEvent = DaemonStarted | DaemonStopped | ConfigReloaded | QueuePaused | QueueUnpaused | DocumentRejected
