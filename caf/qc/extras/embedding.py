"""identity_embedding: is it the reference's face, by a model of the user's that turns faces into vectors?

OpenCV reads the model: it is here already, and gives the same bits each time; onnxruntime would be another 20 MB.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.ports import EmbeddingModel, ExtraSeen, MeasureRequest, Progress
from caf.qc.extras.fingerprint import fingerprint
from caf.qc.extras.model_file import ModelFile, model_file
from caf.qc.metrics.faces import Box
from caf.qc.metrics.frames import Image, see
from caf.qc.metrics.poses import pose_of
from caf.qc.metrics.samples import SampleCollector, sample_of, spread
from caf.qc.metrics.scene import Kind, Sighting, scan
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.subject import follow, subject_of_picture

__all__ = ["IdentityEmbedding", "calibration"]

_NAME: Final = "identity_embedding"
# Cosine of two faces, for models trained with an angular margin (ArcFace and its kin): strangers stand at right angles,
# and those who use such models take 0.3 to 0.4 as the limit. Not measured here: caf brings no model.
_COSINE: Calibration = ((0.0, 0.0), (0.2, 0.3), (0.35, 0.65), (0.4, 0.7), (0.6, 0.9), (0.8, 1.0))
_MARGIN: Final = 1.15
"""A face's box with forehead and chin."""
_SCANS: Final = 20
_FEWEST_VALUES: Final = 8
_POOR: Final = 0.7
_MOST_WORST: Final = 12

Vector = NDArray[np.float64]


def calibration(cosine: float) -> float:
    """The score of a median cosine."""
    return calibrate(cosine, _COSINE)


class IdentityEmbedding:
    """See `ExtraMetric`."""

    name: str = _NAME

    def missing(self, request: MeasureRequest) -> str | None:
        if request.embedding is None:
            return "No model was given (identity_model, --identity-model)."
        file = model_file(request.embedding.path)
        if isinstance(file, str):
            return file
        if not (request.embedding.size or (file.height_px and file.width_px)):
            return "The model takes pictures of any size; say which it was trained on (size=PIXELS)."
        return None if request.reference else "No picture of the cat was given to compare with."

    def measure(self, request: MeasureRequest, progress: Progress) -> ExtraSeen:
        assert request.embedding is not None
        assert request.reference is not None
        file = model_file(request.embedding.path)
        if isinstance(file, str):
            return _unknown(file)
        try:
            model = _Model(request.embedding, file)
        except cv2.error as fault:
            return _unknown(f"OpenCV cannot read the model: {_line(fault)}")
        picture = next((sample_of(frame) for frame in see(request.reference)), None)
        face = subject_of_picture(picture) if picture is not None else None
        if face is None or face.kind is Kind.GUESS:
            return _unknown("No face is found in the picture of the cat.")
        sightings = _sightings(request, face, progress)
        if not sightings:
            return _unknown("No face is found in the clip, or only in a single frame.")
        try:
            anchor = model.vector(face)
            cosines = []
            for sighting in sightings:
                cosines.append(_cosine(anchor, model.vector(sighting)))
                progress(sighting.sample.index, None)
        except cv2.error as fault:
            return _unknown(f"OpenCV cannot run the model: {_line(fault)}")
        return _seen(np.array(cosines), sightings, len(anchor), file)


def _unknown(reason: str) -> ExtraSeen:
    return ExtraSeen(measurement=unmeasured(_NAME, reason))


def _sightings(request: MeasureRequest, face: Sighting, progress: Progress) -> list[Sighting]:
    """The subject's faces, as `identity_consistency` follows them; none where it is only guessed."""
    collector = SampleCollector()
    for frame in see(request.video):
        collector.add(frame)
        progress(frame.index + 1, None)
    pose = pose_of(request, progress)
    subject = follow(scan(spread(collector.result(), _SCANS), pose), face.look, pose)
    return subject.sightings if subject is not None and subject.kind is not Kind.GUESS else []


def _seen(cosines: Vector, sightings: list[Sighting], values: int, file: ModelFile) -> ExtraSeen:
    if values < _FEWEST_VALUES or not np.isfinite(cosines).all():
        return _unknown(f"The model gives {values} values for a face, and no direction to compare.")
    median = float(np.median(cosines))
    score = calibration(median)
    raw = {
        "cosine_median": median,
        "cosine_lowest": float(cosines.min()),
        "sightings": float(len(cosines)),
        "embedding_values": float(values),
        "made_with_sha256_48": fingerprint(file.sha256),
    }
    order = np.argsort(cosines, kind="stable")
    worst = [
        sightings[int(place)].sample.index
        for place in order[:_MOST_WORST]
        if calibration(cosines[place]) < _POOR
    ]
    said = "is that" if score >= _POOR else "is not that"
    reason = (
        f"To the model ({file.sha256[:12]}) the subject's face {said} of the reference: cosine {median:.2f},"
        f" median of {len(cosines)} sightings."
    )
    blamed = worst if score < _POOR else []
    return ExtraSeen(measurement=measured(_NAME, score, reason, raw, blamed), blamed=tuple(sorted(blamed)))


class _Model:
    """The network, and how a picture is put into it. Raises cv2.error for what OpenCV cannot read."""

    def __init__(self, given: EmbeddingModel, file: ModelFile) -> None:
        self._net = cv2.dnn.readNetFromONNX(given.path)
        self._net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        self._net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
        self._given, self._first = given, file.colours_first
        self._size = (file.width_px or given.size, file.height_px or given.size)

    def vector(self, sighting: Sighting) -> Vector:
        given = self._given
        blob = cv2.dnn.blobFromImage(
            _crop(sighting.sample.image, sighting.box),
            scalefactor=given.scale,
            size=self._size,
            mean=(given.mean, given.mean, given.mean),
            swapRB=given.colours == "rgb",
        )
        self._net.setInput(blob if self._first else np.ascontiguousarray(blob.transpose(0, 2, 3, 1)))
        return np.asarray(self._net.forward(), dtype=np.float64).ravel()


def _crop(image: Image, box: Box) -> Image:
    """A square about the face; what lies beyond the picture repeats its edge."""
    side = max(8, round(_MARGIN * max(box.w, box.h)))
    x, y = box.centre
    left, top = round(x - side / 2), round(y - side / 2)
    room = max(0, -left, -top, left + side - image.shape[1], top + side - image.shape[0])
    wide = cv2.copyMakeBorder(image, room, room, room, room, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(wide[top + room : top + room + side, left + room : left + room + side])


def _cosine(one: Vector, other: Vector) -> float:
    if one.shape != other.shape:
        return float("nan")
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else float("nan")


def _line(fault: cv2.error) -> str:
    """What OpenCV says, without where in its sources."""
    words = " ".join(str(fault).split())
    return words if len(words) <= 160 else f"{words[:157]}..."
