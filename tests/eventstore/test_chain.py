"""The chain is what its definition says, and verify finds where a log was tampered with."""

import hashlib
import sqlite3
import uuid
import zlib
from pathlib import Path

import msgspec
import pytest

from eventstore import MemoryLog, NewEvent, SqliteStore, StoreCorrupt, VerifyReport, Witness
from eventstore.chain import CAUSE_WINDOW, SEGMENT, Chain, Keyring, adler32, encode_frame, seal
from tests.eventstore.support import collect, events, new, raw, refused

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
    assert [event.checksum for event in log.read_all()] == [706746709, 1569003786]
    assert log.verify().head_digest.hex() == (
        "039e5d090852ee6f295362a7509c8301a10af3099a62b2aaead6251ad6168bf1"
    )


async def test_the_chain_can_be_recomputed_from_its_definition(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    far, near = new(), new()
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-b", [far])
        await store.append(
            "job-a", [new(b"x", correlation_id=f"t-{n % 3}", metadata=b"{}") for n in range(300)]
        )
        await store.append(
            "job-b", [near, *(new(type=f"T{n % 5}", type_version=n % 2 + 1) for n in range(9))]
        )
        await store.append("job-c", events(CAUSE_WINDOW - 10))
        causes = (near.event_id, far.event_id, "text", str(uuid.uuid4()), None)
        await store.append("job-a", [new(causation_id=cause, correlation_id="u") for cause in causes])
        log = await collect(store.read_all())
        report = await store.verify()
    before, frames, digest = bytes(32), b"", b""
    keys: list[dict[object, int]] = [{}, {}, {}]
    positions: dict[str, int] = {}
    forms = set()
    for event in log:
        names = [event.stream, (event.type, event.type_version), event.correlation_id]
        new_names = [
            name if name is not None and name not in own else None
            for name, own in zip(names, keys, strict=True)
        ]
        own_keys = [
            None if name is None else own.setdefault(name, len(own) + 1)
            for name, own in zip(names, keys, strict=True)
        ]
        cause: object = event.causation_id
        if event.causation_id is not None:
            at = positions.get(event.causation_id, 0)
            if at and event.position - at <= 4096:
                cause = at
            elif event.causation_id != "text":
                cause = uuid.UUID(event.causation_id).bytes
        forms.add(type(cause))
        frame: list[object] = [event.position, own_keys[0], event.version, own_keys[1], event.recorded_at_ms]
        frame += [uuid.UUID(event.event_id).bytes, own_keys[2], cause, event.metadata, event.data]
        if any(new_names):
            frame += new_names
        encoded = msgspec.msgpack.encode(frame)
        frames += encoded
        digest = hashlib.sha256(before + frames).digest()
        assert event.checksum == zlib.adler32(encoded)
        if event.position % 256 == 0:
            before, frames = digest, b""
        positions[event.event_id] = event.position
    assert forms == {int, bytes, str, type(None)}
    assert log[-4].causation_id == far.event_id
    assert report.ok
    assert report.head_digest == digest
    connection = raw(path)
    marks = [mark for (mark,) in connection.execute("SELECT mark FROM events ORDER BY position")]
    connection.close()
    assert all(isinstance(mark, bytes) == (n % 256 == 0) for n, mark in enumerate(marks, 1))


async def test_a_log_in_memory_has_the_chain_of_one_on_disk(tmp_path: Path) -> None:
    given = [new(b"%d" % n, type=f"T{n % 3}", correlation_id=f"t-{n // 7}") for n in range(2 * SEGMENT)]
    given += [new(causation_id=given[n].event_id) for n in range(0, len(given), 5)]
    log = MemoryLog(clock_ms=lambda: 5)
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF", clock_ms=lambda: 5) as store:
        for n, event in enumerate(given):
            log.append(f"job-{n % 11}", [event])
            await store.append(f"job-{n % 11}", [event])
        assert await store.verify() == log.verify()
        assert await collect(store.read_all()) == list(log.read_all())


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
        (["UPDATE events SET causation = 'x' WHERE position = 3"], 3),
        (["UPDATE events SET causation = 1 WHERE position = 3"], 3),
        (["UPDATE events SET mark = zeroblob(32) WHERE position = 1001"], 1001),
        (["UPDATE events SET mark = mark + 1 WHERE position = 1001"], 1001),
        (["UPDATE events SET mark = substr(mark, 1, 4) WHERE position = 1024"], 1024),
        (["UPDATE events SET mark = CAST(substr(mark, 1, 35) || x'00' AS BLOB) WHERE position = 1024"], 1024),
        (["UPDATE events SET stream_key = 1 WHERE position = 800"], 800),
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
    chain, keys, positions = Chain(), Keyring(), dict[str, int]()
    statements = ["UPDATE events SET data = x'21' WHERE position = 1490"]
    for event in log:
        changed = msgspec.structs.replace(event, data=b"!") if event.position == 1490 else event
        frame = encode_frame(keys.frame(changed, positions))
        mark = str(adler32(frame))
        for _, digest in chain.extend([frame]):
            mark = f"x'{seal(adler32(frame), digest).hex()}'"
        if event.position >= 1490:
            statements.append(f"UPDATE events SET mark = {mark} WHERE position = {event.position}")
    whole = await verified(path)
    witness = Witness(position=COUNT, digest=whole.head_digest)
    tamper(path, *statements)
    assert (await verified(path)).ok
    report = await verified(path, witness)
    assert report.fault is not None
    assert report.fault.position == COUNT
    assert "rewritten" in report.fault.what


async def test_a_replay_that_verifies_ends_at_the_first_bad_position(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await write(path)
    tamper(path, "UPDATE events SET data = x'00' WHERE position = 1200")
    seen: list[int] = []
    async with SqliteStore.open(path, read_only=True) as store:

        async def replay() -> None:
            async for batch in store.replay(lambda kind, version: bytes, verify=True):
                seen.extend(batch.positions)

        assert "1200" in str(await refused(StoreCorrupt, replay()))
        assert sum([len(batch) async for batch in store.replay(lambda kind, version: bytes)]) == COUNT
    assert seen == list(range(1, 1200))
