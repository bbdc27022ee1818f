"""The video stage: the target's shape, rate and length, H.264 with the source's sound."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

from av.video.frame import VideoFrame

from caf.engines.parameters import Settings
from caf.engines.stage import Passes, input_of, look
from caf.media.beside import ahead
from caf.media.encoders import chosen
from caf.media.read import is_animated_webp, read_frames, shown_frames
from caf.media.resize import ResolutionPolicy, fit
from caf.media.upright import as_coded, upright
from caf.media.write import ClipWriter, Picture
from caf.ports import MediaInfo, Parameter, Produced, Progress, StageRequest, StageResult

__all__ = ["Shown", "encoded", "run_video"]

_EARLY_TICKS = 0.1  # a frame this little late still counts as due; clocks round


class Shown(NamedTuple):
    """A frame as decoded if it can be encoded so, which spares two conversions; else its pixels."""

    image: Picture
    time_s: float


def run_video(request: StageRequest, settings: Settings, progress: Progress) -> StageResult:
    """Turn `motion` (or `frames`, or `source`) into `final`: an MP4 with H.264 and, as in `source`, sound."""
    path, source = input_of(request, "motion", "frames", "source"), input_of(request, "source")
    info, target = look(path), request.target
    pictures = Passes(progress, info.frames, 1).over(ahead(_pictures(path, (target.width, target.height))))
    sound_from = source if (info if source == path else look(source)).has_audio else None
    return encoded(pictures, info, request, settings, sound_from)


def encoded(
    pictures: Iterable[Shown],
    info: MediaInfo,
    request: StageRequest,
    settings: Settings,
    sound_from: Path | None,
) -> StageResult:
    """Write `final` from the pictures of a clip that `info` is about."""
    target = request.target
    strategy, limit = settings.word("fps_strategy"), settings.whole("max_frames")
    policy = cast("ResolutionPolicy", settings.word("resolution_policy"))
    end_s = min(info.duration_s, target.length_seconds or info.duration_s)
    encoder = chosen(settings.word("encoder"))
    timing = _timing(info, strategy, target.fps)
    out = Path(request.out_dir) / "final.mp4"
    with ClipWriter(
        out,
        width=target.width,
        height=target.height,
        fps=timing.fps,
        variable_fps=timing.variable,
        held_end=strategy != "resample" and info.duration_s * info.fps > info.frames + 0.5,
        mode="final",
        crf=settings.whole("crf"),
        preset=settings.word("preset"),
        encoder=encoder,
        sound_from=sound_from,
    ) as writer:
        for count, frame in enumerate(timing.applied(pictures, end_s)):
            if limit and count == limit:
                end_s = min(end_s, frame.time_s)
                break
            image = frame.image
            if not isinstance(image, VideoFrame):
                image = fit(image, (target.width, target.height), policy)
            writer.write(image, frame.time_s)
        writer.end(end_s)
    facts: dict[str, Parameter] = {
        "frames": writer.frames,
        "duration_s": writer.duration_s,
        "width_px": target.width + target.width % 2,
        "height_px": target.height + target.height % 2,
        "frames_in": info.frames,
        "fps": timing.fps,
        "sound": writer.sound,
        "encoder": encoder,
        "crf": settings.whole("crf"),
        "bytes": out.stat().st_size,
    }
    return StageResult(outputs=(Produced(role="final", path=str(out)),), facts=facts)


def _pictures(path: Path, size: tuple[int, int]) -> Iterator[Shown]:
    if is_animated_webp(path):
        for frame in read_frames(path):
            yield Shown(frame.image, frame.time_s)
        return
    even = size[0] % 2 == 0 and size[1] % 2 == 0
    for shown in shown_frames(path):
        straight = even and shown.size == size and as_coded(shown.frame, shown.size, shown.turn)
        image = shown.frame if straight else upright(shown.frame, shown.size, shown.turn)
        yield Shown(image, shown.time_s)


class _Timing:
    """Which frames are shown when."""

    def __init__(self, fps: float, *, variable: bool, every: int, grid: bool) -> None:
        self.fps, self.variable = fps, variable
        self._every, self._grid = every, grid

    def applied(self, frames: Iterable[Shown], end_s: float) -> Iterator[Shown]:
        """The frames to write, all before `end_s`; the first one always."""
        chosen = self._on_grid(frames, end_s) if self._grid else self._thinned(frames)
        for index, frame in enumerate(chosen):
            if index and frame.time_s > end_s - 0.25 / self.fps:
                return
            yield frame

    def _thinned(self, frames: Iterable[Shown]) -> Iterator[Shown]:
        for index, frame in enumerate(frames):
            if index % self._every == 0:
                yield frame

    def _on_grid(self, frames: Iterable[Shown], end_s: float) -> Iterator[Shown]:
        """At each tick of the new rate the newest frame that is due by then."""
        tick, shown = 0, None
        for frame in frames:
            while shown is not None and frame.time_s > (tick + _EARLY_TICKS) / self.fps:
                yield Shown(shown.image, tick / self.fps)
                tick += 1
            shown = frame
        while shown is not None and tick < max(1, round(end_s * self.fps)):
            yield Shown(shown.image, tick / self.fps)
            tick += 1


def _timing(info: MediaInfo, strategy: str, target_fps: float) -> _Timing:
    if strategy == "resample":
        return _Timing(target_fps, variable=False, every=1, grid=True)
    every = 1
    if strategy == "reduce":
        while info.fps / every > target_fps * 1.001:
            every *= 2
    return _Timing(info.fps / every, variable=info.variable_fps, every=every, grid=False)
