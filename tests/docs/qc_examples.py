"""For each metric a clip that it catches and one that it does not, made by code; measured as any other clip.

The pictures of the QC guide are drawn of these (`tests/docs/qc_pictures.py`), and a test measures them again.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.policies import DEFAULT_POLICY
from caf.ports import Measurement, MeasureRequest, VideoTarget
from caf.qc.measure import measure
from caf.qc.metrics import METRICS
from tests.clips import clicks, write_clip
from tests.qc.metric_clips import FPS, SIZE, Image, lit, noise, pan, picture

__all__ = ["EXAMPLES", "PRESENCE", "THRESHOLDS", "Case", "Example", "measured"]

Frames = list[Image]
PRESENCE: Final = frozenset({"feline_presence", "human_presence"})
"""Shares, which nothing gates; their `caught` is a face that is seen, their `missed` one that is not."""
THRESHOLDS: Final = (
    dict.fromkeys(PRESENCE, 0.5)
    | {gate.metric: gate.threshold for gate in DEFAULT_POLICY.gates}
    | {name: one.threshold for name, one in METRICS.items() if one.threshold is not None}
)
_WIDTH, _HEIGHT = SIZE
_COUNT: Final = 60
_CLOSE: Final = (75, 40, 120, 80)
"""About the cat's eye, for what is only seen from near by."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A clip, what it is compared with, and what of it a picture shows."""

    words: str
    """What was done to it, in a sentence."""
    frames: Frames
    shown: tuple[int, ...]
    """The frames to look at."""
    look: Literal["frames", "time", "seam", "sound"] = "frames"
    """`time`: one column of the picture, frame after frame; `seam`: the same from the end into the beginning."""
    column: int = 180
    crop: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the part that is shown; None: all of the picture."""
    source: Frames | None = None
    reference: Image | None = None
    heard: NDArray[np.float32] | None = None
    heard_before: NDArray[np.float32] | None = None
    flashes_s: tuple[float, ...] = ()
    target: VideoTarget | None = None
    rotation_deg: int = 0


@dataclass(frozen=True, kw_only=True)
class Example:
    caught: Case
    missed: Case


def measured(metric: str, case: Case) -> Measurement:
    """What the metric says of the case, read from files as those of a job are."""
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(
            Path(folder, "clip.mp4"), case.frames, fps=FPS, sound=case.heard, rotation_deg=case.rotation_deg
        )
        source = clip
        if case.source is not None:
            source = write_clip(Path(folder, "source.mp4"), case.source, fps=FPS, sound=case.heard_before)
        reference = None
        if case.reference is not None:
            reference = str(Path(folder, "reference.png"))
            assert cv2.imwrite(reference, case.reference)
        request = MeasureRequest(
            metrics=(metric,),
            video=str(clip),
            source=str(source),
            reference=reference,
            costume_required=True,
            target=case.target,
        )
        (found,) = measure(request, lambda done, of: None)
    return found


@cache
def _cat() -> tuple[Image, ...]:
    return tuple(pan(picture("chelsea"), _COUNT))


def _clean() -> Frames:
    return list(_cat())


def _turned(frames: Frames, degrees: float | NDArray[np.float64]) -> Frames:
    """Every colour turned around the hue circle."""
    out = []
    for frame, angle in zip(frames, np.broadcast_to(degrees, len(frames)), strict=True):
        hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(float(angle) / 2)) % 180
        out.append(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8))
    return out


def _identity_consistency() -> Example:
    cat = picture("chelsea")
    third = cat.copy()
    eye = cat[75:150, 115:215]
    soft = np.zeros(eye.shape[:2], np.float32)
    cv2.ellipse(soft, (50, 37), (40, 28), 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(soft, (0, 0), 4)[..., None]
    place = third[12:87, 196:296]
    third[12:87, 196:296] = (place * (1 - soft) + eye * soft).astype(np.uint8)
    return Example(
        caught=Case(
            words="Another cat: the fur of the reference's, in another colour.",
            frames=_turned(_clean(), 60),
            shown=(34, 50, 58),
            reference=cat,
        ),
        missed=Case(
            words="A third eye: it compares colours, and no features.",
            frames=pan(third, _COUNT),
            shown=(34, 50, 58),
            reference=cat,
        ),
    )


def _identity_drift() -> Example:
    clean = _clean()
    brief = [*clean[:28], *_turned(clean[28:36], 90), *clean[36:]]
    return Example(
        caught=Case(
            words="The colours turn from the first frame to the last, and stay away.",
            frames=_turned(clean, np.linspace(0, 110, _COUNT)),
            shown=(0, 50, 58),
        ),
        missed=Case(
            words="The colours are others for a third of a second, then they are back.",
            frames=brief,
            shown=(20, 32, 44),
        ),
    )


def _rimmed(frames: Frames, width_px: int, strength: float) -> Frames:
    """A green rim around an oval, about where the cat's face is."""
    masks = [np.zeros((_HEIGHT, _WIDTH), np.uint8) for _ in range(2)]
    for mask, grow in zip(masks, (0, width_px), strict=True):
        cv2.ellipse(mask, (180, 120), (95 + grow, 90 + grow), 0, 0, 360, 1, -1)
    rim = (masks[1] - masks[0]).astype(np.float32)[..., None] * strength
    green = np.array((80, 255, 80), np.float32)
    return [(frame * (1 - rim) + green * rim).astype(np.uint8) for frame in frames]


def _mask_edge_bleed() -> Example:
    clean = _clean()
    return Example(
        caught=Case(
            words="A faint green rim of 3 pixels, which the source does not have.",
            frames=_rimmed(clean, 3, 0.6),
            shown=(0, 42, 50),
            crop=(60, 20, 150, 100),
            source=clean,
        ),
        missed=Case(
            words="The same rim, and the source has it as well: nothing was added.",
            frames=_rimmed(clean, 3, 0.6),
            shown=(0, 42, 50),
            crop=(60, 20, 150, 100),
            source=_rimmed(clean, 3, 0.6),
        ),
    )


def _costume_fidelity() -> Example:
    person = picture("astronaut")[:340]
    suit = np.zeros(person.shape[:2], np.float32)
    suit[185:] = 1.0
    suit = cv2.GaussianBlur(suit, (0, 0), 3)[..., None]
    blue = _turned([person], 180)[0]
    cells = person[196:340].reshape(6, 24, 512, 3)
    strips = np.ascontiguousarray(cells[[3, 0, 5, 2, 1, 4]].reshape(144, 512, 3))
    printed = person.copy()
    printed[196:340] = strips[:, ::-1]
    recoloured = (person * (1 - suit) + blue * suit).astype(np.uint8)
    return Example(
        caught=Case(
            words="The same person in a suit of another colour.",
            frames=pan(recoloured, _COUNT),
            shown=(0, 8, 16),
            reference=person,
        ),
        missed=Case(
            words="The suit cut into strips and put together anew: the same colours.",
            frames=pan(printed, _COUNT),
            shown=(0, 8, 16),
            reference=person,
        ),
    )


def _feline_presence() -> Example:
    fur = np.ascontiguousarray(picture("chelsea")[0:80, 120:240])
    return Example(
        caught=Case(words="A cat's face throughout.", frames=_clean(), shown=(0, 20, 40)),
        missed=Case(
            words="A cat that shows no face: only the fur of her head.",
            frames=pan(cv2.resize(fur, (480, 320), interpolation=cv2.INTER_CUBIC), _COUNT),
            shown=(0, 20, 40),
        ),
    )


def _human_presence() -> Example:
    return Example(
        caught=Case(
            words="A person's face throughout.",
            frames=pan(picture("astronaut")[:340], _COUNT),
            shown=(0, 20, 40),
        ),
        missed=Case(
            words="The same person, and her face is not in the picture.",
            frames=pan(np.ascontiguousarray(picture("astronaut")[200:512, 0:468]), _COUNT),
            shown=(0, 20, 40),
        ),
    )


def _sway(hertz: float, reach_px: float) -> NDArray[np.float64]:
    """(frames, 2) px, up and down."""
    y = reach_px * np.sin(2 * np.pi * hertz * np.arange(_COUNT) / FPS)
    return np.stack([np.zeros(_COUNT), y], axis=1)


def _shuffled(frame: Image) -> Image:
    """A part of the picture that is from elsewhere."""
    out = frame.copy()
    out[60:180, 80:300] = np.roll(frame, 97, axis=1)[60:180, 80:300]
    return out


def _temporal_stability() -> Example:
    clean = _clean()
    blank = [*clean[:33], np.zeros_like(clean[0]), *clean[34:]]
    return Example(
        caught=Case(
            words="One black frame: the worst of seven parts is the score.",
            frames=blank,
            shown=(33,),
            look="time",
        ),
        missed=Case(
            words="The camera sways once in two seconds: none of its parts looks there.",
            frames=pan(picture("chelsea"), _COUNT, shift=_sway(0.5, 9.0)),
            shown=(30,),
            look="time",
        ),
    )


def _breathing(frames: Frames, centre: tuple[int, int], reach_px: float) -> Frames:
    """The picture swells and shrinks up and down around a place, twice a second."""
    rows, columns = np.indices((_HEIGHT, _WIDTH), np.float32)
    bell = np.exp(-((rows - centre[1]) ** 2 + (columns - centre[0]) ** 2) / (2 * 45.0**2)).astype(np.float32)
    out = []
    for index, frame in enumerate(frames):
        swing = np.float32(reach_px * np.sin(2 * np.pi * index / 12))
        moved = cv2.remap(frame, columns, rows + swing * bell, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        out.append(np.asarray(moved, np.uint8))
    return out


def _wall(bricks: bool) -> Image:
    """A wall of bricks; or one with plaster over most of it."""
    rng = np.random.default_rng(5)
    image = np.full((330, 480, 3), (176, 190, 198), np.uint8)
    for row in range(14):
        for place in range(-1, 9):
            left, top = 58 * place + 29 * (row % 2), 24 * row
            tone = np.array((62, 84, 148)) * rng.uniform(0.75, 1.25)
            cv2.rectangle(image, (left, top), (left + 53, top + 19), tone.tolist(), -1)
    grain = rng.normal(0, 7, (*image.shape[:2], 1))
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if not bricks:
        image[:, 90:310] = (150, 170, 186)
    return image


def _background_stability() -> Example:
    walls = [_breathing(pan(_wall(bricks), _COUNT, scale=0.3), (150, 120), 2.5) for bricks in (True, False)]
    return Example(
        caught=Case(
            words="A part of the wall breathes by 2.5 pixels, twice a second.",
            frames=walls[0],
            shown=(3,),
            look="time",
            column=150,
        ),
        missed=Case(
            words="The same on plaster: there is no corner to follow.",
            frames=walls[1],
            shown=(3,),
            look="time",
            column=150,
        ),
    )


def _loop_seam() -> Example:
    forth = pan(picture("chelsea"), 2 * _COUNT, scale=2.0)
    half = np.abs(np.arange(_COUNT) - _COUNT // 2)
    return Example(
        caught=Case(
            words="The way back is missing: the end stands elsewhere than the beginning.",
            frames=forth[30 : 30 + _COUNT],
            shown=(0, 59),
            look="seam",
        ),
        missed=Case(
            words="There and back: the place fits, but the motion turns round at once.",
            frames=[forth[30 + int(at)] for at in half],
            shown=(0, 59),
            look="seam",
        ),
    )


def _audio_video() -> Example:
    flashes = (0.5, 1.0, 1.5, 2.0)
    frames = _clean()
    for at in flashes:
        first = round(at * FPS)
        frames[first : first + 2] = lit(frames[first : first + 2], np.full(2, 1.9))
    length = _COUNT / FPS
    fits, late = (
        0.35 * clicks(length, tuple(at + lag for at in flashes))
        + 0.3 * np.roll(noise(length), round(lag * 44_100))
        for lag in (0.0, 0.2)
    )
    return Example(
        caught=Case(
            words="The sound comes 0.2 s later than in the source, where it fits.",
            frames=frames,
            shown=(12,),
            look="sound",
            source=frames,
            heard=late,
            heard_before=fits,
            flashes_s=flashes,
        ),
        missed=Case(
            words="The sound is as late in the source, and against that it is judged.",
            frames=frames,
            shown=(12,),
            look="sound",
            source=frames,
            heard=late,
            heard_before=late,
            flashes_s=flashes,
        ),
    )


def _freeze() -> Example:
    clean = _clean()
    return Example(
        caught=Case(
            words="Ten frames stand still, then it goes on.",
            frames=[*clean[:25], *[clean[24]] * 10, *clean[35:]],
            shown=(30,),
            look="time",
        ),
        missed=Case(
            words="It stands still from the first frame to the last, as a picture may.",
            frames=[clean[24]] * _COUNT,
            shown=(30,),
            look="time",
        ),
    )


def _cadence() -> Example:
    fast, slow = (pan(picture("chelsea"), _COUNT + 12, scale=scale) for scale in (3.0, 0.3))
    gone = set(range(5, _COUNT + 12, 6))
    doubled = [fast[at - (at % 6 == 5)] for at in range(_COUNT)]
    return Example(
        caught=Case(words="Every sixth frame is shown twice.", frames=doubled, shown=(29,), look="time"),
        missed=Case(
            words="Every sixth frame is missing, where next to nothing moves.",
            frames=[frame for at, frame in enumerate(slow) if at not in gone][:_COUNT],
            shown=(29,),
            look="time",
        ),
    )


def _blank() -> Example:
    clean = _clean()
    ramp = np.clip(np.abs(np.arange(_COUNT) - 30) / 14 - 0.2, 0, 1)
    return Example(
        caught=Case(
            words="Two frames without a picture, from one frame to the next.",
            frames=[*clean[:33], *[np.full_like(clean[0], 255)] * 2, *clean[35:]],
            shown=(33,),
            look="time",
        ),
        missed=Case(
            words="A fade to black and out of it: the light goes and comes by and by.",
            frames=lit(clean, ramp),
            shown=(30,),
            look="time",
        ),
    )


def _flicker() -> Example:
    clean = _clean()
    rng = np.random.default_rng(3)
    slow = 1 + 0.08 * np.sin(2 * np.pi * 0.8 * np.arange(_COUNT) / FPS)
    return Example(
        caught=Case(
            words="The light jumps by 5 % from frame to frame.",
            frames=lit(clean, 1 + rng.normal(0, 0.05, _COUNT)),
            shown=(30,),
            look="time",
        ),
        missed=Case(
            words="The light pulses by 8 %, and slowly: once in 1.25 s.",
            frames=lit(clean, slow),
            shown=(30,),
            look="time",
        ),
    )


def _jitter() -> Example:
    tremor = np.random.default_rng(11).normal(0, 3.0, (_COUNT, 2))
    return Example(
        caught=Case(
            words="The camera trembles by 3 pixels from frame to frame.",
            frames=pan(picture("chelsea"), _COUNT, shift=tremor),
            shown=(30,),
            look="time",
        ),
        missed=Case(
            words="The camera sways by 9 pixels, and slowly: once in two seconds.",
            frames=pan(picture("chelsea"), _COUNT, shift=_sway(0.5, 9.0)),
            shown=(30,),
            look="time",
        ),
    )


def _glitch() -> Example:
    clean = _clean()
    return Example(
        caught=Case(
            words="A part from elsewhere in one frame.",
            frames=[*clean[:30], _shuffled(clean[30]), *clean[31:]],
            shown=(30,),
            look="time",
        ),
        missed=Case(
            words="The same for twelve frames: as long as that it counts as meant.",
            frames=[*clean[:24], *[_shuffled(one) for one in clean[24:36]], *clean[36:]],
            shown=(30,),
            look="time",
        ),
    )


def _blurred(frames: Frames, sigma: float) -> Frames:
    return [np.asarray(cv2.GaussianBlur(one, (0, 0), sigma), np.uint8) for one in frames]


def _sharpness() -> Example:
    clean = _clean()
    return Example(
        caught=Case(
            words="Ten frames go soft in the middle of the clip.",
            frames=[*clean[:25], *_blurred(clean[25:35], 2.0), *clean[35:]],
            shown=(20, 30, 40),
            crop=_CLOSE,
        ),
        missed=Case(
            words="Somewhat soft from the first frame to the last.",
            frames=_blurred(clean, 1.0),
            shown=(20, 30, 40),
            crop=_CLOSE,
        ),
    )


def _coded(frame: Image, quality: int) -> Image:
    ok, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _blockiness() -> Example:
    clean = _clean()
    small = [cv2.resize(one, (264, 176), interpolation=cv2.INTER_AREA) for one in clean]
    scaled = [cv2.resize(_coded(one, 8), SIZE, interpolation=cv2.INTER_LINEAR) for one in small]
    return Example(
        caught=Case(
            words="Coded at a far too low rate: squares of 8 pixels.",
            frames=[_coded(one, 8) for one in clean],
            shown=(0, 20, 40),
            crop=_CLOSE,
        ),
        missed=Case(
            words="The same in a smaller clip that was enlarged afterwards.",
            frames=[np.asarray(one, np.uint8) for one in scaled],
            shown=(0, 20, 40),
            crop=_CLOSE,
        ),
    )


def _enlarged(frames: Frames) -> Frames:
    return [
        np.asarray(
            cv2.resize(
                cv2.resize(one, (144, 96), interpolation=cv2.INTER_AREA), SIZE, interpolation=cv2.INTER_CUBIC
            ),
            np.uint8,
        )
        for one in frames
    ]


def _resolution() -> Example:
    clean = _clean()
    return Example(
        caught=Case(
            words="Enlarged from 144 x 96; the source is sharp at this size.",
            frames=_enlarged(clean),
            shown=(0, 30, 56),
            crop=_CLOSE,
            source=clean,
        ),
        missed=Case(
            words="The same after the first two seconds, beyond which it does not look.",
            frames=[*clean[:50], *_enlarged(clean[50:])],
            shown=(0, 30, 56),
            crop=_CLOSE,
            source=clean,
        ),
    )


def _exposure() -> Example:
    clean = _clean()
    dark = lit(clean, np.full(_COUNT, 0.16))
    for frame in dark:
        cv2.circle(frame, (300, 60), 44, (190, 220, 235), -1, cv2.LINE_AA)
    return Example(
        caught=Case(
            words="Overexposed: a large part of the fur is burnt out.",
            frames=lit(clean, np.full(_COUNT, 2.6)),
            shown=(0, 20, 40),
        ),
        missed=Case(
            words="The cat is lost in the dark, and one lamp has light enough.",
            frames=dark,
            shown=(0, 20, 40),
        ),
    )


def _format() -> Example:
    asked = VideoTarget(width=_WIDTH, height=_HEIGHT, fps=FPS)
    squeezed = [
        np.asarray(cv2.resize(one[:, 90:270], SIZE, interpolation=cv2.INTER_CUBIC), np.uint8)
        for one in _clean()
    ]
    return Example(
        caught=Case(
            words="A flag in the file turns the picture upside down; not every player obeys.",
            frames=_clean(),
            shown=(0, 20, 40),
            target=asked,
            rotation_deg=180,
        ),
        missed=Case(
            words="Size and rate are as asked, and the picture is stretched to fill them.",
            frames=squeezed,
            shown=(0, 20, 40),
            target=asked,
        ),
    )


EXAMPLES: Final[dict[str, Callable[[], Example]]] = {
    "identity_consistency": _identity_consistency,
    "identity_drift": _identity_drift,
    "mask_edge_bleed": _mask_edge_bleed,
    "costume_fidelity": _costume_fidelity,
    "feline_presence": _feline_presence,
    "human_presence": _human_presence,
    "temporal_stability": _temporal_stability,
    "background_stability": _background_stability,
    "loop_seam": _loop_seam,
    "audio_video": _audio_video,
    "freeze": _freeze,
    "cadence": _cadence,
    "blank": _blank,
    "flicker": _flicker,
    "jitter": _jitter,
    "glitch": _glitch,
    "sharpness": _sharpness,
    "blockiness": _blockiness,
    "resolution": _resolution,
    "exposure": _exposure,
    "format": _format,
}
"""Metric to what shows it."""
