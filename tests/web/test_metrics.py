"""What Prometheus is told, read by its own parser."""

import os
import shutil
import signal
from pathlib import Path

import anyio
from prometheus_client.parser import text_string_to_metric_families

from tests.crash.disk import filled, memory_disk
from tests.web.serving import Api, served

NAMES = {
    "caf_append_seconds",
    "caf_build",
    "caf_child_restarts",
    "caf_decisions",
    "caf_documents_rejected",
    "caf_escalations",
    "caf_gate_failures",
    "caf_jobs",
    "caf_jobs_held",
    "caf_jobs_held_back",
    "caf_jobs_under_way",
    "caf_lane_busy_seconds",
    "caf_lane_running",
    "caf_lane_waiting",
    "caf_log_position",
    "caf_loop_lag_seconds",
    "caf_projection_lag_events",
    "caf_projection_lag_seconds",
    "caf_queue_depth",
    "caf_queue_paused",
    "caf_repairs",
    "caf_stage_duration_seconds",
    "caf_stage_failures",
    "caf_stage_interruptions",
    "caf_stage_queue_seconds",
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(api: Api) -> tuple[set[str], Samples]:
    answer = await api.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.body.decode()))
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    return {family.name for family in families}, samples


def of(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples of that name with these labels."""
    return sum(
        value
        for (found, has), value in samples.items()
        if found == name and labels.items() <= dict(has).items()
    )


async def count_the_log(api: Api) -> None:
    """Have everything counted that the log holds, as if it were recorded now."""
    async for recorded in api.service.app.store.read_all():
        api.service.seen(recorded)


async def test_everything_that_alerts_stand_on_is_there_from_the_start(api: Api) -> None:
    families, _ = await scraped(api)
    assert families >= NAMES


async def test_jobs_are_told_by_status_and_repairs_by_outcome(api: Api) -> None:
    _, samples = await scraped(api)
    assert of(samples, "caf_jobs", status="completed") == 2
    assert of(samples, "caf_jobs", status="waiting") == 3
    assert of(samples, "caf_repairs", outcome="passed", stage="motion") == 1


async def test_the_queue_is_told_with_its_depth(api: Api, clip: str) -> None:
    for number in range(3):
        await api.post("/api/v1/jobs", json={"clip": clip, "job_id": f"queued-{number}"})
    head = await api.service.app.store.head()
    while api.service.dispatcher.position < head:
        await anyio.lowlevel.checkpoint()
    _, samples = await scraped(api)
    assert of(samples, "caf_queue_depth") == 3
    assert of(samples, "caf_queue_paused") == 1
    assert of(samples, "caf_log_position") == head


async def test_rows_in_a_damaged_file_keep_no_metrics_back(api: Api) -> None:
    path = api.service.app.models.path
    assert path is not None
    path.write_bytes(b"no database" * 1000)
    _, samples = await scraped(api)
    assert of(samples, "caf_projection_lag_events") == await api.service.app.store.head()
    assert of(samples, "caf_jobs", status="completed") == 2
    _, samples = await scraped(api)
    assert of(samples, "caf_projection_lag_events") == 0


async def test_a_full_disk_keeps_no_metrics_back(workspace: Path, tmp_path: Path) -> None:
    with memory_disk(tmp_path / "small", 64) as disk:
        root = shutil.copytree(workspace, disk / "workspace")
        async with served(root) as api:
            with filled(disk):
                _, samples = await scraped(api)
        assert of(samples, "caf_jobs", status="completed") == 2


async def test_stages_failures_decisions_and_questions_are_counted(api: Api) -> None:
    await count_the_log(api)
    _, samples = await scraped(api)
    assert of(samples, "caf_stage_duration_seconds_count", stage="video") >= 2
    assert of(samples, "caf_stage_duration_seconds_sum", stage="pose") >= 1.5
    assert of(samples, "caf_stage_failures_total", stage="artifact", kind="media_unreadable") == 1
    assert of(samples, "caf_gate_failures_total", failure_class="pose_mismatch") == 1
    assert of(samples, "caf_decisions_total", action="RETRY_STAGE") == 1
    assert of(samples, "caf_escalations_total") == 3


async def test_appends_are_timed(api: Api) -> None:
    _, before = await scraped(api)
    await api.service.unpause(by="test")
    _, after = await scraped(api)
    counted = "caf_append_seconds_count"
    assert of(after, counted) - of(before, counted) == 1
    assert of(after, "caf_append_seconds_sum") > of(before, "caf_append_seconds_sum")


async def test_rows_are_behind_until_they_are_asked(api: Api) -> None:
    await scraped(api)
    await api.service.unpause(by="test")
    await api.service.pause(by="test", reason="")
    _, behind = await scraped(api)
    _, level = await scraped(api)
    assert of(behind, "caf_projection_lag_events") == 2
    assert of(level, "caf_projection_lag_events") == 0
    assert of(level, "caf_projection_lag_seconds") == 0


async def test_a_replaced_child_is_counted(api: Api, clip: str) -> None:
    await api.post("/api/v1/jobs", json={"clip": clip, "job_id": "before-the-kill"})
    pid = api.service.runner.taking_in.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(60):
        while (await api.post("/api/v1/jobs", json={"clip": clip, "job_id": "after-the-kill"})).status != 201:
            await anyio.lowlevel.checkpoint()
    _, samples = await scraped(api)
    assert of(samples, "caf_child_restarts_total") == 1
