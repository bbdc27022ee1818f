"""What docs/decisions/0009 says of the dependencies."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
BENCH_LOCK = (ROOT / "requirements-bench.lock").read_text("utf-8")


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


def declared(*groups: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", one)[0] for group in groups for one in group}


@pytest.mark.parametrize("lock", [LOCK, BENCH_LOCK], ids=["product", "bench"])
def test_the_lock_has_hashes_and_no_hosts(lock: str) -> None:
    assert "://" not in lock
    pinned = [part for part in re.split(r"^(?=[a-z0-9._-]+==)", lock, flags=re.MULTILINE) if "==" in part]
    assert len(pinned) == len(names(lock))
    assert [part.partition("==")[0] for part in pinned if "--hash=sha256:" not in part] == []


def test_every_declared_dependency_is_locked() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    product = declared(project["dependencies"], *project["optional-dependencies"].values(), groups["dev"])
    assert product - set(names(LOCK)) == set()
    assert declared(groups["bench"]) - set(names(BENCH_LOCK)) == set()
    assert set(groups) == {"dev", "bench"}


def test_the_benchmark_measures_with_the_versions_that_the_product_has() -> None:
    product, bench = (set(re.findall(r"^(\S+==\S+)", lock, re.MULTILINE)) for lock in (LOCK, BENCH_LOCK))
    shared = set(names(LOCK)) & set(names(BENCH_LOCK))
    assert {"anyio", "msgspec"} <= shared
    assert {one for one in bench if one.partition("==")[0] in shared} <= product
