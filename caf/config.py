"""Configuration: flag > CAF_* environment > `caf.toml` in the workspace > default."""

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caf.errors import DocumentError
from caf.pose.source import ModelSource
from caf.pose.workers import MOST_WORKERS

__all__ = ["NO_SETTINGS", "Config", "Setting", "load_config", "settings_of", "unknown_variables"]

FILE: Final = "caf.toml"
NO_SETTINGS: Final = frozenset({"CAF_TOKEN", "CAF_WORKSPACE"})
"""Variables that caf reads and `caf.toml` has no key for: a secret, and where `caf.toml` is."""


LEAST_MEMORY_MB: Final = 1024
"""Below this the libraries of a worker cannot even be loaded."""

MOST: Final = 256

RANGES: Final[dict[str, tuple[Callable[[float], bool], str]]] = {
    "pose_coverage_threshold": (lambda value: 0 <= value <= 1, "a number from 0 to 1"),
    "stall_s": (lambda value: value > 0, "a number of seconds above 0"),
    "deadline_s": (lambda value: value > 0, "a number of seconds above 0"),
    "render_lanes": (lambda value: 1 <= value <= MOST, f"a whole number from 1 to {MOST}"),
    "workers": (lambda value: 1 <= value <= MOST, f"a whole number from 1 to {MOST}"),
    "pose_workers": (lambda value: 0 <= value <= MOST_WORKERS, f"a whole number from 0 to {MOST_WORKERS}"),
    "measure_workers": (lambda value: 0 <= value <= MOST_WORKERS, f"a whole number from 0 to {MOST_WORKERS}"),
    "jobs_at_once": (lambda value: 1 <= value <= MOST, f"a whole number from 1 to {MOST}"),
    "comfy_stall_s": (lambda value: value > 0, "a number of seconds above 0"),
    "comfy_depth": (lambda value: 1 <= value <= MOST, f"a whole number from 1 to {MOST}"),
    "grace_s": (lambda value: value >= 0, "a number of seconds from 0"),
    "memory_mb": (
        lambda value: value == 0 or LEAST_MEMORY_MB <= value < 2**40,
        f"0, or a whole number of MiB from {LEAST_MEMORY_MB}",
    ),
}
"""What a setting may be beyond its type, and how that is said; nothing here is true of NaN."""


class Config(Struct, frozen=True, kw_only=True):
    """Every setting with its default."""

    model_path: str | None = None
    """A pose landmarker `.task` of your own."""
    model_url: str | None = None
    """Where to fetch one; needs `model_sha256`."""
    model_sha256: str | None = None
    cache_dir: str | None = None
    """Where fetched models are kept; default: the user's cache folder."""
    policy: str | None = None
    """A qc_policy.v1 file, relative to the workspace, or a built-in one: default or technical."""
    registry: str | None = None
    """A workflow_registry.v1 file, relative to the workspace; default: the built-in registry."""
    extra_metrics: str = ""
    """What `caf qc` measures beside its own metrics, separated by commas: vmaf, identity_embedding."""
    identity_model: str | None = None
    """An .onnx of your own for `identity_embedding`, relative to the workspace."""
    identity_model_input: str = ""
    """What it wants to be given: size=112,mean=127.5,scale=0.0078125,colours=rgb; what is left out is so by default."""
    pose_coverage_threshold: float = 0.3
    """Share of frames with a pose below which raw frames are used. Real dancing-cat clips give 0.6-0.8."""
    stall_s: float = 60.0
    """Seconds without progress after which native work counts as hung."""
    deadline_s: float = 3600.0
    """Seconds that one stage may take at most."""
    memory_mb: int = 0
    """Address space of a worker in MiB; 0: no limit."""
    render_lanes: int = 1
    """How many stages the daemon's engines run at once: one a GPU."""
    workers: int = 2
    """Child processes of the daemon for poses and measuring."""
    pose_workers: int = 0
    """Processes that share the poses of one clip; 0: a fair share of the processors, at most 4. 0.3 GB each."""
    measure_workers: int = 1
    """Processes that share the measuring of one clip in jobs; 0: a fair share of the processors, at most 4."""
    jobs_at_once: int = 4
    """Jobs that the daemon has under way; the others wait their turn."""
    listen: str = "127.0.0.1:8765"
    """Where the daemon's HTTP API listens; another address than loopback needs a token."""
    token_file: str | None = None
    """A file with the token that the HTTP API asks for, relative to the workspace; or CAF_TOKEN."""
    grace_s: float = 30.0
    """Seconds that running stages get to come to an end when the daemon is told to stop."""
    comfy_urls: str = "http://127.0.0.1:8188"
    """ComfyUI servers for jobs that name none, separated by commas; each is a lane of its own."""
    comfy_stall_s: float = 600.0
    """Seconds without a sign of progress after which a render on a ComfyUI server counts as hung."""
    comfy_depth: int = 3
    """Prompts of a job that are at a ComfyUI server at a time, so that it never waits for the next."""

    @property
    def model_source(self) -> ModelSource:
        """Where the pose model comes from."""
        return ModelSource(
            path=self.model_path, url=self.model_url, sha256=self.model_sha256, cache_dir=self.cache_dir
        )


class Setting(Struct, frozen=True, kw_only=True):
    """A setting, and where its value comes from."""

    name: str
    value: Any
    origin: str
    """`default`, the path of the file, or the variable's name."""


def load_config(root: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of a workspace. Raises `DocumentError` naming the file or variable at fault."""
    config = Config(**{one.name: one.value for one in settings_of(root, environ)})
    # A service's own folder is anywhere; what the workspace's settings name lies where they lie.
    named = {name: getattr(config, name) for name in ("token_file", "identity_model")}
    return replace(config, **{name: str((root / path).absolute()) for name, path in named.items() if path})


def settings_of(root: Path, environ: Mapping[str, str] = os.environ) -> list[Setting]:
    """Every setting of a workspace in the order of `Config`. Raises `DocumentError`."""
    file = root / FILE
    written = _checked(_written(file), lambda name: f"{file}: {name}")
    variables = {f"CAF_{name.upper()}": name for name in Config.__struct_fields__}
    given = {variables[key]: value for key, value in environ.items() if key in variables and value}
    given = _checked(given, lambda name: f"CAF_{name.upper()}")
    found = []
    for field in msgspec.structs.fields(Config):
        name = field.name
        if name in given:
            found.append(Setting(name=name, value=given[name], origin=f"CAF_{name.upper()}"))
        elif name in written:
            found.append(Setting(name=name, value=written[name], origin=str(file)))
        else:
            found.append(Setting(name=name, value=field.default, origin="default"))
    return found


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that look like settings of caf and are none: slips of the pen, most likely."""
    known = {f"CAF_{name.upper()}" for name in Config.__struct_fields__} | NO_SETTINGS
    return sorted(name for name in environ if name.startswith("CAF_") and name not in known)


def _written(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except RecursionError as fault:
        raise DocumentError(
            f"{file} cannot be read: it is nested too deep.", remedy="Correct or remove it."
        ) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as fault:
        raise DocumentError(f"{file} cannot be read: {fault}.", remedy="Correct or remove it.") from fault


def _checked(fields: Mapping[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
    """The settings in their types and ranges. `where` names the place of one in a sentence."""
    types = {field.name: field.type for field in msgspec.structs.fields(Config)}
    checked = {}
    for name, value in fields.items():
        if name not in types:
            raise DocumentError(
                f"{where(name)} is no setting of caf.", remedy=f"The settings are: {', '.join(types)}."
            )
        try:
            checked[name] = msgspec.convert(value, types[name], strict=False)
        except msgspec.ValidationError as fault:
            raise _not_allowed(name, value, where(name)) from fault
        # A NUL is in no path and no address, and the system's calls answer it with errors that are nobody's.
        if (name in RANGES and not RANGES[name][0](checked[name])) or "\0" in str(checked[name]):
            raise _not_allowed(name, value, where(name))
    return checked


def _not_allowed(name: str, value: object, where: str) -> DocumentError:
    words = RANGES[name][1] if name in RANGES else "a text without NUL"
    return DocumentError(f"{where} is {value!r}; allowed is {words}.", remedy="Correct it, or leave it out.")
