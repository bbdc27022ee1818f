"""Measure many clips one after another: what cannot be read is left out, and what is known already is not measured."""

from collections.abc import Collection, Sequence
from pathlib import Path

from anyio import to_thread
from msgspec import Struct

from caf.cli.tool import Tool
from caf.errors import CafError, InputError, TryAgainError, UnavailableError
from caf.media.outputs import write_whole
from caf.ports import MeasureRequest, MediaInfo, ProbeRequest
from caf.qc.examination import Examination, ExamineRequest
from caf.qc.kept import Kept, KeptClip, KeptScore, MeasuredOf, kept_bytes
from caf.qc.labelled import LabelledClip
from caf.qc.metrics.catalogue import METRICS
from caf.sha256 import sha256_of
from caf.worker.errors import WorkerError

__all__ = ["LeftOut", "MeasuredClip", "Measuring", "Reference"]


class Reference(Struct, frozen=True, kw_only=True):
    """What clips are compared with beside their source."""

    picture: Path | None
    costume_required: bool


class MeasuredClip(Struct, frozen=True, kw_only=True):
    """A clip that was sorted, and its scores."""

    clip: str
    label: str
    """good | bad"""
    only: str | None
    """The one metric that it is bad in."""
    scores: dict[str, float | None]
    """Metric to score, None where it could not be measured."""


class LeftOut(Struct, frozen=True, kw_only=True):
    """A file that could not be measured, and why."""

    clip: str
    kind: str
    reason: str
    remedy: str


class Measuring:
    """Scores of clips, one by one in a child; `kept` grows, and is written to `book`, if there is one, after each."""

    def __init__(self, tool: Tool, reference: Reference, kept: Kept, book: Path | None) -> None:
        self._tool, self._reference, self._kept, self._book = tool, reference, kept, book
        self._unsaved = False
        self._first: dict[tuple[str, str | None], LabelledClip] = {}
        self.measured: list[MeasuredClip] = []
        self.left_out: list[LeftOut] = []

    async def run(self, clips: Sequence[LabelledClip], metrics: Sequence[str]) -> None:
        """Measure every clip in these metrics; one that is bad in one metric only, in that one.

        Raises `CafError` for a picture of the cat that cannot be read, a book that cannot be written, and what would
        stop every other clip too.
        """
        picture = self._reference.picture
        if picture is not None:
            await self._tool.call("probe", ProbeRequest(path=str(picture)), "reading")
            await _digest(picture)  # what is wrong with it is told once, and not of every clip
        for number, clip in enumerate(clips, 1):
            doing = f"clip {number} of {len(clips)}"
            self._tool.step(f"{doing}: {clip.name}")
            try:
                scores = await self._scores(clip, metrics if clip.only is None else (clip.only,), doing)
            except CafError as fault:
                if _stops_all(fault):
                    raise
                self.left_out.append(
                    LeftOut(clip=clip.name, kind=fault.kind, reason=fault.message, remedy=fault.remedy)
                )
            else:
                self._save()
                label = "good" if clip.good else "bad"
                self.measured.append(MeasuredClip(clip=clip.name, label=label, only=clip.only, scores=scores))

    async def _scores(
        self, clip: LabelledClip, metrics: Collection[str], doing: str
    ) -> dict[str, float | None]:
        of = await self._content(clip)
        self._refuse_twice(clip, of.sha256)
        known = self._kept[of].metrics if of in self._kept else {}
        missing = tuple(
            name for name in metrics if name not in known or known[name].version != METRICS[name].version
        )
        if missing:
            known = known | await self._examined(clip, missing, doing)
            if await self._content(clip) != of:  # its scores would be kept as those of the old content
                raise InputError(
                    f"{clip.name}, or what it is compared with, changed while it was measured.",
                    remedy="Calibrate again when nothing writes to these files any more.",
                    kind="changed_meanwhile",
                )
            self._kept[of] = KeptClip(clip=clip.name, of=of, metrics=known)
            self._unsaved = True
        return {name: known[name].score for name in metrics}

    async def _content(self, clip: LabelledClip) -> MeasuredOf:
        picture = self._reference.picture
        return MeasuredOf(
            sha256=await _digest(clip.path),
            source_sha256=None if clip.source is None else await _digest(clip.source),
            reference_sha256=None if picture is None else await _digest(picture),
            costume_required=self._reference.costume_required,
        )

    def _save(self) -> None:
        """What is known goes to the book; where that cannot be written, it is no clip's fault."""
        if self._unsaved and self._book is not None:
            write_whole(self._book, kept_bytes(self._kept))
        self._unsaved = False

    def _refuse_twice(self, clip: LabelledClip, sha256: str) -> None:
        """Nobody is surer of anything by a copy, and a clip is good or bad, not both, whatever it was made from."""
        for only in (None, clip.only):
            first = self._first.get((sha256, only))
            if first is not None:
                raise InputError(
                    f"{clip.name} is the same file as {first.name}.",
                    remedy="Leave one of them in the folder: the one whose label is right.",
                    kind="repeated_clip",
                )
        self._first[sha256, clip.only] = clip

    async def _examined(
        self, clip: LabelledClip, metrics: tuple[str, ...], doing: str
    ) -> dict[str, KeptScore]:
        if clip.source is not None:
            await self._tool.call("probe", ProbeRequest(path=str(clip.source)), doing)
        media: MediaInfo = await self._tool.call("probe", ProbeRequest(path=str(clip.path)), doing)
        picture = self._reference.picture
        request = ExamineRequest(
            measure=MeasureRequest(
                metrics=metrics,
                video=str(clip.path),
                source=str(clip.source or clip.path),
                reference=str(picture) if picture is not None else None,
                costume_required=self._reference.costume_required,
            )
        )
        found: Examination = await self._tool.call("examine", request, doing, total=media.frames)
        return {
            one.metric: KeptScore(
                version=one.version, score=one.score, reason=one.reason if one.score is None else ""
            )
            for one in found.metrics
        }


async def _digest(path: Path) -> str:
    return await to_thread.run_sync(_file_sha256, path)


def _file_sha256(path: Path) -> str:
    if not path.is_file():  # a pipe would never end
        raise InputError(
            f"{path} is no file, or leads to none.",
            remedy="Give a video file or a picture.",
            kind="not_a_file",
        )
    try:
        return sha256_of(path)
    except OSError as fault:
        raise InputError(
            f"{path} cannot be read: {fault.strerror or fault}.",
            remedy="See to the file and its permissions.",
            kind="not_readable",
        ) from fault


def _stops_all(fault: CafError) -> bool:
    """A full disk or a missing library is about no single clip; a child that died of one is."""
    return isinstance(fault, TryAgainError) or (
        isinstance(fault, UnavailableError) and not isinstance(fault, WorkerError)
    )
