"""A converter that is kept gives each frame the pixels that one of its own would."""

import threading

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from caf.media.conversion import converted
from tests.clips import texture

SIZES = ((64, 48), (65, 49), (160, 90))


def coded(size: tuple[int, int], pixel: str, seed: int) -> VideoFrame:
    image = np.ascontiguousarray(texture(*size, seed=seed))
    return VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixel)


@pytest.mark.parametrize("pixel", ["yuv420p", "yuvj420p", "yuv422p10le", "yuv444p", "gbrp", "nv12"])
def test_frames_that_come_in_turns_have_the_pixels_of_a_converter_of_their_own(pixel: str) -> None:
    for seed in range(2):
        for size in SIZES:
            for matrix in (1, 5, 9):
                frame = coded(size, pixel, seed)
                own = frame.to_ndarray(format="bgr24", src_colorspace=matrix)
                assert np.array_equal(converted(frame, "bgr24", src_colorspace=matrix).to_ndarray(), own)


def test_what_is_written_is_tagged_and_coded_as_by_a_converter_of_its_own() -> None:
    for size in SIZES[::2]:
        frame = coded(size, "bgr24", 1)
        told = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
        own, found = frame.reformat(format="yuv420p", **told), converted(frame, "yuv420p", **told)
        assert np.array_equal(found.to_ndarray(), own.to_ndarray())
        assert (found.colorspace, found.color_range) == (own.colorspace, own.color_range)


def test_threads_that_convert_at_once_do_not_disturb_one_another() -> None:
    frames = [coded((160, 90), "yuv420p", seed) for seed in range(4)]
    wanted = [frame.to_ndarray(format="bgr24") for frame in frames]
    wrong: list[int] = []

    def convert(index: int) -> None:
        wrong.extend(
            index
            for _ in range(50)
            if not np.array_equal(converted(frames[index], "bgr24").to_ndarray(), wanted[index])
        )

    threads = [threading.Thread(target=convert, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
