"""The daemon's event loop never waits: not for disks, documents, children, nor for whoever asks."""

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.daemon.serving import STRICT, Daemon, calling, document, fresh_clip, serving

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells how long a thread waited for a processor"
)

LARGE: Final = [{"number": number, "words": "x" * 130} for number in range(6_000)]
"""As large as a document may be, in about as many parts as it may have; they are what takes long to read."""
MANY: Final = [{"number": number, "words": "x" * 20} for number in range(20_000)]
"""Too many."""
ROUNDS: Final = 6
LIMIT_S: Final = 0.050
"""What one callback may take."""


def ask(url: str, method: str, path: str, body: object = None) -> int:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=120)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def read_everything(url: str, job_id: str) -> None:
    for path in (
        "/api/v1/jobs",
        "/api/v1/jobs?limit=500",
        f"/api/v1/jobs/{job_id}",
        f"/api/v1/jobs/{job_id}/artifacts",
        f"/api/v1/jobs/{job_id}/events",
        "/api/v1/events?limit=500",
        "/api/v1/escalations",
        "/api/v1/status",
        "/api/v1/openapi.json",
        "/metrics",
        "/health",
        "/ready",
    ):
        assert ask(url, "GET", path) in (200, 404, 503), path


def hostile(url: str) -> None:
    """What is refused, but must be read for that."""
    deep: Any = []
    for _ in range(90):
        deep = [deep]
    for body in (
        {"document": {"job_id": "large-but-wrong", "x": LARGE}},
        {"document": {"deep": deep}},
        LARGE,
    ):
        assert 400 <= ask(url, "POST", "/api/v1/jobs", body) < 500


def traffic(daemon: Daemon, url: str) -> None:
    """Everything at once that people, tools and programs do to a daemon."""
    for number in range(ROUNDS):
        daemon.drop(f"dropped-{number:02}", **(STRICT if number % 3 else {}), junk=LARGE, fresh=True)
        clip = fresh_clip(daemon.workspace, "short.mp4")
        body = {"document": {**document(f"posted-{number:02}", clip), "junk": LARGE}}
        assert ask(url, "POST", "/api/v1/jobs", body) == 201
        hostile(url)
        read_everything(url, f"posted-{number:02}")
        (daemon.workspace / "sandbox" / "inbox" / f"broken-{number}.json").write_text(json.dumps(LARGE)[:-5])
        daemon.drop(f"too-many-{number:02}", junk=MANY)


WITNESSED: Final = """
import asyncio, json, time
from tests.daemon.watched import Witness

async def gives_way():
    await asyncio.sleep(0.2)
    await asyncio.to_thread(time.sleep, 0.2)

async def sleeps():
    time.sleep(0.2)

async def computes():
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass

witness = Witness()
witness.install()
found = {}
for work in (gives_way, sleeps, computes):
    asyncio.run(work())
    found[work.__name__] = [item["what"] for item in witness.slow]
    witness.slow.clear()
print(json.dumps(found))
"""


def test_the_witness_sees_what_blocks_and_nothing_that_gives_way() -> None:
    ran = subprocess.run([sys.executable, "-c", WITNESSED], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found["gives_way"] == []
    assert ["sleeps" in what for what in found["sleeps"]] == [True]
    assert ["computes" in what for what in found["computes"]] == [True]


def test_no_callback_of_the_loop_takes_more_than_50_ms_while_everything_happens(
    prepared: Path, tmp_path: Path
) -> None:
    # A host that takes its processors away makes any callback long; what the daemon does wrong it does again.
    for attempt in ("once", "again"):
        slow = slow_callbacks(shutil.copytree(prepared, tmp_path / attempt), tmp_path / f"{attempt}.json")
        if not slow:
            return
    pytest.fail(
        "\n\n".join(
            f"{found['took_s']} s ({found['wall_s']} s by the clock): {found['what']}\n{''.join(found['where'])}"
            for found in slow
        )
    )


def slow_callbacks(workspace: Path, report: Path) -> list[dict[str, Any]]:
    """Those of a daemon to which everything happens at once, as the witness has them."""
    with serving(workspace, module="tests.daemon.watched", WATCHED=str(report)) as daemon:
        url = next(state for state in daemon.notified if "http" in state).rpartition(" ")[2]
        daemon.drop("warms-up", "long.mp4", fresh=True)
        daemon.until_over("warms-up")
        begun_s = time.monotonic()
        with calling(workspace, "backup", str(report.with_suffix(".copy"))) as backup:
            traffic(daemon, url)
            backup.communicate()
        assert backup.returncode == 0
        for number in range(ROUNDS):
            daemon.until(
                lambda name=f"posted-{number:02}": "JobCompleted" in daemon.types(name),  # type: ignore[misc]
                f"posted-{number:02} is over",
            )
        assert daemon.stop() == 0
    told = json.loads(report.read_text())
    assert told["callbacks"] > 1000
    assert told["settled"] > 20_000, "what stays until the end is looked at by every collection of garbage"
    return [found for found in told["slow"] if found["at_s"] >= begun_s and found["took_s"] > LIMIT_S]
