"""`caf comfy` and `caf workflow lint`, as a person and a script see them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.comfy.server import FakeComfy
from tests.comfy.test_jobs import Jobs
from tests.comfy.workflows import document, frame_graph

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "comfyui"


def graph_for_the_played_server() -> dict[str, Any]:
    graph = frame_graph()
    graph["2"] = {"class_type": "Pause", "inputs": {"image": ["1", 0], "seconds": 0.1}}
    return graph


async def test_status_tells_of_every_server_and_fails_only_when_none_answers(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        both = await jobs.caf(
            "comfy", "status", "--server", server.url, "--server", "http://127.0.0.1:1", "--json"
        )
        none = await jobs.caf("comfy", "status", "--server", "http://127.0.0.1:1")
    well, silent = json.loads(both.out)
    assert (both.code, none.code) == (0, 69)
    assert (well["reachable"], well["version"], well["waiting"]) == (True, "0.33.0", 0)
    assert well["devices"][0]["vram_free"] == 6 * 2**30
    assert silent["reachable"] is False
    assert "nothing answers there (Connection refused)" in silent["fault"]
    assert "no answer" in none.out


async def test_the_configured_servers_are_asked_where_none_is_named(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        (jobs.root / "caf.toml").write_text(f'comfy_urls = "{server.url}/"\n', "utf-8")
        ran = await jobs.caf("comfy", "status", "--json")
    assert [item["url"] for item in json.loads(ran.out)] == [server.url]


async def test_the_queue_says_which_prompts_are_caf_s(tmp_path: Path) -> None:
    mark = {"job_id": "cat-0001", "attempt_id": "run-0001", "stage": "motion", "key": "frame-000003"}
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        server.tasks[0].cancel()  # the worker, so that what waits goes on waiting
        server.running[1] = (1.0, "aa", {}, {"caf": mark}, ["9"])
        server.queue.append((2.0, "bb", {}, {}, ["9"]))
        ran = await jobs.caf("comfy", "queue", "--server", server.url, "--json")
        del server.running[1]
        server.queue.clear()
    first, second = json.loads(ran.out)
    assert (first["state"], first["place"], first["job_id"], first["key"]) == (
        "running",
        0,
        "cat-0001",
        "frame-000003",
    )
    assert (second["state"], second["prompt_id"], second["job_id"]) == ("pending", "bb", None)


async def test_the_doctor_looks_at_the_registry_s_workflows_too(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        (jobs.root / "workflows" / "sharp.json").write_bytes(document(frame_graph()))
        flows = [
            {"workflow_id": name, "engine": "comfyui", "relpath": f"workflows/{name}.json", "tags": []}
            for name in ("pause", "sharp")
        ]
        jobs.write("registry.json", {"version": "1.0", "workflows": flows})
        (jobs.root / "caf.toml").write_text('registry = "registry.json"\n', "utf-8")
        ran = await jobs.caf("comfy", "doctor", "--server", server.url, "--json")
    found = {item["what"]: item["verdict"] for item in json.loads(ran.out)[server.url]}
    assert ran.code == 0
    assert found["pause would run"] == "good"
    wrong = next(what for what in found if what.startswith("sharp would not run"))
    assert "node 2 (ImageSharpen)" in wrong
    assert found[wrong] == "warning"


async def test_the_doctor_looks_at_workflows_with_what_the_registry_gives_their_nodes(tmp_path: Path) -> None:
    graph = graph_for_the_played_server()
    graph["4"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "__CAF_CHECKPOINT__"}}
    graph["2"]["inputs"]["model"] = ["4", 0]
    defaults: dict[str, Any] = {
        "lion": {"caf": {"checkpoint": "lion.safetensors"}, "motion": {"temporal_smoothing": 0.5}},
        "slow": {"2": {"second": 1.0}},
        "rough": {"motion": {"temporal_smoothing": 7}},
    }
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        (jobs.root / "workflows" / "cats.json").write_bytes(document(graph))
        flow = {"engine": "comfyui", "relpath": "workflows/cats.json", "tags": []}
        flows = [
            {**flow, "workflow_id": name, "default_parameters": given} for name, given in defaults.items()
        ]
        jobs.write("registry.json", {"version": "1.0", "workflows": flows})
        (jobs.root / "caf.toml").write_text('registry = "registry.json"\n', "utf-8")
        ran = await jobs.caf("comfy", "doctor", "--server", server.url, "--json")
    lion, slow, rough = (item for item in json.loads(ran.out)[server.url] if item["name"] == "workflow")
    assert [one["verdict"] for one in (lion, slow, rough)] == ["warning"] * 3
    assert "lion would not run: node 4" in lion["what"]
    assert "'lion.safetensors' is not among the server's" in lion["what"]
    assert "There is no input 'second' in node 2" in slow["what"]
    assert "temporal_smoothing" in rough["what"]


async def test_the_doctor_tells_a_worker_that_has_stopped(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        server.wedged = True
        server.queue.append((2.0, "bb", {}, {}, ["9"]))
        server.tasks[0].cancel()
        ran = await jobs.caf("comfy", "doctor", "--server", server.url)
        server.queue.clear()
    assert ran.code == 69
    assert "its worker has stopped" in ran.out


async def test_a_workflow_is_linted_against_a_server(tmp_path: Path) -> None:
    file = tmp_path / "cats.json"
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        file.write_bytes(document(graph_for_the_played_server()))
        secret = server.url.replace("http://", "http://ada:secret@")
        good = await jobs.caf("workflow", "lint", file, "--server", secret, "--json")
        file.write_bytes(document(frame_graph()))
        bad = await jobs.caf("workflow", "lint", file, "--server", server.url, "--json")
        calls = set(server.calls)
    told = json.loads(good.out)
    assert (good.code, told["good"], told["mode"], told["outputs"]) == (
        0,
        True,
        "motion_frame_sequence",
        ["9"],
    )
    assert told["placeholders"] == {"__CAF_FRAME_IMAGE__": ["1.image"]}
    assert [f"{item['node_id']}.{item['input']}" for item in told["adjustable"]] == ["2.seconds"]
    assert told["server"] == server.url
    assert bad.code == 65
    assert [item["kind"] for item in json.loads(bad.out)["problems"]] == ["missing_node_type"]
    assert not [call for call in calls if call.startswith("POST")]


async def test_a_checkpoint_that_is_named_is_looked_for_at_the_server(tmp_path: Path) -> None:
    graph = graph_for_the_played_server()
    graph["4"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "__CAF_CHECKPOINT__"}}
    graph["2"]["inputs"]["model"] = ["4", 0]
    file = tmp_path / "cats.json"
    file.write_bytes(document(graph))
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(
            tmp_path / "w", server.url, bindings={"parameters": {"caf": {"checkpoint": "dog.safetensors"}}}
        )
        call = ("workflow", "lint", file, "--server", server.url, "--json")
        ran = [
            await jobs.caf(*call, *more)
            for more in ((), ("--set", "caf.checkpoint=lion.safetensors"), ("--job", jobs.job_file))
        ]
    told = [json.loads(one.out) for one in ran]
    assert [one.code for one in ran] == [0, 65, 65]
    assert [one["models"] for one in told] == [[], ["lion.safetensors"], ["dog.safetensors"]]
    for one, name in zip(told[1:], ("lion", "dog"), strict=True):
        [wrong] = [problem for problem in one["problems"] if problem["grave"]]
        assert wrong["kind"] == "value_not_in_list"
        assert f"'{name}.safetensors' is not among the server's" in wrong["message"]


@pytest.mark.parametrize("verb", ["status", "doctor", "queue"])
async def test_what_is_no_address_among_servers_is_told_and_the_others_are_asked(
    tmp_path: Path, verb: str
) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        jobs = Jobs(tmp_path / "w", server.url)
        both = await jobs.caf("comfy", verb, "--server", f"localhost:8188,{server.url}")
        none = await jobs.caf("comfy", verb, "--server", "localhost:8188")
        asked = sorted(server.calls)
    assert (both.code, none.code) == (0, 69)
    assert "'localhost:8188' is not the address of a ComfyUI server" in both.out + both.err
    assert "'localhost:8188' is not the address of a ComfyUI server" in none.out + none.err
    assert asked


@pytest.mark.parametrize("verb", ["status", "doctor", "queue"])
async def test_that_no_server_is_configured_is_said(tmp_path: Path, verb: str) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1")
    (jobs.root / "caf.toml").write_text('comfy_urls = ""\n', "utf-8")
    ran = await jobs.caf("comfy", verb)
    assert (ran.code, ran.err) == (69, "No server is configured: set comfy_urls.\n")


async def test_a_workflow_is_linted_without_a_server_as_far_as_that_goes(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1")
    ran = await jobs.caf("workflow", "lint", EXAMPLES / "weight-free.json")
    assert ran.code == 0
    assert "2.sharpen_radius" in ran.out
    assert "--server URL" in ran.err


async def test_a_job_s_bindings_are_linted_with_the_workflow(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1", bindings={"positive_prompt": "a cat", "seed": 9})
    good = await jobs.caf("workflow", "lint", EXAMPLES / "cat-repaint.json", "--job", jobs.job_file, "--json")
    bad = await jobs.caf("workflow", "lint", EXAMPLES / "weight-free.json", "--job", jobs.job_file)
    values = {
        f"{item['node_id']}.{item['input']}": item["value"] for item in json.loads(good.out)["adjustable"]
    }
    assert (values["6.text"], values["3.seed"]) == ("a cat", 9)
    assert bad.code == 65
    assert "no text is linked to a positive input" in bad.err


async def test_parameters_of_the_stages_are_linted_with_those_of_the_nodes(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1", bindings={"parameters": {"motion": {"smoothing": 1}}})
    call = ("workflow", "lint", EXAMPLES / "weight-free.json")
    good = await jobs.caf(*call, "--set", "motion.temporal_smoothing=0.5")
    bad = await jobs.caf(*call, "--job", jobs.job_file)
    assert (good.code, bad.code) == (0, 65)
    assert "smoothing" in bad.err


async def test_a_server_that_is_away_is_not_the_workflow_s_fault(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1")
    ran = await jobs.caf("workflow", "lint", EXAMPLES / "weight-free.json", "--server", "http://127.0.0.1:1")
    assert ran.code == 75


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.json")))
async def test_the_examples_are_workflows_that_caf_takes(tmp_path: Path, name: str) -> None:
    jobs = Jobs(tmp_path / "w", "http://127.0.0.1:1")
    ran = await jobs.caf("workflow", "lint", EXAMPLES / name, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["outputs"] == ["9"]
