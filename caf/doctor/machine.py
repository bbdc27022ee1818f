"""The machine: Python and libraries, memory, clock, limits, graphics card."""

import ctypes
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from caf.config import Config
from caf.doctor.finding import Finding, bad, good, warning
from caf.media.compiled import COMPILED
from caf.pose.workers import workers_for
from caf.system import APT_LINE, missing_system_libraries
from eventstore import PARTS, sqlite_note

__all__ = ["clock", "compiled", "gpu", "libraries", "memory", "open_files", "python", "sqlite", "time_sync"]

_BUILT: Final = 1_760_000_000
"""October 2025: a clock that shows less has not been set."""
_SLACK_MS: Final = 60_000
_CHILD_BYTES: Final = 2 * 1024**3
"""What a child process takes for a clip in Full HD, measured: docs/operations.md, sizing."""
_HELPER_BYTES: Final = 512 * 1024**2
"""What a process takes that shares a clip's poses, in Full HD, measured: docs/operations.md, models."""
_FILES: Final = 1024
_PATIENCE_S: Final = 10
_TIME_ERROR: Final = 5
"""adjtimex(2): the clock is not synchronized."""


def python() -> Finding:
    told = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    if sys.version_info[:2] == (3, 12):
        # gh-113993: its interned strings are immortal, and pathlib interns every part of a path.
        remedy = "Serve with 3.11 or 3.13; with this one start the daemon again now and then."
        return warning("python", f"{told}, which never forgets a file name: some 3 KB a job", remedy)
    return good("python", told)


def sqlite() -> Finding:
    note = sqlite_note()
    if note.verdict == "good":
        return good("sqlite", note.what)
    return (warning if note.verdict == "guarded" else bad)("sqlite", note.what, note.remedy)


def compiled() -> Finding:
    """Whether what costs most of the log, of steadying and of measuring is compiled."""
    if PARTS == "compiled" and COMPILED:
        return good(
            "compiled", "the inner loops of the event log, of steadying and of measuring are compiled"
        )
    remedy = "Install gcc and Python's headers (python3-dev), then install caf again; it works without, too."
    what = (
        f"the inner loops of the event log run {PARTS}"
        if PARTS != "compiled"
        else "pictures are followed, moved and measured by OpenCV"
    )
    return warning("compiled", f"{what}: it takes longer", remedy)


def libraries() -> Finding:
    missing = missing_system_libraries()
    if missing:
        what = f"missing for OpenCV and MediaPipe: {', '.join(missing)}"
        return bad("libraries", what, f"On Debian or Ubuntu: {APT_LINE}")
    return good("libraries", "all that OpenCV and MediaPipe load are there")


def clock(newest_ms: int | None) -> Finding:
    """`newest_ms`: when the log's newest event was recorded."""
    now_s = time.time()
    remedy = "Set it (timedatectl): events are stamped with it; their order does not depend on it."
    if now_s < _BUILT:
        return warning("clock", f"the clock shows {time.strftime('%Y-%m-%d')}", remedy)
    if newest_ms is not None and newest_ms > now_s * 1000 + _SLACK_MS:
        behind_s = newest_ms / 1000 - now_s
        return warning("clock", f"the clock is {behind_s:.0f} s before the log's newest event", remedy)
    return good("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def time_sync() -> Finding:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024))  # modes = 0: asks, sets nothing
    except (AttributeError, OSError):
        return good("time_sync", "this system does not say whether its clock is synchronized")
    if state < 0:
        return good("time_sync", "this system does not let us ask whether its clock is synchronized")
    if state == _TIME_ERROR:
        remedy = "Let it follow others: timedatectl set-ntp true (in a container: on its host)"
        return warning("time_sync", "the clock is not synchronized with others", remedy)
    return good("time_sync", "the clock is synchronized with others")


def memory(config: Config) -> Finding:
    total, available = _memory()
    if total is None or available is None:
        return good("memory", "this system does not say how much memory there is")
    children = config.render_lanes + config.workers
    each = max(workers_for(asked, config.workers) for asked in (config.pose_workers, config.measure_workers))
    helpers = config.workers * (each - 1)
    counted = f"{children} child processes" + (
        f" and {helpers} more for poses and measuring" if helpers else ""
    )
    told = f"{available / 1024**3:.1f} of {total / 1024**3:.1f} GiB free"
    if total < children * _CHILD_BYTES + helpers * _HELPER_BYTES:
        return warning(
            "memory",
            f"{told}; {counted} at {_CHILD_BYTES // 1024**2} and {_HELPER_BYTES // 1024**2} MiB may not fit",
            "Set fewer workers, pose_workers, measure_workers or render_lanes in caf.toml, or a memory_mb for each.",
        )
    return good("memory", f"{told}, for {counted}")


def _memory() -> tuple[int | None, int | None]:
    """Bytes in all and bytes to be had, the container's limit considered."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None, None
    fields = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    total, available = fields["MemTotal"], fields.get("MemAvailable", fields["MemFree"])
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text("ascii").strip()
    except OSError:
        return total, available
    if limit.isdigit() and int(limit) < total:
        return int(limit), min(available, int(limit) - int(used))
    return total, available


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = f"{'any number of' if soft == resource.RLIM_INFINITY else soft} open files allowed"
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        remedy = (
            f"Allow {_FILES} or more: ulimit -n {_FILES} (of at most {hard}), or LimitNOFILE= in the unit."
        )
        return warning("open_files", what, remedy)
    return good("open_files", what)


def gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    if tool is None and not devices:
        return good("gpu", "no NVIDIA GPU; the embedded engine works without one, ComfyUI here would not")
    remedy = "Mend the driver, if work outside caf needs the GPU: nvidia-smi. The embedded engine does not."
    if tool is None:
        return warning("gpu", f"{len(devices)} device files of NVIDIA GPUs, but no nvidia-smi", remedy)
    question = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603 - words of our own, and the program that PATH names
            question, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return warning("gpu", f"nvidia-smi does not answer: {fault}", remedy)
    cards = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not cards:
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        return warning("gpu", f"nvidia-smi finds no GPU: {said}", remedy)
    return good("gpu", f"{len(cards)}: {'; '.join(cards)}")
