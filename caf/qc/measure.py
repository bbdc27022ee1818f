"""Measure a stage's output: one decode of the clip, every metric that was asked for."""

from collections.abc import Callable, Iterator

from caf.errors import InputError
from caf.media.read import read_frames
from caf.ports import Measurement, MeasureRequest, Progress
from caf.qc.metrics.audio import audio_video, load_sound
from caf.qc.metrics.background import background_stability
from caf.qc.metrics.catalogue import METRICS
from caf.qc.metrics.costume import costume_fidelity
from caf.qc.metrics.edges import mask_edge_bleed
from caf.qc.metrics.frames import deterministic_cv2, see
from caf.qc.metrics.identity import Anchor, identity_consistency, identity_drift
from caf.qc.metrics.poses import load_pose
from caf.qc.metrics.presence import feline_presence, human_presence
from caf.qc.metrics.samples import Sample, SampleCollector, sample_of, spread
from caf.qc.metrics.scene import Scene, scan
from caf.qc.metrics.seam import loop_seam
from caf.qc.metrics.sharpness import CrispnessCollector, blockiness, sharpness
from caf.qc.metrics.steps import StepCollector
from caf.qc.metrics.still import StillCollector
from caf.qc.metrics.subject import Subject, follow, subject_of_picture
from caf.qc.metrics.temporal import temporal_stability
from caf.qc.metrics.tracks import TrackCollector

__all__ = ["measure"]

_SUBJECT = frozenset({"identity_consistency", "identity_drift", "mask_edge_bleed", "costume_fidelity"})
_SCENE = _SUBJECT | {"feline_presence", "human_presence"}
_TRACKS = frozenset({"temporal_stability", "background_stability"})
_STEPS = frozenset({"temporal_stability", "loop_seam"})
_CRISP = frozenset({"sharpness", "blockiness"})
_ANCHOR_FRAMES = 61
_ANCHOR_SCANS = 6
_FEWEST_SCANS, _MOST_SCANS, _FRAMES_PER_SCAN = 8, 20, 36


def measure(request: MeasureRequest, progress: Progress) -> tuple[Measurement, ...]:
    """Every metric of `request.metrics`, in that order, each with a score or the reason why it has none.

    The same files give the same bits on one machine. Memory does not grow with the picture count beyond some
    hundred bytes a frame; the clip is decoded once, of the source only its first two seconds and its sound.

    Raises:
        InputError: an unknown metric, or a file that is not there.
        MediaError: a file that cannot be decoded.
    """
    unknown = [name for name in request.metrics if name not in METRICS]
    if unknown:
        raise InputError(
            f"There is no metric named {unknown[0]}.",
            remedy=f"Use one of: {', '.join(METRICS)}.",
            kind="unknown_metric",
        )
    with deterministic_cv2():
        return _Measuring(request, progress).run()


class _Measuring:
    """The collectors of one request, fed by one decode, and the metrics made from them."""

    def __init__(self, request: MeasureRequest, progress: Progress) -> None:
        wanted = frozenset(request.metrics)
        self._request, self._progress, self._wanted = request, progress, wanted
        self._samples = SampleCollector() if wanted & _SCENE else None
        self._tracks = TrackCollector() if wanted & _TRACKS else None
        self._still = StillCollector() if "background_stability" in wanted else None
        self._steps = StepCollector() if wanted & _STEPS else None
        self._crisp = CrispnessCollector() if wanted & _CRISP else None
        self._frames = 0

    def run(self) -> tuple[Measurement, ...]:
        self._decode()
        found = self._of_subject() | self._of_motion() | self._of_picture() | self._of_sound()
        return tuple(found[name] for name in self._request.metrics)

    def _decode(self) -> None:
        collectors = [
            one
            for one in (self._samples, self._tracks, self._still, self._steps, self._crisp)
            if one is not None
        ]
        if not collectors:
            return
        for frame in see(self._request.video):
            for collector in collectors:
                collector.add(frame)
            self._frames += 1
            self._beat()

    def _beat(self) -> None:
        self._progress(self._frames, None)

    def _of_subject(self) -> dict[str, Measurement]:
        if self._samples is None:
            return {}
        request = self._request
        pose = load_pose(request.pose) if request.pose is not None else None
        scans = min(_MOST_SCANS, max(_FEWEST_SCANS, self._frames // _FRAMES_PER_SCAN))
        scene = scan(spread(self._samples.result(), scans), pose)
        self._beat()
        found = {"feline_presence": feline_presence(scene), "human_presence": human_presence(scene)}
        if not self._wanted & _SUBJECT:
            return found
        anchor = self._anchor()
        self._beat()
        subject: Subject | None = follow(scene, anchor.look if anchor else None, pose)
        makers: dict[str, Callable[[], Measurement]] = {
            "identity_consistency": lambda: identity_consistency(subject, anchor),
            "identity_drift": lambda: identity_drift(subject),
            "mask_edge_bleed": lambda: mask_edge_bleed(
                subject, [one for found in scene.sightings for one in found]
            ),
            "costume_fidelity": lambda: costume_fidelity(subject, anchor, required=request.costume_required),
        }
        return found | {name: make() for name, make in makers.items() if name in self._wanted}

    def _anchor(self) -> Anchor | None:
        """The reference picture's look, or that of the source's first two seconds."""
        request = self._request
        if request.reference is not None:
            picture = next(_early_samples(request.reference, 1), None)
            seen = subject_of_picture(picture) if picture is not None else None
            return Anchor(seen.look, seen.kind, from_reference=True) if seen is not None else None
        scene: Scene = scan(spread(list(_early_samples(request.source, _ANCHOR_FRAMES)), _ANCHOR_SCANS))
        subject = follow(scene, None)
        return Anchor(subject.look, subject.kind, from_reference=False) if subject is not None else None

    def _of_motion(self) -> dict[str, Measurement]:
        found: dict[str, Measurement] = {}
        steps = self._steps.result() if self._steps is not None else None
        path = self._tracks.result() if self._tracks is not None else None
        if steps is not None and path is not None:
            found["temporal_stability"] = temporal_stability(steps, path)
        if path is not None and self._still is not None:
            found["background_stability"] = background_stability(path, self._still.result(path))
        if steps is not None:
            found["loop_seam"] = loop_seam(steps)
        return found

    def _of_picture(self) -> dict[str, Measurement]:
        if self._crisp is None:
            return {}
        crisp = self._crisp.result()
        return {"sharpness": sharpness(crisp), "blockiness": blockiness(crisp)}

    def _of_sound(self) -> dict[str, Measurement]:
        if "audio_video" not in self._wanted:
            return {}
        self._beat()
        return {"audio_video": audio_video(load_sound(self._request.video), load_sound(self._request.source))}


def _early_samples(path: str, frames: int) -> Iterator[Sample]:
    """Every fifth of the first `frames` frames."""
    for index, frame in enumerate(read_frames(path)):
        if index % 5 == 0:
            yield sample_of(frame.image, index, frame.time_s)
        if index + 1 >= frames:
            return
