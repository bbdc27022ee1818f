"""Evening the light beside ffmpeg's deflicker, on clips whose flicker and whose intended light are known.

    python -m bench.light [--footage FOLDER] [--write]

The error of a frame is the log of its brightness over what it should be; RMS over the frames, in percent.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import section
from bench.qc_inject import write_clip
from bench.steady_peers import LOSSLESS, missing
from bench.steady_scenes import FPS, SIZE, Image, sources
from caf.engines.local import run_stage
from caf.media.read import read_frames
from caf.ports import StageRequest, VideoTarget

FLICKER = {"mild": 0.015, "medium": 0.035, "severe": 0.09}
INTENDED: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "constant light": lambda count: np.full(count, 0.8),
    "a slow fade": lambda count: np.linspace(0.9, 0.5, count),
    "a switched light": lambda count: np.where(np.arange(count) < count // 2, 0.85, 0.55),
}
SIZES = (5, 10, 30)
"""ffmpeg's deflicker looks at this many frames; the best of them counts."""


def evened(source: Path, folder: Path) -> Path:
    """By the frame stage with `deflicker` at full strength."""
    folder.mkdir()
    request = StageRequest(
        stage="frame",
        inputs={"source": str(source)},
        parameters={"deflicker": 1.0},
        target=VideoTarget(width=SIZE[0], height=SIZE[1], fps=FPS),
        out_dir=str(folder),
    )
    return Path(run_stage(request, lambda done, total: None).outputs[0].path)


def deflickered(source: Path, out: Path, size: int) -> Path:
    """By ffmpeg, which holds the mean brightness to the mean of the frames around."""
    filters = f"deflicker=size={size}:mode=am"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(source), "-vf", filters, *LOSSLESS, str(out)], check=True
    )
    return out


def error_percent(shown: list[Image], clean: list[Image], intended: NDArray[np.float64]) -> float:
    """RMS of each frame's log brightness against the intended one, one constant factor free."""
    ratio = np.log([a.mean() / (b.mean() * g) for a, b, g in zip(shown, clean, intended, strict=True)])
    return float(100 * np.std(ratio))


def measured(
    clean: list[Image], flicker: float, intended: NDArray[np.float64], seed: int
) -> dict[str, float]:
    """Error by subject."""
    rng = np.random.default_rng(seed)
    gains = intended * (1 + rng.normal(0, flicker, len(clean)))
    spoiled = [np.clip(f * g + 0.5, 0, 255).astype(np.uint8) for f, g in zip(clean, gains, strict=True)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_clip(folder / "spoiled.mp4", spoiled, FPS, None)
        found = {"flickering": spoiled, "ours": shown(evened(source, folder / "ours"))}
        if not missing():
            ways = [shown(deflickered(source, folder / f"ff{size}.mp4", size)) for size in SIZES]
            found["deflicker"] = min(ways, key=lambda way: error_percent(way, clean, intended))
    return {subject: error_percent(images, clean, intended) for subject, images in found.items()}


def shown(path: Path) -> list[Image]:
    return [frame.image for frame in read_frames(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    scenes = list(sources(told.footage, 2.0, held_back=True))[:: 3 if told.footage else 1]
    footage = " --footage FOLDER" if told.footage else ""
    lines = [
        "## Evening the light beside ffmpeg's deflicker",
        "",
        section.circumstances(f"python -m bench.light{footage}", Path.cwd()),
        f"{len(scenes)} scenes of 2 s. RMS error of the brightness in percent, mean of the scenes; deflicker with its",
        "best width for each clip.",
        *([missing()] if missing() else []),
        "",
        "| intended | flicker | flickering | ours | deflicker | ours over deflicker, to reach 0.25 |",
        "|---|---|---|---|---|---|",
    ]
    for what, course in INTENDED.items():
        for grade, flicker in FLICKER.items():
            rows = [
                measured(frames, flicker, course(len(frames)), seed)
                for seed, (_, frames) in enumerate(scenes)
            ]
            mean = {s: float(np.mean([row[s] for row in rows])) for s in rows[0]}
            peer = mean.get("deflicker", float("nan"))
            lines.append(
                f"| {what} | {grade} | {mean['flickering']:.2f} | {mean['ours']:.2f} | {peer:.2f}"
                f" | {mean['ours'] / peer:.2f} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(text)
    if told.write:
        section.write("light", text)


if __name__ == "__main__":
    main()
