"""`caf doctor` says of everything that caf needs whether it is there, and what to do where it is not."""

import http.server
import json
import os
import sqlite3
import threading
from base64 import b64encode
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from caf import doctor
from caf.config import Config
from caf.daemon.lock import hold_daemon_lock, publish_address
from caf.doctor import machine, place
from tests.cli.conftest import Caf
from tests.qc.onnx_bytes import mean_colours

EVERYTHING = {
    "python",
    "sqlite",
    "compiled",
    "libraries",
    "model",
    "workspace",
    "disk",
    "filesystem",
    "permissions",
    "log",
    "clock",
} | {
    "time_sync",
    "memory",
    "open_files",
    "watches",
    "gpu",
    "comfyui",
    "token",
    "daemon",
    "vmaf",
    "identity_model",
}


def by_name(root: Path, config: Config | None = None) -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor.examine(root, config or Config())}


def test_it_names_what_it_looked_at_and_leaves_no_trace(caf: Caf, tmp_path: Path) -> None:
    done = caf("doctor", "--workspace", str(tmp_path / "new"), "--json")
    found = {one["name"]: one for one in json.loads(done.out)}
    assert set(found) == EVERYTHING
    assert sqlite3.sqlite_version in found["sqlite"]["what"]
    assert done.code == (69 if any(one["verdict"] == "bad" for one in found.values()) else 0)
    assert not (tmp_path / "new").exists()
    told = caf("doctor", "--workspace", str(tmp_path / "new")).out
    for one in found.values():
        assert one["remedy"] in told


def test_every_trouble_comes_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(place.shutil, "disk_usage", lambda place: usage(10, 9, 1))
    monkeypatch.setattr(machine, "missing_system_libraries", lambda: ("libGL.so.1",))
    monkeypatch.setattr(machine.time, "time", lambda: 0.0)
    config = Config(model_path=str(tmp_path / "none.task"))
    found = by_name(tmp_path, config)
    assert {name for name, one in found.items() if one.verdict == "bad"} == {"libraries", "model"}
    assert {name for name, one in found.items() if one.verdict == "warning"} >= {"disk", "clock"}
    assert all(bool(one.remedy) == (one.verdict != "good") for one in found.values())


def test_a_model_that_was_never_fetched_is_a_warning(tmp_path: Path) -> None:
    found = by_name(tmp_path, Config(cache_dir=str(tmp_path / "cache")))
    assert found["model"].verdict == "warning"
    assert "caf models fetch" in found["model"].remedy


def test_what_an_extra_metric_needs_is_only_missed_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    found = by_name(tmp_path)
    assert [found[name].verdict for name in ("vmaf", "identity_model")] == ["good", "good"]
    assert "There is no ffmpeg on PATH" in found["vmaf"].what
    asked = by_name(tmp_path, Config(extra_metrics="vmaf, identity_embedding"))
    assert [asked[name].verdict for name in ("vmaf", "identity_model")] == ["warning", "warning"]


def test_a_model_for_faces_is_told_with_its_input_or_with_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "face.onnx"

    def told(said: str = "") -> tuple[str, str]:
        config = Config(identity_model=str(path), identity_model_input=said)
        found = by_name(tmp_path, config)["identity_model"]
        return found.verdict, found.what

    assert told() == ("warning", f"There is no model {path}.")
    path.write_bytes(b"none")
    assert told() == ("warning", f"{path} is no ONNX model.")
    path.write_bytes(mean_colours())
    assert "32x32 pixels" in told()[1]
    assert told("side=3")[0] == "warning"
    path.write_bytes(mean_colours("any"))
    assert told()[0] == "warning"
    assert told("size=112")[0] == "good"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert by_name(tmp_path / "new")["workspace"].verdict == "bad"
    tmp_path.chmod(0o700)


def test_the_log_is_shown_with_its_size_and_events(small_workspace: Path, tmp_path: Path) -> None:
    assert "no log yet" in by_name(tmp_path)["log"].what
    found = by_name(small_workspace)["log"]
    assert (found.verdict, "MiB, 85 events" in found.what) == ("good", True)


def test_a_log_that_is_none_or_gone_is_bad_and_says_how_to_restore(tmp_path: Path) -> None:
    (tmp_path / ".caf" / "artifacts" / "ab").mkdir(parents=True)
    lost = by_name(tmp_path)["log"]
    assert (lost.verdict, "lost" in lost.what, "docs/operations.md" in lost.remedy) == ("bad", True, True)
    (tmp_path / ".caf" / "log.db").write_bytes(b"garbage " * 400_000)
    garbage = by_name(tmp_path)["log"]
    assert garbage.verdict == "bad"
    assert "3.1 MiB" in garbage.what
    assert "docs/operations.md" in garbage.remedy


def test_a_clock_that_is_before_the_newest_event_is_told(
    small_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_name(small_workspace)["clock"].verdict == "good"
    now = machine.time.time()
    monkeypatch.setattr(machine.time, "time", lambda: now - 7200)
    found = by_name(small_workspace)["clock"]
    assert (found.verdict, "before the log's newest event" in found.what) == ("warning", True)


def test_a_token_that_others_can_read_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123", "ascii")
    token.chmod(0o644)
    config = Config(token_file=str(token))
    found = by_name(tmp_path, config)["permissions"]
    assert (found.verdict, found.remedy) == ("warning", f"chmod 600 {token}")
    token.chmod(0o600)
    assert by_name(tmp_path, config)["permissions"].verdict == "good"


def test_listening_for_others_without_a_token_is_bad_and_the_token_is_never_shown(
    caf: Caf, tmp_path: Path
) -> None:
    root = str(tmp_path)
    bare = caf("doctor", "-w", root, "--json", CAF_LISTEN="0.0.0.0:8765")
    assert bare.code == 69
    [found] = [one for one in bare.json() if one["name"] == "token"]
    assert (found["verdict"], "CAF_TOKEN" in found["remedy"]) == ("bad", True)
    secret = "a-secret-of-some-length"
    safe = caf("doctor", "-w", root, "--json", CAF_LISTEN="0.0.0.0:8765", CAF_TOKEN=secret)
    [found] = [one for one in safe.json() if one["name"] == "token"]
    assert found["verdict"] == "good"
    assert secret not in safe.out + safe.err


def test_the_daemon_is_told_with_its_process_and_whether_it_answers(tmp_path: Path) -> None:
    own = tmp_path / ".caf"
    assert "none serves" in by_name(tmp_path)["daemon"].what
    with answering({"/health": {"ok": True}}) as url, hold_daemon_lock(own):
        publish_address(own, url)
        found = by_name(tmp_path)["daemon"]
        assert (found.verdict, f"process {os.getpid()}" in found.what, url in found.what) == (
            "good",
            True,
            True,
        )
    with hold_daemon_lock(own):
        publish_address(own, url)
        assert by_name(tmp_path)["daemon"].verdict == "warning"


def test_the_comfyui_servers_of_settings_and_job_files_are_asked_and_no_others(tmp_path: Path) -> None:
    none = Config(comfy_urls="")
    assert "no ComfyUI server is set" in by_name(tmp_path, none)["comfyui"].what
    jobs = tmp_path / "sandbox" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "half.job.json").write_text("{", "utf-8")
    stats = {"/system_stats": {"devices": [{"name": "cuda:0 Some Card"}]}}
    with answering(stats) as url, answering(stats) as other:
        (jobs / "first.job.json").write_bytes(msgspec.json.encode({"comfyui": {"base_url": url}}))
        found = by_name(tmp_path, Config(comfy_urls=other))["comfyui"]
        assert (found.verdict, found.what) == (
            "good",
            f"{other}: cuda:0 Some Card; {url}: cuda:0 Some Card",
        )
    gone = by_name(tmp_path, none)["comfyui"]
    assert (gone.verdict, url in gone.what, "base_url" in gone.remedy) == ("warning", True, True)
    (jobs / "first.job.json").unlink()
    assert by_name(tmp_path, Config(comfy_urls=other))["comfyui"].verdict == "warning"


def test_a_server_that_is_no_comfyui_is_told(tmp_path: Path) -> None:
    with answering({"/other": {}}) as url:
        assert "it answers 404" in by_name(tmp_path, Config(comfy_urls=url))["comfyui"].what


def test_a_server_with_a_password_is_asked_with_it_and_shown_without(tmp_path: Path) -> None:
    with answering({"/system_stats": {"devices": [{"name": "cat"}]}}, password="ada:s3cret") as url:
        found = by_name(tmp_path, Config(comfy_urls=url.replace("://", "://ada:s3cret@")))["comfyui"]
        assert (found.verdict, found.what) == ("good", f"{url}: cat")
        other = by_name(tmp_path, Config(comfy_urls=url.replace("://", "://ada:guessed@")))["comfyui"]
    assert other.what == f"no answer from {url} (it answers 401)"


def test_what_is_no_address_and_what_is_no_answer_are_told_as_such(tmp_path: Path) -> None:
    with answering({"/system_stats": "[" * 100_000}) as url:
        found = by_name(tmp_path, Config(comfy_urls=f"{url} gpu-2:8188"))["comfyui"]
    assert found.verdict == "warning"
    assert "gpu-2:8188 (it is no address" in found.what
    assert f"{url} (" in found.what


def test_a_gpu_is_named_as_its_driver_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Some Card, 81559 MiB, 550.1'\n", "utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.gpu().what == "1: Some Card, 81559 MiB, 550.1"
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n", "utf-8")
    broken = machine.gpu()
    assert (broken.verdict, "has failed" in broken.what) == ("warning", True)


def test_too_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda which: (256, 4096))
    found = machine.open_files()
    assert (found.verdict, "LimitNOFILE" in found.remedy) == ("warning", True)


@contextmanager
def answering(answers: dict[str, object], *, password: str = "") -> Iterator[str]:
    """A server on this machine that knows these paths, and tells of them who has the password; a text as it is."""
    wanted = f"Basic {b64encode(password.encode()).decode()}" if password else None

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            answer = answers.get(self.path)
            body = answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)
            let_in = self.headers.get("Authorization") == wanted
            self.send_response(401 if not let_in else 200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("version", "well"), [((3, 11, 7), True), ((3, 12, 1), False), ((3, 13, 0), True)])
def test_a_python_that_never_forgets_a_name_is_told(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], well: bool
) -> None:
    monkeypatch.setattr(machine.sys, "version_info", version)
    found = machine.python()
    assert (found.verdict == "good") == well
    assert ".".join(map(str, version)) in found.what


def test_the_processes_that_share_a_clip_s_poses_count_for_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_memory", lambda: (6 * 1024**3, 6 * 1024**3))
    few = machine.memory(Config(render_lanes=1, workers=1, pose_workers=1))
    many = machine.memory(Config(render_lanes=1, workers=1, pose_workers=9))
    assert (few.verdict, many.verdict) == ("good", "warning")
    assert "8 more for poses" in many.what
    assert "pose_workers" in many.remedy
