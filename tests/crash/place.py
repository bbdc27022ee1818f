"""A workspace for many short jobs: tiny clips, and policies under which they complete, are repaired, or ask."""

import shutil
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from caf.contracts import QCPolicy
from caf.contracts.read import write_document
from caf.policies.default_policy import DEFAULT_POLICY
from tests.clips import make_clip, make_picture

__all__ = ["CLIPS", "POLICIES", "clips", "document", "prepare"]

CLIPS: Final = ("six.mp4", "eight.mp4", "still.png")
POLICIES: Final = ("lenient", "lenient", "lenient", "repairing", "asking")
"""How often each is drawn."""

SETTINGS: Final = """\
policy = "policies/lenient.json"
grace_s = 10.0
"""


def clips(folder: Path) -> Path:
    """The clips, made once: a few frames of the smallest pictures that the pipeline takes."""
    folder.mkdir(parents=True, exist_ok=True)
    make_clip(folder / CLIPS[0], frames=6, size=(64, 64), fps=24, subject=True, audio=True)
    make_clip(folder / CLIPS[1], frames=8, size=(96, 64), fps=24, subject=True, shake=2.0)
    make_picture(folder / CLIPS[2], size=(96, 64), subject=True)
    return folder


def prepare(root: Path, media: Path) -> Path:
    """A workspace with clips and policies in it, before any job."""
    shutil.copytree(media, root / "sandbox" / "clips")
    (root / "sandbox" / "jobs").mkdir()
    (root / "policies").mkdir()
    for name, policy in _policies().items():
        (root / "policies" / f"{name}.json").write_bytes(write_document(policy))
    (root / "caf.toml").write_text(SETTINGS)
    return root


def document(job_id: str, *, clip: str, policy: str, strength: float | None = None) -> bytes:
    """A job document. `strength` is a parameter of the motion stage: another one is other work."""
    parameters = {} if strength is None else {"motion": {"temporal_smoothing": strength}}
    said = {
        "job_id": job_id,
        "video": {},
        "render": {"background_asset": f"clips/{clip}"},
        "platforms": ["youtube"],
        "quality_policy": {"relpath": f"policies/{policy}.json"},
        "comfyui": {"bindings": {"parameters": parameters}},
    }
    return msgspec.json.encode(said)


def _policies() -> dict[str, QCPolicy]:
    """`lenient` lets everything pass; `repairing` tries again until its budget is spent; `asking` asks at once."""
    gate = next(gate for gate in DEFAULT_POLICY.gates if gate.metric == "identity_consistency")
    seam = next(gate for gate in DEFAULT_POLICY.gates if gate.metric == "loop_seam")
    return {
        "lenient": replace(
            DEFAULT_POLICY,
            policy_id="lenient",
            gates=(replace(gate, threshold=0.0),),
            default_action_on_missing_report="PROCEED",
        ),
        "repairing": replace(
            DEFAULT_POLICY, policy_id="repairing", gates=(gate, replace(seam, threshold=1.0))
        ),
        "asking": replace(DEFAULT_POLICY, policy_id="asking"),
    }
