"""The daemon's start: one a workspace, and none on a log that is no log."""

import random
from pathlib import Path

import pytest

from tests.crash.daemon import Daemon, until
from tests.crash.place import document
from tests.crash.proof import Acknowledged, problems_of

RACES = 4


def test_of_two_daemons_started_at_once_exactly_one_serves(place: Path) -> None:
    with Daemon(place) as first, Daemon(place) as second:
        for _ in range(RACES):
            first.start()
            second.start()
            until(lambda: not (first.lives and second.lives), "one of the two to give way")
            one, other = (first, second) if first.lives else (second, first)
            one.wait_ready()
            assert one.ask("GET", "/api/v1/status").status == 200
            assert not other.lives
            one.kill()
        assert "Another daemon serves this workspace" in first.last_words()


@pytest.mark.parametrize("wrong", ["garbage", "half", "empty"])
def test_a_log_that_is_no_log_is_refused_with_the_way_back_and_left_as_it_is(
    daemon: Daemon, chance: random.Random, wrong: str
) -> None:
    place = daemon.workspace
    (place / "sandbox" / "jobs" / "before-0001.job.json").write_bytes(
        document("before-0001", clip="six.mp4", policy="lenient")
    )
    daemon.start()
    daemon.wait_ready()
    daemon.rest()
    daemon.stop()
    log = place / ".caf" / "log.db"
    good = log.read_bytes()
    bad = {"garbage": chance.randbytes(len(good)), "half": good[: len(good) // 2], "empty": b""}[wrong]
    log.write_bytes(bad)
    daemon.start()
    until(lambda: not daemon.lives, "the daemon to refuse")
    told = daemon.last_words()
    assert "Traceback" not in told
    assert "backup" in told
    assert "docs/operations.md" in told
    assert log.read_bytes() == bad
    log.write_bytes(good)  # put back, as from a backup
    daemon.start()
    daemon.wait_ready()
    daemon.rest()
    assert daemon.stop() == 0
    assert problems_of(place, Acknowledged(submitted=["before-0001"])) == []
