"""What crosses between a render on a ComfyUI server and whoever asked for it; plain data."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

__all__ = [
    "DeviceFacts",
    "Done",
    "InputFile",
    "Limits",
    "ModelFile",
    "Output",
    "OwnKey",
    "Owner",
    "Preview",
    "PreviewSink",
    "ProgressSink",
    "Prompt",
    "PromptProgress",
    "QueuePolicy",
    "ServerFacts",
    "Warn",
]

QueuePolicy = Literal["NORMAL", "CLEAR_STALE_ITEMS", "INTERRUPT_ACTIVE"]


class InputFile(Struct, frozen=True, kw_only=True):
    """A local file that a node reads: it is uploaded, and the name the server gave goes into that input."""

    node_id: str
    input: str
    path: str


class Prompt(Struct, frozen=True, kw_only=True):
    """One graph to be run once."""

    key: str
    """Ours, unique within the stage: `frame-000012`."""
    graph: dict[str, Any]
    """In API form, complete but for the inputs that `files` fills."""
    files: tuple[InputFile, ...] = ()
    outputs: tuple[str, ...]
    """The node ids that must give output; one that gives none is a failure."""
    weight: int = 1
    """Frames that it makes."""
    fresh: bool = True
    """A new file is meant: the graph's file names are unique to this prompt."""


class Output(Struct, frozen=True, kw_only=True):
    """One thing that a node put out: a file on the server, or a text."""

    node_id: str
    kind: str
    """The key it stood under: images, gifs, audio, text, …"""
    filename: str = ""
    subfolder: str = ""
    type: str = "output"
    """output | temp | input."""
    animated: bool = False
    text: str | None = None


class Done(Struct, frozen=True, kw_only=True):
    """A prompt whose declared outputs lie here, whole."""

    key: str
    prompt_id: str
    outputs: tuple[Output, ...]
    """Of the declared nodes, in the order they were declared in."""
    files: tuple[str, ...]
    """Paths of the downloaded outputs, in the order of `outputs`; texts have none."""
    queued_ms: int
    """From the submission to the start of its execution: by the server's clock, or by ours where that does not say
    when the prompt came; 0 if not known."""
    ran_ms: int
    """Of its execution, by the server's clock."""
    node_ms: dict[str, int]
    """Time spent in each node, as seen over the WebSocket; empty where that was not connected."""
    cached_nodes: tuple[str, ...] = ()


class PromptProgress(Struct, frozen=True, kw_only=True):
    """A running node has done so much; telemetry only."""

    key: str
    node_id: str
    node_class: str
    value: float
    max: float


class Preview(Struct, frozen=True, kw_only=True):
    """A picture of what a running node is making; telemetry only."""

    key: str
    node_id: str
    mime: str
    data: bytes


class DeviceFacts(Struct, frozen=True, kw_only=True):
    name: str
    type: str
    vram_total: int
    vram_free: int
    torch_vram_total: int = 0
    torch_vram_free: int = 0


class ServerFacts(Struct, frozen=True, kw_only=True):
    """What a server says of itself; sizes in bytes."""

    version: str
    python_version: str
    pytorch_version: str
    ram_total: int
    ram_free: int
    argv: tuple[str, ...]
    devices: tuple[DeviceFacts, ...]


class ModelFile(Struct, frozen=True, kw_only=True):
    """A file of weights on a server."""

    folder: str
    size: int
    """Bytes."""
    modified_s: float
    """Seconds since 1970, by the server's clock."""
    digest: str = ""
    """What the file says of itself; empty for most."""

    def __str__(self) -> str:
        when = (
            datetime.fromtimestamp(self.modified_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        )
        digest = f", says sha256 {self.digest.removeprefix('0x')}" if self.digest else ""
        return f"{self.folder}: {self.size} bytes of {when}{digest}"


class Owner(Struct, frozen=True, kw_only=True):
    """Whose prompts these are; it travels with each of them in `extra_data.caf`."""

    job_id: str
    attempt_id: str
    stage: str
    workspace_id: str = ""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a render may take, and how much of it is done at once."""

    stall_s: float = 600.0
    """So long nothing may happen to any of our prompts while they wait or run."""
    deadline_s: float = 86_400.0
    """For all prompts together."""
    depth: int = 3
    """Prompts that are at the server at a time, the running one included."""
    uploads: int = 2
    downloads: int = 2
    unreachable_s: float = 120.0
    """So long the server may be away; it comes back from a restart in 10 to 30 s."""
    wedge_s: float = 30.0
    """So long prompts may wait while none runs; between two, a server frees memory for seconds."""
    grace_s: float = 3.0
    """So long a prompt whose submission was not answered is looked for before it is submitted again."""
    withdraw_s: float = 8.0
    """So long an ended render waits for the server to let go of its prompts."""


OwnKey = Callable[[dict[str, Any]], bool]
"""Says of a prompt's extra_data whether the prompt is ours."""

ProgressSink = Callable[[PromptProgress], None]
PreviewSink = Callable[[Preview], None]
Warn = Callable[[str], None]
"""Told a sentence that a person should read."""
