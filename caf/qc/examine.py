"""Examine a clip: every metric in one pass, its faults named frame by frame, and what is drawn of them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from caf.errors import InputError
from caf.ports import Measurement, Progress
from caf.qc.examination import Examination, Examined, ExamineRequest
from caf.qc.measure import Found, find
from caf.qc.metrics.catalogue import METRICS
from caf.qc.metrics.drawing import contact_sheet, plot
from caf.qc.metrics.findings import Finding, spans
from caf.qc.metrics.scoring import unmeasured

__all__ = ["examine"]

_NEEDS_REFERENCE = frozenset({"identity_consistency", "costume_fidelity"})


def examine(request: ExamineRequest, progress: Progress) -> Examination:
    """Measure, say which frames are to blame, and write what was asked for; the same clip gives the same bytes.

    The pictures of a contact sheet take a second pass over the clip.

    Raises:
        InputError: an unknown metric, a file that is not there, or a place that cannot be written to.
        MediaError: a file that cannot be decoded.
    """
    asked = request.measure
    unknown = _NEEDS_REFERENCE if asked.source == asked.video else _NEEDS_REFERENCE - {"identity_consistency"}
    metrics = tuple(name for name in asked.metrics if asked.reference or name not in unknown)
    found = find(replace(asked, metrics=metrics), progress)
    by_name = {one.measurement.metric: one for one in found.findings}
    findings = [by_name.get(name) or _without_reference(name) for name in asked.metrics]
    _draw(request, found, findings, progress)
    return Examination(
        frames=len(found.time_s),
        duration_s=round(found.time_s[-1], 6) if found.time_s else 0.0,
        metrics=tuple(_told(one) for one in findings),
    )


def _without_reference(name: str) -> Finding:
    return Finding(unmeasured(name, "No picture of the cat was given to compare with."))


def _told(finding: Finding) -> Examined:
    seen: Measurement = finding.measurement
    info = METRICS[seen.metric]
    if seen.score is None:
        verdict = "unknown"
    elif info.threshold is None:
        verdict = "measured"
    else:
        verdict = "poor" if seen.score < info.threshold else "good"
    return Examined(
        metric=seen.metric,
        version=seen.version,
        stage=info.stage,
        score=seen.score,
        threshold=info.threshold,
        verdict=verdict,
        reason=seen.reason,
        raw=seen.raw,
        spans=spans(finding.blamed),
        worst_frames=seen.worst_frames,
    )


def _draw(request: ExamineRequest, found: Found, findings: Sequence[Finding], progress: Progress) -> None:
    if request.series is not None:
        _write(request.series, _npz(found, findings))
    if request.plot is not None:
        _write(request.plot, plot(findings, len(found.time_s)))
    if request.sheet is not None:
        shown = {one.measurement.metric: one.measurement.worst_frames for one in findings}
        _write(request.sheet, contact_sheet(request.measure.video, shown, found.time_s, progress))


def _npz(found: Found, findings: Sequence[Finding]) -> bytes:
    """Arrays `time_s`, `METRIC.SERIES` (T,) float32 and `METRIC.spans` (N, 2) int32, first and last frame."""
    arrays: dict[str, NDArray[Any]] = {"time_s": np.array(found.time_s, dtype=np.float64)}
    for one in findings:
        name = one.measurement.metric
        arrays |= {f"{name}.{key}": series.astype(np.float32) for key, series in one.series.items()}
        arrays[f"{name}.spans"] = np.array(spans(one.blamed), dtype=np.int32).reshape(-1, 2)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its other keyword is a bool
    return buffer.getvalue()


def _write(path: str, content: bytes) -> None:
    """All of it or nothing: beside first, then in its place."""
    place = Path(path)
    beside = place.with_name(f".{place.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {fault.strerror or fault}.",
            remedy="Name a file in a folder that is there and may be written to.",
            kind="not_writable",
        ) from fault
