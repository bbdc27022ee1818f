"""What a seed invents: policies, registries, jobs."""

import random
from typing import Any, Final

import msgspec

from caf.contracts import (
    ACTIONS,
    Action,
    FailureClass,
    Gate,
    Preset,
    QCPolicy,
    WorkflowRegistry,
)
from caf.events import JobId, JobSubmitted
from caf.policies import DEFAULT_POLICY
from tests.support.jobs import policy_of, preset, registry_of, submitted, workflow

__all__ = ["any_job"]

METRICS: Final = (
    "identity_consistency", "mask_edge_bleed", "temporal_stability", "loop_seam", "audio_video",
    "costume_fidelity", "background_stability",
)  # fmt: skip
INPUTS: Final = (
    "pose_weight",
    "temporal_smoothing",
    "identity_weight",
    "denoise",
    "crf",
    "resolution_policy",
)
CLASSES: Final = ("drift", "shaky", "seam")


def any_job(chance: random.Random, number: int) -> JobSubmitted:
    """A job that submission could have recorded, under a policy that people could have written."""
    registry = _registry(chance)
    policy = DEFAULT_POLICY if chance.random() < 0.2 else _policy(chance)
    return submitted(
        job_id=JobId(f"simulated-{number}"),
        document={"job_id": f"simulated-{number}", "video": {}, "render": {"background_asset": "clip.mp4"}},
        policy=policy,
        registry=registry,
        workflow_id=chance.choice(registry.workflows).workflow_id,
        parameters={"motion": {"pose_weight": 0.3}} if chance.random() < 0.3 else {},
        platforms=("youtube", "x")[: chance.randrange(3)],
        costume_required=chance.random() < 0.2,
        targets={"loop_seam": 0.9} if chance.random() < 0.2 else {},
    )


def _registry(chance: random.Random) -> WorkflowRegistry:
    engines = [chance.choice(["local", "local", "comfyui"]) for _ in range(chance.randint(1, 3))]
    defaults: tuple[dict[str, Any], ...] = (
        {},
        {"motion": {"pose_weight": 0.0, "temporal_smoothing": 0.0}},
        {"frame": {"identity_weight": 0.0}, "video": {"crf": 20}},
    )
    return registry_of(
        *(
            workflow(f"flow-{index}", engine, **chance.choice(defaults))
            for index, engine in enumerate(engines)
        )
    )


def _policy(chance: random.Random) -> QCPolicy:
    priority = [action for action in ACTIONS if chance.random() < 0.8]
    chance.shuffle(priority)
    return policy_of(
        *(_gate(chance, metric, index) for index, metric in enumerate(_some(chance, METRICS))),
        classes=[_class(chance, name) for name in _some(chance, CLASSES)],
        presets=[_preset(chance, index) for index in range(chance.randrange(5))],
        retries=chance.randrange(5),
        missing=_action(chance),
        priority=tuple(priority),
        fallback=_action(chance),
    )


def _gate(chance: random.Random, metric: str, index: int) -> Gate:
    return msgspec.convert(
        {
            "gate_id": f"gate-{index}",
            "metric": metric,
            "dimension": chance.choice(["identity", "motion", "audio", "costume", "technical"]),
            "threshold": chance.choice([0.0, 0.3, 0.7, 1.0]),
            "severity": chance.choice(["LOW", "MEDIUM", "HIGH", "CRITICAL"]),
            "repairable": chance.random() < 0.7,
            "failure_action": _action(chance),
            "target_stage": chance.choice([None, "artifact", "frame", "motion", "video", "editor"]),
        },
        Gate,
    )


def _class(chance: random.Random, name: str) -> FailureClass:
    return FailureClass(class_id=name, metrics=tuple(_some(chance, METRICS)), action=_action(chance))


def _preset(chance: random.Random, index: int) -> Preset:
    overrides: dict[str, Any] = {}
    for name in _some(chance, INPUTS):
        value = chance.choice([0.1, 0.5, 1, True, "letterbox"])
        if chance.random() < 0.7:
            overrides[name] = value
        else:
            overrides[chance.choice(["frame", "motion", "video", "7"])] = {name: value}
    return preset(chance.choice(CLASSES), f"preset-{index}", f"flow-{chance.randrange(4)}", **overrides)


def _action(chance: random.Random) -> Action:
    weighted: tuple[Action, ...] = ("RETRY_STAGE", "RETRY_STAGE", "RETRY_STAGE", *ACTIONS)
    return chance.choice(weighted)


def _some(chance: random.Random, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if chance.random() < 0.6]
