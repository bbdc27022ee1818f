"""What a script is given is JSON, whatever was asked, and of the contract where there is one."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from caf.events import PromptSubmitted, attempt_id
from caf.log import new_event, stream_of
from eventstore import NewEvent, SqliteStore, new_id
from tests.cli.conftest import Caf
from tests.docs.small_log import BROKEN, COSTUME, SILENT, STEADY

SCHEMAS = Path(__file__).parents[2] / "schemas"


def valid(document: object, schema: str) -> None:
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))


@pytest.mark.parametrize(
    "call",
    [
        ["jobs"],
        ["jobs", "--status", "cancelled"],
        ["show", BROKEN],
        ["replay", STEADY],
        ["inbox", "--all"],
        ["sql", "SELECT * FROM experience"],
        ["sql", "SELECT 1 WHERE 0"],
        ["sql", "SELECT x'ff00' AS blob, 1e999 AS endless, 9223372036854775807 AS large"],
        ["verify"],
        ["rebuild"],
        ["handoff", "scan"],
        ["handoff", "registry"],
        ["handoff", "register", STEADY, "--platform", "youtube", "--url", "https://example.org/2"],
        ["parameters"],
        ["resume", COSTUME],
        ["cancel", SILENT],
        ["answer", COSTUME, "abort"],
    ],
    ids=" ".join,
)
def test_every_verb_answers_in_json(caf: Caf, log_of_five: Path, call: list[str]) -> None:
    ran = caf(*call, "--json")
    assert "error" not in (ran.json() or {}), ran


@pytest.mark.parametrize(
    "payload", [b'{"a": "\xff"}', b"[" * 3000 + b"]" * 3000, b"no JSON"], ids=["bytes", "deep", "text"]
)
async def test_a_payload_that_cannot_be_read_is_null_and_ends_no_list(
    caf: Caf, log_of_five: Path, payload: bytes
) -> None:
    async with SqliteStore.open(log_of_five / ".caf" / "log.db") as store:
        strange = NewEvent(event_id=new_id(), type="Strange", type_version=1, data=payload)
        await store.append("job-of-another-program", [strange], expected_version=0)
    ran = caf("events", "--json")
    assert ran.code == 0, ran
    last = json.loads(ran.out.splitlines()[-1])
    assert (last["type"], last["data"]) == ("Strange", None)


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        (["show", "no-such-job"], 2, "unknown_job"),
        (["replay", STEADY, "--at", "999"], 2, "no_such_version"),
        (["replay", STEADY, "--at", "99999999999999999999999"], 2, "no_such_version"),
        (["replay", STEADY, "--at", "0"], 2, "usage"),
        (["replay", STEADY, "--at", "-1"], 2, "usage"),
        (["replay", STEADY, "--at", "now"], 2, "usage"),
        (["jobs", "--status", "sleeping"], 2, "usage"),
        (["jobs", "--limit", "99999999999999999999"], 2, "usage"),
        (["events", "--after", "99999999999999999999"], 2, "usage"),
        (["jbos"], 2, "usage"),
        (["sql", "SELECT"], 65, "bad_query"),
        (["sql", "SELECT 1; SELECT 2"], 65, "bad_query"),
        (["archive", "old.db", "--over-for", "inf"], 2, "usage"),
        (["archive", "old.db", "--over-for", "1e9"], 2, "usage"),
        (["answer", COSTUME, "retry", "--set", f"motion.pose_weight={'[' * 3000}"], 65, "bad_parameter"),
        (["answer", STEADY, "retry"], 2, "nothing_asked"),
        (["run", "no-such.mp4"], 65, "not_found"),
        (["show", "caf\udcff"], 65, "not_unicode"),
        (["cancel", SILENT, "--reason", "\udcff"], 2, "not_unicode"),
    ],
)
def test_an_error_is_json_on_stdout_and_a_sentence_on_stderr(
    caf: Caf, log_of_five: Path, call: list[str], code: int, kind: str
) -> None:
    ran = caf(*call, "--json")
    assert (ran.code, ran.json()["error"]["kind"]) == (code, kind)
    assert ran.json()["error"]["message"] in ran.err
    assert "Traceback" not in ran.err


def test_an_error_of_the_disk_is_json_on_stdout_too(tmp_path: Path, caf: Caf, clip: Path) -> None:
    ran = caf("stabilize", clip, tmp_path / f"{'a' * 300}.mp4", "--json")
    assert (ran.code, ran.json()["error"]["kind"]) == (65, "io_failed")
    assert "File name too long" in ran.json()["error"]["message"]
    assert ran.json()["error"]["message"] in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_error_is_a_sentence_where_stdout_takes_no_json(log_of_five: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "caf.cli", "show", "no-such-job", "--json", "--workspace", log_of_five],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"no-such-job" in done.stderr


def test_a_job_can_be_replayed_to_each_of_its_versions(caf: Caf, log_of_five: Path) -> None:
    last = len(caf("events", BROKEN).out.splitlines())
    for version in range(1, last + 1):
        assert caf("replay", BROKEN, "--at", str(version), "--json").json()["version"] == version
    assert caf("replay", BROKEN, "--at", str(last + 1)).code == 2


def test_documents_of_a_contract_are_of_it(caf: Caf, log_of_five: Path, tmp_path: Path) -> None:
    valid(caf("handoff", "registry").json(), "handoff_registry.v1")
    for job in (BROKEN, COSTUME, SILENT):
        valid(caf("show", job, "--json").json()["user_action_required"], "user_action_required.v1")
    (tmp_path / "metrics.json").write_text('{"metrics": {"loop_seam": {"score": 0.2}}}')
    valid(caf("qc", "evaluate", "--metrics", tmp_path / "metrics.json").json(), "qc_report.v1")


@pytest.mark.parametrize("verb", ["show", "replay"])
async def test_a_job_s_prompts_are_a_list(caf: Caf, log_of_five: Path, verb: str) -> None:
    stream, handles = stream_of(SILENT), ["http://a#1", "http://a#2", "http://a#3"]
    async with SqliteStore.open(log_of_five / ".caf" / "log.db") as store:
        sent = [
            PromptSubmitted(stage="motion", attempt_id=attempt_id(1), engine="comfyui", handle=handle)
            for handle in handles
        ]
        records = [new_event(one, event_id=new_id(), job_id=SILENT, causation_id=None) for one in sent]
        await store.append(stream, records, expected_version=await store.version(stream))
    prompts = caf(verb, SILENT, "--json").json()["job"]["attempts"][-1]["prompts"]
    assert [prompt["handle"] for prompt in prompts] == handles
