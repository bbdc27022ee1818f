"""The daemon renders on servers: killed in between it takes its prompts up again, and several servers are lanes."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from tests.cli.daemon import serving
from tests.comfy.given import until
from tests.comfy.server import FakeComfy
from tests.comfy.test_jobs import FRAMES, Jobs

WITHIN_S = 240.0


@asynccontextmanager
async def daemon(jobs: Jobs, **environment: str) -> AsyncIterator[None]:
    """Killed at the end, as by SIGKILL; what it said is in the file `said` of the workspace."""
    with ExitStack() as stack:

        def start() -> None:
            stack.enter_context(
                serving(jobs.root, stderr=jobs.root / "said", CAF_POLICY="policy.json", **environment)
            )

        await anyio.to_thread.run_sync(start)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(stack.close)


def is_done(jobs: Jobs, job_id: str) -> bool:
    return (jobs.root / "sandbox" / "output" / job_id / "result.json").exists()


async def test_a_killed_daemon_takes_its_prompts_up_again_and_renders_none_twice(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, seconds=0.2)
        async with daemon(jobs):
            await until(lambda: sum(server.renders.values()) >= 3, WITHIN_S)
        begun = len(server.posts)
        async with daemon(jobs):
            await until(lambda: is_done(jobs, "cat-0001"), WITHIN_S)
    assert 3 <= begun < FRAMES
    assert server.renders == Counter({f"frame-{index:06d}": 1 for index in range(FRAMES)})
    assert len(set(server.posts)) == len(server.posts) == FRAMES


async def test_what_a_killed_daemon_had_brought_is_not_rendered_again_by_a_server_killed_with_it(
    tmp_path: Path,
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, seconds=0.2)
        kept = jobs.root / ".caf" / "kept"
        async with daemon(jobs):
            await until(lambda: len([*kept.rglob("*.done.json")]) >= 3, WITHIN_S)
        brought = {path.name.partition(".")[0] for path in kept.rglob("*.done.json")}
        await server.restart()
        async with daemon(jobs):
            await until(lambda: is_done(jobs, "cat-0001"), WITHIN_S)
            await until(lambda: not [*kept.iterdir()], WITHIN_S)
    assert 3 <= len(brought) < FRAMES
    assert {server.renders[key] for key in brought} == {1}
    assert len(server.renders) == FRAMES


async def test_a_job_that_is_called_off_leaves_nothing_of_its_own_in_the_queue_and_all_of_others(
    tmp_path: Path,
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url, seconds=5.0)
        async with daemon(jobs):
            await until(lambda: len(server.posts) >= 3, WITHIN_S)
            server.queue.append((1000.0, "somebody-else", {}, {}, []))
            assert (await jobs.caf("cancel", "cat-0001")).code in (0, 5)
            await until(
                lambda: (
                    [item[1] for item in server.queue] in (["somebody-else"], [])
                    and not [item for item in server.running.values() if item[1] in server.posts]
                ),
                WITHIN_S,
            )
            await until(lambda: not [*(jobs.root / ".caf" / "kept").iterdir()], WITHIN_S)
        left = {item[1] for item in (*server.queue, *server.running.values())} | server.history.keys()
        server.queue.clear()
    assert "somebody-else" in left
    assert not server.renders


async def test_a_node_that_does_not_heed_that_its_job_was_called_off_is_told(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        workflow = json.loads((jobs.root / "workflows" / "pause.json").read_text("utf-8"))
        workflow["2"]["inputs"] |= {"seconds": 120.0, "deaf": 1}
        jobs.write("workflows/pause.json", workflow)
        async with daemon(jobs):
            await until(lambda: server.running, WITHIN_S)
            [(_, prompt_id, *_)] = server.running.values()
            assert (await jobs.caf("cancel", "cat-0001")).code in (0, 5)
            told = f"caf: cat-0001: At {server.url} {prompt_id} runs on: its node does not heed the interruption."
            await until(lambda: told in (jobs.root / "said").read_text("utf-8"), WITHIN_S)
        assert not server.queue


async def test_two_servers_render_two_jobs_and_no_frame_twice(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "a") as one, FakeComfy(tmp_path / "b") as other:

        async def together(*_: object) -> None:
            """No node ends before both servers have work."""
            await until(lambda: one.posts and other.posts, WITHIN_S)

        one.gpu._pause = other.gpu._pause = together  # type: ignore[method-assign]
        jobs = Jobs(tmp_path / "w", one.url)
        del jobs.job["comfyui"]["base_url"]
        names = ["cat-0001", "cat-0002"]
        for seconds, name in enumerate(names, 1):  # not the same work, of which one result would do
            jobs.job["comfyui"]["bindings"] = {"parameters": {"2": {"seconds": seconds}}}
            jobs.write(f"sandbox/jobs/{name}.job.json", {**jobs.job, "job_id": name})
        async with daemon(jobs, CAF_COMFY_URLS=f"{one.url}, {other.url}"):
            await until(lambda: all(is_done(jobs, name) for name in names), WITHIN_S)
    assert (len(one.posts), len(other.posts)) == (FRAMES, FRAMES)
    results = [jobs.root / "sandbox" / "output" / name / "result.json" for name in names]
    assert [json.loads(path.read_text("utf-8"))["attempts"] for path in results] == [1, 1]


async def test_a_job_that_wants_the_same_does_not_begin_anew_what_a_killed_daemon_had_begun(
    tmp_path: Path,
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        killed = anyio.Event()

        async def held(*_: object) -> None:
            """Three frames are rendered, and the rest when the daemon was killed."""
            if sum(server.renders.values()) >= 3:
                await killed.wait()

        server.gpu._pause = held  # type: ignore[method-assign]
        jobs = Jobs(tmp_path / "w", server.url)
        twins = ["cat-0000", "cat-0002"]
        async with daemon(jobs):
            await until(lambda: sum(server.renders.values()) >= 3, WITHIN_S)
            for name in twins:  # they go before it in everything that was not begun
                path = jobs.write(f"{name}.json", {**jobs.job, "job_id": name})
                more = ("--priority", "5", "--policy", jobs.root / "policy.json")
                assert (await jobs.caf("submit", "--job", path, *more)).code == 0
            with anyio.fail_after(WITHIN_S):
                for name in twins:
                    while "motion" not in [
                        found["stage"] for found in await jobs.events("StageStarted", name)
                    ]:
                        assert not is_done(jobs, "cat-0001")
        killed.set()
        assert len(server.posts) < FRAMES
        async with daemon(jobs):
            await until(lambda: all(is_done(jobs, name) for name in ("cat-0001", *twins)), WITHIN_S)
    assert server.renders == Counter({f"frame-{index:06d}": 1 for index in range(FRAMES)})
    assert len(server.posts) == FRAMES
