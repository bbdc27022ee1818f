"""The wall clock is set back under a daemon at work: nothing is lost, nothing waits for the hour to pass again."""

from itertools import pairwise
from pathlib import Path

import anyio
import msgspec
import pytest

from tests.crash.daemon import Daemon
from tests.crash.place import document
from tests.crash.proof import Acknowledged, entries_of, problems_of

HOUR_MS = 3_600_000


def test_jobs_go_on_when_the_clock_is_set_back_an_hour(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back = place.with_name("back")
    monkeypatch.setenv("CAF_TEST_BACK", str(back))
    said = Acknowledged()
    with Daemon(place, launcher=("-m", "tests.crash.backwards")) as daemon:
        for life in range(2):
            daemon.start()
            daemon.wait_ready()
            for number in range(4):
                if (life, number) == (0, 2):
                    back.touch()
                name = f"clock-{life}-{number:04}"
                body = {"document": {**_document(name, "lenient" if number % 2 else "repairing")}}
                assert daemon.ask("POST", "/api/v1/jobs", body, key=name).status == 201
                said.submitted.append(name)
            if life == 0:
                daemon.kill()
        daemon.rest()
        assert daemon.stop() == 0
    assert problems_of(place, said) == []
    jobs = anyio.run(entries_of, place)
    times = sorted(
        (entry.recorded.position, entry.recorded.recorded_at_ms) for job in jobs.values() for entry in job
    )
    jumps = [before - after for (_, before), (_, after) in pairwise(times)]
    assert max(jumps) > HOUR_MS // 2, "the clock was not set back under it"


def _document(name: str, policy: str) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(document(name, clip="six.mp4", policy=policy))
    return found
