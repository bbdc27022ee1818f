"""The stabiliser beside vid.stab and deshake, on clips shaken along a known path.

    python -m bench.steady [--footage FOLDER] [--seeds N ...] [--held-back] [--weights W ...] [--write]

Corner error in px RMS against what a perfect camera would have shown, found in the pictures themselves; what is
slower than half a second does not count. Without footage the scenes made by code are used alone.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import section
from bench.qc_inject import write_clip
from bench.steady_peers import Cost, deshake, missing, spent, vidstab
from bench.steady_scenes import FPS, KINDS, SIZE, Clip, clip, sources
from bench.steady_score import Score, matrices_of, moves_between, score
from caf.engines.local import run_stage
from caf.media.read import read_frames
from caf.ports import StageRequest, VideoTarget

TARGETS = dict.fromkeys(KINDS[:4], 0.1) | dict.fromkeys(KINDS[4:], 1.5)
SMOOTHINGS = (0, 30)
"""vid.stab's two tunings: a camera at rest, and its usual smoothness, which needs less crop."""


class Row(NamedTuple):
    kind: str
    clip: str
    subject: str
    score: Score
    cost: Cost | None


def ours(shaken: Path, folder: Path, weight: float) -> Path:
    """The motion stage, as a job runs it; without evening the light it would be faster."""
    folder.mkdir()
    request = StageRequest(
        stage="motion",
        inputs={"source": str(shaken)},
        parameters={"pose_weight": weight},
        target=VideoTarget(width=SIZE[0], height=SIZE[1], fps=FPS),
        out_dir=str(folder),
    )
    return Path(run_stage(request, lambda done, total: None).outputs[0].path)


def measured(made: Clip, weights: list[float], peers: bool) -> list[Row]:
    """Every subject on one clip, one after the other."""
    rows = [Row(made.kind, made.name, "shaken", score(matrices_of(made.path)), None)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shaken = write_clip(folder / "shaken.mp4", made.shaken, FPS, None)
        shown: dict[str, tuple[Path, Cost]] = {}
        for weight in weights:
            with spent() as took:
                out = ours(shaken, folder / f"ours-{weight}", weight)
            shown[f"ours, {weight}"] = out, took.cost
        for smoothing in SMOOTHINGS if peers else ():
            out = folder / f"vidstab-{smoothing}.mp4"
            with spent() as took:
                vidstab(shaken, out, smoothing)
            shown[f"vid.stab, {smoothing}"] = out, took.cost
        if peers:
            with spent() as took:
                deshake(shaken, folder / "deshake.mp4")
            shown["deshake"] = folder / "deshake.mp4", took.cost
        for subject, (path, cost) in shown.items():
            images = [frame.image for frame in read_frames(path)]
            rows.append(
                Row(made.kind, made.name, subject, score(moves_between(made.perfect, images), images), cost)
            )
    return rows


def report(rows: list[Row], command: str, why_not: str) -> str:
    """The tables, in Markdown: medians over the clips, and the worst in brackets."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.kind, row.subject].append(row)
    first = next(subject for subject in subjects if subject.startswith("ours"))
    lines = [
        "## Stabiliser beside vid.stab and deshake",
        "",
        section.circumstances(command, Path.cwd()),
        f"{len({row.clip for row in rows})} scenes at {SIZE[0]}x{SIZE[1]}.",
        "Corner error, px RMS against a perfect camera: the median of the clips (the worst). vid.stab in two",
        "passes at its finest search, with the smoothing named; ours is the motion stage with the `pose_weight` named.",
        "A clip in which nothing of the perfect one was found again has no error;"
        " a black body at the rim counts as a border.",
        *([why_not] if why_not else []),
        "",
        "| clip | " + " | ".join(subjects) + " | to reach | reached | vid.stab's best over ours |",
        "|---" * (len(subjects) + 4) + "|",
    ]
    for kind in dict.fromkeys(row.kind for row in rows):
        errors = {s: [row.score.error_px for row in found[kind, s]] for s in subjects}
        cells = [f"{np.nanmedian(e):.3f} ({np.nanmax(e):.3f})" for e in errors.values()]
        best = [np.nanmedian(errors[s]) for s in subjects if s.startswith("vid.stab")]
        ratio = f"{min(best) / np.median(errors[first]):.1f}" if best else "–"
        worse = any(a > 1.02 * b for a, b in zip(errors[first], errors["shaken"], strict=True))
        reached = "yes" if np.median(errors[first]) <= TARGETS[kind] and not worse else "**no**"
        if worse:
            reached += ", worse than the input"
        lines.append(f"| {kind} | " + " | ".join(cells) + f" | {TARGETS[kind]} | {reached} | {ratio} |")
    lines += ["", "| crop, % of width | " + " | ".join(subjects[1:]) + " |", "|---" * len(subjects) + "|"]
    for kind in dict.fromkeys(row.kind for row in rows):
        crops = [100 * np.nanmedian([row.score.crop_share for row in found[kind, s]]) for s in subjects[1:]]
        lines.append(f"| {kind} | " + " | ".join(f"{crop:.1f}" for crop in crops) + " |")
    borders = {s: max(row.score.black_share for row in rows if row.subject == s) for s in subjects[1:]}
    lines.append("| frames with a black border | " + " | ".join(f"{b:.0%}" for b in borders.values()) + " |")
    for name, index in (("wall s a clip", 0), ("CPU s a clip", 1)):
        times = [
            np.median([row.cost[index] for row in rows if row.cost and row.subject == s])
            for s in subjects[1:]
        ]
        lines.append(f"| {name} | " + " | ".join(f"{t:.2f}" for t in times) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, help="steady clips; without it scenes made by code alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--held-back", action="store_true", help="segments that nothing was tuned on")
    parser.add_argument("--every", type=int, default=1, help="only every so many of the scenes")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.95])
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    told = parser.parse_args()
    why_not = missing()
    if why_not:
        print(why_not)
    rows: list[Row] = []
    for number, (name, frames) in enumerate(sources(told.footage, told.seconds, held_back=told.held_back)):
        for seed in told.seeds if number % told.every == 0 else ():
            for kind in KINDS:
                rows += measured(clip(kind, name, frames, seed), told.weights, not why_not)
                print(f"{name}, {kind}, seed {seed}", flush=True)
    words = " --held-back" if told.held_back else ""
    words += f" --every {told.every}" if told.every > 1 else ""
    words += f" --seconds {told.seconds:g}" if told.seconds != parser.get_default("seconds") else ""
    footage = " --footage FOLDER" if told.footage else ""
    text = report(rows, f"python -m bench.steady{footage}{words}", why_not)
    print(text)
    if told.write:
        section.write("steady", text)


if __name__ == "__main__":
    main()
