"""What is dropped into the workspace's folders: taken once, waited for, or refused with a reason."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.serving import STRICT, Daemon, document, eventually, serving

JOBS = "sandbox/jobs"


def rejection(path: Path) -> dict[str, Any]:
    """What lies beside a refused file, once it does."""
    place = path.with_name(f"{path.name}.rejected.json")
    eventually(place.exists, f"{place} is there")
    told: dict[str, Any] = json.loads(place.read_text())
    return told


def gone(path: Path) -> None:
    place = path.with_name(f"{path.name}.rejected.json")
    eventually(lambda: not place.exists(), f"{place} is gone")


def test_a_dropped_job_is_submitted_once_and_runs_to_its_end(daemon: Daemon) -> None:
    path = daemon.drop("dropped-once")
    assert daemon.until_over("dropped-once") == "JobCompleted"
    daemon.drop("dropped-once")
    os.utime(path)
    daemon.drop("dropped-after")
    daemon.until_over("dropped-after")
    assert daemon.types("dropped-once").count("JobSubmitted") == 1
    assert not list(path.parent.glob("dropped-once*.rejected.json"))


def test_the_job_is_recorded_for_the_file_that_it_came_in(daemon: Daemon) -> None:
    daemon.drop("dropped-from")
    data = daemon.until_recorded("dropped-from", "JobSubmitted")["data"]
    assert data["submitted_by"] == f"{JOBS}/dropped-from.job.json"


def test_a_half_written_job_is_waited_for(daemon: Daemon) -> None:
    text = json.dumps(document("half-written"))
    path = daemon.workspace / JOBS / "half-written.job.json"
    path.write_text(text[:20])
    daemon.drop("written-later")
    daemon.until_recorded("written-later", "JobSubmitted")
    path.write_text(text)
    assert daemon.until_over("half-written") == "JobCompleted"


def test_a_job_whose_clip_is_still_being_copied_is_waited_for(daemon: Daemon) -> None:
    sandbox = daemon.workspace / "sandbox"
    whole = (sandbox / "long.mp4").read_bytes()
    piece = len(whole) // 4 + 1
    daemon.drop("copied-clip", "copied.mp4")
    with (sandbox / "copied.mp4").open("wb") as file:
        for start in range(0, len(whole), piece):
            file.write(whole[start : start + piece])
            file.flush()
            daemon.drop(f"copied-beside-{start}")
            daemon.until_recorded(f"copied-beside-{start}", "JobSubmitted")
    event = daemon.until_recorded("copied-clip", "StageCompleted", stage="artifact")
    assert event["data"]["artifacts"][0]["bytes"] == len(whole)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken-json", b'{"job_id": ', "malformed"),
        ("no-asset", b'{"job_id": "no-asset", "video": {}}', "render"),
        ("not-utf8", '{"job_id": "not-utf8"}'.encode("utf-16"), "UTF-16"),
        ("leaves-it", json.dumps(document("leaves-it", "../../etc/passwd")).encode(), "passwd"),
        ("no-clip-there", json.dumps(document("no-clip-there", "nowhere.mp4")).encode(), "nowhere.mp4"),
        (
            "no-video",
            json.dumps(document("no-video", "jobs/no-video.job.json")).encode(),
            "no-video.job.json",
        ),
        ("BAD NAME", json.dumps(document("bad-name")).encode(), "BAD NAME"),
        ("huge-file", b'{"job_id": "' + b"x" * 2_000_000 + b'"}', "more than 1 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() else "",
)
def test_what_cannot_be_a_job_is_refused_with_reason_and_remedy(
    daemon: Daemon, name: str, content: bytes, words: str
) -> None:
    path = daemon.workspace / JOBS / f"{name}.job.json"
    path.write_bytes(content)
    told = daemon.until_rejected(f"{JOBS}/{name}.job.json")
    assert words in told["message"]
    assert told["remedy"]
    assert rejection(path) | told == rejection(path) | {"type": "DocumentRejected"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nowhere", "device"])
def test_what_is_no_file_stops_nothing(daemon: Daemon, kind: str) -> None:
    path = daemon.workspace / JOBS / f"odd-{kind}.job.json"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "nowhere":
            path.symlink_to("/nowhere/at/all")
        case _:
            path.symlink_to("/dev/zero")
    if kind not in ("loop", "nowhere"):  # those are nothing at all
        assert rejection(path)["remedy"]
    daemon.drop(f"beside-{kind}")
    assert daemon.until_over(f"beside-{kind}") == "JobCompleted"
    if kind == "folder":
        path.rmdir()
    else:
        path.unlink()
    gone(path)


def test_a_name_that_is_no_unicode_is_refused_and_stops_nothing(daemon: Daemon) -> None:
    folder = os.fsencode(daemon.workspace / JOBS)
    Path(os.fsdecode(folder + b"/odd-\xff-name.job.json")).write_text(json.dumps(document("odd-name")))
    assert daemon.until_rejected(f"{JOBS}/odd-\\xff-name.job.json")
    daemon.drop("beside-odd-name")
    assert daemon.until_over("beside-odd-name") == "JobCompleted"


def test_a_very_long_name_is_refused_and_told_beside_it(daemon: Daemon) -> None:
    path = daemon.workspace / JOBS / f"{'long' * 60}.job.json"
    path.write_text(json.dumps(document("long-name")))
    assert daemon.until_rejected(f"{JOBS}/{path.name}")
    eventually(lambda: list(path.parent.glob("longlong*.rejected.json")), "a rejection with a shorter name")


def test_a_corrected_file_is_taken_and_its_rejection_is_gone(daemon: Daemon) -> None:
    path = daemon.workspace / JOBS / "corrected.job.json"
    path.write_text("{]")
    rejection(path)
    daemon.drop("corrected")
    assert daemon.until_over("corrected") == "JobCompleted"
    gone(path)


def test_a_job_whose_missing_clip_comes_later_is_taken(daemon: Daemon) -> None:
    path = daemon.drop("late-clip", "late.mp4")
    rejection(path)
    sandbox = daemon.workspace / "sandbox"
    shutil.copy(sandbox / "short.mp4", sandbox / "late.mp4")
    assert daemon.until_over("late-clip") == "JobCompleted"
    gone(path)


def test_a_job_that_is_known_does_not_change_with_its_file(daemon: Daemon) -> None:
    daemon.drop("changed-later")
    daemon.until_over("changed-later")
    path = daemon.drop("changed-later", niche="dogs")
    assert rejection(path)["kind"] == "job_exists"
    daemon.drop("changed-later")
    gone(path)
    assert daemon.types("changed-later").count("JobSubmitted") == 1


def test_a_renamed_job_file_is_another_job(daemon: Daemon) -> None:
    path = daemon.drop("named-first")
    daemon.until_over("named-first")
    path.rename(path.with_name("named-second.job.json"))
    assert daemon.until_over("named-second") == "JobCompleted"


def test_an_answer_in_the_inbox_is_taken_once(daemon: Daemon) -> None:
    daemon.drop("asks-inbox", **STRICT)
    daemon.until_recorded("asks-inbox", "Escalated")
    inbox = daemon.workspace / "sandbox" / "inbox"
    (inbox / "half.json").write_text('{"job_id": "asks-inbox", ')
    answer: dict[str, Any] = {"job_id": "asks-inbox", "action": "abort", "by": "inga", "note": "no cat"}
    (inbox / "late.json").write_text(json.dumps({**answer, "question": 1}))
    assert rejection(inbox / "late.json")["kind"] == "another_question"
    (inbox / "answer.json").write_text(json.dumps(answer))
    event = daemon.until_recorded("asks-inbox", "EscalationAnswered")
    assert event["data"] | {"by": "inga", "note": "no cat", "action": "abort"} == event["data"]
    assert daemon.until_over("asks-inbox") == "JobAborted"
    assert rejection(inbox / "half.json")["kind"] == "contract_violation"
    assert daemon.types("asks-inbox").count("EscalationAnswered") == 1


def test_an_answer_to_nothing_is_refused(daemon: Daemon) -> None:
    daemon.drop("asks-nothing")
    daemon.until_over("asks-nothing")
    path = daemon.workspace / "sandbox" / "inbox" / "uncalled.json"
    path.write_text(json.dumps({"job_id": "asks-nothing", "action": "retry", "by": "inga"}))
    assert rejection(path)["kind"] == "nothing_asked"


def test_an_approval_in_the_inbox_is_recorded_once(daemon: Daemon) -> None:
    daemon.drop("approved-1")
    daemon.until_over("approved-1")
    inbox = daemon.workspace / "sandbox" / "inbox"
    for nonce in ("a1", "b2"):
        (inbox / f"approve-approved-1-youtube-{nonce}.json").write_text('{"by": "inga"}')
    event = daemon.until_recorded("approved-1", "HandoffApproved")
    assert event["data"]["platform"] == "youtube"
    (inbox / "approve-unknown-job-youtube-c3.json").write_text("{}")
    assert rejection(inbox / "approve-unknown-job-youtube-c3.json")["kind"] == "unknown_job"
    assert daemon.types("approved-1").count("HandoffApproved") == 1


def test_a_post_that_a_tool_wrote_down_is_recorded(daemon: Daemon) -> None:
    daemon.drop("posted-1")
    daemon.until_over("posted-1")
    folder = daemon.workspace / "sandbox" / "dist_artifacts" / "posted-1"
    folder.mkdir(exist_ok=True)
    state = {
        "job_id": "posted-1",
        "platform": "youtube",
        "status": "POSTED",
        "attempts": 1,
        "last_attempt_at": "2026-02-08T05:00:46Z",
        "post_url": "https://youtu.be/1",
    }
    (folder / "youtube.state.json").write_text(json.dumps(state))
    assert daemon.until_recorded("posted-1", "Posted")["data"]["post_url"] == "https://youtu.be/1"


def test_a_folder_that_was_taken_away_is_looked_at_again_when_it_is_back(daemon: Daemon) -> None:
    jobs = daemon.workspace / JOBS
    jobs.rename(jobs.with_name("jobs-away"))
    jobs.mkdir()
    daemon.drop("after-a-move")
    assert daemon.until_over("after-a-move") == "JobCompleted"


def test_what_was_dropped_while_nobody_served_is_taken_once_also_by_a_daemon_that_is_killed(
    workspace: Path,
) -> None:
    names = [f"many-{number:02}" for number in range(8)]
    for name in names:
        (workspace / JOBS / f"{name}.job.json").write_text(json.dumps(document(name)))
    (workspace / JOBS / "broken-for-ever.job.json").write_text("{")
    with serving(workspace) as first:
        first.until_recorded(names[3], "JobSubmitted")
        first.kill()
    with serving(workspace) as second:
        second.until_rejected(f"{JOBS}/broken-for-ever.job.json")
        second.until(
            lambda: len([e for e in second.events if e["type"] == "JobCompleted"]) > 1, "some of them"
        )
        assert second.stop() == 0
    with serving(workspace) as third:
        for name in names:
            third.until_stands(name, "over")
        lines = third.caf("events", "--json").out.splitlines()
    types = [json.loads(line)["type"] for line in lines]
    assert types.count("JobSubmitted") == types.count("JobCompleted") == len(names)
    assert types.count("DocumentRejected") == 1
