"""Speed of measuring all metrics against only decoding, alone on one processor and shared, and the memory it takes.

    python -m bench.qc_speed CLIP [--size 720x1280] [--frames 300] [--rounds 3] [--long 60] [--write]

The clip is made anew in the size that is asked for. Decoding and measuring take turns in the same run. Decoding gives
pictures to look at (BGR); measuring looks at what is decoded without that. Alone: pinned to one processor, in processor
seconds, because another process on the machine stretches the clock's and hardly these; medians. Shared: by the clock,
pinned to as many processors as there are workers, beside decoding on one of them and on all of them; the quickest of
the rounds, because others on the machine only ever make them slower. Helpers are started before the first round.
`--long`: also so many seconds of 1080x1920, and a twelfth of them of 3840x2160, for what measuring them holds.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench import section
from bench.qc_inject import read_clip, write_clip
from bench.qc_memory import measured_apart, request_for
from caf.media.read import read_frames, shown_frames
from caf.pose.workers import processors
from caf.qc.measure import measure
from caf.qc.metrics import METRICS
from caf.qc.metrics.helpers import end_helpers

Image = NDArray[np.uint8]

GROUPS = {
    "all metrics": tuple(METRICS),
    "technical": tuple(name for name, metric in METRICS.items() if metric.technical),
    "motion": tuple(name for name, metric in METRICS.items() if metric.stage == "motion"),
    "frame": tuple(name for name, metric in METRICS.items() if metric.stage == "frame"),
}
UNCONVERTED = "only decoding, not converted"
WORKERS = (1, 2)
SHARES = (1, 2, 4, 8, 16)
LONG_FPS = 30
CLOCK_ROUNDS = 3
"""Of each round of the other table."""


class Times(NamedTuple):
    """Seconds of decoding, and of measuring by name, round by round."""

    decode: list[float]
    measuring: dict[str, list[float]]


class Shared(NamedTuple):
    """Seconds by the clock of so many workers on as many processors, round by round."""

    workers: int
    decode_alone: list[float]
    """On one of the processors."""
    decode: list[float]
    measuring: list[float]


def filling(image: Image, width: int, height: int) -> Image:
    """The middle of a picture, enlarged to fill the size."""
    scale = max(width / image.shape[1], height / image.shape[0])
    grown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (grown.shape[0] - height) // 2, (grown.shape[1] - width) // 2
    return np.ascontiguousarray(grown[top : top + height, left : left + width])


def looped(source: Path, path: Path, size: tuple[int, int], seconds: float) -> Path:
    """The clip over and over, at 30 frames a second, with a key frame every 250 at least."""
    with av.open(str(path), "w") as out:
        options = {"crf": "20", "preset": "superfast"}
        stream = out.add_stream("libx264", rate=Fraction(LONG_FPS), options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _, image in zip(range(round(seconds * LONG_FPS)), _for_ever(source), strict=False):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(filling(image, *size), format="bgr24")))
        out.mux(stream.encode(None))
    return path


def _for_ever(source: Path) -> Iterator[Image]:
    while True:
        for frame in read_frames(source):
            yield frame.image


@contextlib.contextmanager
def on(count: int) -> Iterator[None]:
    """What this thread does and starts on so many processors, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def spent(act: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    act()
    return clock() - start


def alone(path: Path, rounds: int, reference: str | None) -> Times:
    """Processor seconds on one processor."""
    times = Times([], {name: [] for name in (UNCONVERTED, *GROUPS)})
    with on(1):
        for _ in range(rounds):
            times.decode.append(spent(partial(decode, path), time.process_time))
            times.measuring[UNCONVERTED].append(spent(partial(decode_only, path), time.process_time))
            for name, metrics in GROUPS.items():
                request = request_for(path, metrics, 1, reference)
                seconds = spent(partial(measure, request, _ignore), time.process_time)
                times.measuring[name].append(seconds)
    return times


def shared(path: Path, workers: int, rounds: int, reference: str | None) -> Shared:
    """All metrics by so many workers."""
    times = Shared(workers, [], [], [])
    request = request_for(path, tuple(METRICS), workers, reference)
    end_helpers()
    with on(workers):
        measure(request, _ignore)
        for _ in range(rounds):
            with on(1):
                times.decode_alone.append(spent(partial(decode, path), time.perf_counter))
            times.decode.append(spent(partial(decode, path), time.perf_counter))
            times.measuring.append(spent(partial(measure, request, _ignore), time.perf_counter))
    return times


def decode(path: Path) -> int:
    return sum(1 for _ in read_frames(path))


def decode_only(path: Path) -> int:
    return sum(1 for _ in shown_frames(path))


def _ignore(done: int, of: int | None) -> None:
    pass


def told(times: Times, frames: int) -> list[str]:
    rows = [
        "| | ms a frame, of a processor | share of decode-only speed |",
        "| --- | --- | --- |",
        f"| only decoding | {1000 * median(times.decode) / frames:.2f} | 1 |",
    ]
    for name, seconds in times.measuring.items():
        ratio = median(one / other for one, other in zip(times.decode, seconds, strict=True))
        rows.append(f"| {name} | {1000 * median(seconds) / frames:.2f} | {ratio:.2f} |")
    return rows


def shared_rows(every: list[Shared], frames: int) -> list[str]:
    rows = [
        "| workers, processors | decoding on one | decoding on all | all metrics | speed beside one | beside all |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for times in every:
        one, all_, measuring = (min(seconds) for seconds in times[1:])
        found = " | ".join(f"{1000 * seconds / frames:.2f}" for seconds in (one, all_, measuring))
        rows.append(f"| {times.workers} | {found} | {one / measuring:.2f} | {all_ / measuring:.2f} |")
    return rows


def memory_rows(clips: dict[str, Path]) -> list[str]:
    rows = [
        "| clip | workers | processes | most of one, MB | most together, MB | seconds | s of a processor |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, path in clips.items():
        rows.append(
            f"| {name}, only decoding | | | | | | {spent(partial(decode, path), time.process_time):.1f} |"
        )
        for count in WORKERS:
            took = measured_apart(path, count)
            rows.append(
                f"| {name} | {count} | {took.processes} | {took.largest_mb:.0f} | {took.together_mb:.0f}"
                f" | {took.wall_s:.1f} | {took.own_s:.1f}{f' + {took.helpers_s:.1f}' if took.helpers_s else ''} |"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--size", default="720x1280")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=float, default=0.0)
    parser.add_argument("--reference")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    asked = parser.parse_args()
    width, height = (int(side) for side in asked.size.split("x"))
    frames, fps, wave = read_clip(asked.clip, 0, asked.frames)
    count = len(frames)
    with tempfile.TemporaryDirectory() as folder:
        fitted = [filling(frame, width, height) for frame in frames]
        path = write_clip(Path(folder, "clip.mp4"), fitted, fps, wave)
        del frames, fitted
        clips = {f"{asked.size}, {count} frames": path}
        if asked.long:
            for size, seconds in (((1080, 1920), asked.long), ((3840, 2160), asked.long / 12)):
                name = f"{size[0]}x{size[1]}, {seconds:.0f} s"
                clips[name] = looped(asked.clip, Path(folder, f"{size[0]}.mp4"), size, seconds)
        words = f"python -m bench.qc_speed CLIP --size {asked.size} --frames {asked.frames} --rounds {asked.rounds}"
        words += f" --long {asked.long:g}" if asked.long else ""
        clock_rounds = CLOCK_ROUNDS * asked.rounds
        by_clock = [
            shared(path, workers, clock_rounds, asked.reference)
            for workers in SHARES
            if workers <= processors()
        ]
        parts = [
            f"`{asked.size}`, {count} frames, alone on one processor:",
            "\n".join(told(alone(path, asked.rounds, asked.reference), count)),
            f"By the clock, ms a frame, on as many processors as workers, the quickest of {clock_rounds} rounds.\n"
            "The speed is a share of that of decoding alone, on one of the processors and on all of them:",
            "\n".join(shared_rows(by_clock, count)),
            "What measuring all metrics takes, in processes of its own. The seconds of a processor are those of the\n"
            "first process and of its helpers; other load on the machine hardly changes them:",
            "\n".join(memory_rows(clips)),
        ]
        body = "\n\n".join(["## How fast QC measures", section.circumstances(words, Path(folder)), *parts])
    print(body)
    if asked.write:
        section.write("qc-speed", body)


if __name__ == "__main__":
    main()
