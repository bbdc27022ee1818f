"""What good and bad clips say of the thresholds: a finding a metric, and the documents made of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from caf.contracts import QCPolicy, QualityTarget, TargetStage
from caf.policies import DEFAULT_POLICY, technical_gate
from caf.qc.gates import COSTUME
from caf.qc.thresholds import NoProposal, Outcome, auc, outcome, propose, roc

__all__ = [
    "GATED",
    "Calibrated",
    "RocPanel",
    "RocRequest",
    "Scores",
    "calibrated",
    "panel",
    "policy_of",
    "target_of",
]

GATED: Final[dict[str, float]] = {gate.metric: gate.threshold for gate in DEFAULT_POLICY.gates}
"""Metric to threshold, of the default policy's gates."""

_WHOLE: Final = "its gate knows no threshold: all or nothing"


class Scores(Struct, frozen=True, kw_only=True):
    """One metric of all clips that speak of it; None: it could not be measured."""

    metric: str
    version: int
    threshold: float | None
    """The present one."""
    good: tuple[float | None, ...]
    bad: tuple[float | None, ...]


class Calibrated(Struct, frozen=True, kw_only=True):
    """What the clips say of one metric."""

    metric: str
    version: int
    good: int
    """Clips with a score. So for the bad ones."""
    bad: int
    unmeasured_good: int
    """Clips without one: a gate calls them UNKNOWN whatever its threshold is."""
    unmeasured_bad: int
    auc: float | None
    """The probability that a good clip scores above a bad one, ties counting half."""
    present: Outcome | None
    """What the present threshold does; None where there is none."""
    proposed: Outcome | None
    reason: str
    """Why nothing is proposed; empty where something is."""


class RocPanel(Struct, frozen=True, kw_only=True):
    """One metric's curve: the share of bad clips below a threshold over that of good ones, for every threshold."""

    title: str
    told: str
    """A line about it."""
    corners: tuple[tuple[float, float], ...]
    """(false-alarm rate, catch rate)."""
    missing: str
    """Why there is no curve; empty where there is one."""
    present: Outcome | None
    proposed: Outcome | None


class RocRequest(Struct, frozen=True, kw_only=True):
    """Draw these curves to `out` (.png or .svg, absolute)."""

    panels: tuple[RocPanel, ...]
    out: str


def calibrated(scores: Scores, allowed: float) -> Calibrated:
    """What is proposed for one metric with at most the share `allowed` of false alarms, or why nothing is."""
    good, bad = _measured(scores.good), _measured(scores.bad)
    found = NoProposal(_WHOLE) if scores.metric == COSTUME else propose(good, bad, allowed)
    return Calibrated(
        metric=scores.metric,
        version=scores.version,
        good=len(good),
        bad=len(bad),
        unmeasured_good=len(scores.good) - len(good),
        unmeasured_bad=len(scores.bad) - len(bad),
        auc=auc(good, bad),
        present=None if scores.threshold is None else outcome(scores.threshold, good, bad),
        proposed=None if isinstance(found, NoProposal) else found,
        reason=found.reason if isinstance(found, NoProposal) else "",
    )


def panel(scores: Scores, told: Calibrated) -> RocPanel:
    """The curve of a metric, with what is told of it."""
    counted = f"{told.good} good, {told.bad} bad"
    missing = "no good clip was measured" if not told.good else "no bad clip was measured"
    return RocPanel(
        title=told.metric,
        told=counted if told.auc is None else f"AUC {told.auc:.3f}, {counted}",
        corners=roc(_measured(scores.good), _measured(scores.bad)),
        missing=missing if told.auc is None else "",
        present=told.present,
        proposed=told.proposed,
    )


def target_of(found: Sequence[Calibrated], profile_id: str) -> QualityTarget:
    """The proposed thresholds of the metrics that the default policy gates."""
    proposals = _proposals(found)
    return QualityTarget(
        profile_id=profile_id,
        thresholds={metric: at for metric, at in proposals.items() if metric in GATED},
    )


def policy_of(found: Sequence[Calibrated], stages: Mapping[str, TargetStage], policy_id: str) -> QCPolicy:
    """The default policy with the proposed thresholds, and a gate more for each metric in `stages` that has one.

    `stages`: technical metric to the stage whose output it judges, where a retry begins.
    """
    proposals = _proposals(found)
    gates = (
        replace(gate, threshold=proposals.get(gate.metric, gate.threshold)) for gate in DEFAULT_POLICY.gates
    )
    technical = (
        technical_gate(metric, stage, proposals[metric])
        for metric, stage in stages.items()
        if metric in proposals
    )
    return replace(DEFAULT_POLICY, policy_id=policy_id, gates=(*gates, *technical))


def _proposals(found: Sequence[Calibrated]) -> dict[str, float]:
    return {one.metric: one.proposed.threshold for one in found if one.proposed is not None}


def _measured(scores: Sequence[float | None]) -> list[float]:
    return [score for score in scores if score is not None]
