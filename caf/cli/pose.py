"""`caf pose`: the poses of a clip, as landmarks and as pictures, without a job."""

import contextlib
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import click
import msgspec
from msgspec import Struct

from caf.cli.common import FILE, JSON, WORKSPACE, configured, print_json, print_table
from caf.cli.scratch import put, scratch_in
from caf.cli.tool import Tool, run_tool
from caf.errors import CafError, InputError
from caf.ports import PARTIAL_LANDMARKS, PoseRequest, PoseResult
from caf.pose.choice import SEAMS
from caf.pose.workers import MOST_WORKERS

__all__ = ["pose"]

LANDMARKS: Final = "landmarks.npz"
PICTURES: Final = {"overlay": "overlay.mp4", "skeleton": "skeleton.mp4"}
"""What is drawn over the frames, and what on black."""


class _Wish(Struct, frozen=True, kw_only=True):
    """What was asked for; paths are absolute."""

    clip: Path
    out: Path
    workers: int | None
    max_subjects: int
    subject: str
    seams: str
    video: bool


@click.command(short_help="Find the poses of a clip.")
@click.argument("clip", type=FILE)
@click.option(
    "--out", type=FILE, metavar="FOLDER", help="Where to write; default: CLIP's name and -pose, here."
)
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Processes that share the clip; 0: one a processor, at most 4. Default: pose_workers.",
)
@click.option(
    "--max-subjects",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="How many poses to tell apart in a frame, at most.",
)
@click.option(
    "--subject",
    default="largest",
    show_default=True,
    metavar="WHO",
    help="Whose pose counts where there are several: largest, central, or a box LEFT,TOP,RIGHT,BOTTOM in pixels.",
)
@click.option(
    "--seams",
    type=click.Choice(SEAMS),
    default=SEAMS[0],
    show_default=True,
    help="proven: exactly what one process finds; warm: quicker where nobody is ever away, landmarks some percent off.",
)
@click.option("--no-video", is_flag=True, help="Write the landmarks alone, no overlay and no skeleton.")
@click.option("--force", is_flag=True, help="Write over what is in FOLDER.")
@WORKSPACE
@JSON
def pose(
    clip: Path,
    out: Path | None,
    workers: int | None,
    max_subjects: int,
    subject: str,
    seams: str,
    no_video: bool,
    force: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Write the landmarks of CLIP, a video of them over its frames and one on black, and say how good they are.

    The numbers are those of a job's pose stage. Records nothing.
    """
    config = configured(workspace)
    wish = _Wish(
        clip=clip.absolute(),
        out=(out or Path(f"{clip.stem}-pose")).absolute(),
        workers=(config.pose_workers if workers is None else workers) or None,
        max_subjects=max_subjects,
        subject=subject,
        seams=seams,
        video=not no_video,
    )
    _check_place(wish, force)

    memory_bytes = config.memory_mb * 2**20 or None
    found = run_tool(lambda tool: _Posed(tool).run(wish), config, quiet=as_json, memory_bytes=memory_bytes)
    files = {"landmarks": LANDMARKS, **(PICTURES if wish.video else {})}
    written = {name: str(wish.out / file) for name, file in files.items()}
    if as_json:
        print_json({"clip": str(clip), **msgspec.to_builtins(found), **written})
        return
    for path in written.values():
        click.echo(path)
    print_table(["measure", "value"], _rows(found), empty="")


def _check_place(wish: _Wish, force: bool) -> None:
    """Raises `InputError` where nothing could be written, or only over something."""
    from caf.media.outputs import is_same_file

    if not wish.out.parent.is_dir():
        raise InputError(
            f"There is no folder {wish.out.parent}.", remedy="Make it, or write elsewhere.", kind="bad_output"
        )
    if (wish.out.exists() or wish.out.is_symlink()) and not wish.out.is_dir():
        raise InputError(
            f"{wish.out} is not a folder.", remedy="Give another name to --out.", kind="bad_output"
        )
    touched = (LANDMARKS, PARTIAL_LANDMARKS, *(PICTURES.values() if wish.video else ()))
    for place in (wish.out / name for name in touched):
        if is_same_file(place, wish.clip):
            raise InputError(
                f"{place} is the clip itself.", remedy="Choose another folder with --out.", kind="bad_output"
            )
    there = [place for name in (LANDMARKS, *PICTURES.values()) if (place := wish.out / name).exists()]
    if there and not (force and all(place.is_file() for place in there)):
        raise InputError(
            f"{there[0]} is there already.",
            remedy="Choose another folder with --out, or add --force.",
            kind="bad_output",
        )


class _Posed:
    """The steps of it, each a task of the worker."""

    def __init__(self, tool: Tool) -> None:
        self._call = tool.call
        self._clip = tool.clip
        self._config = tool.config

    async def run(self, wish: _Wish) -> PoseResult:
        """Write what is wished for; the landmarks found by then also when it fails."""
        await self._clip(str(wish.clip), "Only a clip has poses over time.")
        model = await self._model()
        # In the folder where there is one: it may be a link to another disk.
        beside = wish.out if wish.out.exists() else wish.out.parent
        with scratch_in(beside, "pose") as scratch:
            try:
                found = await self._found(wish, model, scratch)
            except CafError as fault:
                await anyio.to_thread.run_sync(_keep_partial, scratch, wish.out, fault)
                raise
            if wish.video:
                await self._draw(wish, scratch)
            await anyio.to_thread.run_sync(_put, scratch, wish.out)
        return msgspec.structs.replace(found, landmarks=str(wish.out / LANDMARKS))

    async def _model(self) -> str:
        from caf.pose.source import FetchedModel

        fetched: FetchedModel = await self._call("model", self._config.model_source, "pose model")
        return fetched.path

    async def _found(self, wish: _Wish, model: str, scratch: Path) -> PoseResult:
        request = PoseRequest(
            video=str(wish.clip),
            model=model,
            out_dir=str(scratch),
            workers=wish.workers,
            max_subjects=wish.max_subjects,
            subject=wish.subject,
            seams=wish.seams,
            stall_s=self._config.stall_s,
        )
        found: PoseResult = await self._call("pose", request, "poses")
        return found

    async def _draw(self, wish: _Wish, scratch: Path) -> None:
        from caf.pose.overlay import SkeletonRequest

        for name, file in PICTURES.items():
            request = SkeletonRequest(
                video=str(wish.clip),
                landmarks=str(scratch / LANDMARKS),
                out=str(scratch / file),
                on_black=name == "skeleton",
            )
            await self._call("skeleton", request, name)


def _put(scratch: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    for file in scratch.iterdir():
        put(file, out / file.name)
    (out / PARTIAL_LANDMARKS).unlink(missing_ok=True)


def _keep_partial(scratch: Path, out: Path, fault: CafError) -> None:
    from caf.actors.poses import keep_partial

    if (scratch / PARTIAL_LANDMARKS).exists():
        with contextlib.suppress(OSError):  # the error itself is what counts
            out.mkdir(exist_ok=True)
        keep_partial(scratch, out / PARTIAL_LANDMARKS, fault)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _rows(found: PoseResult) -> list[list[str]]:
    """The measures for a person."""
    longest = max(found.gaps, key=lambda gap: gap.duration_s, default=None)
    rows = [["frames with a pose", f"{found.detected} of {found.frames} ({100 * found.coverage:.1f} %)"]]
    gaps = str(len(found.gaps))
    if longest is not None:
        gaps += (
            f"; the longest {longest.frames} frames, {longest.duration_s:.2f} s, from {longest.start_s:.2f} s"
        )
    rows.append(["gaps", gaps])
    if found.visibility is not None:
        rows.append(["visibility", f"{found.visibility:.2f}"])
    if found.jitter is not None:
        rows.append(["jitter", f"{100 * found.jitter:.2f} % of the body a frame squared"])
    if found.changes:
        rows.append(
            ["other body", f"{_times(found.changes)} the pose goes over to another; see --max-subjects"]
        )
    if found.subjects > 1:
        rows.append(["subjects", f"{found.subjects}; these numbers are for number {found.subject + 1}"])
    rows.append(["processes", f"{found.workers}; {found.frames_computed - found.frames} frames done twice"])
    return rows
