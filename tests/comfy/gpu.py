"""What the worker thread of a ComfyUI server does, played: nodes, the cache of the last graph, interruptions.

A node that computes sleeps, as the host does while a GPU works. Node classes of the real server keep their names;
`Pause` (seconds, ticks, deaf), `Raise` (type, message) and `Crash` stand for what custom nodes do.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.comfy.pixels import png

NODES: dict[str, dict[str, Any]] = {
    "EmptyImage": {
        "required": {"width": ["INT"], "height": ["INT"], "batch_size": ["INT"], "color": ["INT"]}
    },
    "LoadImage": {"required": {"image": [[]]}},
    "CheckpointLoaderSimple": {"required": {"ckpt_name": [[]]}},
    "Pause": {
        "required": {"image": ["IMAGE"], "seconds": ["FLOAT"]},
        "optional": {"ticks": ["INT"], "deaf": ["INT"]},
    },
    "Raise": {"required": {"image": ["IMAGE"], "type": ["STRING"], "message": ["STRING"]}},
    "Crash": {"required": {"image": ["IMAGE"]}},
    "SaveImage": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING"]}},
    "PreviewImage": {"required": {"images": ["IMAGE"]}},
    "SaveAnimatedWEBP": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING"]}},
    "VHS_VideoCombine": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING"]}},
    "PreviewAny": {"required": {"source": ["*"]}},
}
OUTPUT_NODES = frozenset({"SaveImage", "PreviewImage", "SaveAnimatedWEBP", "VHS_VideoCombine", "PreviewAny"})


class InterruptedAtNode(Exception):  # noqa: N818
    pass


class NodeRaisedError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ServerDiedError(Exception):
    """A node has ended the process."""


class Gpu:
    """Runs graphs one at a time. `tell` is the server's `send`: type, data."""

    def __init__(
        self, root: Path, tell: Callable[[str, dict[str, Any]], None], picture: tuple[int, int]
    ) -> None:
        self.root = root
        self.tell = tell
        self.picture = picture
        self.interrupt = asyncio.Event()
        self.cache: dict[str, dict[str, Any]] = {}
        self.rendered: Counter[str] = Counter()
        self.preview: Callable[[str, str], None] = lambda prompt_id, node: None
        self.combined: tuple[str, bytes] = (".mp4", b"")
        """What VHS_VideoCombine saves, where it is not the clip of the tests."""

    async def run(self, prompt_id: str, graph: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
        """The ui outputs per node. Raises with the node in `args`-like attribute `node`."""
        order = self.order(graph, outputs)
        signs = {node: self.signature(graph, node) for node in order}
        cached = [node for node in order if signs[node] in self.cache]
        self.tell("execution_cached", {"nodes": cached, "prompt_id": prompt_id})
        made: dict[str, Any] = {}
        try:
            for node in order:
                if signs[node] in self.cache:
                    ui = self.cache[signs[node]]
                else:
                    self.tell("executing", {"node": node, "display_node": node, "prompt_id": prompt_id})
                    ui = await self._node(prompt_id, node, graph)
                    self.cache[signs[node]] = ui
                if ui:
                    made[node] = ui
                    self.tell(
                        "executed", {"node": node, "display_node": node, "output": ui, "prompt_id": prompt_id}
                    )
        except Exception as fault:
            fault.node, fault.made = node, made  # type: ignore[attr-defined]
            raise
        finally:
            self.cache = {sign: ui for sign, ui in self.cache.items() if sign in signs.values()}
        return made

    def signature(self, graph: dict[str, Any], node: str) -> str:
        inputs = {
            name: self.signature(graph, value[0]) if isinstance(value, list) else value
            for name, value in graph[node].get("inputs", {}).items()
        }
        if graph[node]["class_type"] == "LoadImage":
            inputs["bytes"] = hashlib.sha256(self.path_of(inputs["image"]).read_bytes()).hexdigest()
        return hashlib.sha256(
            json.dumps([graph[node]["class_type"], inputs], sort_keys=True).encode()
        ).hexdigest()

    def path_of(self, annotated: str) -> Path:
        name, _, kind = annotated.partition(" [")
        return self.root / (kind.rstrip("]") or "input") / name

    def order(self, graph: dict[str, Any], outputs: list[str]) -> list[str]:
        order: list[str] = []

        def visit(node: str) -> None:
            for value in graph[node].get("inputs", {}).values():
                if isinstance(value, list):
                    visit(value[0])
            if node not in order:
                order.append(node)

        for node in outputs:
            visit(node)
        return order

    async def _node(self, prompt_id: str, node: str, graph: dict[str, Any]) -> dict[str, Any]:
        if self.interrupt.is_set():
            raise InterruptedAtNode
        kind, inputs = graph[node]["class_type"], graph[node].get("inputs", {})
        match kind:
            case "Pause":
                await self._pause(prompt_id, node, inputs)
            case "Raise":
                raise NodeRaisedError(inputs["type"], inputs["message"])
            case "Crash":
                raise ServerDiedError
            case "PreviewAny":
                self.rendered[prompt_id] += 1
                source = inputs["source"]
                return {"text": ["picture" if isinstance(source, list) else str(source)]}
        return self._write(prompt_id, node, graph) if kind in OUTPUT_NODES else {}

    async def _pause(self, prompt_id: str, node: str, inputs: dict[str, Any]) -> None:
        ticks = int(inputs.get("ticks", 1))
        for tick in range(ticks):
            rest = asyncio.sleep(inputs["seconds"] / ticks)
            if inputs.get("deaf"):
                await rest
            else:
                waiting = asyncio.ensure_future(rest)
                stop = asyncio.ensure_future(self.interrupt.wait())
                try:
                    await asyncio.wait([waiting, stop], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                    stop.cancel()
                if self.interrupt.is_set():
                    raise InterruptedAtNode
            self.tell("progress", {"value": tick + 1, "max": ticks, "prompt_id": prompt_id, "node": node})
            self.preview(prompt_id, node)

    def _write(self, prompt_id: str, node: str, graph: dict[str, Any]) -> dict[str, Any]:
        kind, inputs = graph[node]["class_type"], graph[node]["inputs"]
        where = "temp" if kind == "PreviewImage" else "output"
        prefix = inputs.get("filename_prefix", "ComfyUI_temp")
        if ".." in prefix or prefix.startswith("/"):
            raise NodeRaisedError(
                "Exception", "**** ERROR: Saving image outside the output folder is not allowed."
            )
        subfolder, _, name = prefix.rpartition("/")
        folder = self.root / where / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        suffix = {"SaveAnimatedWEBP": ".webp", "VHS_VideoCombine": self.combined[0]}.get(kind, ".png")
        counter = 1 + sum(1 for _ in folder.glob(f"{name}_*"))
        filename = f"{name}_{counter:05}_{suffix}"
        content = png(self.signature(graph, inputs["images"][0]), *self.picture)
        if kind == "VHS_VideoCombine" and self.combined[1]:
            content = self.combined[1]
        elif suffix != ".png":
            content = b"caf test clip " + content
        (folder / filename).write_bytes(content)
        self.rendered[prompt_id] += 1
        there = {"filename": filename, "subfolder": subfolder, "type": where}
        if kind == "VHS_VideoCombine":
            return {"gifs": [there | {"format": "video/h264-mp4", "frame_rate": 24.0, "fullpath": "/x"}]}
        return {"images": [there]} | ({"animated": [True]} if kind == "SaveAnimatedWEBP" else {})
