"""Paths that stand in documents: relative to the workspace, and never out of it."""

import re
from typing import Final

from caf.contracts.job import JobDocument
from caf.errors import DocumentError

__all__ = ["asset_path", "workspace_path"]

_DRIVE: Final = re.compile(r"^[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_REMEDY: Final = "Give a path relative to the workspace, like sandbox/assets/clip.mp4."


def workspace_path(path: str, *, where: str) -> str:
    """The path with `.` and empty parts taken out; `where` names its place in a document for the error.

    Raises `DocumentError` for a path that could leave the workspace or name nothing: absolute (also
    Windows drives, UNC and any backslash), with a `..` part, with a control character, or empty.
    """
    if _CONTROL.search(path):
        raise DocumentError(f"{where} is {path!r}, which has a control character in it.", remedy=_REMEDY)
    if path.startswith("/") or _DRIVE.match(path):
        raise DocumentError(f"{where} is {path!r}, an absolute path.", remedy=_REMEDY)
    if "\\" in path:
        raise DocumentError(
            f"{where} is {path!r}, which has a backslash in it.", remedy="Use / between folders."
        )
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise DocumentError(f"{where} is {path!r}, which leads out of its folder.", remedy=_REMEDY)
    if not parts:
        raise DocumentError(f"{where} is {path!r}, which names no file.", remedy=_REMEDY)
    return "/".join(parts)


def asset_path(job: JobDocument) -> str:
    """Where the job's clip or image lies: `sandbox/…`, relative to the workspace.

    `render.background_asset` may have the `sandbox/` prefix or not. Raises `DocumentError` as
    `workspace_path` does.
    """
    path = workspace_path(job.render.background_asset, where="render.background_asset")
    inside = path.removeprefix("sandbox/")
    if inside == "sandbox":
        raise DocumentError(
            f"render.background_asset is {job.render.background_asset!r}, a folder.", remedy=_REMEDY
        )
    return f"sandbox/{inside}"
