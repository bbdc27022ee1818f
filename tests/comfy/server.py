"""A ComfyUI server played on the loopback: what real ones do, every trap included, without torch.

Recorded on ComfyUI 0.33.0 and 0.3.64 (`old=True`). `python -m tests.comfy.server PORT FOLDER` runs it by itself.
"""

import asyncio
import copy
import heapq
import json
import re
import shutil
import struct
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, WSMsgType, web, web_fileresponse

from tests.comfy.breaking import SHUTDOWN_S, break_off, listen
from tests.comfy.gpu import NODES, OUTPUT_NODES, Gpu, InterruptedAtNode, NodeRaisedError, ServerDiedError
from tests.comfy.pixels import png

# A connection that is aborted while the kernel sends a file upsets asyncio, here and not in the client.
web_fileresponse.NOSENDFILE = True

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class FakeComfy:
    """One server. `start`, `stop` (as by SIGKILL) and `restart` on the same port; the disk stays."""

    def __init__(self, root: Path, *, old: bool = False, picture: tuple[int, int] = (24, 16)) -> None:
        self.root = root
        self.old = old
        self.picture = picture
        self.port = 0
        self.max_upload = 100 * 2**20
        self.renders: Counter[str] = Counter()
        """By our key: how often its output nodes really ran, over all restarts."""
        self.posts: list[str] = []
        """The prompt ids that came, over all restarts."""
        self.calls: Counter[str] = Counter()
        self.freed = 0
        self.disk_full = False
        self.history_lag_s = 0.0
        self.busy_s = 0.0
        self.free_bytes = 6 * 2**30
        self.forget()

    def forget(self) -> None:
        self.queue: list[tuple[Any, ...]] = []
        self.running: dict[int, tuple[Any, ...]] = {}
        self.history: dict[str, Any] = {}
        self.number = 0
        self.wedged = False
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.metadata: dict[str, bool] = {}
        self.client_id: str | None = None
        self.last_node: str | None = None
        self.logs: list[str] = []
        self.gpu = Gpu(self.root, self._tell, self.picture)
        self.gpu.preview = self._preview
        self.came = asyncio.Event()
        self.outbox: asyncio.Queue[tuple[str, Any, str | None]] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "FakeComfy":
        for folder in ("input", "output", "temp"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        app = web.Application(client_max_size=self.max_upload, middlewares=[self._counted])
        for prefix in ("", "/api"):
            app.router.add_get(prefix + "/ws", self._ws)
            app.router.add_post(prefix + "/prompt", self._post_prompt)
            app.router.add_get(prefix + "/prompt", self._get_prompt)
            app.router.add_get(prefix + "/queue", self._get_queue)
            app.router.add_post(prefix + "/queue", self._post_queue)
            app.router.add_post(prefix + "/interrupt", self._interrupt)
            app.router.add_get(prefix + "/history/{id}", self._history_of)
            app.router.add_get(prefix + "/history", self._history_all)
            app.router.add_post(prefix + "/history", self._post_history)
            app.router.add_get(prefix + "/view", self._view)
            app.router.add_post(prefix + "/upload/image", self._upload)
            app.router.add_post(prefix + "/free", self._free)
            app.router.add_get(prefix + "/system_stats", self._stats)
            app.router.add_get(prefix + "/features", self._features)
            app.router.add_get(prefix + "/object_info", self._object_info)
            app.router.add_get(prefix + "/object_info/{name}", self._object_info)
            app.router.add_get(prefix + "/experiment/models", self._model_folders)
            app.router.add_get(prefix + "/experiment/models/{folder}", self._models)
            app.router.add_get(prefix + "/view_metadata/{folder}", self._metadata)
        app.router.add_get("/internal/logs", self._logs)
        if not self.old:
            app.router.add_get("/api/jobs/{id}", self._job)
            app.router.add_post("/api/jobs/{id}/cancel", self._cancel)
        # The real one says the same to everything that its code did not foresee.
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self.runner.setup()
        self.listening = await listen(self.runner, self.port)
        self.port = self.runner.addresses[0][1]
        self.tasks = [asyncio.create_task(self._worker()), asyncio.create_task(self._publish())]
        return self

    async def stop(self) -> None:
        """As a killed process: connections break, nothing is said."""
        await break_off(self.runner, self.listening)
        for task in self.tasks:
            task.cancel()
        me = asyncio.current_task()
        await asyncio.gather(*(task for task in self.tasks if task is not me), return_exceptions=True)
        await self.runner.cleanup()

    async def restart(self) -> None:
        await self.stop()
        self.forget()
        shutil.rmtree(self.root / "temp", ignore_errors=True)
        await self.start()

    async def __aenter__(self) -> "FakeComfy":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @web.middleware
    async def _counted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[f"{request.method} {request.path.removeprefix('/api')}"] += 1
        try:
            answer: web.StreamResponse = await handler(request)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001 - as aiohttp does, without its traceback on stderr
            return web.Response(status=500, text="500 Internal Server Error\n\nServer got itself in trouble")
        return answer

    # The queue, and the worker

    async def _post_prompt(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read())
        number: float = self.number
        if "number" in told:
            number = float(told["number"])
        else:
            self.number += 1
            number = -number if told.get("front") else number
        if "prompt" not in told:
            return _refused("no_prompt", "No prompt provided", "No prompt provided")
        if self.old:
            prompt_id = str(told.get("prompt_id", uuid.uuid4()))
        else:
            given = told.get("prompt_id")
            if given is not None and not (isinstance(given, str) and UUID.fullmatch(given)):
                return _refused("invalid_prompt_id", "prompt_id must be a valid UUID", str(given))
            prompt_id = given or str(uuid.uuid4())
        graph = told["prompt"]
        bad = self._misshapen(graph)
        if bad is not None:
            return bad
        extra = dict(told.get("extra_data", {}))
        if not self.old:
            extra["create_time"] = int(time.time() * 1000)
        if "client_id" in told:
            extra["client_id"] = told["client_id"]
        good, errors = self._validate(graph)
        if not good:
            return _refused(
                "prompt_outputs_failed_validation", "Prompt outputs failed validation", "", node_errors=errors
            )
        self.posts.append(prompt_id)
        # A tuple with a dict in it, as the real one: equal numbers under one id cannot be compared.
        heapq.heappush(self.queue, (number, prompt_id, graph, extra, good))
        self._status()
        self.came.set()
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": errors})

    def _misshapen(self, graph: Any) -> web.Response | None:
        for node, about in graph.items():
            if "class_type" not in about:
                return _refused(
                    "invalid_prompt" if self.old else "missing_node_type",
                    "Cannot execute because a node is missing the class_type property.",
                    f"Node ID '#{node}'",
                    {"node_id": node},
                )
            kind = about["class_type"]
            if kind not in NODES:
                return _refused(
                    "invalid_prompt" if self.old else "missing_node_type",
                    f"Node '{kind}' not found. The custom node may not be installed.",
                    f"Node ID '#{node}'",
                    {"node_id": node, "class_type": kind},
                )
        if not any(about["class_type"] in OUTPUT_NODES for about in graph.values()):
            return _refused("prompt_no_outputs", "Prompt has no outputs", "")
        return None

    def _validate(self, graph: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        good, errors = [], {}
        for output in [node for node, about in graph.items() if about["class_type"] in OUTPUT_NODES]:
            found = {
                node: problem
                for node in self.gpu.order(graph, [output])
                if (problem := self._problem(graph[node])) is not None
            }
            if not found:
                good.append(output)
            for node, problem in found.items():
                report = errors.setdefault(
                    node,
                    {"errors": [problem], "dependent_outputs": [], "class_type": graph[node]["class_type"]},
                )
                report["dependent_outputs"].append(output)
        return good, errors

    def _problem(self, about: dict[str, Any]) -> dict[str, Any] | None:
        inputs = about.get("inputs", {})
        for name in NODES[about["class_type"]]["required"]:
            if name not in inputs:
                return _reason("required_input_missing", "Required input is missing", name)
        match about["class_type"]:
            case "LoadImage" if not self.gpu.path_of(inputs["image"]).is_file():
                return _reason(
                    "custom_validation_failed",
                    "Custom validation failed for node",
                    f"image - Invalid image file: {inputs['image']}",
                )
            case "CheckpointLoaderSimple" if inputs["ckpt_name"] not in (there := self._checkpoints()):
                told = f"ckpt_name: '{inputs['ckpt_name']}' not in {there}"
                return _reason("value_not_in_list", "Value not in list", told)
        return None

    async def _worker(self) -> None:
        number = 0
        while True:
            while not self.queue:
                self.came.clear()
                await self.came.wait()
            try:
                item = heapq.heappop(self.queue)
            except TypeError as fault:
                self.wedged = True
                self.logs.append(f"Exception in thread Thread-1 (prompt_worker): {fault}")
                return
            self.running[number] = copy.deepcopy(item)
            self._status()
            try:
                entry = await self._execute(item)
            except ServerDiedError:
                asyncio.get_running_loop().create_task(self.restart())
                return
            del self.running[number]
            number += 1
            if self.history_lag_s:
                await asyncio.sleep(self.history_lag_s)
            self.history[item[1]] = entry
            self._status()
            if self.client_id is not None:
                self._send("executing", {"node": None, "prompt_id": item[1]}, self.client_id)

    async def _execute(self, item: tuple[Any, ...]) -> dict[str, Any]:
        _, prompt_id, graph, extra, outputs = item
        self.client_id = extra.get("client_id")
        self.gpu.interrupt.clear()
        self.messages: list[Any] = []
        made: dict[str, Any] = {}
        begun = time.monotonic()
        self._tell("execution_start", {"prompt_id": prompt_id})
        ok = False
        try:
            made = await self.gpu.run(prompt_id, graph, outputs)
            self._tell("execution_success", {"prompt_id": prompt_id})
            ok = True
        except InterruptedAtNode as fault:
            made = fault.made  # type: ignore[attr-defined]
            self._tell("execution_interrupted", {"prompt_id": prompt_id, "node_id": fault.node})  # type: ignore[attr-defined]
        except NodeRaisedError as fault:
            made = fault.made  # type: ignore[attr-defined]
            node = fault.node  # type: ignore[attr-defined]
            self._tell(
                "execution_error",
                {
                    "prompt_id": prompt_id,
                    "node_id": node,
                    "node_type": graph[node]["class_type"],
                    "executed": [],
                    "exception_message": f"{fault}\n",
                    "exception_type": fault.kind,
                    "traceback": ["..."],
                    "current_inputs": {},
                    "current_outputs": [],
                },
            )
        self.busy_s += time.monotonic() - begun
        if self.gpu.rendered.pop(prompt_id, 0):
            self.renders[extra.get("caf", {}).get("key", prompt_id)] += 1
        self.last_node = None
        return {
            "prompt": list(item),
            "outputs": made,
            "status": {
                "status_str": "success" if ok else "error",
                "completed": ok,
                "messages": self.messages,
            },
            "meta": {node: {"node_id": node, "display_node": node} for node in made},
        }

    async def _get_queue(self, _: web.Request) -> web.Response:
        return web.json_response({"queue_running": list(self.running.values()), "queue_pending": self.queue})

    async def _post_queue(self, request: web.Request) -> web.Response:
        told = await request.json()
        if told.get("clear"):
            self.queue = []
        for gone in told.get("delete", []):
            for index, item in enumerate(self.queue):
                if item[1] == gone:  # the first only, as the real one
                    self.queue.pop(index)
                    heapq.heapify(self.queue)
                    break
        self._status()
        return web.Response()

    async def _get_prompt(self, _: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": len(self.queue) + len(self.running)}})

    async def _interrupt(self, request: web.Request) -> web.Response:
        with suppress(ValueError):
            wanted = (await request.json()).get("prompt_id")
            if wanted and all(item[1] != wanted for item in self.running.values()):
                return web.Response()
        self.gpu.interrupt.set()
        return web.Response()

    async def _history_of(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        return web.json_response({prompt_id: self.history[prompt_id]} if prompt_id in self.history else {})

    async def _history_all(self, request: web.Request) -> web.Response:
        newest = int(request.query.get("max_items", 10_000))
        return web.json_response(dict(list(self.history.items())[-newest:]))

    async def _post_history(self, request: web.Request) -> web.Response:
        told = await request.json()
        if told.get("clear"):
            self.history = {}
        for prompt_id in told.get("delete", []):
            self.history.pop(prompt_id, None)
        return web.Response()

    async def _job(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        if any(item[1] == prompt_id for item in self.running.values()):
            return web.json_response({"id": prompt_id, "status": "in_progress"})
        if any(item[1] == prompt_id for item in self.queue):
            return web.json_response({"id": prompt_id, "status": "pending"})
        if prompt_id in self.history:
            done = self.history[prompt_id]["status"]["completed"]
            return web.json_response({"id": prompt_id, "status": "completed" if done else "failed"})
        return web.json_response({"error": "Job not found"}, status=404)

    async def _cancel(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        if any(item[1] == prompt_id for item in self.running.values()):
            self.gpu.interrupt.set()
            return web.json_response({"cancelled": True})
        left = [item for item in self.queue if item[1] != prompt_id]
        cancelled = len(left) < len(self.queue)
        self.queue = left
        heapq.heapify(self.queue)
        return web.json_response({"cancelled": cancelled})

    # Files

    def _folder(self, kind: str, subfolder: str) -> Path | None:
        base = (self.root / {"input": "input", "output": "output", "temp": "temp"}[kind]).resolve()
        whole = (base / subfolder).resolve()
        return whole if whole.is_relative_to(base) else None

    async def _upload(self, request: web.Request) -> web.Response:
        data, image, post = b"", "", dict[str, str]()
        # Not `request.post()`: it leaves a temporary file open when the line drops within an upload.
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                return web.Response(status=400)
            if part.name == "image" and part.filename:
                data, image = bytes(await part.read()), part.filename
            else:
                post[part.name] = await part.text()
        if not image:
            return web.Response(status=400)
        kind, subfolder = post.get("type", "input"), post.get("subfolder", "")
        folder = self._folder(kind, subfolder)
        if folder is None:
            return web.Response(status=400)
        folder.mkdir(parents=True, exist_ok=True)
        stem, dot, suffix = image.rpartition(".")
        name, count = image, 0
        while post.get("overwrite") not in ("true", "1") and (folder / name).exists():
            if (folder / name).read_bytes() == data:
                return web.json_response({"name": name, "subfolder": subfolder, "type": kind})
            count += 1
            name = f"{stem} ({count}){dot}{suffix}"
        if self.disk_full:
            (folder / name).touch()
            self.logs.append("OSError: [Errno 28] No space left on device")
            raise OSError(28, "No space left on device")
        (folder / name).write_bytes(data)
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get("filename", "")
        if not name or ".." in name or name.startswith("/"):
            return web.Response(status=400 if name else 404)
        kind = request.query.get("type", "output")
        if kind not in ("input", "output", "temp"):
            return web.Response(status=400)
        folder = self._folder(kind, request.query.get("subfolder", ""))
        if folder is None:
            return web.Response(status=403)
        file = folder / Path(name).name
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    # The rest

    async def _free(self, request: web.Request) -> web.Response:
        if (await request.json()).get("free_memory"):
            self.gpu.cache = {}
        self.freed += 1
        return web.Response()

    async def _stats(self, _: web.Request) -> web.Response:
        card = {
            "name": "cuda:0 Test Card",
            "type": "cuda",
            "index": 0,
            "vram_total": 24 * 2**30,
            "vram_free": self.free_bytes,
            "torch_vram_total": 17 * 2**30,
            "torch_vram_free": 2**29,
        }
        system = {
            "os": "posix",
            "ram_total": 64 * 2**30,
            "ram_free": 32 * 2**30,
            "comfyui_version": "0.3.64" if self.old else "0.33.0",
            "python_version": "3.12.3",
            "pytorch_version": "2.9.0",
            "argv": ["main.py"],
        }
        return web.json_response({"system": system, "devices": [card]})

    async def _features(self, _: web.Request) -> web.Response:
        return web.json_response({"supports_preview_metadata": True, "max_upload_size": self.max_upload})

    async def _object_info(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name")
        found = {
            node: {"input": inputs, "output_node": node in OUTPUT_NODES, "name": node}
            for node, inputs in NODES.items()
            if name in (None, node)
        }
        if "CheckpointLoaderSimple" in found:
            found["CheckpointLoaderSimple"]["input"] = {"required": {"ckpt_name": [self._checkpoints()]}}
        return web.json_response(found)

    def _checkpoints(self) -> list[str]:
        folder = self.root / "models" / "checkpoints"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    async def _model_folders(self, _: web.Request) -> web.Response:
        folders = ("checkpoints", "loras", "vae")
        return web.json_response([{"name": name, "folders": [f"/models/{name}"]} for name in folders])

    async def _models(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in ("checkpoints", "loras", "vae"):
            return web.Response(status=404)
        names = self._checkpoints() if folder == "checkpoints" else []
        about = {name: (self.root / "models" / folder / name).stat() for name in names}
        return web.json_response(
            [
                {
                    "name": name,
                    "pathIndex": 0,
                    "modified": told.st_mtime,
                    "created": told.st_ctime,
                    "size": told.st_size,
                }
                for name, told in about.items()
            ]
        )

    async def _metadata(self, request: web.Request) -> web.Response:
        path = self.root / "models" / request.match_info["folder"] / request.query["filename"]
        if path.suffix != ".safetensors" or not path.is_file():
            return web.Response(status=404)
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return (
            web.json_response(header["__metadata__"])
            if "__metadata__" in header
            else web.Response(status=404)
        )

    async def _logs(self, _: web.Request) -> web.Response:
        return web.json_response("\n".join(self.logs))

    # News

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        """As add_message: stamped and kept for history where it is about the whole prompt, told to the sender."""
        if kind.startswith("execution_"):
            data = {**data, "timestamp": int(time.time() * 1000)}
            self.messages.append([kind, data])
        if kind == "executing":
            self.last_node = data["node"]
        if self.client_id is not None:
            self._send(kind, data, self.client_id)

    def _send(self, kind: str, data: Any, client_id: str | None) -> None:
        self.outbox.put_nowait((kind, data, client_id))

    def _status(self) -> None:
        left = len(self.queue) + len(self.running)
        self._send("status", {"status": {"exec_info": {"queue_remaining": left}}}, None)

    def _preview(self, prompt_id: str, node: str) -> None:
        if self.client_id is None:
            return
        if self.metadata.get(self.client_id):
            about = json.dumps({"prompt_id": prompt_id, "node_id": node, "image_type": "image/png"}).encode()
            self._send("", struct.pack(">II", 4, len(about)) + about + png(node, 4, 4), self.client_id)
        else:
            self._send("", struct.pack(">II", 1, 2) + png(node, 4, 4), self.client_id)

    async def _publish(self) -> None:
        while True:
            kind, data, client_id = await self.outbox.get()
            sockets = list(self.sockets.values()) if client_id is None else [self.sockets.get(client_id)]
            for socket in sockets:
                if socket is not None:
                    with suppress(ConnectionError, RuntimeError):
                        if isinstance(data, bytes):
                            await socket.send_bytes(data)
                        else:
                            await socket.send_str(json.dumps({"type": kind, "data": data}))

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[sid] = socket
        left = len(self.queue) + len(self.running)
        self._send("status", {"status": {"exec_info": {"queue_remaining": left}}, "sid": sid}, sid)
        if self.client_id == sid and self.last_node is not None:
            self._send("executing", {"node": self.last_node}, sid)
        first = True
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and first:
                    told = json.loads(message.data)
                    if told.get("type") == "feature_flags":
                        self.metadata[sid] = bool(told["data"].get("supports_preview_metadata"))
                        self._send("feature_flags", {"supports_preview_metadata": True}, sid)
                    first = False
        finally:
            # The trap of the real one: whoever stands there now is dropped, not who closes.
            self.sockets.pop(sid, None)
        return socket


def _reason(kind: str, message: str, details: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _refused(
    kind: str, message: str, details: str, info: dict[str, Any] | None = None, node_errors: Any = None
) -> web.Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": info or {}}
    return web.json_response({"error": error, "node_errors": node_errors or {}}, status=400)


async def _serve(port: int, root: Path, width: int, height: int) -> None:
    server = FakeComfy(root, picture=(width, height))
    server.port = port
    await server.start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    size = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (24, 16)
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), *size))
