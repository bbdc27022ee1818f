"""Job files as people and tools write them: what can be understood runs, the rest is told with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Caf
from tests.cli.test_run import lenient
from tests.clips import make_picture

JOB = "written-job"


@pytest.fixture
def sandbox(workspace: Path, clip: Path) -> Path:
    """A workspace with a clip, a picture, packs and a policy for job files to name."""
    sandbox = workspace / "sandbox"
    (sandbox / "jobs").mkdir(parents=True)
    (sandbox / "assets").mkdir()
    (sandbox / "assets" / "cat.mp4").write_bytes(clip.read_bytes())
    make_picture(sandbox / "assets" / "front.png", seed=9, subject=True)
    lenient(workspace)
    documents: dict[str, Any] = {
        "pack.json": {"version": "episode_continuity_pack.v1", "rules": {"require_costume_fidelity": True}},
        "identity.json": {"identity_id": "mochi", "references": {"front": "sandbox/assets/front.png"}},
        "outside.json": {"identity_id": "mochi", "references": {"front": "../../etc/passwd"}},
        "targets.json": {"profile_id": "strict", "thresholds": {"audio_video": 0.5, "unheard_of": 0.2}},
        "too-high.json": {"profile_id": "strict", "thresholds": {"audio_video": 5}},
    }
    for name, document in documents.items():
        (sandbox / name).write_text(json.dumps(document))
    return sandbox


def document(**more: Any) -> dict[str, Any]:
    return {
        "job_id": JOB,
        "video": {},
        "render": {"background_asset": "assets/cat.mp4"},
        "quality_policy": {"relpath": "policy.json"},
        **more,
    }


def written(sandbox: Path, content: bytes) -> Path:
    path = sandbox / "jobs" / f"{JOB}.job.json"
    path.write_bytes(content)
    return path


def test_packs_targets_and_fields_that_nobody_knows_are_taken_in(caf: Caf, sandbox: Path) -> None:
    job = document(
        continuity_pack={"relpath": "sandbox/pack.json"},
        hero={"hero_id": "mochi", "identity_pack_ref": "sandbox/identity.json"},
        quality_target={"relpath": "sandbox/targets.json"},
        lane="dance_swap",
        script="猫が踊る 🐈",
        captions=["\u001b[31mred"],
        of_tomorrow={"nested": [1e308, 2**200]},
    )
    path = written(sandbox, json.dumps(job, indent=2).replace("\n", "\r\n").encode())
    assert caf("run", "--job", path).code == 0
    submitted = caf("replay", JOB, "--at", "1", "--json").json()["job"]["submitted"]
    assert submitted["costume_required"] is True
    assert submitted["reference"] == "sandbox/assets/front.png"
    assert submitted["targets"] == {"audio_video": 0.5, "unheard_of": 0.2}
    assert submitted["document"]["script"] == "猫が踊る 🐈"
    again = caf("run", "--job", path)
    assert again.code == 2
    assert "in the log already" in again.err
    assert caf("verify").code == 0


def test_ten_megabytes_are_read_and_more_than_a_document_can_have_is_not(caf: Caf, sandbox: Path) -> None:
    path = written(sandbox, json.dumps(document(junk=["x" * 1000] * 10_000)).encode())
    assert caf("run", "--job", path).code == 0
    endless = caf("run", "--job", "/dev/zero", "--job-id", "endless")
    assert endless.code == 65
    assert "at most 16 MiB" in endless.err
    assert caf("verify").code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"quality_policy": {"relpath": "../policy.json"}}, "quality_policy.relpath is '../policy.json'"),
        ({"quality_target": {"relpath": "/etc/passwd"}}, "quality_target.relpath is '/etc/passwd'"),
        ({"continuity_pack": {"relpath": "sandbox"}}, "sandbox cannot be read"),
        ({"quality_target": {"relpath": "sandbox/too-high.json"}}, "thresholds.audio_video is 5"),
        ({"hero": {"identity_pack_ref": "sandbox/outside.json"}}, "leads out of its folder"),
        ({"hero": {"identity_pack_ref": "sandbox/none.json"}}, "none.json is not there"),
        ({"render": {"background_asset": "assets"}}, "is not a file"),
        ({"render": {"background_asset": "a" * 5000}}, "File name too long"),
        ({"render": {"background_asset": "assets/c\0at.mp4"}}, "control character"),
        ({"comfyui": {"bindings": {"identity_image_path": "a" * 5000}}}, "File name too long"),
        ({"comfyui": {"bindings": {"parameters": {"motion": {"nope": 1}}}}}, "no parameter nope"),
        ({"comfyui": {"workflow_id": "dream"}}, "'dream'"),
        ({"video": {"fps": -3}}, "video.fps is -3"),
        ({"video": {"length_seconds": 0}}, "video.length_seconds is 0"),
        ({"platforms": ["../x"]}, "platforms[0] is '../x'"),
        ({"job_id": None}, "job_id is null"),
    ],
)
def test_a_field_that_cannot_be_is_told_and_nothing_is_recorded(
    caf: Caf, sandbox: Path, more: dict[str, Any], words: str
) -> None:
    ran = caf("run", "--job", written(sandbox, json.dumps(document(**more)).encode()))
    assert (ran.code, words in ran.err, "Traceback" in ran.err) == (65, True, False), ran
    assert caf("events").code in (0, 2)
    assert caf("events").out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"[1]", "a list"),
        (b"null", "null"),
        (json.dumps(document()).encode() + b" and more", "line 1"),
        (json.dumps(document()).encode("utf-16"), "UTF-16"),
        (json.dumps(document()).encode("utf-8-sig"), "byte order mark"),
        (b'{"job_id": "K\xe4tzchen"}', "UTF-8"),
        (b'{"job_id": "\\ud800"}', "line 1"),
        (b'{"video": {"fps": NaN}}', "line 1, column 19"),
        (b'{"video": {"fps": 1e999}}', "Number out of range"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested too deeply"),
    ],
)
def test_what_is_no_job_is_told_with_its_place(caf: Caf, sandbox: Path, content: bytes, words: str) -> None:
    ran = caf("run", "--job", written(sandbox, content))
    assert (ran.code, words in ran.err, "Traceback" in ran.err) == (65, True, False), ran
