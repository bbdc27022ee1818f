"""A daemon under load that is killed again and again at moments that a seed chooses, and then left in peace."""

import contextlib
import http.client
import random
import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from tests.crash.daemon import Daemon, caf, head, until
from tests.crash.place import CLIPS, POLICIES, document
from tests.crash.proof import Acknowledged, problems_of

__all__ = ["Ordeal", "Tally"]

MOST_WAITING_S: Final = 3.0
MOST_EVENTS: Final = 25
LATEST_S: Final = 8.0
GONE: Final = (OSError, http.client.HTTPException)
"""What a request that was cut off raises; whether it was done is open then."""


class Tally(Struct):
    """What was done."""

    kills: int = 0
    child_kills: int = 0
    acknowledged: int = 0
    cut_off: int = 0
    """Requests that were not answered, because the daemon was killed meanwhile."""


class Ordeal:
    """Rounds of load and a kill on one workspace."""

    def __init__(self, workspace: Path, seed: int) -> None:
        self.workspace = workspace
        self.daemon = Daemon(workspace)
        self.chance = random.Random(seed)
        self.acknowledged = Acknowledged()
        self.tally = Tally()
        self.certain = 0
        """The last position that was on disk when something was acknowledged."""
        self._again: list[tuple[str, dict[str, Any]]] = []
        """Submissions whose answer did not come: they are made again under their keys."""
        self._wrong: list[str] = []
        self._count = 0

    def run(self, kills: int) -> list[str]:
        """Kill so often, come to rest, and say everything that is wrong."""
        with self.daemon:
            for _ in range(kills):
                self.one_round()
            return self.come_to_rest()

    def one_round(self) -> None:
        """Start, load, kill."""
        chance, daemon = self.chance, self.daemon
        daemon.start()
        how = chance.random()
        if how < 0.08:  # while it starts
            begun_s, wait_s = time.monotonic(), chance.uniform(0, 1.2)
            until(lambda: time.monotonic() - begun_s > wait_s or not daemon.lives, "the moment")
        else:
            daemon.wait_ready()
            with self._load():
                self._wait_for_the_moment(by_time=how < 0.5)
                self._kill()
        if daemon.lives:
            self._kill()

    def come_to_rest(self) -> list[str]:
        """Let the daemon end all work, stop it, and say everything that is wrong."""
        daemon = self.daemon
        daemon.start()
        daemon.wait_ready()
        while self._again:
            self._submit_by_http(*self._again.pop())
        self._unpause()
        daemon.rest()
        problems = [*self._wrong, *problems_of(self.workspace, self.acknowledged, daemon)]
        status = daemon.stop()
        if status != 0:
            problems.append(f"the daemon ended with {status}: {daemon.last_words()}")
        return problems

    @contextlib.contextmanager
    def _load(self) -> Any:
        """People at work beside the daemon, until they are done or it is gone."""
        seed = self.chance.getrandbits(64)
        people = threading.Thread(target=self._people, args=(random.Random(seed),))
        people.start()
        try:
            yield
        finally:
            people.join()

    def _people(self, chance: random.Random) -> None:
        again, self._again = self._again, []
        try:
            self._unpause()  # in case that the kill came between pausing and unpausing
            while again:
                self._submit_by_http(*again.pop())
            for _ in range(chance.randint(0, 4)):
                self._do_something(chance)
        except GONE:
            self.tally.cut_off += 1
        except Exception as fault:  # noqa: BLE001 - told at the end, with all else that is wrong
            self._wrong.append(f"{type(fault).__name__}: {fault}; {self.daemon.last_words()}")
        self._again += again

    def _do_something(self, chance: random.Random) -> None:
        self._count += 1
        name = f"job-{self._count:05}"
        said = document(
            name,
            clip=chance.choice(CLIPS),
            policy=chance.choice(POLICIES),
            strength=round(chance.uniform(0, 1), 2) if chance.random() < 0.5 else None,
        )
        match chance.choices(("http", "drop", "cli", "pause", "other"), (40, 30, 4, 4, 22))[0]:
            case "http":
                from_json: dict[str, Any] = {
                    "document": msgspec.json.decode(said),
                    "priority": chance.randint(-2, 2),
                }
                self._submit_by_http(f"key-{name}", from_json)
            case "drop":
                self._drop(name, said, chance)
            case "cli":
                file = self.workspace.with_name(f"{name}.job.json")
                file.write_bytes(said)
                done = caf(self.workspace, "submit", "--job", str(file))
                if done.returncode == 0:
                    self._note(name)
            case "pause":
                assert self.daemon.ask("POST", "/api/v1/queue/pause", {"reason": "ordeal"}).status == 200
                self._unpause()
            case _:
                self._command(chance)

    def _submit_by_http(self, key: str, body: dict[str, Any]) -> None:
        try:
            answer = self.daemon.ask("POST", "/api/v1/jobs", body, key=key)
        except GONE:
            self._again.append((key, body))
            raise
        if answer.status == 503:  # the child that looked at the clip was killed, say: not now
            self._again.append((key, body))
            return
        assert answer.status in (200, 201), answer
        self._note(answer.body["job_id"])

    def _unpause(self) -> None:
        assert self.daemon.ask("POST", "/api/v1/queue/unpause", {}).status == 200

    def _note(self, job_id: str) -> None:
        self.acknowledged.submitted.append(job_id)
        self._was_acknowledged()

    def _drop(self, name: str, said: bytes, chance: random.Random) -> None:
        """As a copying program does it: at once, or in two pieces."""
        path = self.workspace / "sandbox" / "jobs" / f"{name}.job.json"
        cut = chance.randint(1, len(said)) if chance.random() < 0.5 else len(said)
        with path.open("wb", buffering=0) as file:
            file.write(said[:cut])
            file.write(said[cut:])
        self._note(name)

    def _command(self, chance: random.Random) -> None:
        jobs = self.daemon.ask("GET", "/api/v1/jobs?limit=50").body["jobs"]
        if not jobs:
            return
        row = chance.choice(jobs)
        place = f"/api/v1/jobs/{row['job_id']}"
        if row["status"] == "waiting":
            action = chance.choice(("proceed", "proceed", "retry", "abort"))
            self._tell(f"{place}/answer", {"action": action, "by": "ordeal"}, row, "EscalationAnswered")
        elif row["status"] in ("submitted", "running") and chance.random() < 0.3:
            self._tell(f"{place}/cancel", {"by": "ordeal"}, row, "JobCancelled")
        elif row["status"] in ("completed", "cancelled", "aborted"):
            answer = self.daemon.ask("POST", f"{place}/retry", {"from_stage": "motion", "by": "ordeal"})
            if answer.status == 201:
                self._note(answer.body["job_id"])

    def _tell(self, path: str, body: dict[str, Any], row: dict[str, Any], event: str) -> None:
        answer = self.daemon.ask("POST", path, body)
        if answer.status == 200:
            self.acknowledged.recorded.append((row["job_id"], event))
            self._was_acknowledged()

    def _was_acknowledged(self) -> None:
        self.tally.acknowledged += 1
        self.certain = max(self.certain, head(self.workspace))

    def _wait_for_the_moment(self, *, by_time: bool) -> None:
        chance = self.chance
        begun_s, wait_s = time.monotonic(), chance.uniform(0, MOST_WAITING_S)
        due = head(self.workspace) + chance.randint(1, MOST_EVENTS)

        def is_here() -> bool:
            waited_s = time.monotonic() - begun_s
            return waited_s > wait_s if by_time else waited_s > LATEST_S or head(self.workspace) >= due

        until(is_here, "the moment to kill")

    def _kill(self) -> None:
        chance, daemon = self.chance, self.daemon
        if chance.random() < 0.2 and daemon.kill_child(chance):
            self.tally.child_kills += 1
            self._wait_for_the_moment(by_time=True)
        if chance.random() < 0.3:
            daemon.kill_all()
        else:
            daemon.kill()
        self.tally.kills += 1
