"""How well each metric tells clean segments from spoiled ones: ROC AUC per defect and severity.

    python -m bench.qc_auc FOLDER [--segments 6] [--reference IMG] [--only DEFECT ...] [--json OUT]

FOLDER holds clean clips; segments of 96 frames are cut from them. Prints a Markdown table: the AUC over the
segments, and how many spoiled segments fall below the default gate's threshold.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.qc_inject import PICTURE, SOUND, inject, inject_sound, read_clip, write_clip
from caf.ports import MeasureRequest
from caf.qc.measure import measure

JUDGES = {
    "shake": "temporal_stability",
    "flicker": "temporal_stability",
    "freeze": "temporal_stability",
    "cadence": "temporal_stability",
    "dropped": "temporal_stability",
    "blank": "temporal_stability",
    "glitch": "temporal_stability",
    "seam": "loop_seam",
    "hue_shift": "identity_consistency",
    "hue_drift": "identity_drift",
    "recolour": "identity_consistency",
    "halo": "mask_edge_bleed",
    "blur_burst": "sharpness",
    "warp": "background_stability",
    "blockiness": "blockiness",
} | dict.fromkeys(SOUND, "audio_video")
THRESHOLDS = {
    "identity_consistency": 0.70,
    "mask_edge_bleed": 0.60,
    "temporal_stability": 0.70,
    "loop_seam": 0.70,
    "audio_video": 0.95,
    "background_stability": 0.80,
    "identity_drift": 0.80,
    "sharpness": 0.70,
    "blockiness": 0.70,
}
LENGTH = 96


def auc(clean: list[float], spoiled: list[float]) -> float:
    """Probability that a clean segment scores above a spoiled one; ties count half."""
    above = [(a > b) + 0.5 * (a == b) for a in clean for b in spoiled]
    return float(np.mean(above))


def segment(
    job: tuple[Path, int, tuple[str, ...], str | None],
) -> list[tuple[str, int, str, float | None, str]]:
    """Rows (defect or "clean", severity, metric, score, reason) of one segment."""
    path, start, defects, reference = job
    frames, fps, wave = read_clip(path, start, LENGTH)
    loop = [*frames[: LENGTH // 2], *frames[LENGTH // 2 - 2 : 0 : -1]]
    rows: list[tuple[str, int, str, float | None, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = write_clip(Path(folder, "source.mp4"), frames, fps, wave)

        def judge(defect: str, severity: int, clip: Path, metrics: tuple[str, ...]) -> None:
            request = MeasureRequest(
                metrics=metrics, video=str(clip), source=str(source), reference=reference
            )
            found = measure(request, lambda done, of: None)
            rows.extend((defect, severity, one.metric, one.score, f"{one.reason} {one.raw}") for one in found)

        wanted = tuple(dict.fromkeys(JUDGES[defect] for defect in defects))
        judge("clean", 0, source, tuple(metric for metric in wanted if metric != "loop_seam"))
        if "loop_seam" in wanted:
            judge("clean", 0, write_clip(Path(folder, "loop.mp4"), loop, fps), ("loop_seam",))
        for defect in defects:
            for severity in (1, 2, 3):
                clip = Path(folder, "spoiled.mp4")
                if defect in PICTURE:
                    base = loop if defect == "seam" else frames
                    write_clip(clip, inject(base, defect, severity, start), fps, wave)
                elif wave is not None:
                    write_clip(clip, frames, fps, inject_sound(wave, defect, severity))
                else:
                    continue
                judge(defect, severity, clip, (JUDGES[defect],))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--segments", type=int, default=6, help="per clip")
    parser.add_argument("--reference")
    parser.add_argument("--only", nargs="*", default=list(JUDGES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    told = parser.parse_args()
    jobs = []
    for path in sorted(told.folder.glob("*.mp4")):
        total = len(read_clip(path)[0])
        starts = np.linspace(0, total - LENGTH, told.segments).astype(int)
        jobs += [(path, int(start), tuple(told.only), told.reference) for start in starts]
    # A forked child would inherit the decoder's threads half way.
    with ProcessPoolExecutor(told.jobs, multiprocessing.get_context("spawn")) as pool:
        rows = [row for found in pool.map(segment, jobs) for row in found]
    if told.json:
        told.json.write_text(json.dumps(rows))
    report(rows, told.only, len(jobs))


def report(rows: list[tuple[str, int, str, float | None, str]], defects: list[str], segments: int) -> None:
    scores: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    unknown: dict[tuple[str, int, str], int] = defaultdict(int)
    for defect, severity, metric, score, _ in rows:
        if score is None:
            unknown[defect, severity, metric] += 1
        else:
            scores[defect, severity, metric].append(score)
    print(f"{segments} clean segments of {LENGTH} frames.\n")
    print(
        "| metric | threshold | clean: lowest | median | false alarms | unmeasured |\n|---|---|---|---|---|---|"
    )
    for metric in dict.fromkeys(JUDGES[defect] for defect in defects):
        clean, limit = scores["clean", 0, metric], THRESHOLDS[metric]
        alarms = sum(score < limit for score in clean)
        missing = unknown["clean", 0, metric]
        print(
            f"| {metric} | {limit:.2f} | {min(clean, default=np.nan):.2f} | {np.median(clean):.2f}"
            f" | {alarms} of {len(clean)} | {missing} |"
        )
    print("\n| defect | metric | AUC mild | medium | severe | below the gate: mild | medium | severe |")
    print("|---|---|---|---|---|---|---|---|")
    for defect in defects:
        metric = JUDGES[defect]
        clean, limit = scores["clean", 0, metric], THRESHOLDS[metric]
        spoiled = [scores[defect, severity, metric] for severity in (1, 2, 3)]
        areas = " | ".join(f"{auc(clean, one):.2f}" for one in spoiled)
        caught = " | ".join(f"{np.mean([score < limit for score in one]):.2f}" for one in spoiled)
        print(f"| {defect} | {metric} | {areas} | {caught} |")


if __name__ == "__main__":
    main()
