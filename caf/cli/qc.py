"""`caf qc`: examine a clip; judge given scores by a policy; measure a clip; calibrate thresholds."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from caf.cli.calibrate import calibrate
from caf.cli.common import FILE, JSON, POLICY, WORKSPACE, configured, print_json, print_table
from caf.cli.telling import spans_told
from caf.pose.workers import MOST_WORKERS, workers_for

if TYPE_CHECKING:
    from caf.config import Config
    from caf.ports import MeasureRequest
    from caf.qc.examination import Examination

__all__ = ["qc"]

WORKERS = click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    default=0,
    show_default=True,
    help="Processes that share the clip; 0: one a processor, at most 4. The outcome is the same.",
)


class _Extras(NamedTuple):
    """What was asked for beside caf's own metrics."""

    names: tuple[str, ...]
    identity_model: Path | None
    identity_input: str | None


class _QcGroup(click.Group):
    """A group whose first word may also be a clip: `caf qc CLIP` is `caf qc examine CLIP`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["examine", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_QcGroup, short_help="Examine a clip, frame by frame; judge given scores.")
def qc() -> None:
    """Quality control without a job. `caf qc CLIP` is `caf qc examine CLIP`."""


qc.add_command(calibrate)


def _extras(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what is off by default; they come as one argument, `extras`."""

    @wraps(command)
    def together(
        *, extra: tuple[str, ...], identity_model: Path | None, identity_input: str | None, **others: Any
    ) -> Any:
        return command(extras=_Extras(extra, identity_model, identity_input), **others)

    options = (
        click.option("--identity-input", metavar="TEXT", help="What it is given; see identity_model_input."),
        click.option("--identity-model", type=FILE, metavar="ONNX", help="Model for identity_embedding."),
        click.option("--extra", multiple=True, metavar="NAME", help="Also: vmaf or identity_embedding."),
    )
    for option in options:
        together = option(together)
    return together


@qc.command()
@click.argument("clip", type=FILE)
@click.option("--reference", type=FILE, metavar="IMAGE", help="Picture of the cat.")
@click.option("--against", type=FILE, metavar="CLIP", help="What the clip was made from.")
@click.option("--require-costume", is_flag=True, help="Measure the costume against the reference.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only these; default: all.")
@_extras
@WORKERS
@click.option("--series", type=FILE, metavar="NPZ", help="Also write the per-frame series and the spans.")
@click.option("--plot", type=FILE, metavar="PNG|SVG", help="Also draw the series with the blamed spans.")
@click.option("--sheet", type=FILE, metavar="PNG", help="Also draw a contact sheet of the worst frames.")
@WORKSPACE
@JSON
def examine(
    clip: Path,
    reference: Path | None,
    against: Path | None,
    require_costume: bool,
    metrics: tuple[str, ...],
    extras: "_Extras",
    workers: int,
    series: Path | None,
    plot: Path | None,
    sheet: Path | None,
    workspace: Path,
    as_json: bool,
) -> int:
    """Examine a clip: every metric, its blamed frames and the worst of them; records nothing.

    Exits with 3 when a technical metric is poor. The gates of jobs have the thresholds of their policy.
    """
    from caf.media.outputs import check_places, check_sheet_name, plot_form
    from caf.qc.examination import ExamineRequest

    if plot is not None:
        plot_form(str(plot))
    if sheet is not None:
        check_sheet_name(str(sheet))
    config = configured(workspace)
    asked = _measure_request(clip, reference, against, require_costume, metrics, extras, config, workers)
    model = Path(asked.embedding.path) if asked.embedding else None
    check_places((series, plot, sheet), (clip, reference, against, model))
    request = ExamineRequest(
        measure=asked,
        series=str(series.absolute()) if series else None,
        plot=str(plot.absolute()) if plot else None,
        sheet=str(sheet.absolute()) if sheet else None,
    )
    found: Examination = _in_worker("examine", request, asked, config, as_json)
    if as_json:
        print_json({"clip": str(clip), "examination": found})
    else:
        _show(found)
    return 3 if any(item.verdict == "poor" for item in found.metrics) else 0


def _show(found: "Examination") -> None:
    columns = ["metric", "score", "verdict", "frames", "worst", "seen"]
    rows = [
        [
            item.metric,
            "--" if item.score is None else f"{item.score:.3f}",
            item.verdict,
            spans_told(item.spans),
            " ".join(str(frame) for frame in item.worst_frames[:4]),
            item.reason,
        ]
        for item in found.metrics
    ]
    print_table(columns, rows, empty="Nothing was measured.")


@qc.command()
@click.argument("name", default="default", metavar="[NAME]")
@click.option("--json", "as_json", is_flag=True, help="Always: the policy is JSON.")
def policy(name: str, as_json: bool) -> None:
    """Print a policy that comes with caf: default or technical. A start for one of your own."""
    from caf.contracts.read import write_document
    from caf.errors import InputError
    from caf.policies import BUILT_IN_POLICIES

    found = BUILT_IN_POLICIES.get(name)
    if found is None:
        raise InputError(
            f"No policy named {name} comes with caf.", remedy=f"Use one of: {', '.join(BUILT_IN_POLICIES)}."
        )
    click.echo(write_document(found).decode(), nl=False)


@qc.command()
@POLICY
@click.option("--metrics", type=FILE, required=True, metavar="FILE", help='{"metrics": {name: {"score": x}}}')
@click.option("--targets", type=FILE, metavar="FILE", help="A quality_target.v1 document.")
@click.option("--require-costume", is_flag=True, help="The continuity pack requires the costume.")
@click.option(
    "--costume-pass", type=click.BOOL, metavar="true|false", help="What was measured of the costume."
)
@click.option("--job-id", default="qc-evaluate", show_default=True, help="Id in the report.")
@click.option("--json", "as_json", is_flag=True, help="Always: the report is JSON.")
def evaluate(
    policy: Path | None,
    metrics: Path,
    targets: Path | None,
    require_costume: bool,
    costume_pass: bool | None,
    job_id: str,
    as_json: bool,
) -> int:
    """Print the qc_report.v1 for given scores. Exits with 3 when a gate failed."""
    from caf.clock import SystemClock
    from caf.contracts.read import write_document
    from caf.contracts.times import timestamp
    from caf.policies import DEFAULT_POLICY
    from caf.qc.gates import evaluate as judge
    from caf.qc.scores import parse_metrics, parse_reasons, parse_targets
    from caf.submission import document_bytes, named_policy

    judged_by = named_policy(policy) if policy else DEFAULT_POLICY
    scores = document_bytes(metrics)
    report = judge(
        judged_by,
        parse_metrics(scores, str(metrics)),
        targets=parse_targets(document_bytes(targets), str(targets)) if targets else {},
        reasons=parse_reasons(scores, str(metrics)),
        costume_required=require_costume,
        costume_pass=costume_pass,
        job_id=job_id,
        generated_at=timestamp(SystemClock().now_ms()),
        inputs={"policy": judged_by.policy_id},
    )
    click.echo(write_document(report).decode(), nl=False)
    return 0 if report.overall.passed else 3


@qc.command()
@click.argument("clip", type=FILE)
@click.option("--reference", type=FILE, metavar="IMAGE", help="Picture of the cat.")
@click.option("--against", type=FILE, metavar="CLIP", help="What the clip was made from; default: itself.")
@click.option("--require-costume", is_flag=True, help="Measure the costume against the reference.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only these; default: all.")
@_extras
@WORKERS
@WORKSPACE
@JSON
def measure(
    clip: Path,
    reference: Path | None,
    against: Path | None,
    require_costume: bool,
    metrics: tuple[str, ...],
    extras: "_Extras",
    workers: int,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure a clip and print every score with its reason; records nothing."""
    from caf.ports import Measurement

    config = configured(workspace)
    request = _measure_request(clip, reference, against, require_costume, metrics, extras, config, workers)
    measured: tuple[Measurement, ...] = _in_worker("measure", request, request, config, as_json)
    if as_json:
        print_json({"clip": str(clip), "measurements": measured})
        return
    print_table(
        ["metric", "score", "seen", "worst frames"],
        [
            [
                item.metric,
                "--" if item.score is None else f"{item.score:.3f}",
                item.reason,
                " ".join(str(frame) for frame in item.worst_frames[:6]),
            ]
            for item in measured
        ],
        empty="Nothing was measured.",
    )


def _measure_request(
    clip: Path,
    reference: Path | None,
    against: Path | None,
    require_costume: bool,
    metrics: tuple[str, ...],
    extras: _Extras,
    config: "Config",
    workers: int,
) -> "MeasureRequest":
    """What is to be measured, with absolute paths. Raises `InputError` for an unknown metric."""
    from caf.ports import MeasureRequest
    from caf.qc.extras import embedding_of, extras_of
    from caf.qc.metrics.catalogue import EXTRAS, METRICS, known_metrics

    named = known_metrics(metrics, METRICS | EXTRAS) or tuple(METRICS)
    beside = extras_of("" if metrics else config.extra_metrics, extras.names)
    said = config.identity_model_input if extras.identity_input is None else extras.identity_input
    return MeasureRequest(
        metrics=tuple(dict.fromkeys((*named, *beside))),
        embedding=embedding_of(extras.identity_model or config.identity_model, said),
        video=str(clip.absolute()),
        source=str((against or clip).absolute()),
        reference=str(reference.absolute()) if reference else None,
        costume_required=require_costume,
        workers=workers_for(workers, 1),
    )


def _in_worker(task: str, request: Any, files: "MeasureRequest", config: "Config", quiet: bool) -> Any:
    """Look at the files first, then do the task in a child; progress is shown meanwhile."""
    from caf.cli.tool import Tool, run_tool
    from caf.ports import MediaInfo, ProbeRequest

    async def work(tool: Tool) -> Any:
        frames: int | None = None
        for path in dict.fromkeys((files.source, files.reference, files.video)):
            if path is not None:
                media: MediaInfo = await tool.call("probe", ProbeRequest(path=path), "reading")
                frames = media.frames if path == files.video else frames
        return await tool.call(task, request, "measuring", total=frames or None)

    return run_tool(work, config, quiet=quiet)
