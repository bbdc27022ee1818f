"""The files that `caf qc evaluate` takes: scores and thresholds that were found elsewhere. Pure."""

from typing import Any, Final

from msgspec import Struct

from caf.contracts.explain import found
from caf.contracts.read import read_document, read_object
from caf.contracts.types import Unit
from caf.errors import DocumentError

__all__ = ["parse_metrics", "parse_reasons", "parse_targets"]

_METRICS_REMEDY: Final = 'Give {"metrics": {"loop_seam": {"score": 0.8}}}.'
_TARGETS_REMEDY: Final = 'Give a quality_target.v1 document, or {"loop_seam": 0.8}.'


class _Targets(Struct, frozen=True, kw_only=True, tag_field="version", tag="quality_target.v1"):
    """A quality target; unlike a job's, one that is given by hand needs no profile_id."""

    thresholds: dict[str, Unit]


def parse_metrics(data: bytes, where: str) -> dict[str, float | None]:
    """Metric to score from `{"metrics": {name: {"score": x}}}`; None where x is no number.

    A bare number in place of `{"score": x}` is taken too. Raises `DocumentError` for anything that has
    no `metrics` object.
    """
    return {name: _number(_member(entry, "score", entry)) for name, entry in _metrics(data, where).items()}


def parse_reasons(data: bytes, where: str) -> dict[str, str]:
    """Metric to the sentence that stands beside its score as `reason`, where one does."""
    reasons = {name: _member(entry, "reason", None) for name, entry in _metrics(data, where).items()}
    return {name: reason for name, reason in reasons.items() if isinstance(reason, str) and reason}


def parse_targets(data: bytes, where: str) -> dict[str, float]:
    """Metric to threshold from a quality_target.v1 document, or from a bare `{metric: 0..1}`.

    Raises `DocumentError` for a threshold that is not a number from 0 to 1: a limit that cannot be
    meant is never dropped in silence.
    """
    document = read_object(data, where=where)
    if isinstance(document.get("thresholds"), dict):
        return dict(read_document(data, _Targets, where=where).thresholds)
    return {name: _threshold(value, f"{where}: {name}") for name, value in document.items()}


def _metrics(data: bytes, where: str) -> dict[str, Any]:
    metrics = read_object(data, where=where).get("metrics")
    if not isinstance(metrics, dict):
        raise DocumentError(f"{where}: metrics is no object.", remedy=_METRICS_REMEDY)
    return metrics


def _member(entry: object, name: str, otherwise: object) -> object:
    return entry.get(name) if isinstance(entry, dict) else otherwise


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _threshold(value: object, where: str) -> float:
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise DocumentError(
            f"{where} is {found(value)}; allowed is a number from 0 to 1.", remedy=_TARGETS_REMEDY
        )
    return number
