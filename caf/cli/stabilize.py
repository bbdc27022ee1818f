"""`caf stabilize`: a steady copy of a clip, without a job."""

import shutil
from pathlib import Path
from typing import Final

import anyio.to_thread
import click
from msgspec import Struct

from caf.cli.common import FILE, JSON, WORKSPACE, Number, configured, print_json
from caf.cli.scratch import put, scratch_in
from caf.cli.tool import Tool, run_tool
from caf.errors import InputError
from caf.ports import MediaInfo, Parameter, SheetRequest, StageRequest, StageResult, VideoTarget

__all__ = ["stabilize"]

MOMENTS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where in the clip the pictures of the sheet are taken, as shares of its length."""


class _Wish(Struct, frozen=True, kw_only=True):
    """What was asked for; paths are absolute."""

    clip: Path
    out: Path
    strength: float
    max_crop: float
    sheet: Path | None


@click.command(short_help="Write a steady copy of a clip.")
@click.argument("clip", type=FILE)
@click.argument("out", type=FILE)
@click.option(
    "--strength",
    type=Number(0, 1),
    default=0.95,
    show_default=True,
    help="How firmly the camera is held to its smooth path, and the light to its smooth course.",
)
@click.option(
    "--max-crop",
    type=Number(0, 0.3),
    default=0.15,
    show_default=True,
    help="Largest share of width and height that may be cut off.",
)
@click.option(
    "--sheet", type=FILE, metavar="PNG", help="Also write a picture: before and after, side by side."
)
@click.option("--force", is_flag=True, help="Write over OUT if it is there.")
@WORKSPACE
@JSON
def stabilize(
    clip: Path,
    out: Path,
    strength: float,
    max_crop: float,
    sheet: Path | None,
    force: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Write OUT (.mp4): CLIP with its camera steadied and its light evened, its sound and times kept.

    Where the camera is steady already, or cannot be told from the subject, OUT is CLIP as it was, and it is
    said why; what is no .mp4 is encoded as one. Records nothing.
    """
    wish = _Wish(
        clip=clip.absolute(),
        out=out.absolute(),
        strength=strength,
        max_crop=max_crop,
        sheet=sheet.absolute() if sheet else None,
    )
    _check_places(wish, force)
    config = configured(workspace)

    facts = run_tool(lambda tool: _Steadied(tool).run(wish), config, quiet=as_json)
    changed = is_changed(facts)
    if as_json:
        drawn = str(sheet) if sheet else None
        print_json({"clip": str(clip), "out": str(out), "changed": changed, "sheet": drawn, "facts": facts})
        return
    click.echo(str(out))
    for line in told(facts):
        click.echo(line, err=True)


def _check_places(wish: _Wish, force: bool) -> None:
    """Raises `InputError` where nothing could be written, or only over something."""
    from caf.media.outputs import check_places, is_same_file

    if wish.out.suffix.lower() != ".mp4":
        raise InputError(
            f"{wish.out} does not end with .mp4.", remedy="An MP4 is written; name it so.", kind="bad_output"
        )
    for path in (wish.out, wish.sheet):
        if path is None:
            continue
        if is_same_file(path, wish.clip):
            raise InputError(
                f"{path} is the clip itself.", remedy="Give another name to write to.", kind="bad_output"
            )
        if not path.parent.is_dir():
            raise InputError(
                f"There is no folder {path.parent}.",
                remedy="Make it, or write elsewhere.",
                kind="bad_output",
            )
        if path.exists() and not (force and path.is_file()):
            raise InputError(
                f"{path} is there already.", remedy="Choose another name, or add --force.", kind="bad_output"
            )
    check_places((wish.out, wish.sheet), ())


class _Steadied:
    """The parts of it, each a task of the worker."""

    def __init__(self, tool: Tool) -> None:
        self._call = tool.call
        self._clip = tool.clip

    async def run(self, wish: _Wish) -> dict[str, Parameter]:
        """Write what is wished for; the stages' facts."""
        info = await self._clip(str(wish.clip), "Only a clip can be steadied.")
        with scratch_in(wish.out.parent, "stabilize") as scratch:
            facts, made = await self._made(wish, info, scratch)
            # First of all, so that the clip is there whatever becomes of the sheet.
            await anyio.to_thread.run_sync(put, made, wish.out)
            if wish.sheet is not None:
                drawn = scratch / f"sheet{wish.sheet.suffix}"
                await self._call("sheet", _sheet(wish, info, wish.out, drawn), "drawing")
                await anyio.to_thread.run_sync(put, drawn, wish.sheet)
        return facts

    async def _made(self, wish: _Wish, info: MediaInfo, scratch: Path) -> tuple[dict[str, Parameter], Path]:
        folder = scratch / "steady"
        folder.mkdir()
        request = StageRequest(
            stage="motion",
            inputs={"source": str(wish.clip)},
            parameters={"pose_weight": wish.strength, "max_crop": wish.max_crop},
            target=VideoTarget(width=info.width, height=info.height, fps=info.fps),
            out_dir=str(folder),
        )
        result: StageResult = await self._call("steady", request, "steadying")
        facts = dict(result.facts)
        if result.outputs:
            return facts | {"copied": False}, Path(result.outputs[0].path)
        copy = scratch / "copy.mp4"
        shutil.copyfile(wish.clip, copy)
        return facts | {"copied": True}, copy


def _sheet(wish: _Wish, info: MediaInfo, made: Path, out: Path) -> SheetRequest:
    return SheetRequest(
        before=str(wish.clip),
        after=str(made),
        captions=("before", "after"),
        at_s=tuple(share * info.duration_s for share in MOMENTS),
        out=str(out),
    )


def is_changed(facts: dict[str, Parameter]) -> bool:
    """Whether the motion stage changed any picture."""
    return bool(facts.get("stabilised")) or bool(facts.get("light_evened"))


def told(facts: dict[str, Parameter]) -> list[str]:
    """What was done, or why nothing was, in lines for a person."""
    before, after = facts.get("shake_before_px", 0.0), facts.get("shake_after_px", 0.0)
    lines = []
    if facts.get("stabilised"):
        crop = 100 * float(facts["crop_share"])
        lines.append(f"camera: {before:.2f} -> {after:.2f} px of shake, {crop:.1f} % cropped")
        if facts["stabiliser_reason"] != "steadied":
            lines.append(f"  {facts['stabiliser_reason']}")
    else:
        lines.append(f"camera: as it was ({facts.get('stabiliser_reason', 'not asked for')})")
    if facts.get("light_evened"):
        flicker = f"{facts['flicker_before_pct']:.1f} -> {facts['flicker_after_pct']:.1f} %"
        lines.append(f"light: {flicker} of flicker")
    if facts.get("copied"):
        lines.append("nothing was to be done: the clip was copied as it is")
    elif not is_changed(facts):
        lines.append("nothing was to be done: the clip was only encoded anew, as an MP4")
    return lines
