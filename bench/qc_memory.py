"""What processes take that measure a clip, memory and time: one by itself, and those that it shares the clip with."""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from caf.ports import MeasureRequest

__all__ = ["Measured", "measured_apart", "request_for"]

_LOOK_S: Final = 0.05


class Measured(NamedTuple):
    """One measuring in processes of its own."""

    wall_s: float
    """Of the measuring, without the start of its process."""
    largest_mb: float
    """The most that one process held."""
    together_mb: float
    """The most that all of them held at a time; what they share counts for each."""
    processes: int
    own_s: float
    """Of a processor, by the process that was asked."""
    helpers_s: float
    """Of a processor, by all others."""


def request_for(
    path: Path, metrics: tuple[str, ...], workers: int, reference: str | None = None
) -> MeasureRequest:
    """A clip that is its own source."""
    return MeasureRequest(
        metrics=metrics,
        video=str(path),
        source=str(path),
        reference=reference,
        costume_required=True,
        workers=workers,
    )


def measured_apart(path: Path, workers: int) -> Measured:
    """Measure all metrics in a fresh process, and look at what it and its helpers hold meanwhile."""
    command = [sys.executable, "-m", "bench.qc_memory", str(path), "--workers", str(workers)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peaks: dict[int, float] = {}
    together = 0.0
    while running.poll() is None:
        held = {pid: mb for pid in _family(running.pid) if (mb := _resident_mb(pid)) is not None}
        for pid, mb in held.items():
            peaks[pid] = max(mb, peaks.get(pid, 0.0))
        together = max(together, sum(held.values()))
        time.sleep(_LOOK_S)
    assert running.stdout is not None
    said = running.stdout.read().split()
    if running.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    wall_s, peak_mb, own_s, helpers_s = (float(word) for word in said)
    return Measured(wall_s, max(*peaks.values(), peak_mb), together, len(peaks), own_s, helpers_s)


def _family(pid: int) -> list[int]:
    try:
        own = Path(f"/proc/{pid}/task").iterdir()
        children = [int(one) for task in own for one in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *children]


def _resident_mb(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)


def _main() -> None:
    from caf.qc.measure import measure
    from caf.qc.metrics import METRICS
    from caf.qc.metrics.helpers import end_helpers
    from caf.worker.memory import peak_bytes

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    told = parser.parse_args()
    start, start_cpu = time.perf_counter(), time.process_time()
    measure(request_for(told.clip, tuple(METRICS), told.workers), lambda done, of: None)
    wall_s, own_s = time.perf_counter() - start, time.process_time() - start_cpu
    end_helpers()  # what they took is known when they have ended
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(wall_s, peak_bytes() / 2**20, own_s, helpers.ru_utime + helpers.ru_stime)


if __name__ == "__main__":
    _main()
