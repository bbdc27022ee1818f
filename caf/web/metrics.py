"""What Prometheus is told: the queue, the stages, the failures, the repairs, and how well the log keeps up."""

from collections.abc import Iterator
from typing import Any, Final

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import caf
from caf.daemon.service import Service
from caf.events import (
    DocumentRejected,
    Escalated,
    QCFailed,
    RepairDecided,
    StageCompleted,
    StageFailed,
    StageInterrupted,
)
from caf.events.codec import UnreadableEvent, decode
from eventstore import RecordedEvent

__all__ = ["Metrics"]

STAGE_S: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
APPEND_S: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
LOOK_S: Final = 0.25
"""How often the loop's lag is measured."""


class Metrics:
    """Counts what comes, and looks at the rest when it is asked."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        Gauge("caf_build", "Always 1; the version is in the label.", ["version"], registry=registry).labels(
            caf.__version__
        ).set(1)
        counted = {"registry": registry}
        self._stages = Histogram(
            "caf_stage_duration_seconds",
            "What stages took that were computed, queueing excluded.",
            ["stage", "engine"],
            buckets=STAGE_S,
            registry=registry,
        )
        self._waits = Histogram(
            "caf_stage_queue_seconds",
            "How long stages waited for a lane.",
            ["stage"],
            buckets=STAGE_S,
            registry=registry,
        )
        self._appends = Histogram(
            "caf_append_seconds", "From an append to its being on disk.", buckets=APPEND_S, registry=registry
        )
        self._failures = _counter(
            "caf_stage_failures", "Stages that gave nothing.", "stage", "kind", **counted
        )
        self._interrupted = _counter("caf_stage_interruptions", "Stages ended under way.", "stage", **counted)
        self._classes = _counter("caf_gate_failures", "Failed gates by class.", "failure_class", **counted)
        self._decisions = _counter("caf_decisions", "What was decided.", "action", "reasoned_by", **counted)
        self._asked = _counter("caf_escalations", "Questions to a person.", "reason", **counted)
        self._rejected = _counter("caf_documents_rejected", "Files that were not taken.", "kind", **counted)
        self._held = _counter("caf_jobs_held_back", "Times that a job could not be worked on.", **counted)
        self._lag = Gauge(
            "caf_loop_lag_seconds",
            "How late the daemon's loop was, at most, since this was asked last.",
            registry=registry,
        )
        self._worst_lag_s = 0.0
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._behind, self._behind_s = 0, 0.0
        registry.register(_Now(self))

    def seen(self, recorded: RecordedEvent) -> None:
        """Count one event."""
        try:
            event = decode(recorded.type, recorded.type_version, recorded.data)
        except UnreadableEvent:
            return
        match event:
            case StageCompleted(reused=False, stage=stage, engine=engine):
                self._stages.labels(stage, engine).observe(event.duration_ms / 1000)
                self._waits.labels(stage).observe(event.queue_ms / 1000)
            case StageFailed(stage=stage, failure=failure):
                self._failures.labels(stage, failure.kind).inc()
            case StageInterrupted(stage=stage):
                self._interrupted.labels(stage).inc()
            case QCFailed(report=report):
                for name in report.overall.failed_failure_classes or ("none",):
                    self._classes.labels(name).inc()
            case RepairDecided(decision=told, reasoned_by=who):
                self._decisions.labels(told.decision.action, who).inc()
            case Escalated(request=request):
                self._asked.labels(request.reason).inc()
            case DocumentRejected(kind=kind):
                self._rejected.labels(kind).inc()
            case _:
                pass

    def held_back(self) -> None:
        """Count a job that this machine could not work on."""
        self._held.inc()

    def appended(self, took_s: float) -> None:
        """Count one append."""
        self._appends.observe(took_s)

    async def watch_loop(self) -> None:
        """Measure for ever how late this loop wakes what asked to be woken."""
        while True:
            due_s = anyio.current_time() + LOOK_S
            await anyio.sleep(LOOK_S)
            self._worst_lag_s = max(self._worst_lag_s, anyio.current_time() - due_s)

    async def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        app = self.service.app
        # How far the rows are behind, before asking them brings them up to date.
        lag = await app.models.lag(app.store)
        since_ms = lag.oldest_recorded_at_ms
        self._behind = lag.events
        self._behind_s = max(0.0, (app.clock.now_ms() - since_ms) / 1000) if since_ms is not None else 0.0
        self._rows = {
            "jobs": await app.rows("SELECT status, count(*) AS n FROM jobs GROUP BY status"),
            "repairs": await app.rows(
                "SELECT coalesce(preset, '') AS preset, stage, outcome, count(*) AS n FROM decisions"
                " WHERE action = 'RETRY_STAGE' AND outcome IS NOT NULL GROUP BY 1, 2, 3"
            ),
        }
        self._lag.set(self._worst_lag_s)
        self._worst_lag_s = 0.0
        return generate_latest(self.registry)

    def now(self) -> Iterator[Metric]:
        """What is so at this moment."""
        dispatcher = self.service.dispatcher
        jobs = GaugeMetricFamily("caf_jobs", "Jobs by status.", labels=["status"])
        for row in self._rows.get("jobs", ()):
            jobs.add_metric([row["status"]], row["n"])
        yield jobs
        repairs = GaugeMetricFamily(
            "caf_repairs", "Repairs by what the gate said afterwards.", labels=["preset", "stage", "outcome"]
        )
        for row in self._rows.get("repairs", ()):
            repairs.add_metric([row["preset"], row["stage"], row["outcome"]], row["n"])
        yield repairs
        stands = int(dispatcher.daemon.paused is not None)
        for name, said, value in (
            ("caf_queue_depth", "Jobs that wait to be begun.", len(dispatcher.due)),
            ("caf_jobs_under_way", "Jobs that were begun.", len(dispatcher.active)),
            ("caf_jobs_held", "Jobs that are tried again later.", len(dispatcher.held)),
            ("caf_queue_paused", "1 while the queue stands.", stands),
            ("caf_log_position", "Of the last event that was looked at.", dispatcher.position),
            ("caf_projection_lag_events", "Events that the read models had not folded.", self._behind),
            ("caf_projection_lag_seconds", "Since the oldest of those was recorded.", self._behind_s),
        ):
            yield GaugeMetricFamily(name, said, value=value)
        yield from self._lanes()
        children = CounterMetricFamily("caf_child_restarts", "Child processes that were replaced.")
        children.add_metric([], self.service.runner.child_restarts)
        yield children

    def _lanes(self) -> Iterator[Metric]:
        running = GaugeMetricFamily("caf_lane_running", "Turns that run.", labels=["lane"])
        waiting = GaugeMetricFamily("caf_lane_waiting", "Turns that wait.", labels=["lane"])
        busy = CounterMetricFamily("caf_lane_busy_seconds", "Time with at least one turn.", labels=["lane"])
        for lane in self.service.dispatcher.lanes.all:
            running.add_metric([lane.name], len(lane.running))
            waiting.add_metric([lane.name], len(lane.waiting))
            busy.add_metric([lane.name], lane.busy_ms / 1000)
        yield from (running, waiting, busy)


def _counter(name: str, said: str, *labels: str, registry: CollectorRegistry) -> Counter:
    return Counter(name, said, labels, registry=registry)


class _Now(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.now()

    def describe(self) -> list[Metric]:
        return []
