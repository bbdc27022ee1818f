"""Workflows and the nodes of a server for tests: what a few core nodes take and give, as real servers say it."""

from typing import Any

import msgspec

from caf.comfy.graph import read_workflow
from caf.contracts import ComfyUIWorkflow

__all__ = ["OBJECT_INFO", "cat_graph", "document", "frame_graph", "read"]


def _node(
    required: dict[str, Any],
    output: list[Any],
    *,
    optional: dict[str, Any] | None = None,
    output_node: bool = False,
) -> dict[str, Any]:
    return {
        "input": {"required": required, "optional": optional or {}},
        "output": output,
        "output_node": output_node,
    }


OBJECT_INFO: dict[str, Any] = {
    "LoadImage": _node({"image": [["there.png"], {"image_upload": True}]}, ["IMAGE", "MASK"]),
    "ImageSharpen": _node(
        {
            "image": ["IMAGE"],
            "sharpen_radius": ["INT", {"default": 1, "min": 1, "max": 31, "step": 1}],
            "sigma": ["FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.01}],
            "alpha": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 5.0, "step": 0.01}],
        },
        ["IMAGE"],
    ),
    "CheckpointLoaderSimple": _node({"ckpt_name": [["cat-v2.safetensors"]]}, ["MODEL", "CLIP", "VAE"]),
    "CLIPTextEncode": _node({"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}, ["CONDITIONING"]),
    "VAEEncode": _node({"pixels": ["IMAGE"], "vae": ["VAE"]}, ["LATENT"]),
    "VAEDecode": _node({"samples": ["LATENT"], "vae": ["VAE"]}, ["IMAGE"]),
    "KSampler": _node(
        {
            "model": ["MODEL"],
            "seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615}],
            "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
            "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}],
            "sampler_name": ["COMBO", {"options": ["euler", "dpmpp_2m"]}],
            "positive": ["CONDITIONING"],
            "negative": ["CONDITIONING"],
            "latent_image": ["LATENT"],
            "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}],
        },
        ["LATENT"],
    ),
    "SaveImage": _node({"images": ["IMAGE"], "filename_prefix": ["STRING"]}, [], output_node=True),
    "PreviewImage": _node({"images": ["IMAGE"]}, [], output_node=True),
}


def frame_graph() -> dict[str, Any]:
    """A picture made sharper; no model."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "__CAF_FRAME_IMAGE__"}},
        "2": {
            "class_type": "ImageSharpen",
            "inputs": {"image": ["1", 0], "sharpen_radius": 1, "sigma": 0.5, "alpha": 0.3},
        },
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }


def cat_graph() -> dict[str, Any]:
    """Each frame painted over by a model."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "__CAF_FRAME_IMAGE__"}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "__CAF_CHECKPOINT__"}},
        "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["4", 2]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["4", 0],
                "seed": 1,
                "steps": 8,
                "cfg": 5.5,
                "sampler_name": "euler",
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
                "denoise": 0.4,
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
    }


def document(nodes: dict[str, Any], **header: Any) -> bytes:
    """A workflow document in caf's own form."""
    return msgspec.json.encode({"workflow_id": "cats", "nodes": nodes, **header})


def read(nodes: dict[str, Any], **header: Any) -> ComfyUIWorkflow:
    return read_workflow(document(nodes, **header), "cats.json")
