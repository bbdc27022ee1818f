"""The tables of `bench.qc_auc`: what the measured rows come to."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from caf.qc.metrics import METRICS

__all__ = ["Row", "auc", "overlap", "report"]


_WORDS = {1: "mild", 2: "medium", 3: "severe"}


class Row(NamedTuple):
    """One metric of one clip."""

    group: str
    segment: str
    defect: str
    """`clean`, `clean: ODDITY`, or what was injected."""
    severity: int
    metric: str
    score: float | None
    blamed: list[int]
    spoiled: list[int] | None
    """The frames that were spoiled; None: all of them, or none."""
    said: str


def auc(clean: list[float], spoiled: list[float]) -> float:
    """Probability that a clean segment scores above a spoiled one; ties count half."""
    above = [(a > b) + 0.5 * (a == b) for a in clean for b in spoiled]
    return float(np.mean(above)) if above else float("nan")


def overlap(blamed: Iterable[int], spoiled: Iterable[int]) -> float:
    """Intersection over union of two sets of frames; 1 for two empty ones."""
    one, other = set(blamed), set(spoiled)
    return len(one & other) / len(one | other) if one | other else 1.0


def report(
    group: str,
    rows: list[Row],
    defects: list[str],
    judges: Mapping[str, str],
    thresholds: Mapping[str, float],
) -> str:
    """The Markdown tables of one set of segments."""
    segments = len({row.segment for row in rows})
    severities = sorted({row.severity for row in rows if row.severity})
    words = [_WORDS[severity] for severity in severities]
    lines = [f"### {group.capitalize()}: {segments} clean segments", ""]
    lines += _alarms(rows, list(dict.fromkeys(judges[defect] for defect in defects)), thresholds)
    columns = [f"{what} {word}" for what in ("AUC", "below the threshold,", "IoU") for word in words]
    lines += ["", f"| defect | metric | {' | '.join(columns)} | stage right |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for defect in defects:
        metric = judges[defect]
        clean = _scores(rows, "clean", 0, metric)
        spoiled = [_scores(rows, defect, severity, metric) for severity in severities]
        if not any(spoiled):
            continue
        cells = [f"{auc(clean, one):.2f}" for one in spoiled]
        cells += [
            f"{np.mean([score < thresholds[metric] for score in one]):.2f}" if one else "" for one in spoiled
        ]
        cells += [_where(rows, defect, severity, metric) for severity in severities]
        cells.append(_stage(rows, defect, metric, thresholds))
        lines.append(f"| {defect} | `{metric}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _scores(rows: list[Row], defect: str, severity: int, metric: str) -> list[float]:
    return [
        row.score
        for row in rows
        if (row.defect, row.severity, row.metric) == (defect, severity, metric) and row.score is not None
    ]


def _alarms(rows: list[Row], metrics: list[str], thresholds: Mapping[str, float]) -> list[str]:
    lines = [
        "| metric | threshold | clean: lowest | median | false alarms | unmeasured | odd but clean: false alarms |",
        "|---|---|---|---|---|---|---|",
    ]
    for metric in metrics:
        clean = [row for row in rows if row.defect == "clean" and row.metric == metric]
        odd = [row for row in rows if row.defect.startswith("clean:") and row.metric == metric]
        scores = [row.score for row in clean if row.score is not None]
        alarms = sum(score < thresholds[metric] for score in scores)
        oddly = [row.defect[7:] for row in odd if row.score is not None and row.score < thresholds[metric]]
        lines.append(
            f"| `{metric}` | {thresholds[metric]:.2f} | {min(scores, default=np.nan):.2f}"
            f" | {np.median(scores) if scores else np.nan:.2f} | {alarms} of {len(scores)}"
            f" | {len(clean) - len(scores)} | {len(oddly)} of {len(odd)} {' '.join(sorted(set(oddly)))} |"
        )
    return lines


def _where(rows: list[Row], defect: str, severity: int, metric: str) -> str:
    found = [
        overlap(row.blamed, row.spoiled)
        for row in rows
        if (row.defect, row.severity, row.metric) == (defect, severity, metric) and row.spoiled is not None
    ]
    return f"{np.median(found):.2f}" if found else ""


def _stage(rows: list[Row], defect: str, metric: str, thresholds: Mapping[str, float]) -> str:
    """Of the spoiled clips that fail where the clean one does not, how many do so worst in a metric of its stage."""
    fails = [row for row in rows if row.score is not None and row.score < thresholds[row.metric]]
    own = {(row.segment, row.metric) for row in fails if row.defect == "clean"}
    by_clip: dict[tuple[str, int], list[Row]] = {}
    for row in fails:
        if row.defect == defect and (row.segment, row.metric) not in own:
            by_clip.setdefault((row.segment, row.severity), []).append(row)
    right = []
    for failed in by_clip.values():
        worst = min(failed, key=lambda row: (row.score or 0.0) / thresholds[row.metric])
        right.append(METRICS[worst.metric].stage == METRICS[metric].stage)
    return f"{np.mean(right):.2f} of {len(right)}" if right else ""
