"""eventsourcing as its tutorial has it: aggregates, application.save, a runner that feeds a follower."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.system import MultiThreadedRunner, ProcessApplication, System

from bench.log.events import PER_STREAM
from bench.log.peers.eventsourcing_pool import make_durable
from bench.log.raw import timed
from bench.log.subject import NotOffered, Subject, rate_of_threads

PAGE = 1000
PACE_S = 0.002
_SHAS = ["ab" * 32, "cd" * 32, "ef" * 32]
_FACTS = {"frames": 300.0, "shift_px": 1.25, "rotation_deg": 0.031, "strength": 0.85}


class Job(Aggregate):
    """An aggregate whose events carry about 400 bytes."""

    def __init__(self) -> None:
        self.duration_ms = 0

    @event("StageCompleted")
    def complete(
        self,
        stage: str,
        attempt_id: str,
        duration_ms: int,
        engine: str,
        artifacts: list[str],
        facts: dict[str, float],
    ) -> None:
        """One more stage."""
        self.duration_ms += duration_ms


class Jobs(Application):
    """What is written."""


class Reader(ProcessApplication):
    """What follows: its policy is the handler."""

    seen = threading.Event()
    handled = 0.0

    def policy(self, domain_event: Any, processing_event: Any) -> None:
        """Note when it came."""
        Reader.handled = time.perf_counter()
        Reader.seen.set()


def _complete(job: Any, number: int) -> None:
    job.complete(
        stage="motion",
        attempt_id="run-0001",
        duration_ms=number,
        engine="local 0.1.0",
        artifacts=_SHAS,
        facts=_FACTS,
    )


def _environment(path: Path) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(path),
        "SQLITE_LOCK_TIMEOUT": "60",
    }


def _application(folder: Path, synchronous: str) -> Any:
    made = Jobs(env=_environment(folder / "es.db"))
    make_durable(made.factory.datastore, synchronous)
    return made


class Save(Subject):
    """eventsourcing, application.save."""

    title = "eventsourcing, application.save"
    distribution = "eventsourcing"

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        application = _application(folder, synchronous)
        jobs = [Job() for _ in range(writers)]

        def write(writer: int, version: int) -> None:
            _complete(jobs[writer], version)
            application.save(jobs[writer])

        try:
            application.save(*jobs)
            return rate_of_threads(writers, seconds, write)
        finally:
            application.close()

    def fill(self, folder: Path, count: int) -> int:
        application = _application(folder, "OFF")
        for start in range(0, count, PER_STREAM):
            job = Job()
            for number in range(start + 1, min(start + PER_STREAM, count)):
                _complete(job, number)
            application.save(job)
        application.close()
        with closing(sqlite3.connect(folder / "es.db")) as connection:
            (size,) = connection.execute("SELECT sum(length(state)) FROM stored_events").fetchone()
        return int(size)

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        application = _application(folder, "OFF")
        recorder, mapper = application.recorder, application.mapper

        def events() -> int:
            done = 0
            while page := recorder.select_notifications(start=done + 1, limit=PAGE):
                for notification in page:
                    mapper.to_domain_event(notification)
                done += len(page)
            return done

        with closing(sqlite3.connect(folder / "es.db")) as connection:
            found = connection.execute("SELECT DISTINCT originator_id FROM stored_events").fetchall()
        ids = [recorder.convert_originator_id(one) for (one,) in found]

        def aggregates() -> int:
            return sum(application.repository.get(one).version for one in ids)

        try:
            return {"decode": timed(events, count), "aggregates": timed(aggregates, count)}
        finally:
            application.close()

    def delivery(self, folder: Path, synchronous: str, count: int, busy: bool) -> dict[str, list[float]]:
        if busy:
            raise NotOffered("not on the loop")
        environment = _environment(folder / "jobs.db")
        environment["READER_SQLITE_DBNAME"] = str(folder / "reader.db")
        delays: list[float] = []
        with MultiThreadedRunner(System(pipes=[[Jobs, Reader]]), env=environment) as runner:
            jobs = runner.get(Jobs)
            for application in (jobs, runner.get(Reader)):
                make_durable(application.factory.datastore, synchronous)
            job = Job()
            for number in range(count + 1):
                time.sleep(PACE_S)
                _complete(job, number)
                Reader.seen.clear()
                begun = time.perf_counter()
                jobs.save(job)
                assert Reader.seen.wait(20), "no event came"
                if number:
                    delays.append((Reader.handled - begun) * 1000)
        return {"eventsourcing-save": delays}
