"""Decode, warp and encode as the engine does, beside a bare decode and encode with PyAV at the same settings.

    python -m bench.transcode [--footage FOLDER] [--turns N] [--write]

Speed is the bare loop's time over ours, of runs that took turns: 1 is as quick, to reach is 0.8. `lossless` is what
the motion stage writes, with every frame moved, and all alike, so that the encoder has as much to do; `final` is what
the video stage writes.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream

from bench import section
from bench.qc_inject import write_clip
from bench.steady_peers import Cost, spent
from bench.steady_scenes import drawn
from caf.engines.parameters import settings_for
from caf.engines.stage import opencv_alone
from caf.engines.video import run_video
from caf.engines.warp import warped
from caf.media.beside import ahead
from caf.media.read import read_frames
from caf.media.write import ClipWriter
from caf.ports import StageRequest, VideoTarget

FPS, FRAMES = 30.0, 150
TO_REACH = 0.8
SETTINGS = {
    "lossless": ("libx264rgb", "bgr24", {"preset": "ultrafast", "qp": "0"}, 30),
    "final": ("libx264", "yuv420p", {"preset": "medium", "crf": "18"}, 60),
}
"""As `ClipWriter` has them: encoder, pixels, options, frames in a group."""


def bare(clip: Path, out: Path, kind: str) -> None:
    """Decode, convert if the encoder needs other pixels, encode."""
    encoder, pixels, options, group = SETTINGS[kind]
    options = options | {"threads": "4", "x264-params": "cpu-independent=1"}
    with av.open(str(clip)) as source, av.open(str(out), "w") as made:
        shown = source.streams.video[0]
        shown.thread_type = "AUTO"
        stream = made.add_stream(encoder, rate=shown.average_rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, pixels
        stream.codec_context.gop_size = group
        for frame in source.decode(shown):
            picture = frame.reformat(format=pixels)
            picture.pict_type = (
                PictureType.NONE
            )  # the source's kinds of frames would be forced on the encoder
            made.mux(stream.encode(picture))
        made.mux(stream.encode(None))


def ours(clip: Path, out: Path, kind: str) -> None:
    """The second pass of the motion stage, or the video stage."""
    size = _size(clip)
    if kind == "final":
        out.mkdir()
        request = StageRequest(
            stage="video",
            inputs={"source": str(clip)},
            parameters={},
            target=VideoTarget(width=size[0], height=size[1], fps=FPS),
            out_dir=str(out),
        )
        run_video(request, settings_for("video", {}), lambda done, total: None)
        return
    move = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 0.3, 1.03)
    with opencv_alone(), ClipWriter(out, width=size[0], height=size[1], fps=FPS) as writer:
        for frame in ahead(read_frames(clip)):
            writer.write(warped(frame.image, move), frame.time_s)


def _size(clip: Path) -> tuple[int, int]:
    with av.open(str(clip)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


def timed(how: Callable[[Path, Path, str], None], clip: Path, kind: str) -> Cost:
    with tempfile.TemporaryDirectory() as name, spent() as took:
        how(clip, Path(name, "out.mp4"), kind)
    return took.cost


def measured(clip: Path, kind: str, turns: int) -> list[tuple[Cost, Cost]]:
    """Bare and ours, in turns; which of them is first changes from turn to turn."""
    pairs = []
    for turn in range(turns):
        ways = [bare, ours] if turn % 2 == 0 else [ours, bare]
        costs = {way.__name__: timed(way, clip, kind) for way in ways}
        pairs.append((costs["bare"], costs["ours"]))
    return pairs


def report(rows: dict[tuple[str, str], list[tuple[Cost, Cost]]], command: str) -> str:
    lines = [
        "## Decode, warp, encode beside a bare loop",
        "",
        section.circumstances(command, Path.cwd()),
        "Speed: the bare loop's time over ours, median of the pairs (lowest to highest). `lossless` is the second pass",
        "of the motion stage, every frame moved; `final` the video stage. The settings of x264 are the same.",
        "",
        "| clip | encoding | bare, wall s | ours, wall s | speed, wall | speed, CPU | to reach | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (clip, kind), pairs in rows.items():
        wall = [b.wall_s / o.wall_s for b, o in pairs]
        cpu = [b.cpu_s / o.cpu_s for b, o in pairs]
        times = [np.median([pair[way].wall_s for pair in pairs]) for way in (0, 1)]
        reached = "yes" if np.median(wall) >= TO_REACH else "**no**"
        lines.append(
            f"| {clip} | {kind} | {times[0]:.2f} | {times[1]:.2f} | {np.median(wall):.2f} ({min(wall):.2f} to"
            f" {max(wall):.2f}) | {np.median(cpu):.2f} | {TO_REACH} | {reached} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, help="clips; without them a scene made by code alone")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    rows: dict[tuple[str, str], list[tuple[Cost, Cost]]] = {}
    with tempfile.TemporaryDirectory() as name:
        made = write_clip(Path(name, "drawn.mp4"), drawn(FRAMES, 1), FPS, None)
        for clip in (made, *(sorted(told.footage.glob("*.mp4")) if told.footage else ())):
            for kind in SETTINGS:
                rows[clip.stem, kind] = measured(clip, kind, told.turns)
                print(clip.stem, kind, rows[clip.stem, kind], flush=True)
    footage = " --footage FOLDER" if told.footage else ""
    text = report(rows, f"python -m bench.transcode{footage} --turns {told.turns}")
    print(text)
    if told.write:
        section.write("transcode", text)


if __name__ == "__main__":
    main()
