"""Recorded events over HTTP: pages with payloads, and a live stream without gap or repeat."""

import sys
from pathlib import Path
from random import Random

import anyio
import pytest

from caf.web.limits import Limits
from eventstore import NewEvent
from tests.docs.small_log import SILENT, STEADY
from tests.web.serving import Api, served
from tests.web.sse import listening


async def pause_and_go_on(api: Api, times: int) -> None:
    """Record two events each time."""
    for _ in range(times):
        await api.service.unpause(by="test")
        await api.service.pause(by="test", reason="")


async def test_pages_hold_the_whole_log_with_payloads_in_order(api: Api) -> None:
    positions, after = [], 0
    while True:
        page = (await api.get(f"/api/v1/events?limit=7&after={after}")).json()
        positions += [event["position"] for event in page["events"]]
        assert all(event["data"] is not None for event in page["events"])
        if page["next"] is None:
            break
        after = page["next"]
    assert positions == list(range(1, await api.service.app.store.head() + 1))


async def test_a_jobs_events_are_those_of_its_stream_by_version(api: Api) -> None:
    first = (await api.get(f"/api/v1/jobs/{STEADY}/events?limit=3")).json()
    rest = (await api.get(f"/api/v1/jobs/{STEADY}/events?after={first['next']}")).json()
    events = [*first["events"], *rest["events"]]
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "JobSubmitted"
    assert {event["correlation_id"] for event in events} == {STEADY}


async def test_a_page_of_large_payloads_ends_early_and_the_next_goes_on(workspace: Path) -> None:
    async with served(workspace, limits=Limits(page_bytes=6000)) as api:
        seen, after = [], 0
        while True:
            page = (await api.get(f"/api/v1/events?limit=1000&after={after}")).json()
            seen += [event["position"] for event in page["events"]]
            if page["next"] is None:
                break
            after = page["next"]
        assert seen == list(range(1, await api.service.app.store.head() + 1))
        assert len((await api.get("/api/v1/events?limit=1000")).json()["events"]) < len(seen)


@pytest.mark.parametrize("payload", [b"{", b'{"a":"\xff"}', b"[1] 2", b"[" * 5000 + b"]" * 5000])
async def test_a_payload_that_is_no_json_is_told_as_null_and_the_others_as_they_are(
    api: Api, payload: bytes
) -> None:
    store, head = api.service.app.store, await api.service.app.store.head()
    for data in (payload, b'{"large": 12345678901234567890123}'):
        await store.append("noise-x", [NewEvent(event_id=api.service.app.ids.new(), type="Noise", data=data)])
    answer = await api.get(f"/api/v1/events?after={head}")
    assert [event["data"] for event in answer.json()["events"]] == [None, {"large": 12345678901234567890123}]


async def test_a_payload_over_several_lines_is_one_event_to_a_listener(api: Api) -> None:
    event = NewEvent(event_id=api.service.app.ids.new(), type="Noise", data=b'{\n "a":\r\n "b\\n"\n}')
    async with listening(api) as listener:
        await api.service.app.store.append("noise-x", [event])
        told = await listener.next()
    assert (told.event, told.data["data"]) == ("Noise", {"a": "b\n"})


@pytest.mark.parametrize("after", ["-1", "x", "1e3", str(2**63), "9" * 400, "\u0661"])
async def test_a_position_that_is_none_is_refused(api: Api, after: str) -> None:
    assert (await api.get(f"/api/v1/events?after={after}")).status == 400


async def test_a_listener_is_told_its_position_at_once_and_then_what_is_recorded(api: Api) -> None:
    head = await api.service.app.store.head()
    async with listening(api) as listener:
        assert listener.last_id == head
        await pause_and_go_on(api, 1)
        told = [await listener.next(), await listener.next()]
        assert [(item.id, item.event) for item in told] == [
            (head + 1, "QueueUnpaused"),
            (head + 2, "QueuePaused"),
        ]
        assert told[0].data["position"] == head + 1


async def test_no_event_is_missed_or_repeated_while_others_write_and_over_reconnections(api: Api) -> None:
    random = Random(7)
    begun = await api.service.app.store.head()
    total = begun + 120
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(pause_and_go_on, api, 60)
        last = 0
        while last < total:
            async with listening(api, Last_Event_ID=str(last)) as listener:
                for _ in range(random.randint(1, 25)):
                    if last == total:
                        break
                    told = await listener.next()
                    seen.append(told.id)
                    last = told.id
    assert seen == list(range(1, total + 1))


async def test_a_listener_to_one_job_hears_of_no_other_but_moves_on_with_the_log(workspace: Path) -> None:
    async with served(workspace, limits=Limits(keep_alive_s=0.02)) as api:
        await api.service.pause(by="test", reason="")
        head = await api.service.app.store.head()
        async with listening(api, f"?job_id={SILENT}") as listener:
            await pause_and_go_on(api, 2)
            while listener.last_id != head + 4:
                fields = await listener.block()
                assert "data" not in fields
                listener.last_id = int(fields["id"])
            await api.post(f"/api/v1/jobs/{SILENT}/cancel")
            told = await listener.next()
            assert (told.id, told.event, told.data["stream"]) == (head + 5, "JobCancelled", f"job-{SILENT}")


async def test_what_another_process_records_is_told_too(api: Api, workspace: Path) -> None:
    head = await api.service.app.store.head()
    command = [sys.executable, "-m", "caf.cli", "cancel", SILENT, "--workspace", str(workspace)]
    async with listening(api) as listener:
        done = await anyio.run_process(command, check=False)
        assert done.returncode == 0, done.stderr
        told = await listener.next()
    assert (told.id, told.event, told.data["stream"]) == (head + 1, "JobCancelled", f"job-{SILENT}")


async def test_signs_of_life_come_while_nothing_is_recorded(workspace: Path) -> None:
    async with served(workspace, limits=Limits(keep_alive_s=0.01)) as api, listening(api) as listener:
        while listener.comments < 3:
            await listener.block()


@pytest.mark.parametrize("value", ["x", "", "-1", "1.5", "9" * 19, "0x1"])
async def test_a_last_event_id_that_is_no_position_is_refused(api: Api, value: str) -> None:
    assert (await api.get("/api/v1/stream", headers={"Last-Event-ID": value})).status == 400


async def test_a_position_of_another_log_is_refused_and_not_waited_for(api: Api) -> None:
    refused = await api.get("/api/v1/stream", headers={"Last-Event-ID": "1000000"})
    assert (refused.status, refused.kind) == (409, "beyond_the_log")


async def test_head_of_the_stream_ends(api: Api) -> None:
    assert (await api.ask("HEAD", "/api/v1/stream")).status == 200


async def test_listeners_beyond_the_limit_are_told_to_come_again(workspace: Path) -> None:
    async with served(workspace, limits=Limits(streams=1, keep_alive_s=0.01)) as api:
        async with listening(api):
            refused = await api.get("/api/v1/stream")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        with anyio.fail_after(60):
            while not await _may_listen(api):
                await anyio.lowlevel.checkpoint()


async def _may_listen(api: Api) -> bool:
    return (await api.ask("HEAD", "/api/v1/stream")).status == 200
