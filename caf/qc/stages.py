"""Which gates a stage's output is judged by. Pure."""

from caf.contracts import QCPolicy
from caf.events import Stage

__all__ = ["judged_at", "metrics_of"]

_EARLIEST: dict[str, Stage] = {"frame": "frame", "motion": "motion", "video": "video", "editor": "video"}


def judged_at(target_stage: str | None) -> Stage:
    """The stage after which a gate is judged: the one it blames, or the first gated one for earlier blame."""
    return _EARLIEST.get(target_stage or "", "frame")


def metrics_of(policy: QCPolicy, stage: Stage) -> tuple[str, ...]:
    """The metrics that a stage's gates judge, in the policy's order, each once."""
    found = [gate.metric for gate in policy.gates if judged_at(gate.target_stage) == stage]
    return tuple(dict.fromkeys(found))
