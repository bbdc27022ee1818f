"""What a job puts into a workflow arrives where it is meant, or is refused; nothing is passed over in silence."""

from typing import Any

import pytest

from caf.comfy.binding import bound, check_node_parameters, flat, from_bindings, models_of, prompt_of
from caf.contracts import ComfyBindings
from caf.errors import InputError
from tests.comfy.workflows import cat_graph, frame_graph, read

CATS = read(cat_graph())
CHECKPOINT = {"caf.checkpoint": "cat-v2.safetensors"}


def test_prompts_find_the_texts_that_the_sampler_is_conditioned_by() -> None:
    bindings = ComfyBindings(positive_prompt="a dancing cat", negative_prompt="blurry", seed=7)
    assert from_bindings(CATS, bindings) == {
        "6": {"text": "a dancing cat"},
        "7": {"text": "blurry"},
        "3": {"seed": 7},
    }


def test_prompts_go_to_the_nodes_that_are_named() -> None:
    bindings = ComfyBindings(positive_prompt="a cat", positive_nodes=("7",), seed=7, seed_nodes=("3",))
    assert from_bindings(CATS, bindings) == {"7": {"text": "a cat"}, "3": {"seed": 7}}


def test_prompts_pass_over_what_is_left_over_with_broken_links() -> None:
    left = {"20": {"class_type": "KSampler", "inputs": {"positive": ["77", 0]}}}
    bindings = ComfyBindings(positive_prompt="a dancing cat")
    assert from_bindings(read(cat_graph() | left), bindings) == {"6": {"text": "a dancing cat"}}


def test_a_prompt_goes_to_every_text_of_a_node_that_takes_several_also_where_one_stands_elsewhere() -> None:
    graph = cat_graph()
    texts = {"clip_l": "old", "clip_g": "old", "t5xxl": ["20", 0]}
    graph["6"] = {"class_type": "CLIPTextEncodeSD3", "inputs": {"clip": ["4", 1], **texts}}
    graph["20"] = {"class_type": "PrimitiveString", "inputs": {"value": "old"}}
    assert from_bindings(read(graph), ComfyBindings(positive_prompt="a cat")) == {
        "6": {"clip_l": "a cat", "clip_g": "a cat"},
        "20": {"value": "a cat"},
    }


def test_a_negative_prompt_never_takes_the_place_of_the_positive_one_that_is_zeroed_for_it() -> None:
    graph = cat_graph()
    graph["7"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    both = ComfyBindings(positive_prompt="a cat", negative_prompt="blurry")
    with pytest.raises(InputError, match="no text is linked to a negative input but the positive one's"):
        from_bindings(read(graph), both)
    assert from_bindings(read(graph), ComfyBindings(positive_prompt="a cat")) == {"6": {"text": "a cat"}}


@pytest.mark.parametrize(
    ("bindings", "told"),
    [
        ({"positive_nodes": ("66",), "positive_prompt": "x"}, "positive_nodes names node '66'"),
        ({"seed_nodes": ("5",), "seed": 1}, "Node 5 (VAEEncode) of cats takes no seed"),
        ({"seed_nodes": ("nope",)}, "seed_nodes names node 'nope'"),
    ],
)
def test_a_binding_that_points_at_nothing_is_refused(bindings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        from_bindings(CATS, ComfyBindings(**bindings))
    assert caught.value.kind == "unknown_parameter"
    assert told in caught.value.message


def test_a_prompt_for_a_workflow_without_texts_is_refused() -> None:
    with pytest.raises(InputError, match="no text is linked to a positive input"):
        from_bindings(read(frame_graph()), ComfyBindings(positive_prompt="a cat"))
    with pytest.raises(InputError, match="no node of cats takes one"):
        from_bindings(read(frame_graph()), ComfyBindings(seed=3))


@pytest.mark.parametrize(
    ("parameters", "kind", "told"),
    [
        ({"33": {"cfg": 5}}, "unknown_parameter", "no node '33' (did you mean 3?)"),
        (
            {"3": {"cfgs": 5}},
            "unknown_parameter",
            "no input 'cfgs' in node 3 (KSampler) of cats (did you mean cfg?)",
        ),
        ({"3": {"model": 5}}, "bad_parameter", "comes from node 4"),
        ({"3": {"cfg": "high"}}, "bad_parameter", "cannot be 'high': it is a number"),
        ({"3": {"seed": True}}, "bad_parameter", "cannot be True"),
        ({"1": {"image": "mine.png"}}, "bad_parameter", "is the place of __CAF_FRAME_IMAGE__"),
        ({"9": {"filename_prefix": "mine"}}, "bad_parameter", "is named by caf"),
        ({"caf": {"checkpoints": "x"}}, "unknown_parameter", "There is no caf.checkpoints"),
        ({"caf": {"queue_management": "ALL"}}, "bad_parameter", "cannot be 'ALL'"),
    ],
)
def test_a_parameter_that_fits_nowhere_is_refused(parameters: dict[str, Any], kind: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        check_node_parameters(CATS, parameters)
    assert caught.value.kind == kind
    assert told in caught.value.message


def test_a_checkpoint_for_a_workflow_that_takes_none_is_refused() -> None:
    with pytest.raises(InputError, match="a checkpoint goes nowhere"):
        check_node_parameters(read(frame_graph()), {"caf": {"checkpoint": "x.safetensors"}})


def test_parameters_and_the_checkpoint_stand_in_the_graph_and_the_workflow_stays_as_it_was() -> None:
    graph = bound(CATS, {"3.cfg": 7.5, "6.text": "a kitten", **CHECKPOINT})
    assert (graph["3"]["inputs"]["cfg"], graph["6"]["inputs"]["text"]) == (7.5, "a kitten")
    assert graph["4"]["inputs"]["ckpt_name"] == "cat-v2.safetensors"
    assert models_of(graph) == ("cat-v2.safetensors",)
    assert CATS.nodes["3"].inputs["cfg"] == 5.5


def test_weights_that_are_named_inside_a_value_are_told_with_the_others() -> None:
    graph = cat_graph()
    lora = {"on": True, "lora": "fur/Cat.SafeTensors", "strength": 0.8}
    graph["10"] = {"class_type": "Power Lora Loader (rgthree)", "inputs": {"lora_1": lora, "model": ["4", 0]}}
    graph["11"] = {"class_type": "Many", "inputs": {"names": {"__value__": ["a.pt", "b.txt"]}}}
    assert models_of(bound(read(graph), CHECKPOINT)) == ("a.pt", "cat-v2.safetensors", "fur/Cat.SafeTensors")


def test_a_checkpoint_that_nobody_names_is_asked_for() -> None:
    with pytest.raises(InputError) as caught:
        bound(CATS, {})
    assert caught.value.kind == "no_checkpoint"
    assert '{"caf": {"checkpoint"' in caught.value.remedy


def test_ids_and_names_with_points_are_told_apart_by_the_workflow() -> None:
    graph = frame_graph()
    graph["2.1"] = {"class_type": "ImageSharpen", "inputs": {**graph["2"]["inputs"], "more.sigma": 1.0}}
    nested = {"2.1": {"more.sigma": 2.0, "sigma": 3.0}, "2": {"sigma": 4.0}}
    made = bound(read(graph), flat(nested))
    assert made["2.1"]["inputs"]["more.sigma"] == 2.0
    assert (made["2.1"]["inputs"]["sigma"], made["2"]["inputs"]["sigma"]) == (3.0, 4.0)


def test_each_prompt_has_its_own_files_and_its_own_name_for_the_result() -> None:
    workflow = read(frame_graph())
    graph = bound(workflow, {})
    made = [
        prompt_of(
            workflow,
            graph,
            key=key,
            files={"__CAF_FRAME_IMAGE__": f"/tmp/{key}.png"},
            folder="caf/job/run-0001/motion",
        )
        for key in ("frame-000000", "frame-000001")
    ]
    assert [prompt.graph["9"]["inputs"]["filename_prefix"] for prompt in made] == [
        "caf/job/run-0001/motion/frame-000000",
        "caf/job/run-0001/motion/frame-000001",
    ]
    assert [(item.node_id, item.input, item.path) for item in made[1].files] == [
        ("1", "image", "/tmp/frame-000001.png")
    ]
    assert all(prompt.fresh and prompt.outputs == ("9",) for prompt in made)
    assert graph["9"]["inputs"]["filename_prefix"] == "x"


def test_a_picture_of_the_subject_that_the_job_does_not_have_is_asked_for() -> None:
    nodes = frame_graph()
    nodes["5"] = {"class_type": "LoadImage", "inputs": {"image": "__CAF_ANCHOR_IMAGE__"}}
    workflow = read(nodes)
    with pytest.raises(InputError, match="--reference"):
        prompt_of(workflow, bound(workflow, {}), key="k", files={"__CAF_FRAME_IMAGE__": "a.png"}, folder="f")
