"""HDR frames as an ordinary screen shows them: PQ and HLG brought into BT.709 with 8 bits.

Light is taken back to what the screen gives, BT.2020's primaries to BT.709's; up to three quarters of the white of
HDR (203 cd/m2) it stays as it is, what is lighter rolls off softly towards white.

Source: ITU-R BT.2100-2 (transfer functions), BT.2408-5 (203 cd/m2 as white), BT.2087-0 (primaries), BT.1886 (screen).
"""

from functools import cache
from typing import Final

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from caf.media.conversion import converted

__all__ = ["BT2020", "HLG", "PQ", "is_hdr", "to_screen", "tone_mapped"]

PQ: Final = 16
"""SMPTE ST 2084, as a file names its transfer function; source: ITU-T H.273, table 3."""
HLG: Final = 18
"""ARIB STD-B67."""
BT2020: Final = 9
"""Primaries; source: ITU-T H.273, table 2."""

_WHITE_CD_M2: Final = 203.0
_HLG_PEAK_CD_M2: Final = 1000.0
_HLG_GAMMA: Final = 1.2
_KNEE: Final = 0.75
_SCREEN_GAMMA: Final = 2.4
_STEPS: Final = 1 << 16
_ROWS: Final = 64
_MOST_LIGHT: Final = 8.0
"""In whites; what is lighter is as white as can be shown anyway."""
_TO_BT709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)

Floats = NDArray[np.float64]


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame says that its numbers are PQ's or HLG's."""
    return frame.color_trc in (PQ, HLG)


def tone_mapped(frame: VideoFrame, colorspace: int) -> NDArray[np.uint8]:
    """An HDR frame as (H, W, 3) uint8 BGR of its coded size; `colorspace` is that of its YUV."""
    codes = converted(frame, "bgr48le", src_colorspace=colorspace).to_ndarray()
    out = np.empty(codes.shape, np.uint8)
    to_light, to_code = _light_table(frame.color_trc), _screen_table()
    wide = frame.color_primaries == BT2020
    # A few rows at a time: in floats a whole frame in 4K would be 100 MB, several times over.
    for top in range(0, len(codes), _ROWS):
        light = to_light[codes[top : top + _ROWS]]
        if wide:
            # The rows and columns are for red, green, blue; the picture has them the other way round.
            light = cv2.transform(light, np.ascontiguousarray(_TO_BT709[::-1, ::-1]))
        # By the root of the light: the eye sees small steps in the dark.
        root = cv2.sqrt(np.clip(light, 0, _MOST_LIGHT)) * np.float32((_STEPS - 1) / np.sqrt(_MOST_LIGHT))
        out[top : top + _ROWS] = to_code[root.astype(np.uint16)]
    return out


def to_screen(light: Floats) -> Floats:
    """Light in whites of HDR to an ordinary screen's code, 0..1."""
    beyond = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    rolled = np.where(light <= _KNEE, light, _KNEE + (1 - _KNEE) * beyond / (1 + beyond))
    return np.asarray(rolled ** (1 / _SCREEN_GAMMA), np.float64)


@cache
def _light_table(transfer: int) -> NDArray[np.float32]:
    """Of each code of 16 bits the light that a screen for HDR gives, in whites."""
    code = np.arange(_STEPS) / (_STEPS - 1)
    light = _pq_light(code) if transfer == PQ else _hlg_light(code)
    return (light / _WHITE_CD_M2).astype(np.float32)


@cache
def _screen_table() -> NDArray[np.uint8]:
    """Of each step of the root of the light up to `_MOST_LIGHT` the code on an ordinary screen, 0..255."""
    light = (np.arange(_STEPS) / (_STEPS - 1)) ** 2 * _MOST_LIGHT
    return np.round(255 * to_screen(light)).astype(np.uint8)


def _pq_light(code: Floats) -> Floats:
    """cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1), np.float64)


def _hlg_light(code: Floats) -> Floats:
    """cd/m2 on a screen of 1000, its gamma taken colour by colour."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(_HLG_PEAK_CD_M2 * scene**_HLG_GAMMA, np.float64)
