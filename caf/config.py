"""Configuration: flag > CAF_* environment > `caf.toml` in the workspace > default."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from caf.errors import DocumentError

__all__ = ["Config", "load_config"]

FILE: Final = "caf.toml"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting with its default."""

    model_path: str | None = None
    """A pose landmarker `.task` of your own."""
    model_url: str | None = None
    """Where to fetch one; needs `model_sha256`."""
    model_sha256: str | None = None
    cache_dir: str | None = None
    """Where fetched models are kept; default: the user's cache folder."""
    policy: str | None = None
    """A qc_policy.v1 file, relative to the workspace; default: the built-in policy."""
    registry: str | None = None
    """A workflow_registry.v1 file, relative to the workspace; default: the built-in registry."""
    pose_coverage_threshold: float = 0.3
    """Share of frames with a pose below which raw frames are used. Real dancing-cat clips give 0.6-0.8."""
    stall_s: float = 60.0
    """Seconds without progress after which native work counts as hung."""
    deadline_s: float = 3600.0
    """Seconds that one stage may take at most."""
    memory_mb: int = 0
    """Address space of a worker in MiB; 0: no limit."""


def load_config(root: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of a workspace. Raises `DocumentError` naming the file or variable at fault."""
    fields: dict[str, Any] = {}
    file = root / FILE
    try:
        fields |= tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as fault:
        raise DocumentError(f"{file} cannot be read: {fault}.", remedy="Correct or remove it.") from fault
    _convert(fields, str(file))
    names = {f"CAF_{name.upper()}": name for name in Config.__struct_fields__}
    given = {names[key]: value for key, value in environ.items() if key in names and value}
    for name, value in given.items():
        _convert({name: value}, f"CAF_{name.upper()}")
    return _convert({**fields, **given}, str(file))


def _convert(fields: dict[str, Any], where: str) -> Config:
    try:
        return msgspec.convert(fields, Config, strict=False)
    except msgspec.ValidationError as fault:
        allowed = ", ".join(Config.__struct_fields__)
        raise DocumentError(f"{where}: {fault}.", remedy=f"The settings are: {allowed}.") from fault
