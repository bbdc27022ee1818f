"""A clip taken apart and put together is the same clip; what does not fit together is refused."""

from pathlib import Path

import numpy as np
import pytest

from caf.errors import MediaError
from caf.media.picture import save_picture
from caf.media.probe import probe
from caf.media.read import Frame, read_frames
from caf.media.sequence import assemble, explode, shown_at
from caf.ports import Assembled, AssembleRequest, Exploded, ExplodeRequest, MediaInfo, ProbeRequest
from tests.clips import make_clip


def apart(clip: Path, out: Path, frames_each: int) -> Exploded:
    out.mkdir()
    seen: list[int] = []
    request = ExplodeRequest(video=str(clip), out_dir=str(out), frames_each=frames_each)
    exploded = explode(request, lambda done, total: seen.append(done))
    assert seen == list(range(1, len(exploded.times_s) + 1)), "no progress, so no heartbeat"
    return exploded


def together(parts: tuple[str, ...], out: Path, of: Exploded, *, pictures: bool) -> Assembled:
    request = AssembleRequest(
        parts=parts,
        pictures=pictures,
        out=str(out),
        times_s=of.times_s,
        end_s=of.duration_s,
        fps=of.fps,
        variable_fps=of.variable_fps,
    )
    return assemble(request, lambda done, total: None)


def look(path: Path) -> MediaInfo:
    return probe(ProbeRequest(path=str(path)), lambda done, total: None)


def pixels(path: str | Path) -> list[bytes]:
    return [frame.image.tobytes() for frame in read_frames(path)]


def times(path: str | Path) -> list[float]:
    return [frame.time_s for frame in read_frames(path)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=10, fps=24, shake=3.0)


def test_pictures_of_all_frames_make_the_same_clip_again(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 1)
    assert len(exploded.pictures) == 10
    made = together(exploded.pictures, tmp_path / "again.mp4", exploded, pictures=True)
    assert made.timed
    assert pixels(tmp_path / "again.mp4") == pixels(clip)
    assert times(tmp_path / "again.mp4") == pytest.approx(times(clip), abs=1e-6)
    assert look(tmp_path / "again.mp4").duration_s == pytest.approx(look(clip).duration_s, abs=1e-3)


def test_pieces_of_a_clip_each_begin_at_zero_and_make_the_same_clip_again(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 4)
    assert [len(times(piece)) for piece in exploded.clips] == [4, 4, 2]
    assert [times(piece)[0] for piece in exploded.clips] == [0.0, 0.0, 0.0]
    assert [pixels(picture)[0] for picture in exploded.pictures] == [
        pixels(piece)[0] for piece in exploded.clips
    ]
    made = together(exploded.clips, tmp_path / "again.mp4", exploded, pictures=False)
    assert made.timed
    assert pixels(tmp_path / "again.mp4") == pixels(clip)
    assert times(tmp_path / "again.mp4") == pytest.approx(times(clip), abs=1e-6)


def test_a_whole_clip_goes_along_as_it_is_with_its_first_frame(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 0)
    assert [Path(piece).read_bytes() for piece in exploded.clips] == [clip.read_bytes()]
    assert Path(exploded.clips[0]).suffix == ".mp4"
    assert [pixels(picture)[0] for picture in exploded.pictures] == [pixels(clip)[0]]


def test_a_clip_is_taken_apart_at_the_times_of_another(tmp_path: Path, clip: Path) -> None:
    slow = make_clip(tmp_path / "slow.mp4", frames=3, fps=12, shake=3.0)
    (tmp_path / "parts").mkdir()
    for each, clips in ((4, [4, 4, 2]), (0, [10])):
        request = ExplodeRequest(
            video=str(slow), out_dir=str(tmp_path / "parts"), frames_each=each, like=str(clip)
        )
        exploded = explode(request, lambda done, total: None)
        assert exploded.times_s == tuple(times(clip))
        assert [len(pixels(path)) for path in exploded.clips] == clips
        shown = [frame for path in exploded.clips for frame in pixels(path)]
        assert shown == [pixels(slow)[min(index // 2, 2)] for index in range(10)]


def test_what_is_shown_at_a_time_is_the_frame_that_came_last_and_the_first_before_any() -> None:
    frames = [Frame(np.full((1, 1, 3), index, np.uint8), time_s) for index, time_s in enumerate((1.0, 2.0))]
    shown = list(shown_at(frames, (0.0, 1.0, 1.5, 1.99999, 2.0, 9.0)))
    assert [int(frame.image[0, 0, 0]) for frame in shown] == [0, 0, 0, 1, 1, 1]
    assert [frame.time_s for frame in shown] == [0.0, 1.0, 1.5, 1.99999, 2.0, 9.0]


def test_another_number_of_frames_gets_the_rate_of_what_came(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 0)
    other = make_clip(tmp_path / "other.mp4", frames=30, fps=12)
    made = together((str(other),), tmp_path / "again.mp4", exploded, pictures=False)
    info = look(tmp_path / "again.mp4")
    assert (made.timed, info.frames, info.fps, info.duration_s) == (False, 30, 12.0, 2.5)


def test_more_pictures_than_frames_stand_at_the_rate_of_the_clip(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 1)
    together(exploded.pictures * 2, tmp_path / "again.mp4", exploded, pictures=True)
    info = look(tmp_path / "again.mp4")
    assert (info.frames, info.fps) == (20, 24.0)


def test_frames_of_different_sizes_are_refused_and_leave_nothing(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 1)
    small = save_picture(np.zeros((20, 30, 3), np.uint8), tmp_path / "small.png")
    parts = (*exploded.pictures[:3], str(small))
    with pytest.raises(MediaError, match="Frame 3 has 30x20 pixels and the first one 160x120") as caught:
        together(parts, tmp_path / "again.mp4", exploded, pictures=True)
    assert caught.value.kind == "frames_differ"
    assert not [path for path in tmp_path.iterdir() if "again" in path.name]


def test_a_picture_that_cannot_be_read_is_refused(tmp_path: Path, clip: Path) -> None:
    exploded = apart(clip, tmp_path / "parts", 1)
    (tmp_path / "torn.png").write_bytes(Path(exploded.pictures[0]).read_bytes()[:200])
    with pytest.raises(MediaError):
        together((str(tmp_path / "torn.png"),), tmp_path / "again.mp4", exploded, pictures=True)
