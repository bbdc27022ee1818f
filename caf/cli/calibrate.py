"""`caf qc calibrate`: thresholds for one's own material, from clips that were sorted into good and bad."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from caf.cli.common import FILE, JSON, WORKSPACE, Number, configured, print_json, print_table
from caf.cli.tables import say

if TYPE_CHECKING:
    from caf.cli.measuring import LeftOut, MeasuredClip
    from caf.cli.tool import Tool
    from caf.qc.calibration import Calibrated, Scores
    from caf.qc.kept import Kept
    from caf.qc.labelled import LabelledClip
    from caf.qc.thresholds import Outcome

__all__ = ["calibrate"]

_COLUMNS: Final = (
    "metric",
    "good",
    "bad",
    "none",
    "AUC",
    "now: false, caught",
    "proposed: false (at most), caught",
)
"""`none`: clips without a score."""


class _Wish(Struct, frozen=True, kw_only=True):
    """What was asked for; paths are absolute."""

    folder: Path
    reference: Path | None
    costume_required: bool
    metrics: tuple[str, ...]
    allowed: float
    scores: Path | None
    plot: Path | None


class _Result(Struct, frozen=True, kw_only=True):
    metrics: tuple["Calibrated", ...]
    clips: tuple["MeasuredClip", ...]
    left_out: tuple["LeftOut", ...]


@click.command(short_help="Propose thresholds from good and bad clips.")
@click.argument("folder", type=FILE)
@click.option("--reference", type=FILE, metavar="IMAGE", help="Picture of the cat.")
@click.option("--require-costume", is_flag=True, help="Measure the costume against the reference.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Only these; default: all that have a threshold.",
)
@click.option(
    "--false-alarms",
    type=Number(0, 1),
    default=0.02,
    show_default=True,
    metavar="SHARE",
    help="Largest share of the good clips that may fall below a proposed threshold.",
)
@click.option(
    "--scores", type=FILE, metavar="FILE", help="Keep scores here, and take from here what is known."
)
@click.option("--plot", type=FILE, metavar="PNG|SVG", help="Also draw how well each metric tells them apart.")
@click.option("--target", type=FILE, metavar="FILE", help="Also write the proposals as a quality_target.v1.")
@click.option("--policy", type=FILE, metavar="FILE", help="Also write a qc_policy.v1 with the proposals.")
@WORKSPACE
@JSON
def calibrate(
    folder: Path,
    reference: Path | None,
    require_costume: bool,
    metrics: tuple[str, ...],
    false_alarms: float,
    scores: Path | None,
    plot: Path | None,
    target: Path | None,
    policy: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Propose thresholds from clips of your own: FOLDER/good, FOLDER/bad, and FOLDER/bad/METRIC for clips that are
    bad in one metric only.

    FOLDER/source may hold what clips were made from, under the same names. Records nothing in the log.
    """
    from caf.cli.tool import run_tool
    from caf.media.outputs import check_places, plot_form
    from caf.qc.labelled import labelled_clips

    if plot is not None:
        plot_form(str(plot))
    clips = labelled_clips(folder.absolute())
    sorted_files = (path for clip in clips for path in (clip.path, clip.source))
    check_places((scores, plot, target, policy), (reference, *sorted_files))
    wish = _Wish(
        folder=folder.absolute(),
        reference=reference.absolute() if reference else None,
        costume_required=require_costume,
        metrics=_wanted(metrics, clips),
        allowed=false_alarms,
        scores=scores,
        plot=plot.absolute() if plot else None,
    )
    kept = _kept(scores)
    found = run_tool(lambda tool: _calibrate(tool, wish, clips, kept), configured(workspace), quiet=as_json)
    _write_documents(found.metrics, wish.folder.resolve().name, target, policy)
    if as_json:
        places = {"scores": scores, "plot": plot, "target": target, "policy": policy}
        files = {name: str(place) for name, place in places.items() if place is not None and place.exists()}
        print_json(
            {
                "folder": str(folder),
                "false_alarms_allowed": false_alarms,
                "metrics": found.metrics,
                "clips": found.clips,
                "left_out": found.left_out,
                "files": files,
            }
        )
    else:
        _show(found)


def _wanted(asked: tuple[str, ...], clips: Sequence["LabelledClip"]) -> tuple[str, ...]:
    """The metrics to calibrate: those asked for, or all that have a threshold or bad clips of their own."""
    from caf.qc.calibration import GATED
    from caf.qc.metrics.catalogue import METRICS, known_metrics

    if asked:
        return tuple(dict.fromkeys(known_metrics(asked)))
    own = {clip.only for clip in clips}
    return tuple(
        name for name, info in METRICS.items() if name in GATED or name in own or info.threshold is not None
    )


def _kept(scores: Path | None) -> "Kept":
    from caf.qc.kept import parse_kept
    from caf.submission import file_bytes

    return parse_kept(file_bytes(scores), str(scores)) if scores is not None and scores.exists() else {}


async def _calibrate(tool: "Tool", wish: _Wish, clips: Sequence["LabelledClip"], kept: "Kept") -> _Result:
    from caf.cli.measuring import Measuring, Reference
    from caf.qc.calibration import RocRequest, calibrated, panel

    reference = Reference(picture=wish.reference, costume_required=wish.costume_required)
    measuring = Measuring(tool, reference, kept, wish.scores)
    speaking = [clip for clip in clips if clip.only is None or clip.only in wish.metrics]
    await measuring.run(speaking, wish.metrics)
    scores = [_scores_of(metric, measuring.measured) for metric in wish.metrics]
    found = tuple(calibrated(one, wish.allowed) for one in scores)
    if wish.plot is not None:
        panels = tuple(panel(one, told) for one, told in zip(scores, found, strict=True))
        await tool.call("roc", RocRequest(panels=panels, out=str(wish.plot)), "drawing")
    return _Result(metrics=found, clips=tuple(measuring.measured), left_out=tuple(measuring.left_out))


def _scores_of(metric: str, measured: Sequence["MeasuredClip"]) -> "Scores":
    from caf.qc.calibration import GATED, Scores
    from caf.qc.metrics.catalogue import METRICS

    info = METRICS[metric]
    good, bad = (
        tuple(one.scores[metric] for one in measured if one.label == label and metric in one.scores)
        for label in ("good", "bad")
    )
    return Scores(
        metric=metric, version=info.version, threshold=GATED.get(metric, info.threshold), good=good, bad=bad
    )


def _write_documents(
    found: Sequence["Calibrated"], name: str, target: Path | None, policy: Path | None
) -> None:
    """Write what was asked for of the two."""
    from caf.contracts.read import write_document
    from caf.media.outputs import write_whole
    from caf.qc.calibration import policy_of, target_of
    from caf.qc.metrics.catalogue import METRICS

    called = f"calibrated_{name}" if name else "calibrated"
    if target is not None:
        write_whole(target, write_document(target_of(found, called)))
    if policy is not None:
        stages = {info.name: info.stage for info in METRICS.values() if info.technical}
        write_whole(policy, write_document(policy_of(found, stages, called)))


def _show(found: _Result) -> None:
    rows = [
        [
            one.metric,
            one.good,
            one.bad,
            one.unmeasured_good + one.unmeasured_bad,
            "--" if one.auc is None else f"{one.auc:.3f}",
            _outcome(one.present, with_limit=False),
            _outcome(one.proposed, with_limit=True) if one.proposed else one.reason,
        ]
        for one in found.metrics
    ]
    print_table(_COLUMNS, rows, empty="No metric was asked for.")
    for out in found.left_out:
        say(f"caf: {out.clip} was left out: {out.reason} {out.remedy}", err=True)


def _outcome(told: "Outcome | None", *, with_limit: bool) -> str:
    if told is None:
        return "--"
    limit = f" ({_percent(told.false_alarm_limit)})" if with_limit else ""
    return f"{told.threshold:.4g}: {_percent(told.false_alarm_rate)}{limit}, {_percent(told.catch_rate)}"


def _percent(rate: float | None) -> str:
    return "--" if rate is None else f"{100 * rate:.0f} %"
