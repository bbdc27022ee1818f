"""Examine a clip: every metric in one pass, its faults named frame by frame, and what is drawn of them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from caf.media.outputs import plot_form, write_whole
from caf.ports import Measurement, Progress
from caf.qc.examination import Examination, Examined, ExamineRequest
from caf.qc.measure import Found, find
from caf.qc.metrics.catalogue import info_of
from caf.qc.metrics.drawing import contact_sheet, plot
from caf.qc.metrics.findings import Finding, spans
from caf.qc.metrics.scoring import unmeasured
from caf.qc.metrics.series import series_file

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
    info = info_of(seen.metric)
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


def _heading(seen: Measurement) -> str:
    """What a row of the sheet shows, as short as its width asks for."""
    score = "unknown" if seen.score is None else f"{seen.score:.2f}"
    return textwrap.shorten(f"{seen.metric} {score}: {seen.reason}", 120, placeholder=" ...")


def _draw(request: ExamineRequest, found: Found, findings: Sequence[Finding], progress: Progress) -> None:
    if request.series is not None:
        write_whole(Path(request.series), series_file(found.time_s, findings))
    if request.plot is not None:
        write_whole(Path(request.plot), plot(findings, len(found.time_s), plot_form(request.plot)))
    if request.sheet is not None:
        shown = {_heading(one.measurement): one.measurement.worst_frames for one in findings}
        sheet = contact_sheet(request.measure.video, shown, found.time_s, progress)
        write_whole(Path(request.sheet), sheet)
