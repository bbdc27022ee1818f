"""Makes the golden log of today's schema: `python -m tests.eventstore.golden.make`, once for each SCHEMA_VERSION.

A file that is committed is never made again: it stands for the logs that people have.
"""

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Final

import msgspec

from eventstore import Checkpoint, NewEvent, SqliteStore, _ids
from eventstore._schema import SCHEMA_VERSION

__all__ = ["ARCHIVE", "golden_log", "golden_text"]

HERE: Final = Path(__file__).parent
ARCHIVE: Final = "log-{}-archive.db"


def golden_log(version: int) -> Path:
    """The log of a schema version."""
    return HERE / f"log-{version}.db"


def golden_text(version: int) -> Path:
    """What is in it, in JSON: events, checkpoints, and the head's digest."""
    return HERE / f"log-{version}.json"


def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def _events() -> list[tuple[str, list[NewEvent]]]:
    """Every shape that an event can be stored in, and more than one segment of the chain."""
    made: list[tuple[str, list[NewEvent]]] = []
    for number in range(450):
        cause = (None, _id(number - 1), _id(10_000), "a person", _id(number))[number % 5]
        event = NewEvent(
            event_id=_id(number),
            type=("Happened", "Geschehen", "\u4e8b\u4ef6")[number % 3],
            type_version=1 + number % 2,
            data=(b'{"n":%d}' % number, b"", bytes(range(256)))[number % 3 if number % 50 else 1],
            correlation_id=(None, "thread", "\u7dda-1")[number % 3],
            causation_id=cause,
            metadata=b'{"by":"golden"}' if number % 7 == 0 else b"",
        )
        made.append((("job-a", "job-\u00e4", "diary", "done-1")[number % 4], [event]))
    return made


async def _make(version: int) -> None:
    path = golden_log(version)
    if path.exists():
        sys.exit(f"{path} is there already; it stands for the logs that people have.")
    # So that ids are in runs of three levels, and in a filter that is kept.
    vars(_ids).update(STEP=1)
    ticks = iter(range(1_700_000_000_000, 1_800_000_000_000, 1_001))
    async with SqliteStore.open(path, clock_ms=lambda: next(ticks)) as store:
        for stream, events in _events():
            await store.append(stream, events)
        await store.save_checkpoint(Checkpoint(consumer="qc/\u00e4", position=123))
        await store.archive(["done-1"], ARCHIVE.format(version))
        found = {
            "events": [event async for event in store.read_all()],
            "checkpoints": {"qc/\u00e4": await store.checkpoint("qc/\u00e4")},
            "head_digest": (await store.verify()).head_digest,
        }
    golden_text(version).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    for file in HERE.glob("*.db-lock"):
        file.unlink()


if __name__ == "__main__":
    asyncio.run(_make(SCHEMA_VERSION))
