"""Submissions: by document and by path, once for each key, whatever is repeated, at once or later."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.docs.small_log import STEADY
from tests.web.serving import Answer, Api, served

JOBS = "/api/v1/jobs"


def document(job_id: str, clip: str) -> dict[str, Any]:
    return {"job_id": job_id, "video": {}, "render": {"background_asset": clip}, "lane": "ai_video"}


async def submit(api: Api, body: dict[str, Any], key: str | None = None) -> Answer:
    return await api.post(JOBS, json=body, headers={} if key is None else {"Idempotency-Key": key})


async def count(api: Api) -> int:
    return len((await api.get(f"{JOBS}?limit=1000")).json()["jobs"])


async def test_a_document_is_submitted_and_found_under_its_id(api: Api, workspace: Path, clip: str) -> None:
    (workspace / clip).rename(workspace / "sandbox" / "tiny.mp4")
    done = await submit(api, {"document": document("by-document", "tiny.mp4"), "priority": 7})
    assert (done.status, done.json()) == (201, {"job_id": "by-document", "repeated": False})
    shown = (await api.get(done.headers["Location"])).json()
    assert shown["job"]["priority"] == 7
    assert shown["job"]["lane"] == "ai_video"
    assert shown["job"]["submitted_by"] == "api"
    assert shown["standing"]["kind"] == "paused"
    assert "nothing is to run" in shown["standing"]["why"]


async def test_a_clip_is_submitted_by_its_path_and_named_after_it(api: Api, clip: str) -> None:
    done = await submit(api, {"clip": clip})
    assert done.status == 201
    assert done.json()["job_id"].startswith("tiny-")


async def test_the_same_key_and_body_give_the_same_job_also_when_the_clip_is_gone(
    api: Api, clip: str, workspace: Path
) -> None:
    first = await submit(api, {"clip": clip}, "once")
    (workspace / clip).unlink()
    again = await submit(api, {"clip": clip}, "once")
    assert (first.status, again.status) == (201, 200)
    assert again.json() == {"job_id": first.json()["job_id"], "repeated": True}
    assert await count(api) == 6


@pytest.mark.parametrize(
    "other",
    [
        {"priority": 1},
        {"platforms": ["youtube"]},
        {"require_audio": True},
        {"parameters": {"motion": {"temporal_smoothing": 0.5}}},
        {"job_id": "another-name"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_the_same_key_with_another_body_is_refused(api: Api, clip: str, other: dict[str, Any]) -> None:
    await submit(api, {"clip": clip, "job_id": "the-first"}, "once")
    refused = await submit(api, {"clip": clip, "job_id": "the-first", **other}, "once")
    assert (refused.status, refused.kind) == (409, "key_reused")
    assert await count(api) == 6


async def test_a_new_key_does_not_submit_a_known_job_again(api: Api, clip: str) -> None:
    refused = await submit(api, {"clip": clip, "job_id": STEADY}, "new")
    assert (refused.status, refused.kind) == (409, "job_exists")


async def test_duplicates_at_the_same_time_are_one_job(api: Api, clip: str) -> None:
    answers: list[Answer] = []

    async def one() -> None:
        answers.append(await submit(api, {"clip": clip}, "race"))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one)
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert await count(api) == 6


async def test_different_bodies_at_the_same_time_under_one_key_are_one_job(api: Api, clip: str) -> None:
    answers: list[Answer] = []

    async def one(number: int) -> None:
        answers.append(await submit(api, {"clip": clip, "job_id": f"racer-{number}"}, "race"))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(one, number)
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    assert await count(api) == 6


async def test_a_key_is_remembered_over_a_restart(workspace: Path, clip: str) -> None:
    answers = []
    for _ in range(2):
        async with served(workspace) as api:
            await api.service.pause(by="test", reason="")
            answers.append(await submit(api, {"clip": clip}, "kept"))
    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].json()["job_id"] == answers[1].json()["job_id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "\xe4"], ids=["empty", "space", "long", "latin"])
async def test_a_key_that_is_none_is_refused(api: Api, clip: str, key: str) -> None:
    assert (await submit(api, {"clip": clip}, key)).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "../workspace/../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "a" * 4000,
        "a/" * 1900 + "b",
        "sandbox",
        "%2e%2e",
    ],
    ids=["outside", "absolute", "nul", "long", "deep", "folder", "percent"],
)
async def test_a_path_that_is_no_file_of_the_workspace_is_refused(api: Api, path: str) -> None:
    refused = await submit(api, {"clip": path})
    assert (refused.status, refused.kind) == (409, "media_missing")


async def test_a_link_that_leads_out_of_the_workspace_is_refused(api: Api, workspace: Path) -> None:
    (workspace / "link.mp4").symlink_to("/etc/passwd")
    assert (await submit(api, {"clip": "link.mp4"})).kind == "media_missing"


async def test_what_is_no_clip_is_refused_and_nothing_is_recorded(api: Api, workspace: Path) -> None:
    (workspace / "text.mp4").write_text("no clip")
    refused = await submit(api, {"clip": "text.mp4"}, "bad")
    assert refused.status == 409
    assert await count(api) == 5


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"clip": 5},
        {"clip": "tiny.mp4", "unknown": 1},
        {"clip": "tiny.mp4", "job_id": "UPPER"},
        {"clip": "tiny.mp4", "job_id": "line-feed\n"},
        {"clip": "tiny.mp4", "priority": 101},
        {"clip": "tiny.mp4", "priority": 10**400},
        {"document": {"job_id": "no-video"}},
        {"document": {"job_id": "escapes", "video": {}, "render": {"background_asset": "../../x"}}},
    ],
    ids=str,
)
async def test_a_body_that_breaks_the_contract_is_unprocessable(api: Api, body: dict[str, Any]) -> None:
    refused = await submit(api, body)
    assert refused.status in (409, 422)
    assert await count(api) == 5


async def test_nothing_is_taken_while_the_daemon_stops_but_what_was_is_known(api: Api, clip: str) -> None:
    await submit(api, {"clip": clip}, "before")
    api.service.dispatcher.draining = True
    assert (await submit(api, {"clip": clip}, "before")).status == 200
    refused = await submit(api, {"clip": clip}, "after")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
