"""A picture between two of one place: along the flow, or with the camera half way and the rest blended."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.camera import camera_between

__all__ = ["Way", "between", "handed_over", "way_between"]

_FLOW_SIDE_PX = 480
_VISIBLE_LEVELS = 4.0
_EXPLAINED = 0.3
_FARTHEST_SHARE = 0.04
"""Of the diagonal: a camera that went further would be seen to rush back."""
_RIM_SHARE = 0.05
"""Of the shorter side: so far inwards a moved picture gives way to the other one at its rim."""
_MIRRORED = 1e-3
"""Weight of what is mirrored beyond a picture's rim."""

_HAND_OVER_FRAMES = 4
"""Before and after a change from one way to the other, in which both are shown."""

Image = NDArray[np.uint8]
Flow = NDArray[np.float32]


class Way(NamedTuple):
    """How a picture is made of two."""

    flow: Flow | None
    """(h, w, 2) float32: where each place went, in px of two small pictures; None where they are too small to tell."""
    along: float
    """0..1: how much of the picture is moved along the flow; the rest is blended where the camera was."""


def way_between(start: Image, end: Image, share: float, before: Way | None = None) -> Way:
    """Along the flow if that explains the change; it is sought from that of the pictures `before` on.

    A flow that is wrong tears the picture apart, which looks worse than the double exposure of a plain blend,
    so the flow must explain most of the change nearly everywhere.
    """
    flow = _flow(start, end, before.flow if before is not None else None)
    if flow is None:
        return Way(None, 0.0)
    grown = _grown(flow, start.shape)
    from_start, from_end = _moved(start, grown, -share), _moved(end, grown, 1.0 - share)
    unexplained, change = _softly(cv2.absdiff(from_start, from_end)), _softly(cv2.absdiff(start, end))
    explained = 1.0 - unexplained / np.maximum(change, _VISIBLE_LEVELS)
    return Way(flow, float(np.quantile(explained, 0.1) >= _EXPLAINED))


def handed_over(ways: Sequence[Way]) -> list[Way]:
    """The ways of frames that follow each other; one goes over to another within some frames, as at once it jumps."""
    if not ways:
        return []
    reach = np.arange(-_HAND_OVER_FRAMES, _HAND_OVER_FRAMES + 1)
    weights = np.exp(-0.5 * (2.0 * reach / _HAND_OVER_FRAMES) ** 2)
    along = np.pad([way.along for way in ways], _HAND_OVER_FRAMES, mode="edge")
    soft = np.convolve(along, weights / weights.sum(), "valid").round(3)
    return [way._replace(along=float(part)) for way, part in zip(ways, soft, strict=True)]


def between(start: Image, end: Image, share: float, way: Way | None = None) -> Image:
    """A picture `share` of the way from `start` to `end`, made in this `way`, or in that which is best for it alone.

    What is not moved along the flow is blended, both pictures moved as the camera did between them, if that is
    known and little: a background that is blended in two places trembles.
    """
    way = way or way_between(start, end, share)
    if way.flow is None or way.along <= 0.0:
        return _with_the_camera(start, end, share)
    grown = _grown(way.flow, start.shape)
    moved = cv2.addWeighted(
        _moved(start, grown, -share), 1.0 - share, _moved(end, grown, 1.0 - share), share, 0.0
    )
    if way.along < 1.0:
        blended = _with_the_camera(start, end, share)
        moved = cv2.addWeighted(moved, way.along, blended, 1.0 - way.along, 0.0)
    return np.asarray(moved, np.uint8)


def _with_the_camera(start: Image, end: Image, share: float) -> Image:
    camera = camera_between(start, end)
    if camera is None or np.hypot(*camera[:2]) > _FARTHEST_SHARE * np.hypot(*start.shape[:2]):
        return np.asarray(cv2.addWeighted(start, 1.0 - share, end, share, 0.0), np.uint8)
    return _blended(start, end, camera, share)


def _blended(start: Image, end: Image, camera: NDArray[np.float64], share: float) -> Image:
    """Both pictures where the camera (4,), x y px, roll rad, log zoom, was `share` of its way, one over the other."""
    part = _matrix(camera, share, start.shape)
    back = part @ np.linalg.inv(_matrix(camera, 1.0, start.shape))
    size = (start.shape[1], start.shape[0])

    def moved(image: Image, matrix: NDArray[np.float64]) -> Image:
        how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
        return np.asarray(cv2.warpAffine(image, matrix[:2], size, **how), np.uint8)

    rim = _rim(start.shape)
    # Where neither shows anything, as in a corner of a turned picture, both are mirrored.
    first, second = (cv2.warpAffine(rim, matrix[:2], size) + _MIRRORED for matrix in (part, back))
    first, second = (1.0 - share) * first, share * second
    one, other = (np.asarray(weight / (first + second), np.float32) for weight in (first, second))
    return np.asarray(cv2.blendLinear(moved(start, part), moved(end, back), one, other), np.uint8)


def _matrix(camera: NDArray[np.float64], share: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(3, 3) `share` of the similarity about the centre, in px of the picture."""
    x, y, roll, log_zoom = share * camera
    cos, sin = np.exp(log_zoom) * np.cos(roll), np.exp(log_zoom) * np.sin(roll)
    cx, cy = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    return np.array(
        [
            [cos, -sin, cx + x - cos * cx + sin * cy],
            [sin, cos, cy + y - sin * cx - cos * cy],
            [0.0, 0.0, 1.0],
        ]
    )


def _rim(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(H, W) 1 inside, falling to nothing at the rim."""
    height, width = shape[:2]
    reach = max(1.0, _RIM_SHARE * min(height, width))
    down = np.minimum(np.arange(height), np.arange(height)[::-1])
    across = np.minimum(np.arange(width), np.arange(width)[::-1])
    inwards = np.minimum(down[:, None], across[None, :])
    return np.asarray(np.minimum(inwards / reach, 1.0), np.float32)


def _moved(image: Image, flow: NDArray[np.float32], part: float) -> Image:
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    # The flow is taken at the picture in between, which is exact only where it is smooth.
    return np.asarray(
        cv2.remap(
            image,
            x + part * flow[..., 0],
            y + part * flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        ),
        np.uint8,
    )


def _softly(difference: NDArray[np.generic]) -> NDArray[np.float32]:
    small = cv2.resize(np.asarray(difference, np.uint8), (48, 48), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return np.asarray(cv2.GaussianBlur(small.mean(axis=2), (0, 0), 1.5), np.float32)


def _flow(start: Image, end: Image, before: Flow | None) -> Flow | None:
    height, width = start.shape[:2]
    scale = min(1.0, _FLOW_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(size) < 32:
        return None
    small = [
        cv2.resize(cv2.cvtColor(i, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
        for i in (start, end)
    ]
    # What goes far is found or not by chance: found once, it is found again from there.
    guess = np.zeros((size[1], size[0], 2), np.float32) if before is None else before.copy()
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(finder.calc(small[0], small[1], guess), np.float32)


def _grown(flow: Flow, shape: tuple[int, ...]) -> Flow:
    """The flow between small pictures, evened, as that between pictures of this shape."""
    height, width = shape[:2]
    scale = (width / flow.shape[1], height / flow.shape[0])
    evened = cv2.GaussianBlur(flow, (0, 0), 2.0)
    return np.asarray(cv2.resize(evened, (width, height), interpolation=cv2.INTER_LINEAR) * scale, np.float32)
