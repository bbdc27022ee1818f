"""`caf stabilize`: a steady copy of a clip, its sound and times kept, and nothing written where it is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from caf.cli.scratch import scratch_in
from caf.media.read import read_frames
from tests.cli.conftest import TIMEOUT_S, Caf, end_by_ctrl_c
from tests.clips import (
    camera_frames,
    click_times_s,
    clicks,
    make_clip,
    make_picture,
    shake_path,
    texture,
    write_clip,
)
from tests.support.pause import glance_aside

FRAMES = 30


def test_a_shaken_clip_becomes_steady_and_keeps_its_sound_and_its_uneven_times(
    tmp_path: Path, caf: Caf
) -> None:
    times = [index / 30 + (0.01 if index % 3 == 1 else 0.0) for index in range(FRAMES)]
    images = camera_frames(texture(280, 240), shake_path(FRAMES, amplitude_px=2.5), (160, 120))
    at_s = [0.2, 0.7]
    clip = write_clip(tmp_path / "shaken.mp4", images, times_s=times, sound=clicks(1.0, at_s))
    out, sheet = tmp_path / "steady.mp4", tmp_path / "sheet.png"
    ran = caf("stabilize", clip, out, "--sheet", sheet, "--json")
    assert ran.code == 0, ran.err
    told = ran.json()
    assert told["changed"] is True
    facts = told["facts"]
    assert facts["shake_after_px"] < 0.1 * facts["shake_before_px"]
    assert [f.time_s for f in read_frames(out)] == pytest.approx(
        [f.time_s for f in read_frames(clip)], abs=1e-3
    )
    assert click_times_s(out) == pytest.approx(click_times_s(clip), abs=0.002)
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shaken.mp4", "sheet.png", "steady.mp4"]


def test_a_steady_clip_is_copied_as_it_is_and_it_is_said_why(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "still.mp4", frames=FRAMES, audio=True), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out)
    assert ran.code == 0, ran.err
    assert out.read_bytes() == clip.read_bytes()
    assert ran.out.strip() == str(out)
    assert "already steady" in ran.err
    assert "copied as it is" in ran.err


def test_a_steady_clip_in_another_container_is_encoded_and_that_is_said(tmp_path: Path, caf: Caf) -> None:
    clip, out = write_clip(tmp_path / "still.mov", [texture(160, 120)] * FRAMES), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out)
    assert ran.code == 0, ran.err
    assert "already steady" in ran.err
    assert "only encoded anew, as an MP4" in ran.err
    assert "copied" not in ran.err


def test_no_strength_changes_nothing(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "c.mp4", frames=FRAMES, shake=2.0), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out, "--strength", "0", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["changed"] is False
    assert out.read_bytes() == clip.read_bytes()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("clip.mp4", "is the clip itself"),
        ("there.mp4", "is there already"),
        ("out.avi", "does not end with .mp4"),
        ("nowhere/out.mp4", "There is no folder"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_before_any_work(
    tmp_path: Path, caf: Caf, out: str, said: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    ran = caf("stabilize", clip, tmp_path / out)
    assert ran.code == 65
    assert said in ran.err
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "there.mp4"]


def test_a_sheet_that_is_the_written_clip_is_refused(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out, "--sheet", tmp_path / "." / "out.mp4")
    assert ran.code == 65
    assert "are the same file" in ran.err
    assert not out.exists()


def test_a_sheet_on_another_disk_is_written_there(tmp_path: Path, caf: Caf, other_disk: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out, "--sheet", other_disk / "sheet.png")
    assert ran.code == 0, ran.err
    assert out.read_bytes() == clip.read_bytes()
    assert (other_disk / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in other_disk.iterdir()] == ["sheet.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_a_clip_is_kept_when_its_sheet_cannot_be_drawn(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "out.mp4"
    ran = caf("stabilize", clip, out, "--sheet", tmp_path / "sheet.doc")
    assert ran.code == 65
    assert "sheet.doc" in ran.err
    assert out.read_bytes() == clip.read_bytes()


def test_what_is_there_is_replaced_when_it_is_asked_for(tmp_path: Path, caf: Caf) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    assert caf("stabilize", clip, out, "--force").code == 0
    assert out.read_bytes() == clip.read_bytes()


def test_pictures_and_broken_files_are_refused_in_a_sentence_and_leave_nothing(
    tmp_path: Path, caf: Caf
) -> None:
    picture = make_picture(tmp_path / "cat.png")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    for clip, said in (
        (picture, "is a picture"),
        (broken, "broken.mp4"),
        (tmp_path / "gone.mp4", "gone.mp4"),
    ):
        ran = caf("stabilize", clip, tmp_path / "out.mp4")
        assert ran.code == 65, ran.err
        assert said in ran.err
        assert "Traceback" not in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "cat.png"]


@pytest.mark.parametrize("wrong", [("--strength", "2"), ("--max-crop", "0.9")])
def test_a_value_out_of_its_range_is_a_usage_error(tmp_path: Path, caf: Caf, wrong: tuple[str, str]) -> None:
    assert caf("stabilize", tmp_path / "a.mp4", tmp_path / "b.mp4", *wrong).code == 2


@pytest.mark.parametrize("option", ["--strength", "--max-crop"])
def test_a_share_that_is_no_number_is_refused(option: str, tmp_path: Path, caf: Caf) -> None:
    ran = caf("stabilize", tmp_path / "c.mp4", tmp_path / "o.mp4", option, "nan")
    assert ran.code == 2
    assert "nan is not a number" in ran.err


def test_the_end_of_the_terminal_ends_it_with_nothing_left(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=120, shake=2.0)
    end_by_ctrl_c(
        ["stabilize", clip, tmp_path / "out.mp4"], tmp_path, lambda _: at_work(tmp_path), signal.SIGHUP
    )
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_a_killed_one_left_is_removed_by_the_next_and_what_another_uses_is_not(
    tmp_path: Path, caf: Caf
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=120, shake=2.0)
    end_by_ctrl_c(
        ["stabilize", clip, tmp_path / "out.mp4"], tmp_path, lambda _: at_work(tmp_path), signal.SIGKILL
    )
    (left,) = tmp_path.glob(".caf-stabilize-*")
    still = make_clip(tmp_path / "still.mp4", frames=12)
    with scratch_in(tmp_path, "pose") as used:
        assert not left.exists()
        left.mkdir()
        ran = caf("stabilize", still, tmp_path / "out.mp4")
        assert ran.code == 0, ran.err
        assert used.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4", "still.mp4"]


def test_work_that_was_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", frames=24, shake=2.0), tmp_path / "out.mp4"
    ignoring = "import os,signal,sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-m", "caf.cli", "stabilize", clip, out]
    running = subprocess.Popen(
        [sys.executable, "-c", ignoring, *command], stderr=subprocess.PIPE, start_new_session=True
    )
    while not at_work(tmp_path) and running.poll() is None:
        glance_aside()
    os.killpg(running.pid, signal.SIGHUP)
    told = running.communicate(timeout=TIMEOUT_S)[1]
    assert running.returncode == 0, told
    assert out.exists()


def at_work(folder: Path) -> bool:
    """Whether a stage has begun there."""
    return any(folder.glob(".caf-stabilize-*/steady"))
