"""Whether one retry repairs: a medium defect, the policy's preset for its class, and every gate measured again.

    python -m bench.repairs FOLDER [--segments 2] [--write]

FOLDER holds clean clips; segments of 96 frames are cut from them, and for the seam half of one is played to and fro.
A repair counts where the metric that judges the defect was below its threshold and is not afterwards; harm, where
another metric falls below its own that the clean segment keeps.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench import section
from bench.qc_auc import JUDGES, LENGTH, THRESHOLDS
from bench.qc_inject import Frames, inject, read_clip, write_clip
from caf.engines.local import run_stage
from caf.engines.parameters import PARAMETERS
from caf.policies import DEFAULT_POLICY
from caf.ports import MeasureRequest, Parameter, StageRequest, VideoTarget
from caf.qc.measure import measure

DEFECTS = ("shake", "flicker", "seam", "hue_drift")
"""Those that a preset of the default policy is for."""
METRICS = tuple(metric for metric in THRESHOLDS if metric != "audio_video")
Scores = dict[str, float | None]


def preset(metric: str) -> dict[str, float | int | str | bool]:
    """The parameters with which the default policy retries when `metric` failed."""
    classes = {m: one.class_id for one in DEFAULT_POLICY.failure_classification.classes for m in one.metrics}
    presets = {one.class_id: one for one in DEFAULT_POLICY.workflow_presets.class_to_preset}
    return dict(presets[classes[metric]].parameter_overrides)


def repaired(
    clip: Path, folder: Path, given: dict[str, Parameter], size: tuple[int, int], fps: float
) -> Path:
    """The clip through all three stages, each with those of the parameters that are its own."""
    inputs = {"source": str(clip)}
    out = clip
    for stage in ("frame", "motion", "video"):
        own = {spec.name for spec in PARAMETERS if spec.stage == stage}
        (folder / stage).mkdir(parents=True)
        request = StageRequest(
            stage=stage,
            inputs=inputs,
            parameters={name: value for name, value in given.items() if name in own},
            target=VideoTarget(width=size[0], height=size[1], fps=fps),
            out_dir=str(folder / stage),
        )
        made = run_stage(request, lambda done, total: None).outputs[0]
        inputs, out = inputs | {made.role: made.path}, Path(made.path)
    return out


def scores(clip: Path, source: Path) -> Scores:
    found = measure(
        MeasureRequest(metrics=METRICS, video=str(clip), source=str(source)), lambda done, of: None
    )
    return {one.metric: one.score for one in found}


def clean_scores(base: Frames, fps: float) -> Scores:
    with tempfile.TemporaryDirectory() as name:
        clip = write_clip(Path(name, "clean.mp4"), base, fps, None)
        return scores(clip, clip)


def tried(base: Frames, defect: str, fps: float, seed: int) -> tuple[Scores, Scores]:
    """Scores of the spoiled clip, and of what one retry makes of it."""
    height, width = base[0].shape[:2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_clip(folder / "spoiled.mp4", inject(base, defect, 2, seed), fps, None)
        made = repaired(clip, folder / "repair", preset(JUDGES[defect]), (width, height), fps)
        return scores(clip, clip), scores(made, clip)


def below(found: Scores, metric: str) -> bool:
    score = found[metric]
    return score is not None and score < THRESHOLDS[metric]


def report(rows: list[tuple[str, Scores, Scores]], segments: int) -> str:
    lines = [
        "## One retry with the policy's preset",
        "",
        section.circumstances("python -m bench.repairs FOLDER", Path.cwd()),
        f"{segments} segments of {LENGTH} frames, medium defects.",
        "",
        "| defect | metric | before, median | after, median | failed before | of these repaired | others harmed |",
        "|---|---|---|---|---|---|---|",
    ]
    grouped: dict[str, list[tuple[Scores, Scores]]] = defaultdict(list)
    for defect, before, after in rows:
        grouped[defect].append((before, after))
    for defect, pairs in grouped.items():
        metric = JUDGES[defect]
        failed = [(before, after) for before, after in pairs if below(before, metric)]
        mended = sum(not below(after, metric) for _, after in failed)
        harmed = sorted(
            {m for b, a in pairs for m in METRICS if m != metric and below(a, m) and not below(b, m)}
        )
        medians = [np.median([pair[i][metric] or 0.0 for pair in pairs]) for i in (0, 1)]
        lines.append(
            f"| {defect} | {metric} | {medians[0]:.2f} | {medians[1]:.2f} | {len(failed)} of {len(pairs)}"
            f" | {mended} | {', '.join(harmed) or 'none'} |"
        )
    return "\n".join([*lines, "", *_in_all(rows)])


def _in_all(rows: list[tuple[str, Scores, Scores]]) -> list[str]:
    """What share was repaired, and of what had passed before and does in the clean clip, how much still does."""
    failed = [after for defect, before, after in rows if below(before, JUDGES[defect])]
    judges = [JUDGES[defect] for defect, before, _ in rows if below(before, JUDGES[defect])]
    mended = sum(not below(after, judge) for after, judge in zip(failed, judges, strict=True))
    others = [
        below(after, m)
        for defect, before, after in rows
        for m in METRICS
        if m != JUDGES[defect] and before[m] is not None and not below(before, m) and after[m] is not None
    ]
    still = len(others) - sum(others)
    return [
        f"Of {len(failed)} clips that failed, {mended} were repaired ({mended / max(1, len(failed)):.0%}; to reach:"
        " 90 %). Of",
        f"{len(others)} other measurements that had passed, as the clean clip's do, {still} still do"
        f" ({still / max(1, len(others)):.1%}; to reach: 98 %).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--segments", type=int, default=2, help="per clip")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    rows: list[tuple[str, Scores, Scores]] = []
    segments = 0
    for path in sorted(told.folder.glob("*.mp4")):
        everything, fps, _ = read_clip(path)
        for start in np.linspace(0, len(everything) - LENGTH, told.segments).astype(int):
            frames = everything[start : start + LENGTH]
            loop = [*frames[: LENGTH // 2], *frames[LENGTH // 2 - 2 : 0 : -1]]
            segments += 1
            clean = {base: clean_scores(loop if base == "seam" else frames, fps) for base in ("seam", "")}
            for defect in DEFECTS:
                before, after = tried(loop if defect == "seam" else frames, defect, fps, int(start))
                kept = clean[defect if defect == "seam" else ""]
                after = {m: None if below(kept, m) and m != JUDGES[defect] else after[m] for m in METRICS}
                rows.append((defect, before, after))
                print(path.name, start, defect, before[JUDGES[defect]], after[JUDGES[defect]], flush=True)
                print({m: (before[m], after[m]) for m in METRICS}, flush=True)
    text = report(rows, segments)
    print(text)
    if told.write:
        section.write("repairs", text)


if __name__ == "__main__":
    main()
