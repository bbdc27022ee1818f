"""Whether the daemon lives, can take jobs, and what it says of itself."""

import shutil
from pathlib import Path

import anyio
import pytest

from tests.web.serving import Api


async def test_a_daemon_that_serves_is_alive_and_ready(api: Api) -> None:
    for path in ("/health", "/ready"):
        assert (await api.get(path)).json() == {"ok": True, "problems": []}


async def test_many_ask_at_once_whether_it_is_ready(api: Api) -> None:
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await api.get("/ready")).status)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)
    assert statuses == [200] * 20


async def test_a_daemon_that_stops_is_alive_but_not_ready(api: Api) -> None:
    api.service.dispatcher.draining = True
    assert (await api.get("/health")).status == 200
    answer = await api.get("/ready")
    assert (answer.status, answer.json()) == (503, {"ok": False, "problems": ["the daemon is stopping"]})


async def test_a_disk_that_cannot_be_written_is_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    # Below a file nobody can make a folder, as whoever finishes a job's documents meanwhile would.
    monkeypatch.setattr(api.service.app.workspace, "own", tmp_path / "file" / "nowhere")
    answer = await api.get("/ready")
    assert answer.status == 503
    assert "cannot be written" in answer.json()["problems"][0]


async def test_a_look_at_the_disk_leaves_no_file(api: Api, workspace: Path) -> None:
    before = {path.name for path in (workspace / ".caf").iterdir()}
    await api.get("/ready")
    assert {path.name for path in (workspace / ".caf").iterdir()} == before


async def test_the_status_tells_queue_lanes_and_settings(api: Api, clip: str) -> None:
    await api.post("/api/v1/jobs", json={"clip": clip, "job_id": "waits-in-line"})
    with anyio.fail_after(60):
        while "waits-in-line" not in (told := (await api.get("/api/v1/status")).json())["queue"]:
            await anyio.lowlevel.checkpoint()
    assert told["state"] == "paused"
    assert told["paused"] == {"by": "test", "reason": "nothing is to run"}
    assert {"render", "native"} <= {lane["name"] for lane in told["lanes"]}
    assert told["jobs"] == {"completed": 2, "submitted": 1, "waiting": 3}


async def test_rows_that_are_gone_are_made_again(api: Api, workspace: Path) -> None:
    for file in (workspace / ".caf").glob("projections.db*"):
        file.unlink()
    assert len((await api.get("/api/v1/jobs")).json()["jobs"]) == 5
    shutil.copyfile(__file__, workspace / ".caf" / "projections.db")
    assert len((await api.get("/api/v1/jobs")).json()["jobs"]) == 5
