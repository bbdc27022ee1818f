"""eventsourcing's SQLite recorder: the lowest layer that it offers, fed with bytes that are encoded already."""

import uuid
from pathlib import Path
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from bench.log.events import DECODE, ENCODE, PER_STREAM, event
from bench.log.peers.eventsourcing_pool import make_durable
from bench.log.raw import timed
from bench.log.subject import Subject, rate_of_threads

PAGE = 1000


def _recorder(folder: Path, synchronous: str) -> Any:
    datastore = SQLiteDatastore(db_name=str(folder / "es.db"), lock_timeout=60)
    make_durable(datastore, synchronous)
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    return recorder


def _stored(stream: uuid.UUID, version: int, number: int) -> tuple[Any, int]:
    made = event(number)
    data = ENCODE(made)
    return StoredEvent(
        originator_id=stream, originator_version=version, topic=type(made).__name__, state=data
    ), len(data)


class Recorder(Subject):
    """eventsourcing, SQLite recorder."""

    title = "eventsourcing, SQLite recorder"
    distribution = "eventsourcing"

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        recorder = _recorder(folder, synchronous)
        streams = [uuid.uuid4() for _ in range(writers)]

        def write(writer: int, version: int) -> None:
            recorder.insert_events([_stored(streams[writer], version, version + writer)[0]])

        try:
            return rate_of_threads(writers, seconds, write)
        finally:
            recorder.datastore.close()

    def fill(self, folder: Path, count: int) -> int:
        recorder = _recorder(folder, "OFF")
        size = 0
        for start in range(0, count, PER_STREAM):
            stream = uuid.uuid4()
            made = [
                _stored(stream, number, number) for number in range(start, min(start + PER_STREAM, count))
            ]
            size += sum(length for _, length in made)
            recorder.insert_events([one for one, _ in made])
        recorder.datastore.close()
        return size

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        recorder = _recorder(folder, "OFF")

        def pages(decode: bool) -> int:
            done = 0
            while page := recorder.select_notifications(start=done + 1, limit=PAGE):
                if decode:
                    for notification in page:
                        DECODE(notification.state)
                done += len(page)
            return done

        try:
            return {
                "select": timed(lambda: pages(False), count),
                "decode": timed(lambda: pages(True), count),
            }
        finally:
            recorder.datastore.close()
