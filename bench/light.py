"""Evening the light beside ffmpeg's deflicker, on clips whose flicker and whose intended light are known.

    python -m bench.light [--footage FOLDER] [--seconds 4] [--write]

The error of a frame is the log of its brightness over that of the same clip without the flicker; RMS over the
frames, in percent. A random flicker has a trend of its own, which nobody can tell from a fade: the least error is that
of whoever knows what kind of course is meant, and the true light of every frame, and fits the one to the other.
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


def _in_and_out(count: int) -> NDArray[np.float64]:
    """Half a second out of the dark, and half a second back."""
    half = round(FPS / 2)
    return np.interp(np.arange(count), [0, half, count - 1 - half, count - 1], [0.08, 0.85, 0.85, 0.08])


INTENDED: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "constant light": lambda count: np.full(count, 0.8),
    "a slow fade": lambda count: np.linspace(0.9, 0.5, count),
    "a switched light": lambda count: np.where(np.arange(count) < count // 2, 0.85, 0.55),
    "faded in and out": _in_and_out,
}
KINDS: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "constant light": lambda count: np.ones((count, 1)),
    "a slow fade": lambda count: np.column_stack((np.ones(count), np.arange(count))),
    "a switched light": lambda count: np.column_stack(
        (np.arange(count) < count // 2, np.arange(count) >= count // 2)
    ).astype(float),
    "faded in and out": lambda count: _in_and_out(count)[:, None],
}
"""What a course of each kind is the sum of, as factors."""
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


def error_percent(shown: list[Image], meant: list[Image]) -> float:
    """RMS of each frame's log brightness against the one that is meant, one constant factor free."""
    return float(100 * np.std(np.log([a.mean() / b.mean() for a, b in zip(shown, meant, strict=True)])))


def lighted(clean: list[Image], gains: NDArray[np.float64], path: Path) -> Path:
    """A clip of the frames in that light, nearly lossless: what an encoder does to a fade is not asked here."""
    frames = [np.clip(f * g + 0.5, 0, 255).astype(np.uint8) for f, g in zip(clean, gains, strict=True)]
    return write_clip(path, frames, FPS, crf=1)


def least_percent(
    gains: NDArray[np.float64], intended: NDArray[np.float64], kind: NDArray[np.float64]
) -> float:
    """Of the course of that kind that is nearest to the true light, errors being relative."""
    fitted = kind @ np.linalg.lstsq(kind / intended[:, None], gains / intended, rcond=None)[0]
    return float(100 * np.std(np.log(fitted / intended)))


def measured(clean: list[Image], flicker: float, what: str, seed: int) -> dict[str, float]:
    """Error by subject."""
    intended = INTENDED[what](len(clean))
    rng = np.random.default_rng(seed)
    gains = intended * (1 + rng.normal(0, flicker, len(clean)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        meant = shown(lighted(clean, intended, folder / "meant.mp4"))
        source = lighted(clean, gains, folder / "spoiled.mp4")
        found = {"flickering": shown(source), "ours": shown(evened(source, folder / "ours"))}
        if not missing():
            ways = [shown(deflickered(source, folder / f"ff{size}.mp4", size)) for size in SIZES]
            found["deflicker"] = min(ways, key=lambda way: error_percent(way, meant))
    errors = {subject: error_percent(images, meant) for subject, images in found.items()}
    return errors | {"least": least_percent(gains, intended, KINDS[what](len(clean)))}


def shown(path: Path) -> list[Image]:
    return [frame.image for frame in read_frames(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each scene")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    scenes = list(sources(told.footage, told.seconds, held_back=True))[:: 3 if told.footage else 1]
    footage = " --footage FOLDER" if told.footage else ""
    lines = [
        "## Evening the light beside ffmpeg's deflicker",
        "",
        section.circumstances(f"python -m bench.light{footage}", Path.cwd()),
        f"{len(scenes)} scenes of {told.seconds:g} s. RMS error of the brightness in percent, mean of the scenes;"
        " deflicker with its",
        "best width for each clip. The least is the error of whoever knows what kind of course is meant, and the true",
        "light of each frame.",
        *([missing()] if missing() else []),
        "",
        "| intended | flicker | flickering | least | ours | deflicker | ours over deflicker, to reach 0.25"
        " | least over deflicker |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for what in INTENDED:
        for grade, flicker in FLICKER.items():
            rows = [measured(frames, flicker, what, seed) for seed, (_, frames) in enumerate(scenes)]
            mean = {s: float(np.mean([row[s] for row in rows])) for s in rows[0]}
            peer = mean.get("deflicker", float("nan"))
            lines.append(
                f"| {what} | {grade} | {mean['flickering']:.2f} | {mean['least']:.2f} | {mean['ours']:.2f}"
                f" | {peer:.2f} | {mean['ours'] / peer:.2f} | {mean['least'] / peer:.2f} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(text)
    if told.write:
        section.write("light", text)


if __name__ == "__main__":
    main()
