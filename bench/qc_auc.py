"""How well each metric tells clean segments from spoiled ones: ROC AUC per defect and severity.

    python -m bench.qc_auc FOLDER --tuned-on NAME ... [--segments 4] [--scenes 4] [--only DEFECT ...]
        [--keep FOLDER] [--rows FILE] [--reference IMG] [--alone]

FOLDER holds clean clips; segments of 96 frames are cut from them, and as many scenes are made by code. Clips named
`--tuned-on` and the first half of the scenes are the set that thresholds were chosen on; the others are held back.
For each set: the false alarms on clean segments, the AUC over the segments, how many spoiled ones fall below the
threshold, how well the blamed frames overlap the spoiled ones (intersection over union, median), and how often the
stage that is blamed is the right one. `--keep` keeps the spoiled clips for the next run, `--rows` what was measured,
segment by segment, so that a run that was interrupted goes on. `--alone`: only what cannot do without (likeness, sound,
resolution, format) is shown the clean segment as the source; all else sees the clip alone.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import section
from bench.qc_inject import (
    PICTURE,
    PLAIN,
    SOUND,
    Frames,
    inject_sound,
    misformed,
    read_clip,
    spoil,
    write_clip,
)
from bench.qc_scenes import FPS, ODDITIES, scene
from bench.qc_table import Row, report
from caf.ports import MeasureRequest
from caf.qc.measure import find
from caf.qc.metrics import METRICS

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
"""Defect to the policy's metric, or the technical one where no gate is about it."""
EYES = JUDGES | {
    "shake": "jitter",
    "flicker": "flicker",
    "freeze": "freeze",
    "cadence": "cadence",
    "dropped": "cadence",
    "blank": "blank",
    "glitch": "glitch",
    "torn": "glitch",
    "tint": "glitch",
    "pop": "glitch",
    "upscaled": "resolution",
    "exposure": "exposure",
    "format": "format",
}
"""Defect to the metric that is about it and nothing else."""
THRESHOLDS = {
    "identity_consistency": 0.70,
    "mask_edge_bleed": 0.60,
    "temporal_stability": 0.70,
    "loop_seam": 0.70,
    "audio_video": 0.95,
    "background_stability": 0.80,
    "identity_drift": 0.80,
} | {name: metric.threshold for name, metric in METRICS.items() if metric.threshold is not None}
LENGTH = 96
EXPLAINED = """AUC: the probability that a clean segment scores above a spoiled one, ties counting half. IoU: blamed
and spoiled frames, intersection over union, median. Stage right: of the spoiled clips that fail where the clean one
does not, the share whose worst such failure is of a metric of the defect's stage. Segments are cut from clips, scenes
are made by code; what is odd but clean (a turning point, a cut, a fade, bars, captions, …) is made of one scene of
each set, for the metrics about the subject also of a segment of each clip. Thresholds were chosen on the tuned set.
A reference picture there is none."""
GIVEN = "The source is the clean segment."
ALONE = "Only for likeness, sound, resolution and format there is a source: the clean segment."
COMPARING = frozenset({"audio_video", "format", "identity_consistency", "resolution"})
"""What hardly tells anything of a clip alone."""
SUBJECT = frozenset({"identity_consistency", "identity_drift", "mask_edge_bleed"})


class Job(NamedTuple):
    """One clean segment: of a clip, or a scene made by code."""

    path: Path | None
    start: int
    """First frame; of a scene its seed."""
    group: str
    defects: tuple[str, ...]
    reference: str | None
    keep: Path | None
    severities: tuple[int, ...]
    alone: bool
    """Whether metrics that can do without it are not shown the source."""
    odd: bool
    """Whether the odd but clean variants are measured too."""


def segment(job: Job) -> list[Row]:
    """The clean segment and every spoiled copy of it, measured."""
    if job.keep is not None:
        return _Segment(job, job.keep).rows()
    with tempfile.TemporaryDirectory() as folder:
        return _Segment(job, Path(folder)).rows()


class _Segment:
    """One segment's clips, written where they are not there yet, and what was measured on them."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._name = f"{job.path.stem if job.path else 'scene'}-{job.start}"
        if job.path:
            self._frames, self._fps, self._wave = read_clip(job.path, job.start, LENGTH)
        else:
            self._frames, self._fps, self._wave = scene(job.start), FPS, None
        half = LENGTH // 2
        self._loop = [*self._frames[:half], *self._frames[half - 2 : 0 : -1]]
        self._wanted = tuple(dict.fromkeys(EYES[defect] for defect in job.defects))
        self._pictures = tuple(
            one for one in self._wanted if one not in SUBJECT | {"audio_video", "loop_seam"}
        )
        self._subject = tuple(one for one in self._wanted if one in SUBJECT)
        self._source = self._clip("clean", self._frames, crf=18)
        self._rows: list[Row] = []

    def rows(self) -> list[Row]:
        # The clean segment is coded once more, as the spoiled ones are, so that it is not its own source.
        again = self._clip("again", self._frames, crf=19)
        self._judge("clean", 0, again, tuple(one for one in self._wanted if one != "loop_seam"), None)
        for oddity, make in ODDITIES.items() if self._job.odd else ():
            # Clips show the subject, scenes none; they are held against the source that they were made from.
            judged = self._subject if self._job.path else (*self._pictures, *self._subject)
            if judged:
                self._judge(f"clean: {oddity}", 0, self._clip(oddity, make(self._frames)), judged, None)
        if "loop_seam" in self._wanted:
            self._judge("clean", 0, self._clip("loop", self._loop), ("loop_seam",), None)
        for defect in self._job.defects:
            for severity in self._job.severities:
                if defect not in SOUND or self._wave is not None:
                    self._spoil_and_judge(defect, severity)
        return self._rows

    def _clip(self, what: str, frames: Frames, crf: int = 18) -> Path:
        path = self._folder / f"{self._name}-{what}.mp4"
        return path if path.exists() else write_clip(path, frames, self._fps, self._wave, crf=crf)

    def _spoil_and_judge(self, defect: str, severity: int) -> None:
        clip, truth_file = (
            self._folder / f"{self._name}-{defect}-{severity}.{end}" for end in ("mp4", "json")
        )
        start, wave = self._job.start, self._wave
        if not truth_file.exists():
            frames, blamed, form = self._frames, None, PLAIN
            if defect in PICTURE:
                base = self._loop if defect == "seam" else frames
                frames, blamed = spoil(base, defect, severity, start)
            elif defect == "format":
                form = misformed(severity, start)
            elif wave is not None:
                wave = inject_sound(wave, defect, severity)
            write_clip(clip, frames, self._fps, wave, form=form)
            truth_file.write_text(json.dumps(None if blamed is None else sorted(blamed)))
        others = self._pictures if EYES[defect] in self._pictures else ()
        truth = json.loads(truth_file.read_text())
        self._judge(defect, severity, clip, (EYES[defect], *others), truth)

    def _judge(
        self, defect: str, severity: int, clip: Path, metrics: tuple[str, ...], truth: list[int] | None
    ) -> None:
        asked = dict.fromkeys(metrics)
        shown = tuple(one for one in asked if not self._job.alone or one in COMPARING)
        hidden = tuple(one for one in asked if one not in shown)
        for wanted, source in ((shown, self._source), (hidden, clip)):
            if wanted:
                self._measure(defect, severity, clip, wanted, source, truth)

    def _measure(
        self,
        defect: str,
        severity: int,
        clip: Path,
        metrics: tuple[str, ...],
        source: Path,
        truth: list[int] | None,
    ) -> None:
        request = MeasureRequest(
            metrics=metrics, video=str(clip), source=str(source), reference=self._job.reference
        )
        for found in find(request, lambda done, of: None).findings:
            one = found.measurement
            said = f"{one.reason} {one.raw}"
            self._rows.append(
                Row(
                    self._job.group,
                    self._name,
                    defect,
                    severity,
                    one.metric,
                    one.score,
                    list(found.blamed),
                    truth,
                    said,
                )
            )


def _measured(jobs: list[Job], processes: int, file: Path | None) -> list[Row]:
    """The rows of all segments; those of segments that the file has, one a line, are not measured again."""
    known: dict[str, list[Row]] = {}
    if file is not None and file.exists():
        for line in file.read_text().splitlines():
            name, rows = json.loads(line)
            known[name] = [Row(*row) for row in rows]
    left = [job for job in jobs if str(job) not in known]
    # A forked child would inherit the decoder's threads half way.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(segment, job): job for job in left}
        for done, future in enumerate(as_completed(running), 1):
            name = str(running[future])
            known[name] = future.result()
            print(f"{done} of {len(left)} segments", end="\r", file=sys.stderr, flush=True)
            if file is not None:
                with file.open("a") as out:
                    out.write(json.dumps([name, known[name]]) + "\n")
    return [row for job in jobs for row in known[str(job)]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--tuned-on", nargs="*", default=[], help="stems of clips that thresholds were chosen on"
    )
    parser.add_argument("--segments", type=int, default=4, help="per clip")
    parser.add_argument("--scenes", type=int, default=4, help="made by code, in each of the two sets")
    parser.add_argument("--set", choices=["tuned", "held back", "both"], default="both")
    parser.add_argument("--severities", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--reference")
    parser.add_argument("--alone", action="store_true", help="without the source, where that can be")
    parser.add_argument("--only", nargs="*", default=list(EYES))
    parser.add_argument(
        "--rows", type=Path, help="JSON lines of what was measured; what is there is not measured again"
    )
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    told = parser.parse_args()
    if told.keep:
        told.keep.mkdir(parents=True, exist_ok=True)
    defects = tuple(told.only)
    common = (defects, told.reference, told.keep, tuple(told.severities), told.alone)
    jobs = []
    for path in sorted(told.folder.glob("*.mp4")):
        group = "tuned" if path.stem in told.tuned_on else "held back"
        total = len(read_clip(path)[0])
        starts = np.linspace(0, total - LENGTH, told.segments).astype(int)
        jobs += [Job(path, int(start), group, *common, odd=not place) for place, start in enumerate(starts)]
    for group, first in (("tuned", 1), ("held back", 101)):
        jobs += [Job(None, first + one, group, *common, odd=one == 0) for one in range(told.scenes)]
    jobs = [job for job in jobs if told.set in ("both", job.group)]
    rows = _measured(jobs, told.jobs, told.rows)
    tables = [
        report(group, [row for row in rows if row.group == group], list(defects), EYES, THRESHOLDS)
        for group in dict.fromkeys(job.group for job in jobs)
    ]
    words = f"python -m bench.qc_auc FOLDER --segments {told.segments} --scenes {told.scenes}"
    words += f" --severities {' '.join(map(str, told.severities))} --tuned-on {' '.join(told.tuned_on)}"
    words = words.strip() + " --alone" * told.alone
    title = (
        f"## What QC sees{' of a clip alone' * told.alone}\n\n{section.circumstances(words, told.folder)}\n\n"
    )
    title += f"{EXPLAINED}\n{ALONE if told.alone else GIVEN}\n\n"
    text = title + "\n\n".join(tables)
    print(text)
    if told.write:
        section.write("qc-alone" if told.alone else "qc", text)


if __name__ == "__main__":
    main()
