"""`caf qc`: judge given scores by a policy; measure a clip."""

from pathlib import Path
from typing import Any

import click

from caf.cli.common import FILE, JSON, WORKSPACE, configured, print_json, print_table, run_async
from caf.errors import DocumentError

__all__ = ["qc"]


@click.group(short_help="Judge given scores by a policy; measure a clip.")
def qc() -> None:
    """Quality control without a job."""


@qc.command()
@click.option("--policy", type=FILE, metavar="FILE", help="A qc_policy.v1 document; default: the built-in.")
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
    from caf.contracts import QCPolicy
    from caf.contracts.read import read_document, write_document
    from caf.contracts.times import timestamp
    from caf.policies import DEFAULT_POLICY
    from caf.qc.gates import evaluate as judge
    from caf.qc.scores import parse_metrics, parse_reasons, parse_targets
    from caf.submission import document_bytes

    judged_by = (
        read_document(document_bytes(policy), QCPolicy, where=str(policy)) if policy else DEFAULT_POLICY
    )
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
@WORKSPACE
@JSON
def measure(
    clip: Path,
    reference: Path | None,
    against: Path | None,
    require_costume: bool,
    metrics: tuple[str, ...],
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure a clip and print every score with its reason; records nothing."""
    from caf.cli.progress import View
    from caf.ports import Measurement, MeasureRequest, ProbeRequest
    from caf.qc.metrics.catalogue import METRICS
    from caf.system import require_system_libraries
    from caf.worker import Worker

    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise DocumentError(
            f"There is no metric {unknown[0]!r}.",
            remedy=f"The metrics are: {', '.join(METRICS)}.",
            kind="unknown_metric",
        )
    config = configured(workspace)
    request = MeasureRequest(
        metrics=metrics or tuple(METRICS),
        video=str(clip.absolute()),
        source=str((against or clip).absolute()),
        reference=str(reference.absolute()) if reference else None,
        costume_required=require_costume,
    )

    async def work() -> tuple[Measurement, ...]:
        require_system_libraries()
        with View(quiet=as_json) as view:
            async with Worker() as worker:

                async def call(task: str, asked: Any) -> Any:
                    return await worker.call(
                        task,
                        asked,
                        progress=lambda done, total: view.tick("", "measuring", done, total),
                        stall_s=config.stall_s,
                        deadline_s=config.deadline_s,
                    )

                for path in dict.fromkeys((request.video, request.source, request.reference)):
                    if path is not None:
                        await call("probe", ProbeRequest(path=path))
                found: tuple[Measurement, ...] = await call("measure", request)
                return found

    measured = run_async(work)
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
