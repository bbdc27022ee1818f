"""Jobs over HTTP: pages that hold still, what a job waits for, and the commands that people give."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from caf.events import PromptSubmitted, attempt_id
from caf.log import new_event, stream_of
from tests.docs.small_log import BROKEN, COSTUME, REPAIRED, SILENT, STEADY
from tests.web.serving import Api

JOBS = "/api/v1/jobs"
ALL = {BROKEN, COSTUME, REPAIRED, SILENT, STEADY}


async def page(api: Api, query: str = "") -> tuple[list[str], str | None]:
    found = (await api.get(f"{JOBS}{query}")).json()
    return [job["job_id"] for job in found["jobs"]], found["next"]


async def test_pages_hold_every_job_once_the_newest_first(api: Api) -> None:
    seen, after = [], ""
    while True:
        jobs, following = await page(api, f"?limit=2{after}")
        seen += jobs
        if following is None:
            break
        after = f"&after={following}"
    assert seen == (await page(api))[0]
    assert set(seen) == ALL
    assert len(seen) == 5


async def test_a_page_begun_before_a_submission_goes_on_without_gap_or_repeat(api: Api, clip: str) -> None:
    before = (await page(api))[0]
    first, after = await page(api, "?limit=2")
    for number in range(3):
        await api.post(JOBS, json={"clip": clip, "job_id": f"inserted-{number}"})
    second, after = await page(api, f"?limit=2&after={after}")
    third, after = await page(api, f"?limit=2&after={after}")
    assert [*first, *second, *third] == before
    assert after is None


@pytest.mark.parametrize(
    ("query", "jobs"),
    [
        ("?status=completed", {STEADY, REPAIRED}),
        ("?status=waiting", {COSTUME, SILENT, BROKEN}),
        ("?status=aborted", set()),
        ("?lane=ai_video", set()),
        ("?lane=%00%27%20OR%201", set()),
    ],
)
async def test_a_filter_gives_those_jobs_alone(api: Api, query: str, jobs: set[str]) -> None:
    assert set((await page(api, query))[0]) == jobs


@pytest.mark.parametrize(
    "query",
    ["status=done", "limit=0", "limit=1001", "limit=1.0", "limit=", "limit=1&limit=1", "order=up", "after=X"],
)
async def test_a_query_that_is_not_described_is_refused(api: Api, query: str) -> None:
    assert (await api.get(f"{JOBS}?{query}")).status == 400


async def test_a_page_after_an_unknown_job_is_no_empty_page(api: Api) -> None:
    assert (await api.get(f"{JOBS}?after=never-was")).status == 404


async def test_every_job_says_why_it_is_where_it_is(api: Api, clip: str) -> None:
    await api.post(JOBS, json={"clip": clip, "job_id": "in-the-line"})
    told = {name: (await api.get(f"{JOBS}/{name}")).json()["standing"] for name in (*ALL, "in-the-line")}
    assert {name: standing["kind"] for name, standing in told.items()} == {
        STEADY: "over",
        REPAIRED: "over",
        COSTUME: "person",
        SILENT: "person",
        BROKEN: "person",
        "in-the-line": "paused",
    }
    assert all(standing["why"] for standing in told.values())


async def test_what_was_sent_to_a_server_is_a_list_in_the_job_s_state(api: Api) -> None:
    app, stream, handles = api.service.app, stream_of(SILENT), ["http://a#1", "http://a#2", "http://a#3"]
    sent = [
        PromptSubmitted(stage="motion", attempt_id=attempt_id(1), engine="comfyui", handle=handle)
        for handle in handles
    ]
    records = [new_event(one, event_id=app.ids.new(), job_id=SILENT, causation_id=None) for one in sent]
    await app.store.append(stream, records, expected_version=await app.store.version(stream))
    prompts = (await api.get(f"{JOBS}/{SILENT}")).json()["state"]["attempts"][-1]["prompts"]
    assert [prompt["handle"] for prompt in prompts] == handles
    without = (await api.get(f"{JOBS}/{SILENT}?prompts=none")).json()["state"]
    assert [attempt["prompts"] for attempt in without["attempts"]] == [[]] * len(without["attempts"])


async def test_where_one_job_stands_is_told_without_its_state(api: Api) -> None:
    assert (await page(api, f"?job_id={SILENT}"))[0] == [SILENT]
    assert (await page(api, "?job_id=never-was"))[0] == []


@pytest.mark.parametrize("path", ["", "/events", "/artifacts", f"/artifacts/{'0' * 64}"])
async def test_an_unknown_job_is_not_found(api: Api, path: str) -> None:
    refused = await api.get(f"{JOBS}/never-was{path}")
    assert (refused.status, refused.kind) == (404, "unknown_job")


@pytest.mark.parametrize(
    ("command", "body"),
    [("cancel", {}), ("answer", {"action": "abort"}), ("retry", {"from_stage": "frame"})],
)
async def test_a_command_to_an_unknown_job_is_not_found(api: Api, command: str, body: dict[str, Any]) -> None:
    assert (await api.post(f"{JOBS}/never-was/{command}", json=body)).status == 404


async def test_a_cancellation_is_recorded_once(api: Api) -> None:
    body = {"by": "ada", "reason": "wrong cat"}
    said = [(await api.post(f"{JOBS}/{SILENT}/cancel", json=body)).json() for _ in range(2)]
    assert said == [{"recorded": True}, {"recorded": False}]
    shown = (await api.get(f"{JOBS}/{SILENT}")).json()
    assert (shown["job"]["status"], shown["job"]["reason"]) == ("cancelled", "cancelled by ada: wrong cat")


async def test_a_completed_job_is_not_cancelled(api: Api) -> None:
    refused = await api.post(f"{JOBS}/{STEADY}/cancel")
    assert (refused.status, refused.kind) == (409, "job_over")


async def test_an_open_question_is_listed_and_answered_once(api: Api) -> None:
    asked = (await api.get("/api/v1/escalations")).json()["escalations"]
    assert {item["job_id"] for item in asked} == {COSTUME, SILENT, BROKEN}
    [question] = [item["question"] for item in asked if item["job_id"] == SILENT]
    answer = {"action": "proceed", "by": "ada", "note": "it is silent on purpose", "question": question}
    refused = await api.post(f"{JOBS}/{SILENT}/answer", json={**answer, "question": question + 1})
    assert (refused.status, refused.kind) == (409, "another_question")
    assert (await api.post(f"{JOBS}/{SILENT}/answer", json=answer)).json() == {"recorded": True}
    refused = await api.post(f"{JOBS}/{SILENT}/answer", json=answer)
    assert (refused.status, refused.kind) == (409, "nothing_asked")
    left = (await api.get("/api/v1/escalations")).json()["escalations"]
    assert {item["job_id"] for item in left} == {COSTUME, BROKEN}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({}, 422),
        ({"action": "maybe"}, 422),
        ({"action": "proceed", "from_stage": "frame"}, 409),
        ({"action": "retry", "source": "../../etc/passwd"}, 409),
        ({"action": "retry", "parameters": {"frame": {"no_such": 1}}}, 409),
        ({"action": "retry", "by": ""}, 422),
        ({"action": "retry", "note": "x" * 2001}, 422),
    ],
    ids=str,
)
async def test_an_answer_that_cannot_be_is_refused(api: Api, answer: dict[str, Any], status: int) -> None:
    assert (await api.post(f"{JOBS}/{SILENT}/answer", json=answer)).status == status
    assert (await api.get(f"{JOBS}/{SILENT}")).json()["job"]["status"] == "waiting"


async def test_a_retry_is_a_new_job_that_names_the_old_one(api: Api) -> None:
    done = await api.post(f"{JOBS}/{STEADY}/retry", json={"from_stage": "motion", "by": "ada"})
    assert (done.status, done.json()["job_id"]) == (201, f"{STEADY}-2")
    assert (await api.get(done.headers["Location"])).json()["job"]["retry_of"] == STEADY


async def test_retries_of_one_job_at_the_same_time_get_names_of_their_own(api: Api) -> None:
    names = []

    async def again() -> None:
        done = await api.post(f"{JOBS}/{STEADY}/retry", json={"from_stage": "motion"})
        names.append(done.json()["job_id"])

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(again)
    assert sorted(names) == [f"{STEADY}-{number}" for number in range(2, 8)]


async def test_a_retry_under_a_given_id_is_made_once(api: Api) -> None:
    body = {"from_stage": "motion", "job_id": "steady-again"}
    statuses = [(await api.post(f"{JOBS}/{STEADY}/retry", json=body)).status for _ in range(2)]
    assert statuses == [201, 409]


async def test_a_job_that_waits_for_an_answer_is_not_retried(api: Api) -> None:
    refused = await api.post(f"{JOBS}/{SILENT}/retry", json={"from_stage": "frame"})
    assert (refused.status, refused.kind) == (409, "waits_for_an_answer")


async def test_the_queue_is_paused_and_goes_on_and_says_by_whom(workspace: Path, api: Api) -> None:
    assert (await api.post("/api/v1/queue/unpause", json={"by": "ada"})).json() == {"recorded": True}
    assert (await api.post("/api/v1/queue/unpause")).json() == {"recorded": False}
    assert (await api.post("/api/v1/queue/pause", json={"by": "bob", "reason": "lunch"})).status == 200
    shown = (await api.get("/api/v1/events?limit=1000")).json()["events"]
    assert [event["type"] for event in shown][-3:] == ["QueuePaused", "QueueUnpaused", "QueuePaused"]
