"""What a ComfyUI server answers, read with suspicion: the fields that count must be there and of their type.

Servers of other versions answer more, or leave fields out; what is not used here is passed over.
"""

import json
import math
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, ValidationError

from caf.comfy.failures import DamagedAnswerError
from caf.comfy.model import DeviceFacts, ModelFile, Output, ServerFacts

__all__ = [
    "Account",
    "Queue",
    "Queued",
    "Submitted",
    "Uploaded",
    "outputs_of",
    "read_history",
    "read_json",
    "read_model_files",
    "read_model_folders",
    "read_queue",
    "read_stats",
    "read_submitted",
    "read_uploaded",
]

T = TypeVar("T")

_TEXTUAL: Final = frozenset({"text", "string", "result"})


class Submitted(Struct, frozen=True):
    prompt_id: str
    number: float
    node_errors: dict[str, Any] = {}


class Queued(Struct, frozen=True):
    """A prompt in the queue. `extra_data` is as its sender gave it."""

    number: float
    prompt_id: str
    extra_data: dict[str, Any]


class Queue(Struct, frozen=True):
    """`pending` in the order in which it will run."""

    running: tuple[Queued, ...]
    pending: tuple[Queued, ...]


class Uploaded(Struct, frozen=True):
    name: str
    subfolder: str = ""
    type: str = "input"

    @property
    def path(self) -> str:
        """What a node's input calls it."""
        return f"{self.subfolder}/{self.name}" if self.subfolder else self.name


class Account(Struct, frozen=True):
    """What history tells of a prompt that is over."""

    outputs: dict[str, dict[str, Any]]
    ok: bool
    interrupted: bool = False
    error: dict[str, Any] = {}
    """The report of the node that failed; empty if none did."""
    started_ms: int = 0
    """By the server's clock, as `ended_ms` and `created_ms`; 0 where it does not say."""
    ended_ms: int = 0
    created_ms: int = 0
    cached: tuple[str, ...] = ()


class _Status(Struct):
    status_str: str = ""
    completed: bool = False
    messages: list[Any] = []


class _Entry(Struct):
    outputs: dict[str, Any]
    prompt: list[Raw] = []
    status: _Status | None = None


class _Queues(Struct):
    queue_running: list[list[Raw]]
    queue_pending: list[list[Raw]]


class _Stats(Struct):
    system: dict[str, Any]
    devices: list[dict[str, Any]] = []


class _ModelFolder(Struct):
    name: str


class _ModelEntry(Struct):
    name: str
    size: Annotated[int, Meta(ge=0)]
    modified: Annotated[float, Meta(ge=0, lt=253_402_300_800)]  # up to the year 9999


def read_json(body: bytes, shape: type[T], where: str) -> T:
    """Raises `DamagedAnswerError`."""
    try:
        try:
            return msgspec.json.decode(body, type=shape, strict=False)
        except ValidationError:
            raise
        except msgspec.DecodeError:
            return msgspec.json.decode(_strict(body), type=shape, strict=False)
    except (ValueError, RecursionError) as damage:  # msgspec's and json's own are among them
        raise DamagedAnswerError(
            f"{where} answered what cannot be read ({len(body)} bytes): {damage}."
        ) from damage


def _strict(body: bytes) -> bytes:
    """What Python's json writes and JSON does not know, in JSON: NaN and infinities as null, in names of files that
    are no Unicode a question mark. Raises `ValueError`."""
    found = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def read_model_folders(body: bytes, where: str) -> tuple[str, ...]:
    """The kinds of model files that there are folders for."""
    return tuple(folder.name for folder in read_json(body, list[_ModelFolder], where))


def read_model_files(body: bytes, folder: str, where: str) -> dict[str, ModelFile]:
    """By name; of equal names in several places the first is the one that nodes load."""
    found = read_json(body, list[_ModelEntry], where)
    return {
        entry.name: ModelFile(folder=folder, size=entry.size, modified_s=entry.modified)
        for entry in reversed(found)
    }


def read_submitted(body: bytes, where: str) -> Submitted:
    found = read_json(body, dict[str, Any], where)
    if not found.get("node_errors"):  # older servers say [] for none
        found["node_errors"] = {}
    return _shaped(found, Submitted, where)


def read_uploaded(body: bytes, where: str) -> Uploaded:
    found = read_json(body, Uploaded, where)
    if not found.name or found.name.startswith("/") or "\\" in found.subfolder:
        raise DamagedAnswerError(f"{where} named the upload {found.name!r} in {found.subfolder!r}.")
    return found


def read_queue(body: bytes, where: str) -> Queue:
    found = read_json(body, _Queues, where)
    pending = sorted((_queued(item, where) for item in found.queue_pending), key=lambda item: item.number)
    return Queue(running=tuple(_queued(item, where) for item in found.queue_running), pending=tuple(pending))


def _queued(item: list[Raw], where: str) -> Queued:
    """Only three fields are decoded: a queue echoes whole graphs."""
    if len(item) < 4:
        raise DamagedAnswerError(f"{where} answered a queue whose item has {len(item)} fields.")
    extra: Any = read_json(bytes(item[3]), object, where)
    return Queued(
        number=read_json(bytes(item[0]), float, where),
        prompt_id=read_json(bytes(item[1]), str, where),
        extra_data=extra if isinstance(extra, dict) else {},
    )


def read_history(body: bytes, prompt_id: str, where: str) -> Account | None:
    """What history says of this prompt; None: it does not know it, or it is not over."""
    entry = read_json(body, dict[str, Raw], where).get(prompt_id)
    if entry is None:
        return None
    found = read_json(bytes(entry), _Entry, where)
    status = found.status or _Status(status_str="success", completed=True)
    times: dict[str, int] = {}
    details: dict[str, dict[str, Any]] = {}
    for message in status.messages:
        match message:
            case [str(name), dict(data)]:
                details[name] = data
                stamp = data.get("timestamp")
                times[name] = stamp if isinstance(stamp, int) else 0
    extra: Any = read_json(bytes(found.prompt[3]), object, where) if len(found.prompt) > 3 else {}
    ends = ("execution_success", "execution_error", "execution_interrupted")
    created = extra.get("create_time", 0) if isinstance(extra, dict) else 0
    cached = details.get("execution_cached", {}).get("nodes", [])
    return Account(
        outputs={node: made for node, made in found.outputs.items() if isinstance(made, dict)},
        ok=status.status_str == "success" and status.completed,
        interrupted="execution_interrupted" in details,
        error=details.get("execution_error", {}),
        started_ms=times.get("execution_start", 0),
        ended_ms=max((times.get(name, 0) for name in ends), default=0),
        created_ms=created if isinstance(created, int) else 0,
        cached=tuple(str(node) for node in cached) if isinstance(cached, list) else (),
    )


def read_stats(body: bytes, where: str) -> ServerFacts:
    found = read_json(body, _Stats, where)
    system = found.system
    argv = system.get("argv")
    return ServerFacts(
        version=str(system.get("comfyui_version") or "unknown"),
        python_version=str(system.get("python_version") or ""),
        pytorch_version=str(system.get("pytorch_version") or ""),
        ram_total=_bytes(system.get("ram_total")),
        ram_free=_bytes(system.get("ram_free")),
        argv=tuple(str(word) for word in argv) if isinstance(argv, list) else (),
        devices=tuple(
            DeviceFacts(
                name=str(device.get("name") or ""),
                type=str(device.get("type") or ""),
                vram_total=_bytes(device.get("vram_total")),
                vram_free=_bytes(device.get("vram_free")),
                torch_vram_total=_bytes(device.get("torch_vram_total")),
                torch_vram_free=_bytes(device.get("torch_vram_free")),
            )
            for device in found.devices
        ),
    )


def outputs_of(node_id: str, made: dict[str, Any]) -> list[Output]:
    """What a node put out, of every kind; values that are neither a file nor a text are passed over."""
    found: list[Output] = []
    flags = made.get("animated")
    animated = isinstance(flags, list | tuple) and any(flags)
    for kind, values in made.items():
        if not isinstance(values, list):
            continue
        for value in values:
            match value:
                case {"filename": str(filename)} if filename:
                    found.append(
                        Output(
                            node_id=node_id,
                            kind=kind,
                            filename=filename,
                            subfolder=str(value.get("subfolder") or ""),
                            type=str(value.get("type") or "output"),
                            animated=animated,
                        )
                    )
                case str() if kind in _TEXTUAL:
                    found.append(Output(node_id=node_id, kind=kind, text=value))
    return found


def _bytes(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _shaped(found: dict[str, Any], shape: type[T], where: str) -> T:
    try:
        return msgspec.convert(found, type=shape, strict=False)
    except ValidationError as damage:
        raise DamagedAnswerError(f"{where} answered in another shape: {damage}.") from damage
