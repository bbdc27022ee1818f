"""Compiles `eventstore/native/` into `eventstore._native`, and `caf/media/native/` into `caf.media._native`, when
the package is built or installed, if that can be done.

Without a C compiler or Python's headers the event log runs in Python (the same bytes, more slowly), and pictures are
followed, moved and measured by OpenCV (nearly the same, more slowly). Run by itself (`python hatch_build.py`) it
compiles for the Python that runs it.
"""

import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
PACKAGES = {
    "eventstore": "The event log will run in Python",
    "caf/media": "Pictures will be followed, moved and measured by OpenCV",
}
"""Whose folder `native` is compiled, and what is said where it cannot be."""
SUPPORTED = ((3, 11), (3, 13))
"""What the sources know of the interpreter's inside."""


def compiled(package: str, root: Path = ROOT) -> Path | None:
    """Where the package's compiled module is now; None, and a line of why, where it could not be made."""
    target = root / package / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1] or sysconfig.get_config_var(
        "Py_GIL_DISABLED"
    ):
        return _without(package, target, "this Python is not one of those that it knows")
    linker = sysconfig.get_config_var("LDSHARED") or "cc -shared"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".native-") as folder:
        made = Path(folder) / target.name
        command = [
            *shlex.split(linker),
            "-O3",
            "-fPIC",
            "-fvisibility=hidden",
            f"-I{sysconfig.get_path('include')}",
        ]
        sources = sorted((ROOT / package / "native").glob("*.c"))
        command += [*map(str, sources), "-o", str(made), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        except OSError as error:
            return _without(package, target, f"{command[0]}: {error.strerror}")
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["the compiler failed"]
            return _without(package, target, next((line for line in lines if "error" in line), lines[-1]))
        # In one step: a process that has the old one loaded keeps it.
        made.replace(target)
    return target


def _without(package: str, target: Path, why: str) -> None:
    target.unlink(missing_ok=True)
    print(f"{PACKAGES[package]}, not compiled: {why}", file=sys.stderr)  # noqa: T201


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:
    pass
else:

    class CustomBuildHook(BuildHookInterface[Any]):
        """What hatchling calls before it packs."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Compile in place, and add it to a wheel."""
            if self.target_name != "wheel":
                return
            for package in PACKAGES:
                target = compiled(package, Path(self.root))
                if target is not None and version != "editable":
                    build_data["force_include"][str(target)] = f"{package}/{target.name}"
                    build_data["infer_tag"], build_data["pure_python"] = True, False


if __name__ == "__main__":
    sys.exit(None in [compiled(package) for package in PACKAGES])
