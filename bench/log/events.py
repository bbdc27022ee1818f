"""The events of the benchmark: typed, about 400 bytes of JSON each, the same for every subject."""

import uuid
from typing import Final

import msgspec

__all__ = ["CAUSE", "DECODE", "ENCODE", "KINDS", "Event", "Fold", "event", "new_id", "stream"]

PER_STREAM: Final = 50
"""Events of one stream in a filled log, as many as a job has."""

CAUSE: Final = "0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01"


class StageStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """About 400 bytes of JSON."""

    stage: str
    attempt_id: str
    engine: str
    parameters: dict[str, float]
    inputs: tuple[str, ...]


class StageCompleted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """About 400 bytes of JSON."""

    stage: str
    attempt_id: str
    duration_ms: int
    engine: str
    artifacts: tuple[str, ...]
    facts: dict[str, float]


class StageJudged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """About 400 bytes of JSON."""

    stage: str
    attempt_id: str
    passed: bool
    scores: dict[str, float]
    report_sha256: str
    reasons: tuple[str, ...]


Event = StageStarted | StageCompleted | StageJudged

ENCODE: Final = msgspec.json.Encoder().encode
KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in (StageStarted, StageCompleted, StageJudged)}
DECODE: Final = msgspec.json.Decoder(Event).decode

_SCORES: Final = {
    "loop_seam": 0.97125,
    "pose_drift": 0.03125,
    "edge_flicker": 0.1875,
    "sharpness": 0.84375,
    "identity": 0.9921875,
    "exposure": 0.5,
}
_SHAS: Final = ("ab" * 32, "cd" * 32, "ef" * 32)


def event(number: int) -> Event:
    """The `number`-th event of a log: the three types take turns."""
    kind = number % 3
    if kind == 0:
        return StageStarted(
            stage="motion",
            attempt_id="run-0001",
            engine="local 0.1.0",
            parameters={
                "smoothing": 0.65,
                "strength": 0.85,
                "shift_px": float(number),
                "rotation_deg": 0.031,
            },
            inputs=_SHAS,
        )
    if kind == 1:
        return StageCompleted(
            stage="motion",
            attempt_id="run-0001",
            duration_ms=number,
            engine="local 0.1.0",
            artifacts=_SHAS,
            facts={"frames": 300.0, "shift_px": 1.25, "rotation_deg": 0.031, "strength": 0.85},
        )
    return StageJudged(
        stage="motion",
        attempt_id="run-0001",
        passed=number % 2 == 0,
        scores=_SCORES,
        report_sha256=_SHAS[0],
        reasons=("every gate of the stage was measured", "no metric was below its floor"),
    )


def new_id() -> str:
    """A fresh event id; every subject pays for its own."""
    return str(uuid.uuid4())


def stream(number: int) -> str:
    """The stream that the `number`-th event of a filled log belongs to."""
    return f"job-{number // PER_STREAM}"


class Fold:
    """A projection as small as one can be: what was done for how long, and how often it was good."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        self.duration_ms: dict[str, int] = {}
        self.passed: dict[str, int] = {}

    def apply(self, event: Event) -> None:
        """Dispatch on the type, and count."""
        match event:
            case StageStarted():
                self.begun[event.stage] = self.begun.get(event.stage, 0) + 1
            case StageCompleted():
                self.duration_ms[event.stage] = self.duration_ms.get(event.stage, 0) + event.duration_ms
            case StageJudged():
                self.passed[event.stage] = self.passed.get(event.stage, 0) + event.passed
