"""A clip that loops still loops after steadying: its path is smoothed around the seam."""

import numpy as np

from caf.engines.camera import Camera
from caf.engines.steady import Plan, plan
from tests.clips import Image, camera_frames, shake_path, texture

SIZE = (240, 180)
FPS = 24.0
FRAMES = 48


def loop_path(shake_px: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A slow ellipse that ends where it began, and a hand's tremor on it."""
    turn = 2 * np.pi * np.arange(FRAMES) / FRAMES
    slow = np.stack([8 * np.cos(turn), 5 * np.sin(turn), np.zeros(FRAMES)], axis=1)
    return slow + shake_path(FRAMES, amplitude_px=shake_px)


def planned(frames: list[Image], *, told: bool) -> Plan:
    camera = Camera(SIZE)
    steps = [camera.follow(image) for image in frames]
    closing = camera.follow(frames[0]) if told else None
    return plan(steps, SIZE, FPS, weight=0.95, intensity="medium", max_crop=0.2, closing=closing)


def gap_px(path: np.ndarray[tuple[int, ...], np.dtype[np.float64]], found: Plan) -> float:
    """How far the middle of the scene jumps from the last corrected frame to the first."""
    places = [
        (matrix[:, :2] @ np.array([SIZE[0] / 2 - dx, SIZE[1] / 2 - dy]) + matrix[:, 2]) / found.zoom
        for (dx, dy, _), matrix in zip(path, found.matrices, strict=True)
    ]
    return float(np.linalg.norm(places[-1] - places[0]))


def test_steadying_a_loop_opens_no_gap_at_its_seam() -> None:
    path = loop_path(4.0)
    frames = camera_frames(texture(400, 320), path, SIZE)
    blind, told = planned(frames, told=False), planned(frames, told=True)
    assert blind.active
    assert told.active
    assert gap_px(path, told) < 1.5
    assert gap_px(path, told) < 0.5 * gap_px(path, blind)


def test_a_pan_that_ends_elsewhere_is_not_taken_for_a_loop() -> None:
    path = shake_path(FRAMES, amplitude_px=2.0)
    path[:, 0] += np.linspace(-35, 35, FRAMES)
    frames = camera_frames(texture(460, 320), path, SIZE)
    blind, told = planned(frames, told=False), planned(frames, told=True)
    assert np.array_equal(blind.matrices, told.matrices)
