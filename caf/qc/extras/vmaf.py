"""vmaf: how much of the source's quality a viewer still sees, by Netflix's VMAF in the ffmpeg at hand.

Source: https://github.com/Netflix/vmaf (models, "resource/doc/ffmpeg.md"): both clips in the source's size, the other
one scaled to it by a bicubic filter, in one pixel format.
"""

import contextlib
import ctypes
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from caf.media.probe import probe
from caf.media.read import is_hdr_file
from caf.ports import ExtraSeen, MeasureRequest, MediaInfo, ProbeRequest, Progress
from caf.qc.extras.ffmpeg import FFmpeg, ffmpeg_with_vmaf
from caf.qc.extras.fingerprint import fingerprint
from caf.qc.metrics.scoring import measured, unmeasured

__all__ = ["Vmaf"]

_NAME: Final = "vmaf"
_STALL_S: Final = 60.0
"""Without a new frame for so long it is ended."""
_TICK_S: Final = 0.5
_UHD_SIDE_PX: Final = 2160
_POOR: Final = 70.0
_MOST_WORST: Final = 12
_LOG: Final = "vmaf.json"
_PR_SET_PDEATHSIG: Final = 1


class Vmaf:
    """See `ExtraMetric`."""

    name: str = _NAME

    def missing(self, request: MeasureRequest) -> str | None:
        if request.source == request.video:
            return "VMAF compares a clip with what it was made from, and no source was given."
        found = ffmpeg_with_vmaf()
        return found if isinstance(found, str) else None

    def measure(self, request: MeasureRequest, progress: Progress) -> ExtraSeen:
        found = ffmpeg_with_vmaf()
        if isinstance(found, str):
            return ExtraSeen(measurement=unmeasured(_NAME, found))
        source = probe(ProbeRequest(path=request.source), progress)
        if is_hdr_file(request.source) != is_hdr_file(request.video):
            why = "Either the clip or its source is HDR: VMAF compares numbers of one kind."
            return ExtraSeen(measurement=unmeasured(_NAME, why))
        model = _model_for(source)
        with tempfile.TemporaryDirectory() as folder:
            command = [found.program, *_arguments(request, source, model)]
            told = _run(command, folder, progress)
            log = Path(folder, _LOG)
            if told is not None or not log.is_file():
                return ExtraSeen(
                    measurement=unmeasured(_NAME, f"ffmpeg could not measure VMAF: {told or 'no log.'}")
                )
            content = log.read_bytes()
        return _seen(content, found, model)


def _model_for(source: MediaInfo) -> str:
    """The model for a television in Full HD, or from 2160 lines on the one for such a television."""
    large = min(source.width, source.height) >= _UHD_SIDE_PX
    return "vmaf_4k_v0.6.1" if large else "vmaf_v0.6.1"


def _arguments(request: MeasureRequest, source: MediaInfo, model: str) -> list[str]:
    # Each frame of the clip against the one of the source that is shown then, whatever the rates are.
    zero, form = "setpts=PTS-STARTPTS", "format=yuv420p"
    threads = min(4, os.cpu_count() or 1)
    judge = f"libvmaf=log_fmt=json:log_path={_LOG}:n_threads={threads}:model=version={model}:shortest=1:repeatlast=0"
    graph = (
        f"[0:v:0]{zero},scale={source.width}:{source.height}:flags=bicubic,setsar=1,{form}[clip];"
        f"[1:v:0]{zero},scale={source.width}:{source.height}:flags=bicubic,setsar=1,{form}[source];"
        f"[clip][source]{judge}"
    )
    # A playlist or the like may lead nowhere but to files.
    inputs = [
        word
        for path in (request.video, request.source)
        for word in ("-protocol_whitelist", "file", "-i", f"file:{path}")
    ]
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-nostats", "-progress", "pipe:1"]
    return [*quiet, *inputs, "-lavfi", graph, "-f", "null", "-"]


def _run(command: list[str], folder: str, progress: Progress) -> str | None:
    """Run it to its end, and tell how far it is meanwhile. Why it failed, or None; it never outlives this process."""
    with tempfile.TemporaryFile() as noise:
        try:
            process = subprocess.Popen(  # noqa: S603  words of our own, and the program that PATH names
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=noise,
                bufsize=0,
                preexec_fn=_dies_with_parent(),
            )
        except OSError as fault:
            return f"{fault.strerror}."
        assert process.stdout is not None
        try:
            stalled = _watch(process.stdout, progress)
            if not stalled:
                with contextlib.suppress(
                    subprocess.TimeoutExpired
                ):  # it is killed below, and that is its end
                    process.wait(_STALL_S)
        finally:
            process.kill()
            code = process.wait()
            process.stdout.close()
        if stalled:
            return f"it gave no frame for {_STALL_S:.0f} s."
        return None if code == 0 else _last_words(noise, code)


def _watch(pipe: IO[bytes], progress: Progress) -> bool:
    """Until the pipe ends; whether it was silent for too long."""
    frames, heard_s, rest = 0, time.monotonic(), b""
    while True:
        ready, _, _ = select.select([pipe], [], [], _TICK_S)
        progress(frames, None)
        if time.monotonic() - heard_s > _STALL_S:
            return True
        if not ready:
            continue
        piece = os.read(pipe.fileno(), 1 << 16)
        if not piece:
            return False
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b"=")
            if name.strip() == b"frame" and value.strip().isdigit() and int(value) > frames:
                frames, heard_s = int(value), time.monotonic()


def _dies_with_parent() -> Callable[[], None] | None:
    """Run in the child before the program: Linux ends it with the thread that started it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return bind


def _last_words(noise: IO[bytes], code: int) -> str:
    size = noise.seek(0, os.SEEK_END)
    noise.seek(max(0, size - 4096))
    lines = [line.strip() for line in noise.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f"{lines[-1]}" if lines else f"it ended with {code}."


def _seen(content: bytes, program: FFmpeg, model: str) -> ExtraSeen:
    try:
        log = json.loads(content)
        frames = [float(frame["metrics"][_NAME]) for frame in log["frames"]]
    except (ValueError, KeyError, TypeError):
        return ExtraSeen(measurement=unmeasured(_NAME, "ffmpeg's log of VMAF cannot be read."))
    if not frames or not all(map(math.isfinite, frames)):
        return ExtraSeen(
            measurement=unmeasured(_NAME, "No frame of the clip has one of the source to compare with.")
        )
    mean = sum(frames) / len(frames)
    by = f"{model}, libvmaf {_text(log.get('version'))}, ffmpeg {program.version}"
    poor = [place for place, one in enumerate(frames) if one < _POOR] if mean < _POOR else []
    worst = sorted(poor, key=lambda place: (frames[place], place))[:_MOST_WORST]
    raw = {
        "vmaf_mean": mean,
        "vmaf_lowest": min(frames),
        "compared_frames": float(len(frames)),
        "made_with_sha256_48": fingerprint(by),
    }
    reason = f"VMAF is {mean:.1f} of 100 against the source ({by})."
    return ExtraSeen(
        measurement=measured(_NAME, mean / 100, reason, raw, worst),
        blamed=tuple(poor),
        series={"vmaf": tuple(frames)},
    )


def _text(version: Any) -> str:
    return version if isinstance(version, str) else "of no name"
