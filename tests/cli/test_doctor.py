"""`caf doctor` says of everything that caf needs whether it is there, and what to do where it is not."""

import json
import os
import sqlite3
from collections import namedtuple
from pathlib import Path

import pytest

from caf import doctor
from caf.config import Config
from tests.cli.conftest import Caf


def by_name(root: Path, config: Config | None = None) -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor.examine(root, config or Config())}


def test_it_names_what_it_looked_at_and_leaves_no_trace(caf: Caf, tmp_path: Path) -> None:
    done = caf("doctor", "--workspace", str(tmp_path / "new"), "--json")
    found = {one["name"]: one for one in json.loads(done.out)}
    assert set(found) == {"python", "sqlite", "libraries", "model", "workspace", "disk", "log", "clock"}
    assert sqlite3.sqlite_version in found["sqlite"]["what"]
    assert done.code == (69 if any(one["verdict"] == "bad" for one in found.values()) else 0)
    assert not (tmp_path / "new").exists()
    told = caf("doctor", "--workspace", str(tmp_path / "new")).out
    for one in found.values():
        assert one["remedy"] in told


def test_every_trouble_comes_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage(10, 9, 1))
    monkeypatch.setattr(doctor, "missing_system_libraries", lambda: ("libGL.so.1",))
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    config = Config(model_path=str(tmp_path / "none.task"))
    found = by_name(tmp_path, config)
    assert {name for name, one in found.items() if one.verdict == "bad"} == {"libraries", "model"}
    assert {name for name, one in found.items() if one.verdict == "warning"} >= {"disk", "clock"}
    assert all(bool(one.remedy) == (one.verdict != "good") for one in found.values())


def test_a_model_that_was_never_fetched_is_a_warning(tmp_path: Path) -> None:
    found = by_name(tmp_path, Config(cache_dir=str(tmp_path / "cache")))
    assert found["model"].verdict == "warning"
    assert "caf models fetch" in found["model"].remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert by_name(tmp_path / "new")["workspace"].verdict == "bad"
    tmp_path.chmod(0o700)


def test_the_log_is_shown_with_its_size(tmp_path: Path) -> None:
    assert "no log yet" in by_name(tmp_path)["log"].what
    (tmp_path / ".caf").mkdir()
    (tmp_path / ".caf" / "log.db").write_bytes(bytes(3 * 1024 * 1024))
    assert "3.0 MiB" in by_name(tmp_path)["log"].what
