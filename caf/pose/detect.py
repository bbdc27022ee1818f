"""Finds the pose in every frame of a clip, shared by several processes. Runs in a worker."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from caf.errors import InputError
from caf.media.probe import probe
from caf.ports import (
    MediaInfo,
    PoseRequest,
    PoseResult,
    ProbeRequest,
    Progress,
)
from caf.pose.choice import MOST_SUBJECTS, check_seams, parse_subject
from caf.pose.helpers import Helpers
from caf.pose.landmarker import follow
from caf.pose.landmarks import Landmarks, save_landmarks
from caf.pose.partial import Partial
from caf.pose.protocol import SpanRequest
from caf.pose.stitch import Stitching
from caf.pose.subjects import landmarks_of
from caf.pose.summary import summary_of
from caf.pose.workers import MOST_WORKERS, processors_each, workers_for

__all__ = ["LEAST_FRAMES_EACH", "decoders_for", "detect", "starts_of"]

LEAST_FRAMES_EACH: Final = 90
"""A process more is worth its start only from so many frames: it loads for as long as some 40 take."""

_MOST_DECODERS: Final = 4
"""Decoding a frame takes a fifth of what finding its pose takes; at 4K as much. Each thread holds a frame."""

_WAIT_S: Final = 0.5


def detect(request: PoseRequest, progress: Progress) -> PoseResult:
    """Writes `landmarks.npz` into the request's folder; the same request gives the same bytes.

    A clip is tracked from frame to frame; a still image is one frame by itself. With several workers each
    follows a part of the clip, and goes on into the next part until it finds what its successor found
    (`caf.pose.stitch`), so that the outcome is that of one, unless the request asks for `warm` seams. Call it
    from a thread that stays: its helpers end with it. What was found so far is kept beside, as
    `PARTIAL_LANDMARKS`, until there is all of it.

    Raises MediaError for a clip that cannot be decoded, UnavailableError for a model that cannot be
    loaded or a helper that died or fell silent, InputError for a request out of bounds, CafError with the
    kind `pose_failed` when the landmarker gives up on a frame.
    """
    subject = parse_subject(request.subject)
    _check(request)
    info = probe(ProbeRequest(path=request.video), _no_progress)
    starts_s = starts_of(info, request.workers)
    stitching = Stitching(starts_s, smoothed=request.max_subjects == 1, proven=request.seams == "proven")
    partial = Partial(Path(request.out_dir))
    decoders = decoders_for(len(starts_s))
    spans = [_span(request, start_s, decoders) for start_s in starts_s[1:]]

    def alive() -> None:
        progress(stitching.covered, max(info.frames, stitching.covered))

    def so_far() -> Landmarks:
        return landmarks_of(stitching.result(), request.max_subjects, subject, alive)

    with Helpers(spans, found=stitching.add, ended=stitching.end, stall_s=request.stall_s) as helpers:
        for _ in _steps(request, info.kind == "image", decoders, stitching, helpers):
            if partial.due:
                partial.save(so_far)
            alive()
    landmarks = so_far()
    path = Path(request.out_dir) / "landmarks.npz"
    save_landmarks(path, landmarks)
    partial.discard()
    return _result(str(path), landmarks, len(starts_s), stitching, helpers)


def starts_of(info: MediaInfo, workers: int | None) -> list[float]:
    """Where each of so many processes begins, in seconds; fewer where the clip is too short for them.

    None stands for one a processor, at most `caf.pose.workers.MOST_BY_ITSELF`.
    """
    wanted = workers_for(workers or 0, 1)
    count = max(1, min(wanted, info.frames // LEAST_FRAMES_EACH)) if info.fps > 0 else 1
    return [number * info.frames / count / info.fps if number else 0.0 for number in range(count)]


def decoders_for(workers: int) -> int:
    """Threads that decode in each of so many processes, which together should not outnumber the processors."""
    return min(_MOST_DECODERS, processors_each(workers))


def _steps(
    request: PoseRequest, still: bool, decoders: int, stitching: Stitching, helpers: Helpers
) -> Iterator[None]:
    """Follows the clip from its start while the helpers do their parts; yields whenever something was found."""
    own = follow(request.video, request.model, still=still, most=request.max_subjects, decoders=decoders)
    with closing(own):
        for found in own:
            stitching.add(0, found)
            helpers.pump()
            _direct(stitching, helpers)
            yield
            if not stitching.needed(0):
                break
        else:
            stitching.end(0)
    while not stitching.complete:
        if helpers.pump(_WAIT_S):
            _direct(stitching, helpers)
            yield


def _direct(stitching: Stitching, helpers: Helpers) -> None:
    """Ends the helpers that are not needed any more, and lets those wait that are too far ahead."""
    for number in helpers.numbers:
        if stitching.needed(number):
            helpers.hold(number, stitching.ahead(number))
        else:
            helpers.dismiss(number)


def _span(request: PoseRequest, start_s: float, decoders: int) -> SpanRequest:
    return SpanRequest(
        video=request.video,
        model=request.model,
        start_s=start_s,
        most=request.max_subjects,
        decoders=decoders,
    )


def _result(
    path: str, landmarks: Landmarks, workers: int, stitching: Stitching, helpers: Helpers
) -> PoseResult:
    assert landmarks.times_s is not None
    summary = summary_of(landmarks, landmarks.times_s)
    detected = int(landmarks.detected.sum())
    told_apart = len(landmarks.everyone) if landmarks.everyone is not None else 1
    return PoseResult(
        frames=len(landmarks.detected),
        detected=detected,
        landmarks=path,
        coverage=summary.coverage,
        visibility=summary.visibility,
        jitter=summary.jitter,
        gaps=summary.gaps,
        changes=summary.changes,
        workers=workers,
        frames_computed=stitching.computed,
        worker_peak_bytes=helpers.peak_bytes,
        subjects=told_apart if detected else 0,
        subject=landmarks.subject,
    )


def _check(request: PoseRequest) -> None:
    check_seams(request.seams)
    for what, value, most in (
        ("max_subjects", request.max_subjects, MOST_SUBJECTS),
        ("workers", request.workers or 1, MOST_WORKERS),
    ):
        if not 1 <= value <= most:
            raise InputError(
                f"{what} is {value}.",
                remedy=f"Give a whole number from 1 to {most}.",
                kind="bad_parameter",
            )


def _no_progress(done: int, total: int | None) -> None:
    """Counting packets is over at once."""
