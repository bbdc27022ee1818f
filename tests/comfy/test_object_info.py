"""A graph is held against what a server's nodes take and give, before the server is asked to run it."""

from typing import Any

import pytest

from caf.comfy.binding import bound
from caf.comfy.object_info import adjustable, nodes_of
from caf.comfy.problems import Problem, problems
from tests.comfy.workflows import OBJECT_INFO, cat_graph, frame_graph, read

KNOWN = nodes_of(OBJECT_INFO)


def found(graph: dict[str, Any]) -> list[Problem]:
    return problems(graph, KNOWN, outputs=("9",))


def cats(node_id: str = "3", **inputs: Any) -> dict[str, Any]:
    graph = bound(read(cat_graph()), {"caf.checkpoint": "cat-v2.safetensors"})
    graph[node_id]["inputs"] |= inputs
    return graph


def test_a_graph_that_the_server_would_run_has_no_problem() -> None:
    assert found(cats()) == []
    assert found(bound(read(frame_graph()), {})) == []


@pytest.mark.parametrize(
    ("graph", "kind", "told"),
    [
        (cats(steps=0), "value_smaller_than_min", "node 3 (KSampler), steps: 0 is below 1."),
        (cats(denoise=1.5), "value_bigger_than_max", "1.5 is above 1"),
        (cats(steps="many"), "invalid_input_type", "'many' is no value for INT"),
        (cats(steps="2.5"), "invalid_input_type", "'2.5' is no value for INT"),
        (cats(steps=float("inf")), "invalid_input_type", "inf is no value for INT"),
        (cats(cfg=None), "invalid_input_type", "None is no value for FLOAT"),
        (cats(seed=2**64), "value_bigger_than_max", f"{2**64} is above {2**64 - 1}"),
        (cats(positive=["6"]), "bad_linked_input", "['6'] is no link"),
        (cats(positive=[6, 0]), "bad_linked_input", "[6, 0] is no link"),
        (cats(positive=["6", "0"]), "bad_linked_input", "['6', '0'] is no link"),
        (cats(positive=[["6", 0], ["7", 0]]), "bad_linked_input", "is no link"),
        (cats("6", text=["a", "cat"]), "bad_linked_input", "is no link"),
        (cats(cfg=float("nan")), "invalid_input_type", "is no value for FLOAT"),
        (cats(sampler_name="eular"), "value_not_in_list", "did you mean euler?"),
        (cats("4", ckpt_name="cat-v3.safetensors"), "value_not_in_list", "is not among the server's: cat-v2"),
        (
            cats(positive=["5", 0]),
            "return_type_mismatch",
            "it takes CONDITIONING, and node 5 (VAEEncode) gives",
        ),
        (cats(positive=["6", 3]), "dangling_link", "node 6 (CLIPTextEncode) has no output 3"),
        (cats(positive=["66", 0]), "dangling_link", "it is linked to node 66, which is not there"),
        (cats(extra=["66", 0]), "dangling_link", "it is linked to node 66, which is not there"),
        (cats("1", image="gone.png"), "file_not_listed", "'gone.png' is not in the top of"),
        (cats("5", pixels=["8", 0]), "dependency_cycle", "go round in a circle"),
    ],
)
def test_what_the_server_would_refuse_is_told_by_node_and_input(
    graph: dict[str, Any], kind: str, told: str
) -> None:
    grave = [problem for problem in found(graph) if problem.grave]
    assert [problem.kind for problem in grave] == [kind]
    assert told in grave[0].message


def test_outputs_that_grow_and_types_that_may_be_any_are_not_refused() -> None:
    info = OBJECT_INFO | {
        "Switch": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["*"], "output_node": False},
        "AnyOf": {"input": {"required": {"image": ["MASK,*"]}}, "output": ["IMAGE"], "output_node": False},
    }
    graph = frame_graph()
    graph["20"] = {"class_type": "Switch", "inputs": {"image": ["2", 0]}}
    graph["21"] = {"class_type": "AnyOf", "inputs": {"image": ["20", 3]}}
    graph["22"] = {"class_type": "AnyOf", "inputs": {"image": ["21", 0]}}
    graph["9"]["inputs"]["images"] = ["22", 0]
    [told] = problems(graph, nodes_of(info), outputs=("9",))
    assert (told.kind, told.input, told.grave) == ("dangling_link", "image", False)
    assert "node 20 (Switch) has no output 3, though it may grow" in told.message


def test_a_class_that_the_server_does_not_have_is_told_with_the_nearest() -> None:
    graph = cats()
    graph["3"]["class_type"] = "KSamplr"
    [problem] = found(graph)
    assert (problem.kind, problem.node_id) == ("missing_node_type", "3")
    assert "it has KSampler" in problem.message


def test_a_required_input_that_is_missing_is_told() -> None:
    graph = cats()
    del graph["3"]["inputs"]["cfg"]
    assert [(item.kind, item.input) for item in found(graph)] == [("required_input_missing", "cfg")]


def test_an_input_that_the_server_would_pass_over_is_noted_and_editor_s_own_are_not() -> None:
    graph = cats(cgf=7)
    graph["1"]["inputs"]["upload"] = "image"
    [problem] = found(graph)
    assert (problem.kind, problem.grave) == ("unknown_input", False)
    assert "did you mean cfg?" in problem.message


def test_files_below_the_input_folder_or_of_another_are_found_without_being_listed() -> None:
    for name in ("shots/plate.png", "frame_00001_.png [output]"):
        assert [problem.grave for problem in found(cats("1", image=name))] == [False]


def test_a_declared_output_that_is_none_is_told() -> None:
    kinds = [problem.kind for problem in problems(cats(), KNOWN, outputs=("8",))]
    assert kinds == ["no_output_node"]
    graph = cats()
    del graph["9"]
    assert [problem.kind for problem in problems(graph, KNOWN)] == ["prompt_no_outputs"]


def test_both_forms_of_lists_any_type_and_nonsense_are_understood() -> None:
    known = nodes_of(
        {
            "Old": {"input": {"required": {"a": [["x", "y"]]}}, "output": [["x", "y"]]},
            "New": {"input": {"required": {"a": ["COMBO", {"options": ["x"]}], "b": ["*"]}}, "output": ["*"]},
            "Remote": {"input": {"required": {"a": ["COMBO", {"remote": {"route": "/r"}, "options": []}]}}},
            "Odd": {"input": None, "output": "IMAGE"},
            "Broken": 7,
        }
    )
    assert known["Old"].inputs["a"].choices == ("x", "y")
    assert known["New"].inputs["a"].choices == ("x",)
    assert known["Remote"].inputs["a"].choices is None
    assert (known["Odd"].inputs, known["Odd"].outputs) == ({}, None)
    assert "Broken" not in known
    graph = {
        "1": {"class_type": "Old", "inputs": {"a": "x"}},
        "2": {"class_type": "New", "inputs": {"a": ["1", 0], "b": ["1", 0]}},
    }
    assert [item.kind for item in problems(graph, known)] == ["prompt_no_outputs"]


@pytest.mark.parametrize(
    ("inputs", "changed"),
    [
        ({"seed": 2**53 + 1}, []),
        ({"seed": 2**64 - 1}, []),
        ({"steps": True, "cfg": True}, []),
        ({"steps": "8", "cfg": "5.5", "denoise": 1}, []),
        ({"steps": 2.0}, []),
        ({"steps": 2.5}, ["2.5 becomes 2 at the server"]),
    ],
)
def test_numbers_are_made_as_the_server_makes_them_and_what_changes_is_noted(
    inputs: dict[str, Any], changed: list[str]
) -> None:
    noted = found(cats(**inputs))
    assert [(item.grave, item.message.split(": ")[1]) for item in noted] == [
        (False, f"{text}.") for text in changed
    ]


@pytest.mark.parametrize(
    ("value", "changed"),
    [
        ({"on": True, "text": 3}, []),
        ({"on": 1.0, "text": "3"}, []),
        ({"on": "false", "text": None}, ["'false' becomes True", "None becomes 'None'"]),
        ({"on": None, "text": {"a": 1}}, ["None becomes False", "{'a': 1} becomes"]),
        ({"on": {"__value__": [1]}, "text": ""}, ["[1] becomes True"]),
    ],
)
def test_every_value_makes_a_text_and_a_yes_or_no(value: dict[str, Any], changed: list[str]) -> None:
    known = nodes_of(
        {"Said": {"input": {"required": {"on": ["BOOLEAN"], "text": ["STRING"]}}, "output_node": True}}
    )
    noted = problems({"1": {"class_type": "Said", "inputs": value}}, known)
    assert [item.grave for item in noted] == [False] * len(changed)
    assert all(text in item.message for item, text in zip(noted, changed, strict=True))


def leftover(**nodes: Any) -> list[Problem]:
    return found(cats() | nodes)


def test_of_nodes_that_no_output_needs_the_server_knows_only_the_class() -> None:
    noted = leftover(
        **{
            "20": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "gone.safetensors"}},
            "21": {"class_type": "VAEDecode", "inputs": {"samples": ["22", 0], "vae": ["20", 2]}},
            "22": {"class_type": "KSampler", "inputs": {}},
            "23": {"class_type": "VAEEncode", "inputs": {"pixels": ["99", 0], "vae": ["24", 0]}},
            "24": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["23", 0]}},
        }
    )
    assert {"value_not_in_list", "required_input_missing", "dangling_link"} <= {item.kind for item in noted}
    assert not any(item.grave for item in noted)
    assert "no output needs this node" in noted[0].message
    [unknown] = leftover(**{"20": {"class_type": "NotInstalled", "inputs": {}}})
    assert (unknown.kind, unknown.grave) == ("missing_node_type", True)


def test_what_another_output_needs_is_judged_as_what_the_declared_one_does() -> None:
    [gone] = leftover(
        **{
            "19": {"class_type": "PreviewImage", "inputs": {"images": ["20", 0]}},
            "20": {"class_type": "LoadImage", "inputs": {"image": "gone.png"}},
        }
    )
    assert (gone.kind, gone.grave) == ("file_not_listed", True)


def dynamic() -> dict[str, Any]:
    """As ComfyUI 0.33 tells of its ResizeImageMaskNode, and a choice within a choice."""
    inner = [
        "COMFY_DYNAMICCOMBO_V3",
        {"options": [{"key": "smooth", "inputs": {"required": {"by": ["FLOAT"]}}}]},
    ]
    scaled = {"width": ["INT", {"min": 0, "max": 16384}], "crop": ["COMBO", {"options": ["off", "center"]}]}
    options = [
        {"key": "scale dimensions", "inputs": {"required": scaled}},
        {"key": "match size", "inputs": {"required": {"match": ["IMAGE", {}]}, "optional": {"way": inner}}},
        {"key": "none", "inputs": {"required": {}}},
    ]
    required = {"input": ["IMAGE", {}], "resize_type": ["COMFY_DYNAMICCOMBO_V3", {"options": options}]}
    return {"Resize": {"input": {"required": required}, "output": ["IMAGE"], "output_node": True}}


@pytest.mark.parametrize(
    ("chosen", "kinds"),
    [
        ({"resize_type": "none"}, []),
        ({}, ["required_input_missing"]),
        (
            {
                "resize_type": "scale dimensions",
                "resize_type.width": 512,
                "resize_type.crop": "center",
            },
            [],
        ),
        ({"resize_type": "scale dimensions", "resize_type.width": 512}, ["required_input_missing"]),
        (
            {"resize_type": "scale dimensions", "resize_type.width": -1, "resize_type.crop": "left"},
            ["value_not_in_list", "value_smaller_than_min"],
        ),
        ({"resize_type": "match size", "resize_type.match": ["1", 0]}, []),
        (
            {
                "resize_type": "match size",
                "resize_type.match": ["1", 0],
                "resize_type.way": "smooth",
                "resize_type.way.by": "much",
            },
            ["invalid_input_type"],
        ),
        ({"resize_type": "shrink"}, ["value_not_in_list"]),
    ],
)
def test_a_choice_that_brings_inputs_is_judged_with_them(chosen: dict[str, Any], kinds: list[str]) -> None:
    known = nodes_of(OBJECT_INFO | dynamic())
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "there.png"}},
        "2": {"class_type": "Resize", "inputs": {"input": ["1", 0], **chosen}},
    }
    assert sorted(item.kind for item in problems(graph, known)) == kinds
    listed = {item.input for item in adjustable(graph, known) if item.node_id == "2"}
    assert listed == {name for name, value in chosen.items() if not isinstance(value, list)}


def test_inputs_that_grow_with_what_is_chosen_are_not_called_unknown() -> None:
    known = nodes_of(
        {
            "Grows": {
                "input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {}]}},
                "output": [],
                "output_node": True,
            }
        }
    )
    graph = {"1": {"class_type": "Grows", "inputs": {"mode": "a", "mode.size": 3}}}
    assert problems(graph, known) == []


def test_what_can_be_set_is_listed_with_its_range() -> None:
    listed = {f"{item.node_id}.{item.input}": item for item in adjustable(cats(), KNOWN)}
    assert (listed["3.denoise"].minimum, listed["3.denoise"].maximum) == (0.0, 1.0)
    assert listed["3.sampler_name"].choices == ("euler", "dpmpp_2m")
    assert listed["4.ckpt_name"].value == "cat-v2.safetensors"
    assert not {"3.model", "1.image"} & listed.keys()
