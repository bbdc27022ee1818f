"""What a ComfyUI server tells over its WebSocket, for as long as somebody listens.

Each connection has a client id of its own: of two under one id the server forgets the living one when the dead
one closes. Nothing is repeated after a gap, so what is heard here is news, never the truth: history is that.
"""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import aiohttp
import anyio
from msgspec import Struct

from caf.comfy.client import Comfy

__all__ = [
    "Cached",
    "Ended",
    "Executed",
    "Executing",
    "Follower",
    "News",
    "Picture",
    "Started",
    "Ticked",
    "read_binary",
    "read_text",
]

_MAX_MESSAGE_BYTES: Final = 64 * 2**20
_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
_MIMES: Final = {1: "image/jpeg", 2: "image/png"}


class Started(Struct, frozen=True):
    prompt_id: str


class Cached(Struct, frozen=True):
    """These nodes will not run: what they gave before is taken."""

    prompt_id: str
    nodes: tuple[str, ...]


class Executing(Struct, frozen=True):
    prompt_id: str
    node: str


class Ticked(Struct, frozen=True):
    """A node has done `value` of `max`."""

    prompt_id: str
    node: str
    value: float
    max: float


class Executed(Struct, frozen=True):
    prompt_id: str
    node: str
    output: dict[str, Any]


class Ended(Struct, frozen=True):
    """The prompt is over. `settled`: history has it now; before, it may not. `ok`: it is told that it went well."""

    prompt_id: str
    settled: bool
    ok: bool = False


class Picture(Struct, frozen=True):
    """A preview. Servers that do not say of which prompt leave both ids empty."""

    prompt_id: str
    node: str
    mime: str
    data: bytes


News = Started | Cached | Executing | Ticked | Executed | Ended | Picture


class Follower:
    """Keeps a WebSocket open until `run` is cancelled, and hands on what it tells.

    `client_id` is that of the open connection: give it to prompts. None while there is none.
    """

    def __init__(self, comfy: Comfy, tell: Callable[[News], None]) -> None:
        self._comfy = comfy
        self._tell = tell
        self.client_id: str | None = None
        self.broke_at = float("-inf")
        """When a connection that had been open was last lost."""
        self.heard = 0
        self.open = asyncio.Event()
        self.tried = asyncio.Event()
        """Set when the first connection is open, or has failed."""
        self._connected = anyio.CancelScope()

    async def run(self) -> None:
        fruitless = 0
        while True:
            heard = self.heard
            with anyio.CancelScope() as self._connected:
                with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                    await self._connection()
            if self.client_id is not None and not self._connected.cancel_called:
                self.broke_at = asyncio.get_running_loop().time()
            self.client_id = None
            self.open.clear()
            self.tried.set()
            fruitless = 0 if self.heard > heard else fruitless + 1
            await asyncio.sleep(_PAUSES_S[min(fruitless, len(_PAUSES_S) - 1)])

    def renew(self) -> None:
        """Drop the connection, so that `run` opens another: it is open and says nothing."""
        self._connected.cancel()

    async def _connection(self) -> None:
        http = self._comfy.http
        client_id = uuid.uuid4().hex
        limits = aiohttp.ClientWSTimeout(ws_close=1.0)
        async with asyncio.timeout(http.timeouts.connect_s + http.timeouts.read_s):
            socket = await http.session.ws_connect(
                http.url("/ws", {"clientId": client_id}),
                heartbeat=http.timeouts.heartbeat_s,
                timeout=limits,
                max_msg_size=_MAX_MESSAGE_BYTES,
            )
        async with socket:
            flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            await socket.send_str(json.dumps(flags))
            async for message in socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                self.heard += 1
                if not self.open.is_set():  # the first message: from here on the server knows this client id
                    self.client_id = client_id
                    self.open.set()
                    self.tried.set()
                text = message.type is aiohttp.WSMsgType.TEXT
                news = read_text(message.data) if text else read_binary(message.data)
                if news is not None:
                    self._tell(news)


def read_text(message: str) -> News | None:
    """One message; None for one that says nothing of a prompt, or cannot be read."""
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return None
    match told:
        case {"type": str(kind), "data": {"prompt_id": str(prompt_id), **data}}:
            return _of_prompt(kind, prompt_id, data)
    return None


def _of_prompt(kind: str, prompt_id: str, data: dict[Any, Any]) -> News | None:
    match kind, data:
        case "execution_start", _:
            return Started(prompt_id)
        case "execution_cached", {"nodes": [*nodes]}:
            return Cached(prompt_id, tuple(str(node) for node in nodes))
        case "executing", {"node": None}:
            return Ended(prompt_id, settled=True)
        case "executing", {"node": str(node)}:
            return Executing(prompt_id, node)
        case "progress", {
            "node": str(node),
            "value": int() | float() as value,
            "max": int() | float() as top,
        }:
            return Ticked(prompt_id, node, value, top)
        case "executed", {"node": str(node), "output": dict(output)}:
            return Executed(prompt_id, node, output)
        case (("execution_success" | "execution_error" | "execution_interrupted"), _):
            return Ended(prompt_id, settled=False, ok=kind == "execution_success")
    return None


def read_binary(message: bytes) -> News | None:
    """A preview, with or without what it is of; None for other binary messages and for damaged ones."""
    try:
        (kind,) = struct.unpack_from(">I", message)
        (second,) = struct.unpack_from(">I", message, 4)
    except struct.error:
        return None
    if kind == 1 and second in _MIMES and len(message) > 8:
        return Picture("", "", _MIMES[second], message[8:])
    if kind == 4 and 8 + second < len(message):
        try:
            about = json.loads(message[8 : 8 + second])
        except (ValueError, RecursionError):
            return None
        if isinstance(about, dict):
            return Picture(
                str(about.get("prompt_id") or ""),
                str(about.get("node_id") or ""),
                str(about.get("image_type") or "image/jpeg"),
                message[8 + second :],
            )
    return None
