"""What a workflow's file holds: both forms are read, and what would not run is refused with its place."""

import json
from typing import Any

import pytest

from caf.comfy.graph import mode_of, outputs_of, read_workflow, workflow_digest
from caf.errors import DocumentError
from tests.comfy.workflows import cat_graph, document, frame_graph, read


def refused(data: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_workflow(data, "cats.json")
    return caught.value


def with_node(node_id: str, **inputs: Any) -> dict[str, Any]:
    graph = frame_graph()
    graph[node_id]["inputs"] |= inputs
    return graph


def test_the_editor_s_form_is_refused_with_how_to_export() -> None:
    editor = {
        "last_node_id": 9,
        "nodes": [{"id": 1, "type": "LoadImage"}],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }
    fault = refused(json.dumps(editor).encode())
    assert fault.kind == "comfy_ui_format"
    assert "Export (API)" in fault.remedy


def test_a_plain_export_s_only_loader_takes_the_frame() -> None:
    graph = frame_graph()
    graph["1"]["inputs"] = {"image": "plate.png", "upload": "image"}
    workflow = read_workflow(json.dumps(graph).encode(), "sharp.json", workflow_id="sharp")
    assert (workflow.workflow_id, mode_of(workflow).name) == ("sharp", "motion_frame_sequence")
    assert workflow.nodes["1"].inputs["image"] == "__CAF_FRAME_IMAGE__"
    assert outputs_of(workflow) == ("9",)


def test_a_place_for_the_model_alone_leaves_the_only_loader_to_the_frame() -> None:
    graph = cat_graph()
    graph["1"]["inputs"] = {"image": "example.png"}
    workflow = read_workflow(json.dumps(graph).encode(), "cats.json")
    assert workflow.nodes["1"].inputs["image"] == "__CAF_FRAME_IMAGE__"
    graph["1"]["inputs"] = {"image": "__CAF_FRAME__"}
    assert "there is no placeholder __CAF_FRAME__" in refused(json.dumps(graph).encode()).message


def test_what_is_left_over_beside_the_outputs_may_be_broken() -> None:
    left = {
        "20": {"class_type": "VAEDecode", "inputs": {"samples": ["77", 0], "positive": ["78", 0]}},
        "21": {"class_type": "VAEEncode", "inputs": {"pixels": ["22", 0]}},
        "22": {"class_type": "VAEDecode", "inputs": {"samples": ["21", 0]}},
    }
    assert set(left) < set(read(frame_graph() | left).nodes)


def test_a_node_id_or_an_input_that_stands_twice_is_refused_by_its_name() -> None:
    written = json.dumps(frame_graph())
    twice = written.replace('"9": {', '"2": {"class_type": "ImageBlur", "inputs": {}}, "9": {', 1)
    for data in (twice, json.dumps({"prompt": 1}).replace("1", twice)):
        fault = refused(data.encode())
        assert fault.kind == "bad_workflow"
        assert "the node id '2' stands twice, as ImageSharpen and as ImageBlur" in fault.message
    again = written.replace('"filename_prefix":', '"images": 5, "filename_prefix":', 1)
    assert "the name 'images' stands twice" in refused(again.encode()).message


def test_the_body_of_a_request_is_an_export_too() -> None:
    assert set(read_workflow(json.dumps({"prompt": frame_graph()}).encode(), "x").nodes) == {"1", "2", "9"}


@pytest.mark.parametrize("meta", [None, 5, [], {"title": None}, {"title": 5}])
def test_a_title_that_is_none_is_nobody_s_concern(meta: Any) -> None:
    graph = frame_graph()
    graph["2"]["_meta"] = meta
    graph["9"]["_meta"] = {"title": "Save"}
    for data in (document(graph), json.dumps(graph).encode()):
        nodes = read_workflow(data, "cats.json").nodes
        assert (nodes["2"].meta.title, nodes["9"].meta.title) == ("", "Save")


def test_a_plain_export_with_two_loaders_must_say_which_the_frame_is() -> None:
    graph = frame_graph()
    graph["1"]["inputs"]["image"] = "plate.png"
    graph["5"] = {"class_type": "LoadImage", "inputs": {"image": "other.png"}}
    fault = refused(json.dumps(graph).encode())
    assert "1 (LoadImage), 5 (LoadImage)" in fault.message
    assert "__CAF_FRAME_IMAGE__" in fault.remedy


def test_the_output_is_the_declared_one_and_never_guessed_among_several() -> None:
    graph = frame_graph()
    graph["11"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "before"}}
    assert "9 (SaveImage), 11 (SaveImage)" in refused(document(graph)).message
    assert outputs_of(read(graph, caf_outputs=["9"])) == ("9",)


def test_a_preview_beside_what_is_saved_is_not_meant() -> None:
    graph = frame_graph()
    graph["11"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    assert outputs_of(read(graph)) == ("9",)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (document({}), "has no nodes"),
        (
            document(with_node("2", image=["77", 0])),
            "node 2, image: it is linked to node 77, which is not there",
        ),
        (document(with_node("1", image=["9", 0], mask=["2", 0])), "go round in a circle"),
        (document(with_node("1", image="__CAF_FRAME__")), "there is no placeholder __CAF_FRAME__"),
        (document(frame_graph(), caf_mode="dream"), "caf has no mode 'dream'"),
        (document(frame_graph(), caf_outputs=["77"]), "names node 77"),
        (document(frame_graph(), caf_capabilities={"required_node_ids": ["12"]}), "names node 12"),
        (
            document(frame_graph(), caf_capabilities={"required_node_classes": ["KSampler"]}),
            "of class KSampler",
        ),
        (document(frame_graph(), caf_mode="image"), "so that there is no __CAF_FRAME_IMAGE__"),
        (
            document(with_node("1", image="fixed.png"), caf_mode="motion_frame_sequence"),
            "no node takes the frame",
        ),
        (document(with_node("1", image="__CAF_SEED_IMAGE__"), caf_mode="motion_chunks"), "caf_chunk_frames"),
        (
            document(
                with_node("1", image="__CAF_CLIP_VIDEO__"), caf_mode="motion_chunks", caf_chunk_frames=1
            ),
            "caf_chunk_frames",
        ),
        (document(with_node("2", clip="__CAF_CLIP_VIDEO__")), "so that there is no __CAF_CLIP_VIDEO__"),
        (
            document(with_node("2", poses="__CAF_POSE_VIDEO__"), caf_mode="frame_sequence"),
            "so that there is no __CAF_POSE_VIDEO__",
        ),
        (
            document(
                frame_graph() | {"9": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["2", 0]}}}
            ),
            "no node that is known to save",
        ),
        (document({"video": frame_graph()["1"]}), "cannot have the id 'video'"),
        (document({"pose": frame_graph()["1"]}), "cannot have the id 'pose'"),
        (document({"1": frame_graph()["1"]}), "no node that is known to save"),
        (b'{"1": {"inputs": {}}}', "node 1 has no class_type"),
    ],
)
def test_what_would_not_run_is_refused_with_its_place(data: bytes, told: str) -> None:
    fault = refused(data)
    assert told in fault.message
    assert fault.remedy


@pytest.mark.parametrize(
    ("graph", "header", "mode", "stage"),
    [
        (frame_graph(), {}, "motion_frame_sequence", "motion"),
        (frame_graph(), {"caf_mode": "frame_sequence"}, "frame_sequence", "frame"),
        (with_node("1", image="__CAF_SEED_IMAGE__"), {}, "image", "frame"),
        (with_node("1", image="__CAF_CLIP_VIDEO__"), {}, "motion_clip", "motion"),
        (with_node("1", image="__CAF_POSE_IMAGE__"), {}, "motion_frame_sequence", "motion"),
        (with_node("1", image="__CAF_POSE_VIDEO__"), {}, "motion_clip", "motion"),
        (
            with_node("1", image="__CAF_POSE_VIDEO__"),
            {"caf_mode": "motion_chunks", "caf_chunk_frames": 16},
            "motion_chunks",
            "motion",
        ),
        (
            with_node("1", image="__CAF_CLIP_VIDEO__"),
            {"caf_mode": "motion_chunks", "caf_chunk_frames": 16},
            "motion_chunks",
            "motion",
        ),
    ],
)
def test_how_a_workflow_is_used_follows_from_what_it_says_and_takes(
    graph: dict[str, Any], header: dict[str, Any], mode: str, stage: str
) -> None:
    found = mode_of(read(graph, **header))
    assert (found.name, found.stage) == (mode, stage)


def test_a_workflow_that_saves_a_clip_makes_a_clip() -> None:
    graph = with_node("1", image="__CAF_SEED_IMAGE__")
    graph["9"] = {
        "class_type": "SaveWEBM",
        "inputs": {"images": ["2", 0], "filename_prefix": "x", "fps": 24.0},
    }
    assert mode_of(read(graph)).name == "motion_clip"


def test_the_digest_is_of_the_content_whatever_its_order() -> None:
    graph = cat_graph()
    turned = dict(reversed(graph.items()))
    assert workflow_digest(graph) == workflow_digest(turned)
    assert workflow_digest(graph) != workflow_digest(frame_graph())
