"""What files may be named, and that they are whole."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caf.errors import InputError, TryAgainError
from caf.media.outputs import check_place, check_places, check_sheet_name, plot_form, write_whole


def test_a_plot_is_a_png_or_an_svg_by_its_ending() -> None:
    assert [plot_form(name) for name in ("a.png", "b/c.svg", "D.PNG", "E.Svg")] == [
        "png",
        "svg",
        "png",
        "svg",
    ]


@pytest.mark.parametrize("name", ["plot.pdf", "plot.jpg", "plot", "png", "svg", "plot.svg.gz"])
def test_any_other_ending_is_refused_with_the_two_that_are_possible(name: str) -> None:
    with pytest.raises(InputError) as refused:
        plot_form(name)
    assert refused.value.kind == "bad_picture_name"
    assert ".png or .svg" in refused.value.remedy


@pytest.mark.parametrize("name", ["sheet.svg", "sheet.jpg", "sheet"])
def test_a_sheet_is_a_png_and_says_so(name: str) -> None:
    with pytest.raises(InputError) as refused:
        check_sheet_name(name)
    assert "only written as a PNG" in refused.value.message
    check_sheet_name("sheet.PNG")


def test_a_place_is_judged_before_there_is_anything_to_write(tmp_path: Path) -> None:
    check_place(tmp_path / "new.png")
    for bad in (tmp_path, tmp_path / "no" / "plot.png"):
        with pytest.raises(InputError) as refused:
            check_place(bad)
        assert refused.value.kind == "not_writable"
        assert str(bad) in refused.value.message


def test_no_place_is_an_input_by_whatever_name_nor_another_place(tmp_path: Path) -> None:
    clip, link, hard = (tmp_path / name for name in ("clip.mp4", "link.png", "hard.png"))
    clip.write_bytes(b"clip")
    link.symlink_to(clip)
    hard.hardlink_to(clip)
    (tmp_path / "folder").mkdir()
    check_places((tmp_path / "a.png", None, tmp_path / "b.png"), (clip, None, tmp_path / "missing.mp4"))
    for name in (clip, link, hard, tmp_path / "folder" / ".." / "clip.mp4"):
        with pytest.raises(InputError, match="would be written over") as refused:
            check_places((tmp_path / "a.png", name), (None, clip))
        assert refused.value.kind == "bad_output"
    with pytest.raises(InputError, match="are the same file"):
        check_places((tmp_path / "a.png", tmp_path / "folder" / ".." / "a.png"), ())
    with pytest.raises(InputError, match="there is no folder"):
        check_places((tmp_path / "no" / "a.png",), (clip,))


def test_a_folder_that_may_not_be_written_to_is_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda place, how: place != tmp_path)  # root may write anywhere
    with pytest.raises(InputError, match="may not be written to"):
        check_place(tmp_path / "plot.png")


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "scores.json"
    place.write_bytes(b"old")
    write_whole(place, b"new")
    assert place.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, "disk_full"), (errno.EACCES, "not_writable")])
def test_what_the_disk_refuses_is_told_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    place = tmp_path / "scores.json"
    place.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises((InputError, TryAgainError)) as refused:
        write_whole(place, b"new")
    assert refused.value.kind == kind
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]


def test_two_processes_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    place = tmp_path / "scores.json"
    many_times = "for _ in range(300): write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    words = [
        sys.executable,
        "-c",
        f"import sys\nfrom pathlib import Path\nfrom caf.media.outputs import *\n{many_times}",
    ]
    both = [subprocess.Popen([*words, str(place), letter]) for letter in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    assert place.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert list(tmp_path.iterdir()) == [place]
