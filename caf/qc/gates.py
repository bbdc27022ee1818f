"""Gates: scores in, a report with a recommended action out. Pure, and to the letter of the contract.

A score at or above its threshold is PASS, below it SOFT_FAIL, below half of it HARD_FAIL; no score is
UNKNOWN. What the contract leaves open is read so:

- A score is any finite number. null, a missing metric, a bool, a text and NaN are no score.
- An UNKNOWN gate counts as failed and its id is listed, but a missing measurement is no failure of a class.
- `failure_class` is the class of a failure, so a gate that passed or was not measured has none.
- A metric that stands in several classes belongs to the first.
- `failure_action` in a result is the gate's own; what its class says instead shows in the recommendation.
- `costume_fidelity` is judged by `costume_pass` alone: a score for it changes nothing.

Source: the gate evaluation of qc_policy.v1 and qc_report.v1.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from caf.contracts.qc_policy import QCPolicy
from caf.contracts.qc_report import GateResult, Overall, QCReport
from caf.contracts.types import Action, GateStatus

__all__ = ["COSTUME", "REASON_MAX", "Score", "evaluate", "overall"]

Score = float | int
"""0..1 from our own metrics, 1 is best."""

COSTUME: Final = "costume_fidelity"
"""The metric that passes or fails as a whole, by the job's continuity pack."""

REASON_MAX: Final = 240
"""Characters; older readers of the report accept no longer reason."""

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def evaluate(
    policy: QCPolicy,
    scores: Mapping[str, Score | None],
    *,
    job_id: str,
    generated_at: str,
    inputs: Mapping[str, str | None],
    targets: Mapping[str, float] = _EMPTY,
    costume_required: bool = False,
    costume_pass: bool | None = None,
    only: Collection[str] | None = None,
    reasons: Mapping[str, str] = _EMPTY,
) -> QCReport:
    """The report on `scores` (metric to score) under `policy`.

    `targets` replace the policy's thresholds metric by metric; names that no gate has are ignored.
    `costume_required` is the continuity pack's rule, `costume_pass` what was measured, None if nothing
    was. `only` limits the report to the gates of these metrics; None judges all. `reasons` say in a
    sentence what was seen, metric by metric. `generated_at` is RFC 3339 in UTC.
    """
    results: list[GateResult] = []
    for gate in policy.gates:
        if only is not None and gate.metric not in only:
            continue
        threshold = targets.get(gate.metric, gate.threshold)
        status, score, said = (
            _judge_costume(costume_required, costume_pass)
            if gate.metric == COSTUME
            else _judge(scores.get(gate.metric), threshold)
        )
        results.append(
            GateResult(
                gate_id=gate.gate_id,
                metric=gate.metric,
                dimension=gate.dimension,
                status=status,
                severity=gate.severity,
                repairable=gate.repairable,
                score=score,
                threshold=threshold,
                failure_action=gate.failure_action,
                failure_class=_class_of(policy, gate.metric)
                if status in ("SOFT_FAIL", "HARD_FAIL")
                else None,
                target_stage=gate.target_stage,
                reason=_reason(said, reasons.get(gate.metric)),
            )
        )
    return QCReport(
        job_id=job_id,
        generated_at=generated_at,
        inputs=dict(inputs),
        gates=tuple(results),
        overall=overall(policy, results),
    )


def _judge(score: object, threshold: float) -> tuple[GateStatus, float | None, str]:
    """(status, score, what to say). The score is only trusted to be a number after a look at it."""
    if score is None:
        return "UNKNOWN", None, "no score was measured"
    if isinstance(score, bool) or not isinstance(score, int | float):
        return "UNKNOWN", None, f"{score!r} is not a number, so there is no score"
    try:
        number = float(score)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        return "UNKNOWN", None, "the score is not a finite number"
    shown, limit = _shown(number, threshold)
    beyond = "" if 0.0 <= number <= 1.0 else ", and outside of 0 to 1"
    if number >= threshold:
        return "PASS", number, f"{shown} is at or above {limit}{beyond}"
    if 2 * number < threshold:  # doubling is exact; halving a subnormal threshold is not
        return "HARD_FAIL", number, f"{shown} is below half of {limit}{beyond}"
    return "SOFT_FAIL", number, f"{shown} is below {limit}{beyond}"


def _judge_costume(required: bool, measured: bool | None) -> tuple[GateStatus, float | None, str]:
    if not required:
        return "PASS", 1.0, "the continuity pack does not require the costume"
    if measured is True:
        return "PASS", 1.0, "the required costume was seen"
    if measured is None:
        return "HARD_FAIL", 0.0, "the costume is required and was not measured"
    return "HARD_FAIL", 0.0, "the required costume was not seen"


def _class_of(policy: QCPolicy, metric: str) -> str | None:
    """The failure class of a metric; the first that lists it."""
    for failure in policy.failure_classification.classes:
        if metric in failure.metrics:
            return failure.class_id
    return None


def _contributed(policy: QCPolicy, result: GateResult) -> Action:
    """The action that one failed gate asks for."""
    if result.status == "UNKNOWN":
        return policy.default_action_on_missing_report
    for failure in policy.failure_classification.classes:
        if result.metric in failure.metrics:
            return failure.action
    return result.failure_action


def _recommended(policy: QCPolicy, contributed: Collection[Action]) -> Action:
    if not contributed:
        return "PROCEED"
    for action in policy.routing.failure_action_priority:
        if action in contributed:
            return action
    return policy.routing.fallback_action


def overall(policy: QCPolicy, results: Iterable[GateResult]) -> Overall:
    """What gate results come to together: also those of several reports, one for each stage."""
    failed = [result for result in results if result.status != "PASS"]
    return Overall(
        passed=not failed,
        failed_gate_ids=tuple(result.gate_id for result in failed),
        failed_failure_classes=tuple(
            sorted({result.failure_class for result in failed if result.failure_class is not None})
        ),
        recommended_action=_recommended(policy, {_contributed(policy, result) for result in failed}),
    )


def _shown(score: float, threshold: float) -> tuple[str, str]:
    """Both numbers short, or in full where short ones would look the same."""
    short, limit = f"{score:.4g}", f"{threshold:.4g}"
    return (short, limit) if short != limit or score == threshold else (repr(score), repr(threshold))


def _reason(said: str, seen: str | None) -> str:
    text = f"{said}: {seen}" if seen else said
    return text if len(text) <= REASON_MAX else f"{text[: REASON_MAX - 3]}..."
