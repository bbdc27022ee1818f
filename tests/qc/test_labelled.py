"""A folder of sorted clips, and what is no such folder."""

import os
from pathlib import Path

import pytest

from caf.errors import InputError
from caf.qc.labelled import labelled_clips


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    return folder


def refused(folder: Path) -> InputError:
    with pytest.raises(InputError) as found:
        labelled_clips(folder)
    assert found.value.kind == "bad_layout"
    assert "FOLDER/good" in found.value.remedy
    assert "FOLDER/bad/METRIC" in found.value.remedy
    return found.value


def test_clips_are_found_by_their_label_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "good/b.mp4", "good/a.png", "bad/c.mp4", "bad/glitch/a.mp4", "bad/freeze/z.mp4")
    assert [(clip.name, clip.good, clip.only) for clip in labelled_clips(tmp_path)] == [
        ("good/a.png", True, None),
        ("good/b.mp4", True, None),
        ("bad/c.mp4", False, None),
        ("bad/freeze/z.mp4", False, "freeze"),
        ("bad/glitch/a.mp4", False, "glitch"),
    ]


def test_hidden_files_and_what_lies_beside_are_not_meant(tmp_path: Path) -> None:
    touch(
        tmp_path, "good/.DS_Store", "good/a.mp4", "bad/.cache/b.mp4", "bad/c.mp4", "notes.txt", "other/d.mp4"
    )
    assert [clip.name for clip in labelled_clips(tmp_path)] == ["good/a.mp4", "bad/c.mp4"]


def test_a_source_is_found_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.mp4", "good/b.mp4", "bad/glitch/a.mp4", "source/a.mp4")
    source = tmp_path / "source" / "a.mp4"
    assert [clip.source for clip in labelled_clips(tmp_path)] == [source, None, source]


def test_a_link_to_a_source_that_is_gone_is_not_the_same_as_no_source(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.mp4", "bad/b.mp4", "source/x.mp4")
    (tmp_path / "source" / "a.mp4").symlink_to("gone.mp4")
    assert labelled_clips(tmp_path)[0].source == tmp_path / "source" / "a.mp4"


@pytest.mark.parametrize("gone", [True, False])
def test_sources_that_lie_in_no_folder_are_refused(tmp_path: Path, gone: bool) -> None:
    touch(tmp_path, "good/a.mp4", "bad/b.mp4", "elsewhere")
    (tmp_path / "source").symlink_to("gone" if gone else "elsewhere")
    assert str(tmp_path / "source") in refused(tmp_path).message


def test_bad_clips_may_be_missing(tmp_path: Path) -> None:
    (touch(tmp_path, "good/a.mp4") / "bad").mkdir()
    assert len(labelled_clips(tmp_path)) == 1


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no folder"),
        (("good/a.mp4",), "bad"),
        (("bad/a.mp4",), "good"),
        (("bad/a.mp4", "good/.hidden"), "no clip"),
        (("good/a.mp4", "bad/beauty/b.mp4"), "beauty names no metric"),
        (("good/a.mp4", "bad/glitch/more/b.mp4"), "more is a folder"),
        (("good/more/a.mp4", "bad/b.mp4"), "more is a folder"),
        (("good", "bad/b.mp4"), "cannot be read as a folder"),
    ],
)
def test_another_layout_is_refused_with_the_one_that_is_expected(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    assert said in refused(touch(tmp_path, *names)).message


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "nowhere").message


def test_a_name_that_is_no_text_is_shown_as_text(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.mp4", "bad/b.mp4")
    odd = os.fsdecode(b"\xff.mp4")
    (tmp_path / "good" / odd).write_bytes(b"x")
    names = [clip.name for clip in labelled_clips(tmp_path)]
    assert "good/\\xff.mp4" in names
