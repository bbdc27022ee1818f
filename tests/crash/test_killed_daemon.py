"""`caf serve` under load, killed at moments that chance chooses; `make crash` does the same hundreds of times."""

import random
from pathlib import Path

from tests.crash.daemon import Daemon, until
from tests.crash.ordeal import Ordeal
from tests.crash.place import document
from tests.crash.proof import Acknowledged, problems_of

KILLS = 7


def test_a_daemon_killed_again_and_again_under_load_loses_nothing_and_doubles_nothing(
    place: Path, chance: random.Random
) -> None:
    ordeal = Ordeal(place, chance.getrandbits(32))
    assert ordeal.run(KILLS) == []
    assert ordeal.tally.kills == KILLS


def test_a_child_that_is_killed_costs_a_job_nothing_but_time(daemon: Daemon, chance: random.Random) -> None:
    said = document("child-0001", clip="six.mp4", policy="lenient")
    daemon.start()
    daemon.wait_ready()
    (daemon.workspace / "sandbox" / "jobs" / "child-0001.job.json").write_bytes(said)
    until(lambda: daemon.kill_child(chance), "a child to be killed")
    daemon.rest()
    assert daemon.ask("GET", "/api/v1/jobs/child-0001").body["job"]["status"] == "completed"
    assert problems_of(daemon.workspace, Acknowledged(submitted=["child-0001"]), daemon) == []


def test_a_daemon_that_is_killed_leaves_no_child_and_no_lock(daemon: Daemon) -> None:
    said = document("alone-0001", clip="eight.mp4", policy="lenient")
    (daemon.workspace / "sandbox" / "jobs" / "alone-0001.job.json").write_bytes(said)
    daemon.start()
    daemon.wait_ready()
    until(lambda: bool(daemon.children()), "a child")
    daemon.kill()  # which waits for the children's end too
    daemon.start()
    daemon.wait_ready()
    daemon.rest()
    assert daemon.stop() == 0
    assert problems_of(daemon.workspace, Acknowledged(submitted=["alone-0001"])) == []
