"""Measure a stage's output: one decode of the clip, every metric that was asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from caf.media.probe import probe
from caf.ports import Measurement, MeasureRequest, ProbeRequest, Progress
from caf.pose.moments import Poses
from caf.qc.extras.measuring import measured_extras
from caf.qc.metrics.added import Added, added_of
from caf.qc.metrics.audio import audio_video, load_sound
from caf.qc.metrics.background import background_stability
from caf.qc.metrics.bend import bend_of
from caf.qc.metrics.catalogue import EXTRAS, METRICS, known_metrics
from caf.qc.metrics.collected import COMPARED, SCENE, SUBJECT, Collected
from caf.qc.metrics.costume import costume_fidelity
from caf.qc.metrics.course import course
from caf.qc.metrics.edges import added_bleed, mask_edge_bleed
from caf.qc.metrics.exposure import COMPARED_S, Exposure, ExposureCollector, exposure
from caf.qc.metrics.findings import Finding, spans
from caf.qc.metrics.form import file_format, unasked
from caf.qc.metrics.frames import deterministic_cv2, see
from caf.qc.metrics.glitch import glitch
from caf.qc.metrics.hues import hue_turn
from caf.qc.metrics.identity import (
    Anchor,
    anchor_of,
    early_anchor,
    identity_consistency,
    identity_drift,
)
from caf.qc.metrics.lanes import Beside
from caf.qc.metrics.light import blank, flicker
from caf.qc.metrics.moments import Moment, changes_of, same_moments
from caf.qc.metrics.mosaic import MosaicCollector
from caf.qc.metrics.poses import pose_of
from caf.qc.metrics.presence import feline_presence, human_presence
from caf.qc.metrics.resolution import resolution
from caf.qc.metrics.samples import Sample, same_pictures, sample_of, spread
from caf.qc.metrics.scene import Scanner, Scene, scan
from caf.qc.metrics.scoring import unmeasured
from caf.qc.metrics.seam import loop_seam
from caf.qc.metrics.series import series_file
from caf.qc.metrics.shake import jitter
from caf.qc.metrics.sharing import collect
from caf.qc.metrics.sharpness import Crispness, CrispnessCollector, blockiness, sharpness
from caf.qc.metrics.subject import Subject, follow, subject_of_picture
from caf.qc.metrics.swing import swing_and_background
from caf.qc.metrics.temporal import temporal_stability
from caf.qc.metrics.timing import cadence, freeze

__all__ = ["Found", "find", "measure"]

_ANCHOR_FRAMES = 61
_POSED = SCENE | {"background_stability"}
_BESIDE_THE_SOURCE = SUBJECT | {"background_stability"}
_ANCHOR_SCANS = 6
_FLAT_LEVELS = 3.0
_NOTHING_TO_COMPARE = (
    "The reference picture shows nothing to compare with: it is too small, or of one colour."
)
_LATEST_S = 2.0
"""How much later than the clip's end the source may show what the clip ends with: frames were lost."""


def measure(request: MeasureRequest, progress: Progress) -> tuple[Measurement, ...]:
    """Every metric of `request.metrics`, in that order, each with a score or the reason why it has none.

    The same files give the same bits on one machine, however many processes share the clip. Memory does not grow with
    the picture count beyond some hundred bytes a frame, three thousand where there is another source; the clip is
    decoded once, of the source its first two seconds, its sound, and what it shows at the clip's times. Call it from a
    thread that stays where there are helpers: they end with it.

    Raises:
        InputError: an unknown metric, or a file that is not there.
        MediaError: a file that cannot be decoded.
        UnavailableError: a helper died.
        OSError: the series cannot be written.
    """
    found = find(request, progress)
    if request.series is not None and any(one.series for one in found.findings):
        Path(request.series).write_bytes(series_file(found.time_s, found.findings))
    return tuple(replace(one.measurement, spans=spans(one.blamed)) for one in found.findings)


@dataclass(frozen=True, slots=True)
class Found:
    """What one pass over a clip found."""

    findings: tuple[Finding, ...]
    """In the order that was asked for."""
    time_s: tuple[float, ...]
    """When each decoded frame is shown; empty where no metric looked at the pictures."""


def find(request: MeasureRequest, progress: Progress) -> Found:
    """As `measure`, and with every blamed frame and the series behind the scores. Raises as `measure` does."""
    known_metrics(request.metrics, METRICS | EXTRAS)
    with deterministic_cv2():
        return _Measuring(request, progress).run()


class _Scanning:
    """Looks at samples beside what else is done."""

    def __init__(self, pose: Poses | None, beside: Beside) -> None:
        self._scanner, self._beside = Scanner(pose), beside
        self._under_way: list[Callable[[], None]] = []

    def add(self, sample: Sample) -> None:
        self._under_way.append(self._beside.start(lambda: self._scanner.add(sample)))

    def result(self) -> Scene:
        """Waits for all that were added."""
        for wait in self._under_way:
            wait()
        return self._scanner.result()


class _Measuring:
    """The collectors of one request, fed by one decode, and the metrics made from them."""

    def __init__(self, request: MeasureRequest, progress: Progress) -> None:
        self._request, self._progress, self._wanted = request, progress, frozenset(request.metrics)
        self._done = 0
        self._other = request.source != request.video
        self._collected = Collected(self._wanted, against=self._other)
        self._looks = self._collected.looks

    def run(self) -> Found:
        request, pose = self._request, self._pose()
        # With one worker each of these is done where its outcome is asked for.
        with Beside(request.workers) as beside:
            scanning = _Scanning(pose, beside)
            file, sound = beside.start(self._of_file), beside.start(self._of_sound)
            early = scanning.add if request.workers > 1 and self._wanted & SCENE else None
            self._collected = collect(
                request.video,
                self._wanted,
                request.workers,
                self._frames_done,
                early=early,
                against=self._other,
            )
            moments, added = self._of_source()
            # The clip's last frame is always a sample: what does not need to know what it shows comes first.
            found = self._of_motion(pose, moments, added)
            scene = scanning.result()
            picture = beside.start(self._of_picture)
            alone = self._of_subject(pose, scene, moments) | sound()
            found |= picture() | file()
        found |= {name: Finding(one, tuple(sorted(one.worst_frames))) for name, one in alone.items()}
        found |= measured_extras(self._request, len(self._collected.time_s), self._progress)
        return Found(tuple(found[name] for name in self._request.metrics), tuple(self._collected.time_s))

    def _frames_done(self, done: int) -> None:
        self._done = max(self._done, done)
        self._beat()

    def _beat(self) -> None:
        self._progress(self._done, None)

    def _pose(self) -> Poses | None:
        return pose_of(self._request, self._progress) if self._wanted & _POSED else None

    def _of_source(self) -> tuple[dict[int, Moment], Added | None]:
        """What another source shows at the samples' times, and what the clip shows that it does not."""
        samples, mosaic = self._collected.samples, self._collected.mosaic
        due = samples.result() if samples is not None and self._wanted & _BESIDE_THE_SOURCE else []
        if not self._other or (not due and mosaic is None):
            return {}, None
        there = None if mosaic is None else MosaicCollector()
        until_s = max(self._collected.time_s, default=0.0) + _LATEST_S
        moments = same_moments(self._request.source, due, self._beat, every=there, until_s=until_s)
        if mosaic is None or there is None:
            return moments, None
        return moments, added_of(mosaic.result(), there.result(), self._beat)

    def _of_subject(
        self, pose: Poses | None, scanned: Scene, moments: dict[int, Moment]
    ) -> dict[str, Measurement]:
        samples, request = self._collected.samples, self._request
        if samples is None or not self._wanted & SCENE:
            return {}
        kept = samples.result()
        scene = scanned if same_pictures(scanned.samples, kept) else scan(kept, pose)
        self._beat()
        found = {"feline_presence": feline_presence(scene), "human_presence": human_presence(scene)}
        if not self._wanted & SUBJECT:
            return found
        before = {index: moment.picture for index, moment in moments.items()}
        anchor = self._reference()
        subject: Subject | None = follow(scene, anchor.look if anchor else None, pose)
        changes = changes_of(subject.sightings, scene.samples, before) if subject else []
        if anchor is None and subject is not None:
            anchor = anchor_of(changes, subject.kind) if self._other else early_anchor(subject)
        if anchor is None and self._other:
            anchor = self._early_source()
            subject = follow(scene, anchor.look if anchor else None, pose)
        self._beat()
        makers: dict[str, Callable[[], Measurement]] = {
            "identity_consistency": lambda: identity_consistency(subject, anchor, changes),
            "identity_drift": lambda: identity_drift(
                subject, changes, None if changes else hue_turn(scene.samples)
            ),
            "mask_edge_bleed": lambda: (
                added_bleed(scene.samples, before)
                or mask_edge_bleed(
                    subject,
                    [one for found in scene.sightings for one in found],
                    scene.samples,
                    request.workers,
                )
            ),
            "costume_fidelity": lambda: costume_fidelity(subject, anchor, required=request.costume_required),
        }
        if request.reference is not None and not (anchor and anchor.from_reference):
            compared = ("identity_consistency", *(["costume_fidelity"] if request.costume_required else []))
            makers |= {name: partial(unmeasured, name, _NOTHING_TO_COMPARE) for name in compared}
        return found | {name: make() for name, make in makers.items() if name in self._wanted}

    def _reference(self) -> Anchor | None:
        """The reference picture's look."""
        if self._request.reference is None:
            return None
        picture = next(_early_samples(self._request.reference, 1), None)
        if picture is None or float(picture.image.std(axis=(0, 1)).max()) < _FLAT_LEVELS:
            return None
        seen = subject_of_picture(picture)
        return Anchor(seen.look, seen.kind, from_reference=True) if seen is not None else None

    def _early_source(self) -> Anchor | None:
        """The look of the subject of the source's first two seconds, which need not show the clip's moments."""
        early = list(_early_samples(self._request.source, _ANCHOR_FRAMES))
        subject = follow(scan(spread(early, _ANCHOR_SCANS)), None)
        return Anchor(subject.look, subject.kind, from_reference=False) if subject is not None else None

    def _of_motion(
        self, pose: Poses | None, moments: dict[int, Moment], added: Added | None
    ) -> dict[str, Finding]:
        found: dict[str, Finding] = {}
        seen_by = self._collected
        steps = seen_by.steps.result() if seen_by.steps is not None else None
        path = seen_by.tracks.result() if seen_by.tracks is not None else None
        apart = None
        if steps is not None and path is not None and seen_by.outliers is not None:
            seen = course(steps, path, seen_by.outliers.result(), added)
            apart = seen.broken
            makers = {
                "temporal_stability": temporal_stability,
                "freeze": freeze,
                "cadence": cadence,
                "blank": blank,
                "flicker": flicker,
                "glitch": glitch,
            }
            found |= {name: make(seen) for name, make in makers.items() if name in self._wanted}
        if path is not None and "jitter" in self._wanted:
            found["jitter"] = jitter(path, apart)
        if path is not None and seen_by.still is not None:
            samples = seen_by.samples.result() if seen_by.samples is not None else []
            bend = bend_of(samples, moments) if moments else None
            if bend is None:
                swing, background = swing_and_background(path, seen_by.still, pose)
            else:
                swing, background = None, seen_by.still.result(path)
            stable = background_stability(path, background, swing, apart, bend)
            found["background_stability"] = Finding(stable, tuple(sorted(stable.worst_frames)))
        if steps is not None:
            seam = loop_seam(steps)
            found["loop_seam"] = Finding(seam, tuple(sorted(seam.worst_frames)))
        return found

    def _of_picture(self) -> dict[str, Finding]:
        found: dict[str, Finding] = {}
        crisp_before, light_before = self._source() if self._wanted & COMPARED else (None, None)
        if self._collected.crisp is not None:
            crisp = self._collected.crisp.result()
            found |= {"sharpness": sharpness(crisp), "blockiness": blockiness(crisp)}
            found["resolution"] = resolution(crisp, crisp_before)
        if self._collected.exposure is not None:
            found["exposure"] = exposure(self._collected.exposure.result(), light_before)
        return found

    def _source(self) -> tuple[Crispness | None, Exposure | None]:
        """What the source's first two seconds look like, where it is another clip."""
        if not self._other:
            return None, None
        crisp, light = CrispnessCollector(), ExposureCollector()
        for frame in see(self._request.source):
            if frame.time_s > COMPARED_S:
                break
            crisp.add(frame)
            light.add(frame)
            self._beat()
        return crisp.result(), light.result()

    def _of_file(self) -> dict[str, Finding]:
        if "format" not in self._wanted:
            return {}
        request = self._request
        if request.target is None and not self._other and self._looks:
            return {"format": unasked()}  # whether the file can be read shows where it is looked at
        media = probe(ProbeRequest(path=request.video), self._progress)
        source = probe(ProbeRequest(path=request.source), self._progress) if self._other else None
        return {"format": file_format(media, request.target, source)}

    def _of_sound(self) -> dict[str, Measurement]:
        if "audio_video" not in self._wanted:
            return {}
        self._beat()
        sound = load_sound(self._request.video)
        before = load_sound(self._request.source) if self._other else sound
        return {"audio_video": audio_video(sound, before, alone=not self._other)}


def _early_samples(path: str, frames: int) -> Iterator[Sample]:
    """Every fifth of the first `frames` frames."""
    for frame in see(path):
        if frame.index % 5 == 0:
            yield sample_of(frame)
        if frame.index + 1 >= frames:
            return
