"""The disk is full or read-only under a daemon at work: it says so, loses nothing, and goes on afterwards."""

import subprocess
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec
import pytest

from tests.crash.daemon import Answer, Daemon, until
from tests.crash.disk import filesystem, filled, memory_disk, mounted, run
from tests.crash.place import document, prepare
from tests.crash.proof import Acknowledged, problems_of

MEGABYTES = 48


def submit(daemon: Daemon, name: str) -> Answer:
    data = document(name, clip="six.mp4", policy="lenient", strength=0.1 + len(name) / 1000)
    return daemon.ask("POST", "/api/v1/jobs", {"document": msgspec.json.decode(data)}, key=name)


def is_ready(daemon: Daemon) -> int:
    return daemon.ask("GET", "/ready").status


def test_a_full_disk_is_said_and_nothing_is_lost_and_all_goes_on_with_room(
    tmp_path: Path, media: Path
) -> None:
    said = Acknowledged()
    with memory_disk(tmp_path / "small", MEGABYTES) as disk:
        place = prepare(disk / "place", media)
        with Daemon(place) as daemon:
            daemon.said = tmp_path / "said"
            daemon.start()
            daemon.wait_ready()
            for name in ("before-0001", "before-0002", "before-0003"):
                assert submit(daemon, name).status == 201
                said.submitted.append(name)
            with ExitStack() as fillers:
                for number in count(1):
                    fillers.enter_context(filled(disk))
                    refused_id = f"refused-{number:04}"
                    refused = submit(daemon, refused_id)
                    if refused.status != 201:
                        break
                    said.submitted.append(refused_id)  # what runs has given room back in between
                assert refused.status == 503
                assert refused.body["error"]["kind"] == "disk_full"
                assert refused.body["error"]["remedy"]
                until(lambda: is_ready(daemon) == 503, "the daemon to say that it is not ready")
                assert daemon.ask("GET", "/health").status == 200
                assert daemon.ask("GET", "/api/v1/jobs/before-0001").status == 200
            assert submit(daemon, refused_id).status == 201  # the very same, under its key
            assert submit(daemon, "after-00001").status == 201
            said.submitted += [refused_id, "after-00001"]
            until(lambda: is_ready(daemon) == 200, "the daemon to be ready again")
            daemon.rest()
            assert daemon.ask("GET", "/api/v1/jobs/before-0003").body["job"]["status"] == "completed"
            assert problems_of(place, said, daemon) == []
            assert daemon.stop() == 0


def test_a_daemon_killed_on_a_full_disk_starts_again_or_says_why_not(tmp_path: Path, media: Path) -> None:
    said = Acknowledged(submitted=["before-0001"])
    with memory_disk(tmp_path / "small", MEGABYTES) as disk:
        place = prepare(disk / "place", media)
        with Daemon(place) as daemon:
            daemon.said = tmp_path / "said"
            daemon.start()
            daemon.wait_ready()
            assert submit(daemon, "before-0001").status == 201
            with filled(disk):
                daemon.kill()
                daemon.start()
                until(lambda: not daemon.lives or daemon.is_ready(), "an end or a start")
                if not daemon.lives:
                    assert "no room" in daemon.last_words() or "full" in daemon.last_words()
                    assert "Traceback" not in daemon.last_words()
                else:
                    daemon.kill()
            daemon.start()
            daemon.wait_ready()
            daemon.rest()
            assert problems_of(place, said, daemon) == []
            assert daemon.stop() == 0


def test_a_disk_that_turns_read_only_is_said_and_nothing_is_lost_once_it_was_mended(
    tmp_path: Path, media: Path
) -> None:
    image = filesystem(tmp_path / "disk.img")
    said = Acknowledged(submitted=["before-0001"])
    with mounted(image, tmp_path / "live", "-o", "loop") as disk:
        place = prepare(disk / "place", media)
        run("sync", "-f", disk)
        with Daemon(place) as daemon:
            daemon.said = tmp_path / "said"
            daemon.start()
            daemon.wait_ready()
            assert submit(daemon, "before-0001").status == 201
            try:
                run("mount", "-o", "remount,abort", disk)  # what ext4 does by itself when the device fails
            except subprocess.CalledProcessError as fault:
                pytest.skip(f"this kernel aborts no file system: {fault.stderr!r}")
            refused = submit(daemon, "refused-0001")
            assert refused.status == 503
            assert refused.body["error"]["remedy"]
            until(lambda: is_ready(daemon) == 503, "the daemon to say that it is not ready")
            assert daemon.ask("GET", "/health").status == 200
            daemon.stop()
            assert "Traceback" not in daemon.last_words()
    subprocess.run(["e2fsck", "-f", "-y", image], check=False, capture_output=True)
    with mounted(image, tmp_path / "again", "-o", "loop") as disk:
        place = disk / "place"
        with Daemon(place) as daemon:
            daemon.said = tmp_path / "said-again"
            daemon.start()
            daemon.wait_ready()
            assert submit(daemon, "refused-0001").status == 201
            daemon.rest()
            said.submitted.append("refused-0001")
            assert problems_of(place, said, daemon) == []
            assert daemon.stop() == 0
