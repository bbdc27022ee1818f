"""The pictures of docs/tools.md, made by the tools themselves: `python -m tests.docs.pictures --write`.

Their clips are made by code of two pictures that scikit-image ships: Chelsea the cat, and an astronaut.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from caf.media.read import read_frames
from tests.clips import Image, camera_frames, shake_path, write_clip

__all__ = ["FOLDER", "NAMES", "pictures"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "images"
NAMES: Final = ("pose.jpg", "stabilize.jpg")
_FRAMES, _FPS = 60, 30.0
_QUALITY = 80


def pictures(folder: Path) -> dict[str, Image]:
    """File name to picture, BGR; clips and what the tools make of them go into `folder`."""
    return dict(zip(NAMES, (_pose(folder), _stabilize(folder)), strict=True))


def _stabilize(folder: Path) -> Image:
    """Above as shot, below as steadied: two moments, and all frames laid over each other."""
    cat = cv2.resize(cv2.cvtColor(skimage.data.chelsea(), cv2.COLOR_RGB2BGR), None, fx=1.2, fy=1.2)
    rng = np.random.default_rng(5)
    shaken = camera_frames(np.asarray(cat, np.uint8), shake_path(_FRAMES, amplitude_px=5.0), (400, 270))
    lit = [np.clip(f * rng.normal(1.0, 0.05), 0, 255).astype(np.uint8) for f in shaken]
    before = write_clip(folder / "shaken.mp4", lit, fps=_FPS)
    after = folder / "steady.mp4"
    _caf("stabilize", before, after)
    rows = [_row(_images(path), name) for path, name in ((before, "before"), (after, "after: caf stabilize"))]
    return np.vstack(rows)


def _row(frames: list[Image], name: str) -> Image:
    laid = np.mean([frame.astype(np.float32) for frame in frames], axis=0).astype(np.uint8)
    tiles = [(frames[20], name), (frames[33], "0.4 s later"), (laid, "all frames, one over the other")]
    return np.hstack([_captioned(image, words) for image, words in tiles])


def _pose(folder: Path) -> Image:
    """The clip, the poses over it, and the poses alone."""
    whole = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    still = np.asarray(cv2.resize(whole, (360, 360), interpolation=cv2.INTER_AREA), np.uint8)
    clip = write_clip(folder / "person.mp4", [still] * 12, fps=25.0)
    out = folder / "found"
    _caf("pose", clip, "--out", out)
    shown = [
        (clip, "before"),
        (out / "overlay.mp4", "caf pose: overlay.mp4"),
        (out / "skeleton.mp4", "skeleton.mp4"),
    ]
    return np.hstack([_captioned(_images(path)[-1], words) for path, words in shown])


def _caf(*words: str | Path) -> None:
    command = [sys.executable, "-m", "caf.cli", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def _images(path: Path) -> list[Image]:
    return [frame.image for frame in read_frames(path)]


def _captioned(image: Image, words: str) -> Image:
    bar: NDArray[np.uint8] = np.full((24, image.shape[1], 3), 32, np.uint8)
    cv2.putText(bar, words, (8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack((bar, image))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/images; else only made")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for file, picture in pictures(Path(name)).items():
            sys.stdout.write(f"{file} {picture.shape[1]}x{picture.shape[0]}\n")
            if told.write:
                cv2.imwrite(str(FOLDER / file), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


if __name__ == "__main__":
    main()
