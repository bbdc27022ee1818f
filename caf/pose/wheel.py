"""Gets the two BlazePose networks out of an older MediaPipe wheel, by name, version and hash, through pip.

Nothing of that wheel is installed. pip finds it wherever this machine's pip is told to look.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from caf.errors import UnavailableError
from caf.ports import Progress

__all__ = ["BLAZEPOSE", "PinnedFile", "PinnedWheel", "fetch_networks", "unavailable"]

_POLL_S: Final = 0.2
_PIP_CHECK_S: Final = 60


class PinnedFile(NamedTuple):
    path: str
    sha256: str


class PinnedWheel(NamedTuple):
    """A wheel and the two networks in it, each known by its SHA-256. The license is Apache-2.0."""

    requirement: str
    sha256: str
    bytes: int
    detector: PinnedFile
    landmarks: PinnedFile


BLAZEPOSE: Final = PinnedWheel(
    requirement="mediapipe==0.10.21",  # the last line of releases whose wheels carry the networks
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    bytes=35_622_638,
    detector=PinnedFile(
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    landmarks=PinnedFile(
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
)


def fetch_networks(folder: Path, progress: Progress, wheel: PinnedWheel = BLAZEPOSE) -> tuple[bytes, bytes]:
    """The detector's and the landmark network's bytes; `folder` is an empty one for what comes between.

    `progress` counts the wheel's bytes. Raises UnavailableError with the kind `model_unavailable` when
    there is no pip, no network, or other bytes than the pinned ones.
    """
    pip = next(_working_pips(folder), None)
    if pip is None:
        raise unavailable("The pose model cannot be fetched: there is no pip on this machine.")
    _download(pip, folder, progress, wheel)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise unavailable(f"pip reported success, but the wheel of {wheel.requirement} is not there.")
    return _member(wheels[0], wheel.detector), _member(wheels[0], wheel.landmarks)


def unavailable(message: str) -> UnavailableError:
    """The error for a model that cannot be had, with all the ways out."""
    return UnavailableError(
        message,
        remedy=(
            "Connect this machine once and run 'caf models fetch', or set model_path (CAF_MODEL_PATH) to a "
            "pose landmarker .task file, or model_url and model_sha256 to a place that can be reached."
        ),
        kind="model_unavailable",
        transient=True,
    )


def _working_pips(folder: Path) -> Iterator[list[str]]:
    """Commands that run a pip, cheapest first. Environments made by uv have none of their own."""
    for command in _likely_pips():
        if _works(command):
            yield command
    environment = folder / "venv"
    try:
        venv.create(environment, with_pip=True)
    except (subprocess.CalledProcessError, OSError):
        return
    yield [str(environment / "bin" / "python"), "-m", "pip"]


def _likely_pips() -> Iterator[list[str]]:
    base = getattr(sys, "_base_executable", None) or sys.executable
    for python in dict.fromkeys((sys.executable, base)):
        yield [python, "-P", "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            yield [found]
    if uv := shutil.which("uv"):
        yield [uv, "tool", "run", "pip"]


def _works(command: list[str]) -> bool:
    try:
        # The command is one of the four above.
        done = subprocess.run(  # noqa: S603
            [*command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PIP_CHECK_S,
            env=_environment(None),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _download(pip: list[str], folder: Path, progress: Progress, wheel: PinnedWheel) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="ascii")
    command = [*pip, "download", "--quiet", "--dest", str(folder), "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    command += ["--requirement", str(requirements)]
    said = folder / "pip.log"
    with said.open("wb") as log:
        running = subprocess.Popen(  # noqa: S603  only pinned names and paths of our own
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(folder)
        )
        try:
            _watch(running, folder, progress, wheel.bytes)
        finally:
            running.kill()
            running.wait()
    if running.returncode != 0:
        raise unavailable(f"The pose model cannot be fetched: pip says: {_reason(said)}")


def _watch(running: "subprocess.Popen[bytes]", folder: Path, progress: Progress, total: int) -> None:
    """Reports growth only: a download that stands still must look like one."""
    seen = -1
    while True:
        try:
            running.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            so_far = min(total, _bytes_of_wheels(folder))
            if so_far > seen:
                seen = so_far
                progress(so_far, total)
        else:
            return


def _bytes_of_wheels(folder: Path) -> int:
    """What is there of wheels, while pip moves and removes them."""
    size = 0
    for place, _, names in os.walk(folder):  # passes over folders that have just gone, as rglob does not
        for name in names:
            if name.endswith(".whl"):
                with contextlib.suppress(FileNotFoundError):
                    size += (Path(place) / name).stat().st_size
    return size


def _environment(folder: Path | None) -> dict[str, str]:
    """pip with its own modules, and its temporary files where their growth can be watched."""
    dropped = ("PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept |= {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return kept if folder is None else kept | {"TMPDIR": str(folder)}


def _reason(said: Path) -> str:
    lines = [line.strip() for line in said.read_text("utf-8", "replace").splitlines() if line.strip()]
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return "the file it found is not the pinned one (its SHA-256 differs)."
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["nothing"])[-1].rstrip(".") + "."


def _member(wheel: Path, file: PinnedFile) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            payload = archive.read(file.path)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise unavailable(f"The wheel {wheel.name} does not hold {file.path}: {error}.") from error
    if hashlib.sha256(payload).hexdigest() != file.sha256:
        raise unavailable(f"{file.path} in {wheel.name} is not the pinned one (its SHA-256 differs).")
    return payload
