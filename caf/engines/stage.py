"""What every stage needs: its input found and probed, its output named, progress over several passes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2

from caf.errors import InputError
from caf.media.probe import probe
from caf.media.write import ClipWriter, disk_full
from caf.ports import MediaInfo, ProbeRequest, Progress, StageRequest

__all__ = ["Passes", "input_of", "look", "lossless", "opencv_alone", "told_of_a_full_disk"]

Item = TypeVar("Item")


def input_of(request: StageRequest, *roles: str) -> Path:
    """The path of the first of `roles` that the request has.

    Raises:
        InputError: `missing_input`.
    """
    for role in roles:
        if role in request.inputs:
            return Path(request.inputs[role])
    raise InputError(
        f"The {request.stage} stage has no input {' or '.join(roles)}.",
        remedy=f"It was given: {', '.join(sorted(request.inputs)) or 'nothing'}.",
        kind="missing_input",
    )


class Passes:
    """Progress over a known number of passes over the same frames."""

    def __init__(self, progress: Progress, frames: int, passes: int) -> None:
        self._progress, self._frames, self._all = progress, frames, max(1, frames * passes)
        self._done = 0

    def over(self, frames: Iterable[Item]) -> Iterator[Item]:
        """The frames, each reported as done when the next is asked for."""
        for frame in frames:
            yield frame
            self._done = min(self._all, self._done + 1)
            self._progress(self._done, self._all)

    def again(self, frames: Iterable[Item]) -> Iterator[Item]:
        """The frames of a pass that nobody reckoned with, each a sign of life."""
        for frame in frames:
            yield frame
            self.alive()

    def alive(self) -> None:
        """A sign of life, so that work without frames is not taken for a hang."""
        self._progress(self._done, self._all)


def look(path: Path) -> MediaInfo:
    """A probe without progress; raises what `probe` raises."""
    return probe(ProbeRequest(path=str(path)), lambda done, total: None)


def lossless(
    path: Path, info: MediaInfo, *, width: int | None = None, height: int | None = None
) -> ClipWriter:
    """A writer for an intermediate with the timing of `info`."""
    return ClipWriter(
        path,
        width=width or info.width,
        height=height or info.height,
        fps=info.fps,
        variable_fps=info.variable_fps,
        mode="lossless",
    )


@contextmanager
def told_of_a_full_disk(out_dir: str) -> Iterator[None]:
    """Raises TryAgainError, `disk_full`, in place of an OSError that means so."""
    try:
        yield
    except OSError as fault:
        full = disk_full(Path(out_dir), fault)
        if full is None:
            raise
        raise full from fault


@contextmanager
def opencv_alone() -> Iterator[None]:
    """OpenCV on one thread: waiting for others it would take what reads and writes beside it needs."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
