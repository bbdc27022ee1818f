"""The small values that events are made of: ids, stages, artifacts, failures."""

from typing import Final, Literal, NewType

from msgspec import Struct

from caf.ports import Parameter

__all__ = [
    "GATED",
    "STAGES",
    "Artifact",
    "AttemptId",
    "Failure",
    "JobId",
    "Parameters",
    "Stage",
    "attempt_id",
]

JobId = NewType("JobId", str)
AttemptId = NewType("AttemptId", str)

Stage = Literal["artifact", "pose", "frame", "motion", "video"]
STAGES: Final[tuple[Stage, ...]] = ("artifact", "pose", "frame", "motion", "video")
GATED: Final[frozenset[Stage]] = frozenset({"frame", "motion", "video"})
"""Stages whose output QC measures before the Supervisor lets the job go on."""

Parameters = dict[str, dict[str, Parameter]]
"""Node (for the embedded engine: the stage) to input name to value."""


def attempt_id(number: int) -> AttemptId:
    """`run-0001`, `run-0002`, …; `number` is 1-based."""
    return AttemptId(f"run-{number:04d}")


class Artifact(Struct, frozen=True, kw_only=True):
    """A file under its SHA-256 in the artifact store. Stored shape: change only by upcaster."""

    role: str
    sha256: str
    bytes: int
    suffix: str = ""
    """The file name extension that tools need to recognise the content, e.g. `.mp4`."""


class Failure(Struct, frozen=True, kw_only=True):
    """Why something did not happen, typed. Stored shape: change only by upcaster."""

    kind: str
    message: str
    remedy: str
    transient: bool = False
    """The same request may succeed if made again (a worker died), as opposed to never (a bad file)."""
