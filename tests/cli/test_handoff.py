"""`caf handoff`: what is live is registered once for each job and platform."""

import json
from pathlib import Path

from tests.cli.conftest import Caf

URL = "https://videos.example/watch?v=1"


def state(workspace: Path, folder: str, platform: str, **fields: object) -> Path:
    path = workspace / "sandbox" / "dist_artifacts" / folder / f"{platform}.state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"job_id": folder, "platform": platform, "status": "POSTED", **fields}))
    return path


def test_a_posted_state_file_enters_the_registry_once(caf: Caf, workspace: Path) -> None:
    state(workspace, "older-job", "youtube", post_url=URL, last_attempt_at="2026-02-08T05:00:46.997740Z")
    first, second = caf("handoff", "scan", "--json"), caf("handoff", "scan", "--json")
    assert [item["outcome"] for item in first.json()] == ["recorded"]
    assert [item["outcome"] for item in second.json()] == ["known"]
    registry = caf("handoff", "registry").json()
    assert registry["version"] == "handoff_registry.v1"
    assert registry["entries"] == [
        {
            "job_id": "older-job",
            "platform": "youtube",
            "post_url": URL,
            "posted_at": "2026-02-08T05:00:46.997740Z",
        }
    ]


def test_a_state_that_is_not_posted_is_left_alone(caf: Caf, workspace: Path) -> None:
    state(workspace, "older-job", "tiktok", status="PENDING")
    assert caf("handoff", "scan", "--json").json()[0]["outcome"] == "not_posted"
    assert caf("handoff", "registry").json()["entries"] == []


def test_a_posted_state_without_its_url_says_how_to_register(caf: Caf, workspace: Path) -> None:
    state(workspace, "older-job", "youtube")
    ran = caf("handoff", "scan", "--json")
    assert ran.code == 65
    assert "caf handoff register older-job --platform youtube" in ran.json()[0]["detail"]


def test_one_broken_state_file_does_not_stop_the_others(caf: Caf, workspace: Path) -> None:
    state(workspace, "job-a-broken", "youtube").write_text("{not json")
    state(workspace, "job-b-fine", "youtube", post_url=URL)
    state(workspace, "job-c-moved", "x", post_url=URL, job_id="job-of-another")
    outcomes = [item["outcome"] for item in caf("handoff", "scan", "--json").json()]
    assert outcomes == ["refused", "recorded", "refused"]


def test_the_same_post_on_two_platforms_is_two_entries(caf: Caf, workspace: Path) -> None:
    state(workspace, "older-job", "youtube", post_url=URL)
    state(workspace, "older-job", "x", post_url=URL)
    caf("handoff", "scan")
    assert [entry["platform"] for entry in caf("handoff", "registry").json()["entries"]] == ["x", "youtube"]


def test_a_person_cannot_register_a_job_that_is_not_here(caf: Caf, workspace: Path) -> None:
    caf("handoff", "scan")
    ran = caf("handoff", "register", "no-such-job", "--platform", "x", "--url", URL)
    assert ran.code == 2
    assert "no-such-job" in ran.err
