"""The ffmpeg program that is on PATH: whether it can measure VMAF, and which one it is. Light, no numpy."""

import shutil
import subprocess
from dataclasses import dataclass

__all__ = ["FFmpeg", "ffmpeg_with_vmaf"]

_PATIENCE_S = 10
_FILTER = "libvmaf"


@dataclass(frozen=True, slots=True)
class FFmpeg:
    program: str
    version: str
    """As it says itself, without spaces: `5.1.9-0+deb12u1`."""


def ffmpeg_with_vmaf() -> FFmpeg | str:
    """The program with the filter libvmaf, or a sentence why there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        return "There is no ffmpeg on PATH."
    told = _said(program, "-version")
    words = told.split()
    if words[:2] != ["ffmpeg", "version"] or len(words) < 3:
        return f"{program} does not say that it is an ffmpeg."
    filters = {line.split()[1] for line in _said(program, "-filters").splitlines() if len(line.split()) > 1}
    if _FILTER not in filters:
        return f"ffmpeg {words[2]} ({program}) was built without libvmaf."
    return FFmpeg(program, words[2])


def _said(program: str, question: str) -> str:
    """What it prints, empty where it does not answer."""
    command = [program, "-hide_banner", question]
    try:
        done = subprocess.run(  # noqa: S603  words of our own, and the program that PATH names
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")
