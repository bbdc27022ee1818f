"""JSON Schemas (draft 2020-12) made from the structs: `python -m caf.contracts.schemas --write|--check`.

A schema says what caf writes: optional values are left out, never null. Unknown fields stay allowed,
because readers of the format tolerate them.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from caf.contracts import (
    Approval,
    ComfyUIWorkflow,
    ContinuityPack,
    EscalationAnswer,
    HandoffRegistry,
    IdentityPack,
    JobDocument,
    PlatformPayload,
    PlatformState,
    ProductionDecision,
    ProductionMetrics,
    QCPolicy,
    QCReport,
    QualityTarget,
    UserActionRequired,
    WorkflowRegistry,
)

__all__ = ["DOCUMENTS", "main", "schema", "schema_files"]

DOCUMENTS: Final[dict[str, type[msgspec.Struct]]] = {
    "approval.v1": Approval,
    "comfyui_workflow.v1": ComfyUIWorkflow,
    "episode_continuity_pack.v1": ContinuityPack,
    "escalation_answer.v1": EscalationAnswer,
    "handoff_registry.v1": HandoffRegistry,
    "identity_pack.v1": IdentityPack,
    "job.v1": JobDocument,
    "platform_payload.v1": PlatformPayload,
    "platform_state.v1": PlatformState,
    "production_decision.v1": ProductionDecision,
    "production_metrics.v1": ProductionMetrics,
    "qc_policy.v1": QCPolicy,
    "qc_report.v1": QCReport,
    "quality_target.v1": QualityTarget,
    "user_action_required.v1": UserActionRequired,
    "workflow_registry.v1": WorkflowRegistry,
}

_FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas"


def schema(name: str) -> dict[str, Any]:
    """The schema of one of `DOCUMENTS`. Raises KeyError for another name."""
    made = msgspec.json.schema(DOCUMENTS[name])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name}
    return head | {key: _strict(value) for key, value in made.items()}


def schema_files() -> dict[str, bytes]:
    """File name to content, for every document."""
    return {
        f"{name}.schema.json": msgspec.json.format(msgspec.json.encode(schema(name)), indent=2) + b"\n"
        for name in DOCUMENTS
    }


def _strict(part: Any) -> Any:
    """The part as it holds for written documents, in patterns that every regular-expression dialect has."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "default" in part and part["default"] is None and "anyOf" in part:
        part = _without_null(part)
    strict = {key: _strict(value) for key, value in part.items()}
    if isinstance(strict.get("pattern"), str):
        strict["pattern"] = strict["pattern"].replace(r"(?!\n)$", "$")
    return strict


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    """An optional field's schema, less the null that only readers accept."""
    rest = {key: value for key, value in part.items() if key not in ("anyOf", "default")}
    options = [option for option in part["anyOf"] if option != {"type": "null"}]
    return rest | (options[0] if len(options) == 1 else {"anyOf": options})


def main(arguments: list[str] | None = None) -> int:
    """Writes the files, or says which differ; exit status 1 when one does."""
    parser = argparse.ArgumentParser(prog="python -m caf.contracts.schemas", description=__doc__)
    parser.add_argument("--folder", type=Path, default=_FOLDER)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true")
    what.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    files = schema_files()
    if chosen.write:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (chosen.folder / name).write_bytes(content)
        return 0
    found = {path.name: path.read_bytes() for path in chosen.folder.glob("*.schema.json")}
    stale = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
    for name in stale:
        sys.stderr.write(f"{name} is not what the structs say; run this with --write.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
