"""The power goes out under a daemon at work: what it had acknowledged is there, and the rest is done again."""

import random
import shutil
from pathlib import Path

import msgspec

from tests.crash.daemon import Daemon, head, until
from tests.crash.disk import cut_wal, filesystem, mounted, run, stopped
from tests.crash.ordeal import Ordeal
from tests.crash.place import CLIPS, POLICIES, document, prepare
from tests.crash.proof import Acknowledged, problems_of

KILLS = 4
CUTS = 2


def test_a_log_whose_end_never_came_to_the_disk_is_gone_on_with(place: Path, chance: random.Random) -> None:
    ordeal = Ordeal(place, chance.getrandbits(32))
    lost = 0
    with ordeal.daemon:
        for _ in range(KILLS):
            ordeal.one_round()
            lost += cut_wal(place / ".caf" / "log.db", ordeal.certain, chance)
        assert ordeal.come_to_rest() == []
    assert lost > 0, "the cuts took nothing"


def test_what_was_acknowledged_survives_a_power_cut_of_the_disk(
    tmp_path: Path, media: Path, chance: random.Random
) -> None:
    image = filesystem(tmp_path / "disk.img")
    said = Acknowledged()
    cuts: list[tuple[Path, list[str]]] = []
    with mounted(image, tmp_path / "live", "-o", "loop") as disk:
        place = prepare(disk / "place", media)
        run("sync", "-f", disk)
        with Daemon(place) as daemon:
            daemon.start()
            daemon.wait_ready()
            for number in range(CUTS):
                for turn in range(2):
                    name = f"power-{number}-{turn:04}"
                    data = document(name, clip=chance.choice(CLIPS), policy=chance.choice(POLICIES))
                    body = {"document": msgspec.json.decode(data)}
                    assert daemon.ask("POST", "/api/v1/jobs", body, key=name).status == 201
                    said.submitted.append(name)
                due = head(place) + chance.randint(0, 12)
                until(lambda due=due: head(place) >= due or daemon.is_at_rest(), "the moment")  # type: ignore[misc]
                with stopped(daemon):
                    copy = tmp_path / f"cut-{number}.img"
                    shutil.copyfile(image, copy)
                    cuts.append((copy, list(said.submitted)))
    for copy, submitted in cuts:
        with mounted(copy, copy.with_suffix(""), "-o", "loop") as disk, Daemon(disk / "place") as daemon:
            daemon.start()
            daemon.wait_ready()
            daemon.rest()
            assert daemon.stop() == 0, daemon.last_words()
            assert problems_of(disk / "place", Acknowledged(submitted=submitted)) == []
        copy.unlink()
