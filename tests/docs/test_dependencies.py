"""What docs/decisions/0009 says of the dependencies."""

import re
import tomllib
from pathlib import Path

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements.lock").read_text("utf-8")


def names(lock: str) -> list[str]:
    return re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)


def test_there_is_one_opencv() -> None:
    assert [name for name in names(LOCK) if name.startswith("opencv")] == ["opencv-contrib-python"]
    declared = [name for name in PROJECT["project"]["dependencies"] if name.startswith("opencv")]
    assert declared == ["opencv-contrib-python>=4.14,<5"]


def test_the_installed_opencv_still_has_the_cat_face_cascade() -> None:
    import cv2

    folder = Path(cv2.__file__).parent / "data"
    assert (folder / "haarcascade_frontalcatface_extended.xml").is_file()


def test_the_lock_has_hashes_and_no_hosts() -> None:
    assert "://" not in LOCK
    pinned = [part for part in re.split(r"^(?=[a-z0-9._-]+==)", LOCK, flags=re.MULTILINE) if "==" in part]
    assert len(pinned) == len(names(LOCK))
    assert [part.partition("==")[0] for part in pinned if "--hash=sha256:" not in part] == []


def test_every_declared_dependency_is_locked() -> None:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups += PROJECT["dependency-groups"].values()
    declared = {re.split(r"[<>=]", one)[0] for group in groups for one in group}
    assert declared - set(names(LOCK)) == set()
