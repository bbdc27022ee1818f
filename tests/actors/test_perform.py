"""The edge: what is asked of a worker for a stage's gates, and what its answer becomes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from caf.actors.effects import MeasureStage
from caf.actors.perform import Edge
from caf.contracts import Gate
from caf.events import QCFailed, QCPassed, Stage, attempt_id
from caf.log import Entry
from caf.ports import Measurement
from caf.qc.metrics import EXTRAS, METRICS
from caf.qc.metrics.catalogue import known_metrics
from caf.qc.stages import metrics_of
from tests.support.clock import SetClock
from tests.support.jobs import fold, gate, policy_of, submitted, up_to


class Worker:
    """In place of the stages: every metric that there is scores 0.9."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def measure(self, effect: MeasureStage, metrics: tuple[str, ...], job: Any, progress: Any) -> Any:
        self.asked.append(metrics)
        known_metrics(metrics, METRICS | EXTRAS)
        return tuple(Measurement(metric=name, version=1, score=0.9, reason="Seen.") for name in metrics), None


async def judged(root: Path, worker: Worker, stage: Stage, *gates: Gate) -> QCPassed | QCFailed:
    spec = submitted(policy=policy_of(*gates))
    edge = Edge(
        workspace=root,
        artifacts=cast("Any", None),
        stages=cast("Any", worker),
        clock=SetClock(),
        outside=cast("Any", None),
    )
    effect = MeasureStage(stage=stage, attempt_id=attempt_id(1), metrics=metrics_of(spec.policy, stage))
    job = fold(*up_to(stage, spec))
    (event,) = await edge.perform(effect, cast("Entry", SimpleNamespace(job=job)))
    assert isinstance(event, QCPassed | QCFailed)
    return event


async def test_a_gate_of_a_metric_that_nobody_knows_is_unknown_and_the_others_are_judged(
    tmp_path: Path,
) -> None:
    event = await judged(tmp_path, Worker(), "motion", gate("freeze"), gate("beauty"), gate("glitch"))
    assert {one.metric: one.status for one in event.report.gates} == {
        "freeze": "PASS",
        "beauty": "UNKNOWN",
        "glitch": "PASS",
    }
    (strange,) = (one for one in event.measurements if one.metric == "beauty")
    assert strange.reason == "Not measured: There is no metric named beauty."


async def test_a_metric_that_is_gated_and_documented_is_measured_once(tmp_path: Path) -> None:
    worker = Worker()
    event = await judged(tmp_path, worker, "frame", gate("sharpness", target_stage="frame"))
    assert worker.asked == [("sharpness", "feline_presence", "human_presence")]
    assert [one.metric for one in event.measurements] == list(worker.asked[0])
