"""Pixels of one form as another: what converts is kept from frame to frame, as making it costs more than its work."""

from collections import OrderedDict
from threading import local
from typing import Final

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

__all__ = ["converted"]

_KEPT: Final = 8
"""Converters in a thread: a clip's frames are alike, and a stage reads and writes two or three of them."""

_EXACT: Final = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)

_Form = tuple[str, int, int, str]


class _Converters(local):
    """Each thread its own: a converter works on one frame at a time."""

    def __init__(self) -> None:
        self.by_form: OrderedDict[_Form, VideoReformatter] = OrderedDict()

    def of(self, form: _Form) -> VideoReformatter:
        found = self.by_form.pop(form, None) or VideoReformatter()
        self.by_form[form] = found
        if len(self.by_form) > _KEPT:
            self.by_form.popitem(last=False)
        return found


_CONVERTERS = _Converters()


def converted(
    frame: VideoFrame,
    pixel: str,
    *,
    src_colorspace: int | None = None,
    src_color_range: int | None = None,
    dst_colorspace: Colorspace | None = None,
    dst_color_range: ColorRange | None = None,
    exact: bool = False,
) -> VideoFrame:
    """`frame` with pixels of the format `pixel`, of its own size; itself if nothing is to be done.

    Levels are cut off, which darkens by half a level or more, unless `exact`, which rounds them and takes longer.
    """
    form = (frame.format.name, frame.width, frame.height, pixel)
    # One thread: it takes a tenth of a millisecond, and threads would be missing in a process that forks.
    return _CONVERTERS.of(form).reformat(
        frame,
        format=pixel,
        src_colorspace=src_colorspace,
        src_color_range=src_color_range,
        dst_colorspace=dst_colorspace,
        dst_color_range=dst_color_range,
        interpolation=_EXACT if exact else None,
        threads=1,
    )
