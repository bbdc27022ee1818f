"""Speed of measuring all metrics against only decoding, in processor seconds of one process.

    python -m bench.qc_speed CLIP [--size 720x1280] [--frames 300] [--rounds 3]

Decoding and measuring take turns in the same run; the ratio is the median over the rounds. Processor seconds
rather than the clock's, because another process on the machine stretches the one and not the other.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2

from bench.qc_inject import read_clip, write_clip
from caf.media.read import read_frames
from caf.ports import MeasureRequest
from caf.qc.measure import measure
from caf.qc.metrics import METRICS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reference")
    told = parser.parse_args()
    width, height = (int(side) for side in told.size.split("x"))
    frames, fps, wave = read_clip(told.clip, 0, told.frames)
    scale = max(width / frames[0].shape[1], height / frames[0].shape[0])
    fitted = []
    for frame in frames:
        grown = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        top, left = (grown.shape[0] - height) // 2, (grown.shape[1] - width) // 2
        fitted.append(grown[top : top + height, left : left + width])
    groups = {
        "all metrics": tuple(METRICS),
        "technical": tuple(name for name, metric in METRICS.items() if metric.technical),
        "motion": tuple(name for name, metric in METRICS.items() if metric.stage == "motion"),
        "frame": tuple(name for name, metric in METRICS.items() if metric.stage == "frame"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(Path(folder, "clip.mp4"), fitted, fps, wave)
        decode: list[float] = []
        spent: dict[str, list[float]] = {name: [] for name in groups}
        for _ in range(told.rounds):
            start = time.process_time()
            count = sum(1 for _ in read_frames(path))
            decode.append(time.process_time() - start)
            for name, metrics in groups.items():
                request = MeasureRequest(
                    metrics=metrics,
                    video=str(path),
                    source=str(path),
                    reference=told.reference,
                    costume_required=True,
                )
                start = time.process_time()
                measure(request, lambda done, of: None)
                spent[name].append(time.process_time() - start)
    print(f"{told.size}, {count} frames, decode only {1000 * median(decode) / count:.2f} ms a frame")
    for name, seconds in spent.items():
        ratio = median(one / other for one, other in zip(decode, seconds, strict=True))
        print(f"{name}: {1000 * median(seconds) / count:.2f} ms a frame, {ratio:.2f} of decode-only speed")
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, the clip's frames included"
    )


if __name__ == "__main__":
    main()
