"""`caf pose`: landmarks and pictures of a clip's poses, their numbers, and nothing written where it is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from caf.media.read import read_frames
from caf.media.write import ClipWriter
from caf.pose.landmarks import load_landmarks
from tests.cli.conftest import Caf, end_by_ctrl_c
from tests.clips import make_clip, make_picture

FRAMES = 12


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of a woman who drifts to the right; in one frame she is away."""
    whole = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    picture = np.asarray(cv2.resize(whole, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)
    path = tmp_path_factory.mktemp("person") / "person.mp4"
    with ClipWriter(path, width=256, height=256, fps=25) as writer:
        for index in range(FRAMES):
            away = index == 5
            writer.write(np.full_like(picture, 127) if away else np.roll(picture, index, axis=1), index / 25)
    return path


def test_landmarks_overlay_and_skeleton_are_written_and_measured(
    tmp_path: Path, caf: Caf, person: Path
) -> None:
    out = tmp_path / "found"
    ran = caf("pose", person, "--out", out, "--json")
    assert ran.code == 0, ran.err
    told = ran.json()
    assert ran.err == "", "what the model prints is for nobody"
    landmarks = load_landmarks(Path(told["landmarks"]))
    assert (told["frames"], told["detected"]) == (FRAMES, int(landmarks.detected.sum()))
    assert not landmarks.detected[5]
    assert {"first_frame": 5, "frames": 1, "start_s": 0.2, "duration_s": 0.04} in told["gaps"]
    assert told["coverage"] == told["detected"] / FRAMES
    assert told["workers"] == 1
    times_s = [frame.time_s for frame in read_frames(person)]
    assert landmarks.times_s is not None
    assert landmarks.times_s.tolist() == times_s
    for name in ("overlay", "skeleton"):
        assert [f.time_s for f in read_frames(told[name])] == pytest.approx(times_s, abs=1e-3)
    assert sorted(path.name for path in out.iterdir()) == ["landmarks.npz", "overlay.mp4", "skeleton.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["found"]


def test_a_person_reads_where_it_is_and_how_good(tmp_path: Path, caf: Caf, person: Path) -> None:
    out = tmp_path / "found"
    ran = caf("pose", person, "--out", out, "--no-video", "--max-subjects", "3", "--seams", "warm")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == str(out / "landmarks.npz")
    assert "frames with a pose" in ran.out
    assert "gaps" in ran.out
    assert [path.name for path in out.iterdir()] == ["landmarks.npz"]


def test_what_is_there_is_replaced_only_when_it_is_asked_for(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "found"
    out.mkdir()
    (out / "landmarks.npz").write_bytes(b"mine")
    ran = caf("pose", clip, "--out", out, "--no-video")
    assert ran.code == 65
    assert "is there already" in ran.err
    assert (out / "landmarks.npz").read_bytes() == b"mine"
    assert caf("pose", clip, "--out", out, "--no-video", "--force").code == 0
    assert len(load_landmarks(out / "landmarks.npz").detected) == 3


def test_a_folder_that_is_a_link_to_another_disk_is_written_to(
    tmp_path: Path, caf: Caf, other_disk: Path
) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "found"
    out.symlink_to(other_disk)
    ran = caf("pose", clip, "--out", out)
    assert ran.code == 0, ran.err
    found = ["landmarks.npz", "overlay.mp4", "skeleton.mp4"]
    assert sorted(path.name for path in other_disk.iterdir()) == found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "found"]


@pytest.mark.parametrize("link", ["none", "symbolic", "hard"])
@pytest.mark.parametrize("name", ["overlay.mp4", "skeleton.mp4"])
def test_a_clip_that_would_be_drawn_over_is_refused_by_whatever_name_it_is_given(
    tmp_path: Path, caf: Caf, link: str, name: str
) -> None:
    out = tmp_path / "found"
    out.mkdir()
    clip = there = make_clip(out / name, frames=3)
    if link != "none":
        clip = there.rename(tmp_path / "clip.mp4")
        there.symlink_to(clip) if link == "symbolic" else there.hardlink_to(clip)
    before = clip.read_bytes()
    ran = caf("pose", clip, "--out", out, "--force")
    assert ran.code == 65, ran.err
    assert f"{there} is the clip itself" in ran.err
    assert there.read_bytes() == clip.read_bytes() == before
    assert [path.name for path in out.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clip.mp4", "--out", "nowhere/found"), "There is no folder"),
        (("clip.mp4", "--out", "clip.mp4"), "is not a folder"),
        (("clip.mp4", "--out", "astray"), "is not a folder"),
        (("clip.mp4", "--subject", "biggest"), "names no subject"),
        (("cat.png",), "is a picture"),
        (("broken.mp4",), "broken.mp4"),
        (("gone.mp4",), "gone.mp4"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, caf: Caf, arguments: tuple[str, ...], said: str
) -> None:
    make_clip(tmp_path / "clip.mp4", frames=3)
    make_picture(tmp_path / "cat.png")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere")
    given = [arg if arg.startswith("-") or arg == "biggest" else str(tmp_path / arg) for arg in arguments]
    out = [] if "--out" in given else ["--out", str(tmp_path / "found")]
    ran = caf("pose", *given, *out)
    assert ran.code == 65, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    there = ["astray", "broken.mp4", "cat.png", "clip.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == there


@pytest.mark.parametrize("wrong", [("--max-subjects", "0"), ("--workers", "65")])
def test_a_number_out_of_its_range_is_a_usage_error(tmp_path: Path, caf: Caf, wrong: tuple[str, str]) -> None:
    assert caf("pose", tmp_path / "a.mp4", *wrong).code == 2


def test_ctrl_c_ends_it_with_nothing_left(tmp_path: Path, person: Path) -> None:
    end_by_ctrl_c(
        ["pose", person, "--out", tmp_path / "found"],
        tmp_path / "workspace",
        lambda _: bool(list(tmp_path.glob(".caf-pose-*"))),
    )
    assert list(tmp_path.iterdir()) == []
