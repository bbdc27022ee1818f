"""The chain is what its definition says, and verify finds where a log was tampered with."""

import hashlib
import sqlite3
import uuid
from pathlib import Path

import msgspec
import pytest

from eventstore import MemoryLog, NewEvent, SqliteStore, VerifyReport, Witness
from eventstore.chain import SEGMENT, Chain, encode_frame, frame_of
from tests.eventstore.support import collect, events, new, raw

MOVE_UP = "UPDATE events SET position = position - 1 WHERE position > 40"
COUNT = 1_500
"""More than one slice of verify."""


def test_the_digest_of_a_known_event_never_changes() -> None:
    log = MemoryLog(clock_ms=lambda: 1_700_000_000_123)
    log.append(
        "job-ä",
        [
            NewEvent(event_id="0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01", type="JobSubmitted", data=b'{"a":1}'),
            NewEvent(
                event_id="0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a02",
                type="StageCompleted",
                type_version=300,
                data=b"\x00" * 70_000,
                correlation_id="job-ä",
                causation_id="0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01",
                metadata=b"{}",
            ),
        ],
    )
    assert [event.digest.hex() for event in log.read_all()] == ["48fa4267dbdfa9d2", "bc6fadffc986b672"]
    assert log.verify().head_digest.hex() == (
        "bc6fadffc986b67274d5715ed9d0339876db12034fb420c58c71166d9747db7b"
    )


def test_the_chain_can_be_recomputed_from_its_definition() -> None:
    log = MemoryLog()
    for _ in range(SEGMENT):
        log.append("job-a", [new(b"x", correlation_id="t", metadata=b"{}"), new(causation_id="c")])
    log.append("job-a", [new(causation_id=str(uuid.uuid4()))])
    before, frames, digest = bytes(32), b"", b""
    for event in log.read_all():
        cause: object = event.causation_id
        if event.causation_id not in (None, "c"):
            cause = uuid.UUID(event.causation_id).bytes
        frame = [event.position, event.stream, event.version, uuid.UUID(event.event_id).bytes, event.type]
        frame += [event.type_version, event.correlation_id, cause, event.recorded_at_ms]
        frames += msgspec.msgpack.encode([*frame, event.metadata, event.data])
        digest = hashlib.sha256(before + frames).digest()
        assert event.digest == digest[:8]
        if event.position % 256 == 0:
            before, frames = digest, b""
    report = log.verify()
    assert report.ok
    assert report.head_digest == digest


async def write(path: Path) -> None:
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-a", events(COUNT // 2))
        await store.append("job-b", [new(b"%d" % n, correlation_id="t") for n in range(COUNT // 2)])


def tamper(path: Path, *statements: str) -> None:
    """As somebody would who knows SQL and owns the file."""
    connection = raw(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def verified(path: Path, witness: Witness | None = None) -> VerifyReport:
    async with SqliteStore.open(path, read_only=True) as store:
        return await store.verify(witness=witness)


@pytest.mark.parametrize(
    ("statements", "position"),
    [
        (["UPDATE events SET data = x'00' WHERE position = 1"], 1),
        (["UPDATE events SET data = substr(data, 2) WHERE position = 1200"], 1200),
        (["UPDATE events SET metadata = x'20' WHERE position = 1500"], 1500),
        (["UPDATE events SET recorded_at_ms = recorded_at_ms + 1 WHERE position = 700"], 700),
        (["UPDATE events SET event_id = randomblob(16) WHERE position = 3"], 3),
        (["UPDATE events SET causation_id = 'x' WHERE position = 3"], 3),
        (["UPDATE events SET digest = zeroblob(32) WHERE position = 1001"], 1001),
        (["UPDATE events SET digest = zeroblob(8) WHERE position = 1001"], 1001),
        (["UPDATE events SET digest = substr(digest, 1, 8) WHERE position = 1024"], 1024),
        (["UPDATE events SET digest = CAST(digest || x'00' AS BLOB) WHERE position = 1001"], 1001),
        (["UPDATE streams SET name = 'job-c' WHERE name = 'job-b'"], 751),
        (["UPDATE types SET type = 'Other'"], 1),
        (["UPDATE types SET type_version = 2"], 1),
        (["UPDATE correlations SET correlation_id = 'u'"], 751),
        (["DELETE FROM correlations"], 751),
        (["DELETE FROM streams WHERE name = 'job-b'"], 751),
        (["UPDATE events SET event_id = x'00' WHERE position = 9"], 9),
        (["DELETE FROM events WHERE position = 1000"], 1000),
        (["DELETE FROM events WHERE position = 1"], 1),
        (["DELETE FROM events WHERE position = 40", MOVE_UP], 40),
        (
            [
                "UPDATE events SET position = -1 WHERE position = 5",
                "UPDATE events SET position = 5 WHERE position = 6",
                "UPDATE events SET position = 6 WHERE position = -1",
            ],
            5,
        ),
    ],
)
async def test_verify_names_the_first_position_that_was_tampered_with(
    tmp_path: Path, statements: list[str], position: int
) -> None:
    path = tmp_path / "log.db"
    await write(path)
    assert (await verified(path)).ok
    tamper(path, "PRAGMA ignore_check_constraints = ON", *statements)
    report = await verified(path)
    assert report.fault is not None
    assert report.fault.position == position
    assert report.events == position - 1
    assert report.fault.what.endswith(".")


async def test_a_flipped_byte_of_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    marker = b"a payload that can be found in the file"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", [*events(20), new(marker), *events(20)])
    whole = bytearray(path.read_bytes())
    whole[whole.index(marker) + 5] ^= 1
    path.write_bytes(whole)
    report = await verified(path)
    assert report.fault is not None
    assert report.fault.position == 21


async def test_a_destroyed_page_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        for _ in range(30):
            await store.append("job-a", [new(b"y" * 1000) for _ in range(10)])
    with sqlite3.connect(path) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    whole = bytearray(path.read_bytes())
    middle = pages // 2 * 8192
    whole[middle : middle + 8192] = bytes(8192)
    path.write_bytes(whole)
    report = await verified(path)
    assert report.fault is not None
    assert 0 < report.fault.position <= 300


async def test_a_tail_that_was_cut_off_shows_against_a_witness(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path)
    whole = await verified(path)
    witness = Witness(position=whole.events, digest=whole.head_digest)
    assert (await verified(path, witness)).ok
    tamper(path, f"DELETE FROM events WHERE position > {COUNT - 10}")
    assert (await verified(path)).ok
    report = await verified(path, witness)
    assert report.fault is not None
    assert report.fault.position == COUNT - 9


async def test_a_tail_that_was_rewritten_with_a_new_chain_shows_against_a_witness(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path)
    async with SqliteStore.open(path) as store:
        log = await collect(store.read_all())
    witness = Witness(position=COUNT - 2, digest=log[COUNT - 3].digest)
    statements = ["UPDATE events SET data = x'21' WHERE position = 1490"]
    chain = Chain()
    for event in log:
        changed = msgspec.structs.replace(event, data=b"!") if event.position == 1490 else event
        (stored,) = chain.extend([encode_frame(frame_of(changed))])
        if event.position >= 1490:
            statements.append(
                f"UPDATE events SET digest = x'{stored.hex()}' WHERE position = {event.position}"
            )
    tamper(path, *statements)
    assert (await verified(path)).ok
    report = await verified(path, witness)
    assert report.fault is not None
    assert report.fault.position == COUNT - 2
    assert "rewritten" in report.fault.what
