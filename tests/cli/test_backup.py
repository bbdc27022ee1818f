"""`caf backup`: a copy that can take the workspace's place, made while it is at work, never half there."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from caf.backup import marker_of
from tests.cli.conftest import TIMEOUT_S, Caf, Ran
from tests.cli.daemon import serving, until
from tests.cli.test_run import lenient
from tests.docs.small_log import COSTUME, STEADY
from tests.support.pause import glance_aside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def begin(workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "caf.cli", *arguments, "--workspace", str(workspace)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_mark_with_damaged_text_is_none(log_of_five: Path, folder: Path, caf: Caf) -> None:
    assert caf("backup", folder).code == 0
    mark = folder / "backup.json"
    written = mark.read_bytes()
    mark.write_bytes(written.replace(b'Z"', b'\xff"'))
    assert mark.read_bytes() != written
    assert marker_of(folder) is None


def test_a_backup_is_marked_verifies_and_holds_every_event_artifact_and_document(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    (log_of_five / "caf.toml").write_text('token_file = "sandbox/token"\n', "utf-8")
    (log_of_five / "sandbox" / "token").write_text("0123456789abcdef", "ascii")
    (log_of_five / "sandbox" / "jobs" / "mine.job.json").write_text("{}", "utf-8")
    (log_of_five / "sandbox" / "cat.mp4").write_bytes(b"a clip")
    made = caf("backup", folder, "--json")
    assert made.code == 0, made
    report = made.json()
    verified = caf("verify", "--workspace", folder, "--json")
    assert (verified.code, verified.json()["problems"]) == (0, [])
    assert report["marker"] == msgspec.json.decode((folder / "backup.json").read_bytes())
    assert report["marker"]["head_digest"] == verified.json()["head_digest"]
    assert caf("events", "--json", "--workspace", folder).out == caf("events", "--json").out
    here, there = files(log_of_five), files(folder)
    kept = [name for name in here if name.startswith((".caf/artifacts/", "sandbox/")) or name == "caf.toml"]
    missing = [name for name in kept if there.get(name) != here[name]]
    # A finished clip is an artifact, and put back from it; a token is nothing for a second place.
    assert sorted(missing) == sorted(
        [name for name in here if name.startswith("sandbox/output/") and name.endswith(".mp4")]
        + ["sandbox/token"]
    )
    assert (folder / ".caf" / "log.db").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_says_how_to_prove_and_to_restore_it(caf: Caf, log_of_five: Path, folder: Path) -> None:
    made = caf("backup", folder)
    assert (made.code, made.out.strip()) == (0, str(folder))
    assert f"caf verify --workspace {folder}" in made.err
    assert "Restore it:" in made.err


def test_a_second_backup_copies_only_what_is_new(caf: Caf, log_of_five: Path, folder: Path) -> None:
    first = caf("backup", folder, "--json").json()
    assert first["copied_artifacts"] == first["marker"]["artifacts"] > 0
    old = {path: path.stat().st_ino for path in (folder / ".caf" / "artifacts").rglob("*")}
    assert caf("answer", COSTUME, "abort").code == 0
    (log_of_five / "sandbox" / "jobs" / "mine.job.json").write_text("{}", "utf-8")
    second = caf("backup", folder, "--json").json()
    assert (second["copied_artifacts"], second["copied_documents"]) == (0, 1)
    assert second["marker"]["events"] > first["marker"]["events"]
    assert {path: path.stat().st_ino for path in old} == old
    assert caf("verify", "--workspace", folder).code == 0
    assert caf("events", "--json", "--workspace", folder).out == caf("events", "--json").out


def test_linked_artifacts_are_the_same_files_and_survive_the_workspace(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    assert caf("backup", folder, "--link").code == 0
    [one, *_] = [path for path in (folder / ".caf" / "artifacts").rglob("*") if path.is_file()]
    assert one.samefile(log_of_five / one.relative_to(folder))
    shutil.rmtree(log_of_five)
    assert caf("verify", "--workspace", folder).code == 0


def test_archives_of_the_log_come_along(caf: Caf, log_of_five: Path, folder: Path) -> None:
    assert caf("backup", folder).code == 0
    assert caf("archive", "old.db", "--over-for", "0").code == 0
    assert caf("backup", folder).code == 0
    assert caf("verify", "--workspace", folder).code == 0
    assert caf("events", STEADY, "--json", "--workspace", folder).out == caf("events", STEADY, "--json").out


def test_backups_and_proofs_beside_a_working_daemon_are_whole_and_disturb_nothing(
    caf: Caf, workspace: Path, folder: Path, clip: Path, tmp_path: Path
) -> None:
    policy = lenient(tmp_path)
    counts = []
    with serving(workspace):
        jobs = [
            begin(
                workspace,
                "submit",
                str(clip),
                "--job-id",
                f"served-{number}",
                "--policy",
                str(policy),
                "--wait",
            )
            for number in (1, 2)
        ]
        while any(job.poll() is None for job in jobs):
            made = caf("backup", folder, "--json")
            if "no_workspace" in made.out:  # the daemon has not been told anything yet
                continue
            assert made.code == 0, made
            counts.append(made.json()["marker"]["events"])
            for root in (folder, workspace):
                proved = caf("verify", "--json", "--workspace", root)
                assert (proved.code, proved.json()["problems"]) == (0, [])
        assert [job.returncode for job in jobs] == [0, 0]
        last = caf("backup", folder, "--json").json()["marker"]["events"]
    assert counts == sorted(counts)
    assert counts[0] < last


def test_a_lost_workspace_is_restored_from_its_backup_and_its_jobs_go_on(
    caf: Caf, workspace: Path, folder: Path, clip: Path, tmp_path: Path
) -> None:
    policy = lenient(tmp_path)
    with serving(workspace) as daemon:
        for number in (1, 2):
            ran = caf("submit", clip, "--job-id", f"lost-{number}", "--policy", policy)
            assert ran.code == 0, ran
        until(lambda: "StageCompleted" in caf("events", "lost-1", "--json").out, "a stage of the first job")
        assert caf("backup", folder).code == 0
        daemon.kill()
        daemon.wait(TIMEOUT_S)
    shutil.rmtree(workspace)
    restored = tmp_path / "restored"
    shutil.copytree(folder, restored)
    assert caf("verify", "--workspace", restored).code == 0
    done = caf("resume", "lost-1", "--workspace", restored)
    assert done.code == 0, done
    with serving(restored):
        until(lambda: status(caf, "lost-2", restored) == "completed", "the other job to be completed")
    assert (restored / "sandbox" / "output" / "lost-1" / "final.mp4").is_file()
    assert caf("verify", "--workspace", restored).code == 0


def status(caf: Caf, job: str, root: Path) -> str:
    listed = caf("jobs", "--json", "--workspace", root)
    assert listed.code == 0, listed
    return {row["job_id"]: row["status"] for row in listed.json()}[job]


MOMENTS = (
    "backup.lock",
    ".caf/.log.db.next.new-*",
    ".caf/log.db.next",
    ".caf/artifacts/*/*",
    "sandbox",
    "backup.next.json",
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_backup_that_was_killed_is_never_taken_for_one_and_the_next_is_whole(
    caf: Caf, log_of_five: Path, folder: Path, moment: str
) -> None:
    killed_when(moment, log_of_five, folder)
    if not (folder / "backup.json").exists():
        assert not (folder / ".caf" / "log.db").exists() or (folder / "backup.next.json").exists()
    again = caf("backup", folder)
    assert again.code == 0, again
    assert caf("verify", "--workspace", folder).code == 0
    left = [
        path.name for path in folder.rglob("*") if ".next" in path.name or path.name.startswith(".backup-")
    ]
    assert left == []


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_while_one_is_being_made_the_backup_before_it_stands(
    caf: Caf, log_of_five: Path, folder: Path, moment: str
) -> None:
    assert caf("backup", folder).code == 0
    assert caf("cancel", COSTUME).code == 0
    killed_when(moment, log_of_five, folder)
    assert caf("verify", "--workspace", folder).code == 0
    assert caf("backup", folder).code == 0
    assert caf("verify", "--workspace", folder).code == 0
    assert caf("events", "--json", "--workspace", folder).out == caf("events", "--json").out


def killed_when(moment: str, workspace: Path, folder: Path) -> None:
    """SIGKILL a backup as soon as there is such a file, unless it ended before."""
    before = there(folder, moment)
    process = begin(workspace, "backup", str(folder))
    while process.poll() is None:
        if any(before.get(path) != changed for path, changed in there(folder, moment).items()):
            break
        glance_aside()
    process.send_signal(signal.SIGKILL)
    process.wait(TIMEOUT_S)


def there(folder: Path, moment: str) -> dict[Path, int]:
    """Such files, and when each was changed; none where one is renamed away at this very moment."""
    try:
        return {path: path.stat().st_mtime_ns for path in folder.glob(moment)}
    except OSError:
        return {}


def foreign_files(caf: Caf, folder: Path) -> None:
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"a picture")


def of_another_log(caf: Caf, folder: Path) -> None:
    other = folder.with_name("other")
    assert caf("rebuild", "--workspace", other).code == 0
    assert caf("pause", "--workspace", other).code == 0
    assert caf("backup", folder, "--workspace", other).code == 0


def worked_in_since(caf: Caf, folder: Path) -> None:
    assert caf("backup", folder).code == 0
    assert caf("cancel", COSTUME, "--workspace", folder).code == 0


@pytest.mark.parametrize(
    ("prepared", "word"),
    [(foreign_files, "other things"), (of_another_log, "another log"), (worked_in_since, "have run since")],
)
def test_what_is_no_earlier_backup_of_this_log_is_never_written_over(
    caf: Caf, log_of_five: Path, folder: Path, prepared: Callable[[Caf, Path], None], word: str
) -> None:
    prepared(caf, folder)
    before = {
        name: content
        for name, content in files(folder).items()
        if not name.endswith((".lock", "-shm", "-wal"))
    }
    refused = caf("backup", folder)
    assert (refused.code, word in refused.err) == (65, True), refused
    after = files(folder)
    assert {name: after.get(name) for name in before} == before


def test_a_workspace_that_lost_its_log_does_not_take_the_backup_with_it(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    assert caf("backup", folder).code == 0
    for path in (log_of_five / ".caf").glob("log.db*"):
        path.unlink()
    assert caf("pause").code == 0  # begins a new log
    refused = caf("backup", folder)
    assert (refused.code, "lost events" in refused.err) == (65, True)
    assert caf("verify", "--workspace", folder).code == 0


def test_a_folder_that_is_part_of_the_workspace_is_refused(caf: Caf, log_of_five: Path) -> None:
    for place in (log_of_five, log_of_five.parent, log_of_five / ".caf" / "b", log_of_five / "sandbox" / "b"):
        assert caf("backup", place).code == 65


def test_an_artifact_that_the_workspace_has_lost_is_told_and_all_else_is_kept(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    one, two, *_ = sorted(path for path in (log_of_five / ".caf" / "artifacts").rglob("*") if path.is_file())
    one.unlink()
    two.write_bytes(b"other bytes")
    made = caf("backup", folder, "--json")
    assert made.code == 1
    problems = made.json()["problems"]
    assert [word in " ".join(problems) for word in ("is missing", "has not the digest")] == [True, True]
    assert len(problems) == 2
    proved = caf("verify", "--json", "--workspace", folder)
    assert len([text for text in proved.json()["problems"] if "is missing" in text]) == 2


def test_what_the_workspace_lost_later_stays_in_the_backup(caf: Caf, log_of_five: Path, folder: Path) -> None:
    assert caf("backup", folder).code == 0
    shutil.rmtree(log_of_five / ".caf" / "artifacts")
    assert caf("backup", folder).code == 0
    assert caf("verify", "--workspace", folder).code == 0


def test_a_copy_whose_end_was_cut_off_does_not_verify(caf: Caf, log_of_five: Path, folder: Path) -> None:
    assert caf("backup", folder).code == 0
    old = (folder / ".caf" / "log.db").read_bytes()
    assert caf("cancel", COSTUME).code == 0
    assert caf("backup", folder).code == 0
    (folder / ".caf" / "log.db").write_bytes(old)
    assert caf("verify", "--workspace", folder).code == 1


def test_a_disk_that_is_full_is_told_and_the_backup_before_stands(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    assert caf("backup", folder).code == 0
    (log_of_five / "sandbox" / "large.mp4").write_bytes(bytes(2_000_000))
    full = limited(log_of_five, folder, kibibytes=1000)
    assert (full.code, "no room" in full.err, "backup of before stands" in full.err) == (75, True, True), full
    assert caf("verify", "--workspace", folder).code == 0
    assert caf("backup", folder).code == 0
    assert (folder / "sandbox" / "large.mp4").stat().st_size == 2_000_000


def limited(workspace: Path, folder: Path, *, kibibytes: int) -> Ran:
    """A backup that may write no larger file, as a disk that is full at that point."""
    backup = [sys.executable, "-m", "caf.cli", "backup", str(folder), "--workspace", str(workspace)]
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f {kibibytes}; exec "$@"', "caf", *backup],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_two_backups_into_one_folder_do_not_meet(caf: Caf, log_of_five: Path, folder: Path) -> None:
    both = [begin(log_of_five, "backup", str(folder)) for _ in range(2)]
    codes = sorted(one.wait(TIMEOUT_S) for one in both)
    assert codes in ([0, 0], [0, 75])
    assert caf("verify", "--workspace", folder).code == 0


def test_what_was_a_file_and_is_a_folder_now_and_the_other_way_round_is_backed_up_as_it_is_now(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    sandbox = log_of_five / "sandbox"
    (sandbox / "cat").write_bytes(b"one clip")
    (sandbox / "dogs").mkdir()
    (sandbox / "dogs" / "old.mp4").write_bytes(b"a dog")
    assert caf("backup", folder).code == 0
    (sandbox / "cat").unlink()
    (sandbox / "cat").mkdir()
    (sandbox / "cat" / "new.mp4").write_bytes(b"a clip of many")
    shutil.rmtree(sandbox / "dogs")
    (sandbox / "dogs").write_bytes(b"one dog")
    again = caf("backup", folder, "--json")
    assert again.code == 0, again
    assert (folder / "sandbox" / "cat" / "new.mp4").read_bytes() == b"a clip of many"
    assert (folder / "sandbox" / "dogs").read_bytes() == b"one dog"


def test_a_clip_and_an_artifact_that_the_disk_does_not_give_are_told_and_all_else_is_kept(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    bad = Path("/proc/self/mem")  # a file whose first byte cannot be read: EIO, as of a broken disk
    (log_of_five / "sandbox" / "cat.mp4").symlink_to(bad)
    [lost, *_] = [path for path in (log_of_five / ".caf" / "artifacts").rglob("*") if path.is_file()]
    lost.unlink()
    lost.symlink_to(bad)
    made = caf("backup", folder, "--json")
    assert made.code == 1, made
    assert [lost.name in told or "cat.mp4" in told for told in made.json()["problems"]] == [True, True]
    linked = caf("backup", folder.with_name("linked"), "--link", "--json")
    assert (linked.code, len(linked.json()["problems"])) == (1, 2), linked


def test_what_lies_behind_a_linked_folder_is_in_the_backup(
    caf: Caf, log_of_five: Path, folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "disk" / "clips"
    elsewhere.mkdir(parents=True)
    (elsewhere / "cat.mp4").write_bytes(b"a clip")
    (elsewhere / "round").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(log_of_five)
    (log_of_five / "sandbox" / "clips").symlink_to(elsewhere)
    made = caf("backup", folder)
    assert made.code == 0, made
    assert (folder / "sandbox" / "clips" / "cat.mp4").read_bytes() == b"a clip"


def test_a_folder_that_cannot_be_read_is_told_and_all_else_is_kept(
    caf: Caf, log_of_five: Path, folder: Path
) -> None:
    (log_of_five / "sandbox" / "cat.mp4").write_bytes(b"a clip")
    deep = os.open(log_of_five / "sandbox", os.O_RDONLY)
    for _ in range(20):  # longer than a path may be
        os.mkdir("d" * 240, dir_fd=deep)
        inner = os.open("d" * 240, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    made = caf("backup", folder, "--json")
    assert made.code == 1, made
    [told] = made.json()["problems"]
    assert "cannot be read: File name too long" in told
    assert (folder / "sandbox" / "cat.mp4").read_bytes() == b"a clip"
