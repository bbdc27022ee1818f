"""What can go wrong with a ComfyUI server, as errors that say what, where and what to do.

ComfyError
├── UnreachableError       comfy_unreachable: nothing listens, the line broke, no answer in time
├── DamagedAnswerError     comfy_damaged_answer: an answer that is cut, no JSON, or of another shape
├── ComfyRefusedError           comfy_refused, comfy_invalid_prompt, comfy_too_large: asked again, it says the same
└── PromptFailedError           comfy_node_failed, comfy_oom, comfy_stalled, …: what became of a prompt

Whatever the first two were the answer to may have been done all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from caf.errors import CafError

__all__ = [
    "ComfyError",
    "ComfyRefusedError",
    "DamagedAnswerError",
    "NotThereError",
    "PromptFailedError",
    "UnreachableError",
    "invalid_prompt",
    "node_failed",
]

_SHOWN: Final = 400
"""Characters of a server's own words that are told."""

_OOM: Final = ("outofmemory", "out of memory", "not enough memory", "can't allocate memory")
_NO_SPACE: Final = ("no space left on device", "errno 28", "disk quota exceeded", "errno 122")


class ComfyError(CafError):
    """Something that a ComfyUI server did or did not do."""

    exit_code = 69
    default_kind = "comfy_failed"


class UnreachableError(ComfyError):
    """No answer. `sent` says whether the request may have arrived."""

    exit_code = 75
    default_kind = "comfy_unreachable"

    def __init__(self, message: str, *, remedy: str = "", sent: bool = True) -> None:
        super().__init__(
            message,
            remedy=remedy
            or "See that the server runs and that its address is right; caf comfy doctor tries it.",
            transient=True,
        )
        self.sent = sent


class DamagedAnswerError(ComfyError):
    """An answer that cannot be read; what it answered may have been done."""

    exit_code = 75
    default_kind = "comfy_damaged_answer"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            remedy="Something between caf and the server changes what passes; connect without it.",
            transient=True,
        )


class ComfyRefusedError(ComfyError):
    """The server understood and said no; it will say no again."""

    exit_code = 65
    default_kind = "comfy_refused"

    def __init__(self, message: str, *, remedy: str, kind: str | None = None, status: int = 0) -> None:
        super().__init__(message, remedy=remedy, kind=kind)
        self.status = status
        self.answer = b""


class NotThereError(ComfyRefusedError):
    """The server has no such file, job or route."""

    default_kind = "comfy_not_there"


class PromptFailedError(ComfyError):
    """A prompt that did not come to a good end."""

    exit_code = 1


def invalid_prompt(key: str, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> ComfyRefusedError:
    """The server would not run a graph, or would leave outputs of it out; told per node."""
    told = [
        f"node {node} ({_word(report, 'class_type')}): {_sentence(problem)}"
        for node, report in node_errors.items()
        if isinstance(report, Mapping)
        for problem in _problems(report)
    ]
    if not told and error:
        extra = error.get("extra_info")
        node = (
            f"node {_word(extra, 'node_id')}: " if isinstance(extra, Mapping) and extra.get("node_id") else ""
        )
        told = [node + _sentence(error)]
    return ComfyRefusedError(
        f"The server does not accept the prompt of {key}: {'; '.join(told) or 'it does not say why'}.",
        remedy="Check the workflow against this server: caf workflow lint FILE --server URL.",
        kind="comfy_invalid_prompt",
        status=400,
    )


def node_failed(key: str, report: Mapping[str, Any], memory: str) -> PromptFailedError:
    """A node raised. `memory` is what the server said of its memory then, for the case that it ran out."""
    kind_of_exception = _word(report, "exception_type")
    message = _word(report, "exception_message").strip()
    where = f"node {_word(report, 'node_id')} ({_word(report, 'node_type')}) of {key}"
    told = f"{kind_of_exception}: {message}"[:_SHOWN]
    match _cause(kind_of_exception, message):
        case "comfy_oom":
            return PromptFailedError(
                f"The server ran out of memory in {where}: {told}. {memory}".rstrip(),
                remedy="Ask for less at a time (size, frames, batch), or end what else uses the card.",
                kind="comfy_oom",
            )
        case "comfy_disk_full":
            return PromptFailedError(
                f"The server's disk is full; it could not write in {where}: {told}.",
                remedy="Make room in the server's output folder.",
                kind="comfy_disk_full",
            )
    return PromptFailedError(
        f"The server failed in {where}: {told}.",
        remedy="The node's own message says why; the server's log has the traceback.",
        kind="comfy_node_failed",
    )


def _cause(kind_of_exception: str, message: str) -> str:
    told = f"{kind_of_exception} {message}".lower()
    if any(word in told for word in _OOM):
        return "comfy_oom"
    if any(word in told for word in _NO_SPACE):
        return "comfy_disk_full"
    return "comfy_node_failed"


def _problems(report: Mapping[str, Any]) -> Sequence[Any]:
    errors = report.get("errors")
    return errors if isinstance(errors, Sequence) and not isinstance(errors, str) and errors else [{}]


def _sentence(problem: Any) -> str:
    if not isinstance(problem, Mapping):
        return str(problem)[:_SHOWN]
    words = [word for name in ("type", "message", "details") if (word := _word(problem, name).strip())]
    return ": ".join(words)[:_SHOWN] or "no reason given"


def _word(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name, "")
    return found if isinstance(found, str) else str(found)
