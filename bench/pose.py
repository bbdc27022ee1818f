"""The pose pre-pass beside a plain VIDEO-mode loop, on real clips and on one made by code, in the same run.

    python -m bench.pose [--footage FOLDER] [--seconds S] [--rounds N] [--workers N ...] [--write]

The plain loop is what MediaPipe's own guide shows: decode a frame, find its pose, take the next. It runs with the
networks as they come; ours with those that caf builds. Each measure is a process of its own, so that it pays its own
start; they take turns. Without footage a clip of a person is used that code makes.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench import section

WORDS = ("plain", "plain, without mask")


class Run(NamedTuple):
    """One way over one clip: seconds on the clock, of processors (helpers included), and what was found."""

    wall_s: float
    cpu_s: float
    load: float
    points: Any
    computed: int
    peak_mb: float


def plain(video: str, model: str, out: str) -> dict[str, Any]:
    """Decode and detect in turn, nothing else."""
    import mediapipe as mp

    from caf.media.read import read_frames

    vision = mp.tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model), running_mode=vision.RunningMode.VIDEO
    )
    points = []
    with vision.PoseLandmarker.create_from_options(options) as landmarker:
        for frame in read_frames(video, pixel="rgb24"):
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame.image)
            found = landmarker.detect_for_video(picture, round(frame.time_s * 1000)).pose_landmarks
            height, width = frame.image.shape[:2]
            points.append(
                [(p.x * width, p.y * height, p.z * width, p.visibility) for p in found[0]]
                if found
                else [(np.nan,) * 4] * 33
            )
    np.save(f"{out}/points.npy", np.array(points, np.float32))
    return {"computed": len(points)}


def ours(video: str, model: str, out: str, workers: int) -> dict[str, Any]:
    from caf.ports import PoseRequest
    from caf.pose.detect import detect
    from caf.pose.landmarks import load_landmarks

    request = PoseRequest(video=video, model=model, out_dir=out, workers=workers, stall_s=600)
    found = detect(request, lambda done, total: None)
    np.save(f"{out}/points.npy", load_landmarks(Path(found.landmarks)).points)
    return {"computed": found.frames_computed, "helper_mb": found.worker_peak_bytes / 2**20}


def run(way: str, video: Path, model: Path) -> Run:
    """`way` is `plain` or a number of workers."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "bench.pose", "--one", way, str(video), str(model), out]
        begun = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        wall_s = time.monotonic() - begun
        told = json.loads(done.stdout)
        points = np.load(f"{out}/points.npy")
    peak = max(told.get("helper_mb", 0.0), told["peak_mb"])
    return Run(wall_s, told["cpu_s"], os.getloadavg()[0], points, told["computed"], peak)


def one(way: str, video: str, model: str, out: str) -> None:
    """What a measured process does."""
    from caf.worker.memory import peak_bytes

    told = plain(video, model, out) if way == "plain" else ours(video, model, out, int(way))
    times = os.times()
    told["cpu_s"] = times.user + times.system + times.children_user + times.children_system
    told["peak_mb"] = peak_bytes() / 2**20
    print(json.dumps(told))


def loop_s(video: str, model: str, frames: int) -> None:
    """What one of several loops at once does: prints the seconds that so many frames took after ten."""
    import mediapipe as mp

    from caf.media.read import read_frames

    vision = mp.tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model), running_mode=vision.RunningMode.VIDEO
    )
    begun = 0.0
    with vision.PoseLandmarker.create_from_options(options) as landmarker:
        for number, frame in enumerate(read_frames(video, pixel="rgb24", threads=1)):
            if number == 10:
                begun = time.monotonic()
            elif number == 10 + frames:
                break
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame.image)
            landmarker.detect_for_video(picture, round(frame.time_s * 1000))
    print(json.dumps((time.monotonic() - begun) / (number - 10)))


def at_once(number: int, video: Path, model: Path, frames: int) -> float:
    """How many frames a second so many independent loops find the pose in, together: the machine's own limit."""
    command = [sys.executable, "-m", "bench.pose", "--loop", str(video), str(model), str(frames)]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    loops = [subprocess.Popen(command, stdout=pipe, stderr=quiet) for _ in range(number)]
    told = [loop.communicate()[0] for loop in loops]
    return sum(1 / float(json.loads(each)) for each in told)


def paired(video: Path, whole: Path, built: Path, frames: int) -> str:
    """The two networks on the same frames, in turn, in one process: what the machine does besides cancels out."""
    import mediapipe as mp

    from caf.media.read import read_frames

    vision = mp.tasks.vision
    with contextlib.ExitStack() as stack:
        landmarkers = [
            stack.enter_context(
                vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(
                        base_options=mp.tasks.BaseOptions(model_asset_path=str(model)),
                        running_mode=vision.RunningMode.VIDEO,
                    )
                )
            )
            for model in (whole, built)
        ]
        spent: list[list[float]] = [[], []]
        found = []
        for number, frame in enumerate(read_frames(video, pixel="rgb24")):
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=frame.image)
            for which in (0, 1) if number % 2 else (1, 0):
                begun = time.process_time()
                told = landmarkers[which].detect_for_video(picture, round(frame.time_s * 1000))
                spent[which].append(time.process_time() - begun)
            found.append(bool(told.pose_landmarks))
            if number >= frames:
                break
    one, other = (np.array(times[10:]) for times in spent)
    seen = np.array(found[10:])
    return (
        f"{video.stem}: {1e3 * one.mean():.1f} ms of a processor with the mask, {1e3 * other.mean():.1f} without:"
        f" {one.sum() / other.sum():.2f} times; the median frame with a pose {np.median((one / other)[seen]):.2f} times"
    )


def models(folder: Path) -> dict[str, Path]:
    """The bundle with the networks as they come, and the one that caf builds."""
    from caf.pose import bundle
    from caf.pose.wheel import fetch_networks

    scratch = folder / "wheel"
    scratch.mkdir()
    networks = fetch_networks(scratch, lambda done, total: None)
    made = {"built": folder / "built.task", "whole": folder / "whole.task"}
    made["built"].write_bytes(bundle.build_bundle(*networks))
    made["whole"].write_bytes(bundle.build_bundle(*networks, mask=True))
    return made


def footage(folder: Path | None, seconds: float, to: Path) -> list[Path]:
    """The beginnings of the clips of a folder, and a person made by code who sways and is away for a moment."""
    import cv2
    import skimage.data

    from caf.media.read import read_frames
    from caf.media.write import ClipWriter

    clips = []
    for source in sorted(folder.glob("*.mp4")) if folder else ():
        clips.append(source if not seconds else to / source.name)
        if not seconds:
            continue
        frames = [frame for frame in read_frames(source) if frame.time_s < seconds]
        height, width = frames[0].image.shape[:2]
        with ClipWriter(clips[-1], width=width, height=height, fps=30, variable_fps=True) as writer:
            for frame in frames:
                writer.write(frame.image, frame.time_s)
    picture = cv2.resize(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR), (360, 360))
    clips.append(to / "person.mp4")
    with ClipWriter(clips[-1], width=360, height=360, fps=30) as writer:
        for index in range(300):
            shift = np.array([[1, 0, 40 * np.sin(index / 9)], [0, 1, 14 * np.sin(index / 14)]], np.float32)
            moved = cv2.warpAffine(picture, shift, (360, 360), borderMode=cv2.BORDER_REPLICATE)
            away = index % 75 in range(10, 14)
            writer.write(np.full_like(picture, 127) if away else np.asarray(moved, np.uint8), index / 30)
    return clips


def row(clip: Path, way: str, base: list[Run], found: list[Run]) -> str:
    """Ratios of each turn's pair, the median; agreement with the plain loop."""
    one, other = base[0].points, found[0].points
    seen = [np.isfinite(points[:, 0, 0]) for points in (one, other)]
    apart = np.abs(one - other)[seen[0] & seen[1]]
    px = float(apart[..., :2].max()) if len(apart) else 0.0
    visibility = float(apart[..., 3].max()) if len(apart) else 0.0
    wall, cpu = (
        float(np.median([b[index] / f[index] for b, f in zip(base, found, strict=True)])) for index in (0, 1)
    )
    load = float(np.median([f.load for f in found]))
    cells = (
        clip.stem,
        way,
        f"{len(other)} / {int(seen[1].sum())}",
        f"{np.median([f.wall_s for f in found]):.1f}",
        f"{np.median([f.cpu_s for f in found]):.1f}",
        f"{wall:.2f}",
        f"{cpu:.2f}",
        str(int((seen[0] != seen[1]).sum())),
        f"{px:.1e}",
        f"{visibility:.1e}",
        str(found[0].computed - len(other)),
        f"{max(f.peak_mb for f in found):.0f}",
        f"{load:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def report(rows: list[str], pairs: list[str], limits: list[str], command: str) -> str:
    heads = (
        *(
            "clip",
            "way",
            "frames / with a pose",
            "wall s",
            "CPU s",
            "wall: plain over it",
            "CPU: plain over it",
        ),
        *("other detections, frames", "largest difference, px", "of visibility"),
        *("frames done twice", "MB a process", "load"),
    )
    return "\n".join(
        [
            "## The pose pre-pass beside a plain VIDEO-mode loop",
            "",
            section.circumstances(command, Path.cwd()),
            "The plain loop has MediaPipe's networks as they come; the others those without the mask. The ratios are",
            "medians over the turns, each of a pair that ran one after the other. CPU is of all processes together.",
            "",
            "| " + " | ".join(heads) + " |",
            "|---" * len(heads) + "|",
            *rows,
            "",
            "Both networks on the same frames in turn, in one process:",
            "",
            *(f"- {pair}" for pair in pairs),
            "",
            "What the machine itself gives to several processes:",
            "",
            *(f"- {limit}" for limit in limits),
        ]
    )


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
        return
    if sys.argv[1:2] == ["--loop"]:
        loop_s(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--footage", type=Path, help="a folder of clips; without it a person made by code alone"
    )
    parser.add_argument("--seconds", type=float, default=0.0, help="only so much of each clip; 0: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    rows, pairs, limits = [], [], []
    with tempfile.TemporaryDirectory() as name:
        bundles = models(Path(name))
        ways = {WORDS[0]: ("plain", "whole"), WORDS[1]: ("plain", "built")}
        ways |= {f"{number} workers": (str(number), "built") for number in told.workers}
        for clip in footage(told.footage, told.seconds, Path(name)):
            runs: dict[str, list[Run]] = {way: [] for way in ways}
            for _ in range(told.rounds):
                for way, (how, model) in ways.items():
                    runs[way].append(run(how, clip, bundles[model]))
            pairs.append(paired(clip, bundles["whole"], bundles["built"], 200))
            print(pairs[-1], flush=True)
            loops = {number: at_once(number, clip, bundles["built"], 200) for number in (1, *told.workers)}
            limits += [
                f"{clip.stem}: {number} loops without mask, independent of each other, at once:"
                f" {rate:.0f} frames a second, {rate / loops[1]:.2f} times one's"
                for number, rate in loops.items()
                if number > 1
            ]
            print("\n".join(limits[-len(loops) + 1 :]), flush=True)
            for way in ways:
                rows.append(row(clip, way, runs[WORDS[0]], runs[way]))
                print(rows[-1], flush=True)
    command = "python -m bench.pose" + (" --footage FOLDER" if told.footage else "")
    if told.write:
        section.write("pose", report(rows, pairs, limits, command))


if __name__ == "__main__":
    main()
