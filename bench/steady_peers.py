"""The stabilisers beside which ours is measured: vid.stab in two passes and deshake, as Debian's ffmpeg has them."""

import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "deshake", "missing", "spent", "vidstab"]

LOSSLESS = ("-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", "-threads", "4", "-an", "-y")


class Cost(NamedTuple):
    """What a run took, children included."""

    wall_s: float
    cpu_s: float


class spent:  # noqa: N801 - reads as a statement: with spent() as cost
    """Measures a block: `cost` is set at its end."""

    cost: Cost

    def __enter__(self) -> "spent":
        self._start = time.perf_counter(), _cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.cost = Cost(time.perf_counter() - self._start[0], _cpu_s() - self._start[1])


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def missing() -> str:
    """Why the peers cannot be measured here; empty if they can."""
    if shutil.which("ffmpeg") is None:
        return "ffmpeg is not installed, so vid.stab and deshake were skipped (apt-get install ffmpeg)."
    filters = subprocess.run(
        ["ffmpeg", "-hide_banner", "-filters"], capture_output=True, text=True, check=True
    )
    gone = [name for name in ("vidstabdetect", "vidstabtransform", "deshake") if name not in filters.stdout]
    return f"This ffmpeg lacks {', '.join(gone)}, so they were skipped." if gone else ""


def vidstab(shaken: Path, out: Path, smoothing: int) -> None:
    """Both passes, tuned: finest search, static zoom that hides the borders, bicubic."""
    moves = out.with_suffix(".trf")
    _ffmpeg(shaken, f"vidstabdetect=shakiness=10:accuracy=15:stepsize=4:result={moves}", "-f", "null", "-")
    shown = f"vidstabtransform=input={moves}:smoothing={smoothing}:optzoom=1:interpol=bicubic:crop=black"
    _ffmpeg(shaken, shown, *LOSSLESS, str(out))


def deshake(shaken: Path, out: Path) -> None:
    """One pass, looking as far as the shake reaches."""
    _ffmpeg(shaken, "deshake=rx=32:ry=32:edge=mirror:blocksize=16:search=less", *LOSSLESS, str(out))


def _ffmpeg(source: Path, filters: str, *rest: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), "-vf", filters, *rest], check=True)
