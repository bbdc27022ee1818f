"""The artifact store: content under its digest, whole or not there, and mended by doing it again."""

import errno
import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from caf.artifacts import ArtifactStore, write_atomically
from caf.errors import InputError, TryAgainError
from caf.events import Artifact
from caf.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def file_of(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def take_in(store: ArtifactStore, source: Path) -> Artifact:
    """By way of a folder of its own, as every stage has one."""
    return store.take_in(source, "source", Path(tempfile.mkdtemp(dir=source.parent)))


def left_over(store: ArtifactStore) -> list[str]:
    return [path.name for path in store.root.rglob("*") if path.is_file() and path.name.startswith(".")]


def test_a_copy_is_found_under_its_digest_and_the_original_stays(
    store: ArtifactStore, tmp_path: Path
) -> None:
    source = file_of(tmp_path / "clip.MP4", b"frames" * 500_000)
    artifact = take_in(store, source)
    assert artifact.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (artifact.role, artifact.bytes, artifact.suffix) == ("source", 3_000_000, ".mp4")
    assert store.path(artifact.sha256) == store.root / artifact.sha256[:2] / artifact.sha256[2:]
    assert store.path(artifact.sha256).read_bytes() == source.read_bytes()
    assert store.verify(artifact) is None
    assert left_over(store) == []


def test_an_adopted_file_is_moved_in(store: ArtifactStore, tmp_path: Path) -> None:
    made = file_of(tmp_path / "out" / "frames.mkv", b"made")
    artifact = store.adopt(made, "frames")
    assert not made.exists()
    assert store.path(artifact.sha256).read_bytes() == b"made"


def test_the_same_content_twice_is_one_file(store: ArtifactStore, tmp_path: Path) -> None:
    first = take_in(store, file_of(tmp_path / "a.mp4", b"same"))
    second = store.adopt(file_of(tmp_path / "b.mp4", b"same"), "source")
    assert first == second
    assert len([path for path in store.root.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("damage", [b"sane", b"cut", b""])
def test_a_damaged_file_is_named_and_mended_by_doing_the_work_again(
    store: ArtifactStore, tmp_path: Path, damage: bytes
) -> None:
    artifact = take_in(store, file_of(tmp_path / "a.mp4", b"same"))
    store.path(artifact.sha256).write_bytes(damage)
    problem = store.verify(artifact)
    assert problem is not None
    assert str(store.path(artifact.sha256)) in problem
    store.adopt(file_of(tmp_path / "again.mp4", b"same"), "source")
    assert store.verify(artifact) is None


def test_a_missing_file_is_told(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = take_in(store, file_of(tmp_path / "a.mp4", b"same"))
    store.path(artifact.sha256).unlink()
    assert "is missing" in (store.check(artifact) or "")
    assert "is missing" in (store.verify(artifact) or "")


def test_an_export_replaces_what_was_there_as_a_whole(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = take_in(store, file_of(tmp_path / "a.mp4", b"new"))
    target = file_of(tmp_path / "output" / "final.mp4", b"older and longer")
    store.export(artifact.sha256, target)
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["final.mp4"]
    assert store.verify(artifact) is None


@pytest.mark.parametrize("damage", [b"bad", b"ne", None])
def test_what_is_damaged_is_never_exported(
    store: ArtifactStore, tmp_path: Path, damage: bytes | None
) -> None:
    artifact = take_in(store, file_of(tmp_path / "a.mp4", b"new"))
    target = file_of(tmp_path / "output" / "final.mp4", b"older and longer")
    if damage is None:
        store.path(artifact.sha256).unlink()
    else:
        store.path(artifact.sha256).write_bytes(damage)
    with pytest.raises(InputError, match="artifact"):
        store.export(artifact.sha256, target)
    assert target.read_bytes() == b"older and longer"
    assert [path.name for path in target.parent.iterdir()] == ["final.mp4"]


def test_a_check_sees_a_change_of_the_same_size_also_after_it_was_content(
    store: ArtifactStore, tmp_path: Path
) -> None:
    artifact = take_in(store, file_of(tmp_path / "a.mp4", b"same"))
    path = store.path(artifact.sha256)
    assert store.check(artifact) is None
    assert store.check(artifact) is None
    path.write_bytes(b"sane")
    os.utime(path, ns=(1, 1))
    assert "has the digest" in (store.check(artifact) or "")
    path.write_bytes(b"same")
    assert store.check(artifact) is None


async def test_several_writers_of_one_content_leave_it_whole(store: ArtifactStore, tmp_path: Path) -> None:
    sources = [file_of(tmp_path / f"{number}.mp4", b"x" * 100_000) for number in range(8)]
    async with anyio.create_task_group() as group:
        for source in sources:
            group.start_soon(anyio.to_thread.run_sync, take_in, store, source)
    [only] = [path for path in store.root.rglob("*") if path.is_file()]
    assert only.read_bytes() == b"x" * 100_000


@pytest.mark.parametrize(
    ("number", "error", "kind"),
    [
        (errno.ENOSPC, TryAgainError, "disk_full"),
        (errno.EDQUOT, TryAgainError, "disk_full"),
        (errno.EROFS, InputError, "workspace_read_only"),
        (errno.EACCES, InputError, "workspace_read_only"),
    ],
)
def test_what_the_disk_says_becomes_a_sentence_and_nothing_half_written_stays(
    store: ArtifactStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    kind: str,
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    source = file_of(tmp_path / "a.mp4", b"frames")
    target = file_of(tmp_path / "doc" / "report.json", b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    for work in (lambda: take_in(store, source), lambda: write_atomically(target, b"new")):
        with pytest.raises(error) as refusal:
            work()
        assert getattr(refusal.value, "kind", None) == kind
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]
    assert left_over(store) == []


def test_a_job_is_worked_on_by_one_at_a_time_and_its_leavings_are_swept(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    left = file_of(workspace.own / "tmp" / "cat-01.frame.abc" / "half.mkv", b"half").parent
    other = file_of(workspace.own / "tmp" / "cat-02.frame.abc" / "half.mkv", b"half").parent
    with workspace.working_on("cat-01"):
        assert not left.exists()
        assert other.exists()
        with (
            pytest.raises(TryAgainError, match="Another process is working on job cat-01"),
            workspace.working_on("cat-01"),
        ):
            pass
        with workspace.working_on("cat-02"):
            assert not other.exists()
    with workspace.working_on("cat-01"):
        pass


def test_who_works_on_a_job_leaves_no_lock_behind_and_nobody_gets_in_beside_him(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    workspace.prepare()
    inside: list[int] = []
    turns: list[int] = []

    def worker(me: int) -> None:
        while turns.count(me) < 60:
            with suppress(TryAgainError), workspace.working_on("cat-01"):
                inside.append(me)
                assert inside == [me]
                os.sched_yield()
                assert inside == [me]
                turns.append(inside.pop())

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(worker, range(4)))
    assert len(turns) == 240
    killed = file_of(workspace.own / "locks" / "cat-02", b"")
    workspace.sweep()
    assert not killed.exists()
    assert list((workspace.own / "locks").iterdir()) == []


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Workspace(file_of(tmp_path / "ws", b"")).prepare()


def test_an_original_that_may_not_be_read_is_not_taken_for_a_bad_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_of(tmp_path / "private.mp4", b"mine")
    opened = Path.open

    def denied(path: Path, *given: Any, **more: Any) -> Any:
        if path == source:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *given, **more)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError):
        take_in(ArtifactStore(tmp_path / "artifacts"), source)
