"""What is compiled of the store gives what its twin in Python gives, and is not needed."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import PARTS, Checkpoint, NewEvent, SqliteStore, new_id
from eventstore._batch import Inserter, Rows, new_inserter, new_rows
from eventstore._compiled import SQLITE, native
from eventstore._frames import Frames, highest, in_place, new_frames, plain_highest, plain_in_place
from eventstore._keys import Stream
from eventstore._rows import COLUMNS
from eventstore._scan import Scan, new_scan
from eventstore.chain import seal
from eventstore.checks import check_append
from eventstore.errors import EventStoreError
from eventstore.ids import id_bytes, id_text, plain_id_bytes, plain_id_text
from tests.eventstore.support import raw

ROOT = Path(__file__).parents[2]
compiled = pytest.mark.skipif(not SQLITE, reason="nothing is compiled here")

CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32, -1, -32, -33, -128, -129, -(2**15) - 1]),
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    st.sampled_from([b"x" * 255, b"x" * 256, b"x" * 70_000, b"\xff" * 6000]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["y" * 31, "y" * 32, "y" * 255, "y" * 256, "ü" * 40_000]),
)
NAMES = st.one_of(
    st.sampled_from(["job-1", "job-2", "a" * 1024, "a" * 1025, "", "nul\0", "Katze 🐈", "\ud800"]),
    st.text(max_size=9),
)
IDS = st.one_of(st.uuids().map(str), st.text(max_size=40), st.uuids().map(lambda one: str(one).upper()))


def test_where_a_compiler_is_at_hand_the_store_is_compiled() -> None:
    words = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if os.environ.get("EVENTSTORE_PURE") or shutil.which(words[0]) is None or not headers.exists():
        pytest.skip("there is no compiler, or no header, or it shall not be used")
    assert PARTS.startswith("compiled")


@given(IDS)
def test_an_id_has_the_same_bytes(text: str) -> None:
    assert id_bytes(text) == plain_id_bytes(text)


@given(st.binary(min_size=16, max_size=16))
def test_bytes_have_the_same_id(raw_id: bytes) -> None:
    assert id_text(raw_id) == plain_id_text(raw_id) == str(uuid.UUID(bytes=raw_id))


def test_new_ids_are_random_uuids_and_all_different() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == len(ids)
    assert {(one.version, one.variant, str(one)) for one in map(uuid.UUID, ids)} == {
        (4, uuid.RFC_4122, text) for text in ids
    }


def test_a_forked_process_does_not_give_the_ids_of_its_parent() -> None:
    new_id()
    code = (
        "import os, sys; from eventstore import new_id; new_id(); read, write = os.pipe()\n"
        "if os.fork() == 0: os.write(write, new_id().encode()); os._exit(0)\n"
        "os.wait(); print(new_id(), os.read(read, 36).decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    own, childs = done.stdout.split()
    assert own != childs


@given(st.lists(st.tuples(*[CELLS] * 4), max_size=6), st.data())
def test_frames_have_the_same_bytes_and_checksums(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    columns = tuple(map(list, zip(*rows, strict=True))) or ([], [], [], [])
    places = st.sampled_from(range(len(rows))) if rows else st.nothing()
    names = st.tuples(
        st.none() | st.text(max_size=40), st.none() | st.tuples(st.text(), st.integers(1, 9)), st.none()
    )
    firsts: Any = data.draw(st.dictionaries(places, names)) if rows else {}
    try:
        plain = Frames(columns, firsts)
    except UnicodeEncodeError:
        return  # no database gives such a text
    quick = new_frames(columns, firsts)
    assert len(quick) == len(plain)
    assert quick.sums() == plain.sums()
    for start in range(len(plain) + 1):
        for stop in range(start, len(plain) + 1):
            assert quick.joined(start, stop) == plain.joined(start, stop)


@given(st.lists(st.tuples(*[CELLS] * 2), min_size=1, max_size=9), st.data())
def test_the_same_mark_is_the_first_that_is_not_its_frame_s(
    rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    columns = tuple(map(list, zip(*rows, strict=True)))
    try:
        plain = Frames(columns, {})
    except UnicodeEncodeError:
        return
    places = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True, max_size=2).map(sorted))
    ends = [(place, bytes([place]) * 32) for place in places]
    marks: list[Any] = [
        seal(checksum, bytes([place]) * 32) if place in places else checksum
        for place, checksum in enumerate(plain.sums())
    ]
    quick, count = new_frames(columns, {}), len(rows)
    assert quick.unlike(marks, 0, count, ends) == plain.unlike(marks, 0, count, ends) == count
    wrong = data.draw(st.sampled_from(range(count)))
    told = marks[wrong]
    marks[wrong] = data.draw(
        st.one_of(
            st.integers(-(2**63), 2**64), st.binary(max_size=40), st.none(), st.just(True), st.floats()
        ).filter(lambda mark: mark != told or mark.__class__ is not told.__class__)
        | st.just(float(told) if isinstance(told, int) else told[:4])
    )
    start = data.draw(st.integers(0, count))
    due = wrong if wrong >= start else count
    later = [end for end in ends if end[0] >= start]
    assert quick.unlike(marks, start, count, later) == plain.unlike(marks, start, count, later) == due


@given(st.lists(st.none() | st.integers(0, 2**63 - 1), min_size=1))
def test_the_same_key_is_the_highest(keys: list[int | None]) -> None:
    assert highest(keys) == plain_highest(keys)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 4)), max_size=8),
    st.dictionaries(st.integers(1, 3), st.integers(1, 3)),
)
def test_rows_are_in_place_by_the_same_rule(rows: list[tuple[int, int, int]], known: dict[int, int]) -> None:
    found = [position + index for index, (position, _, _) in enumerate(rows)]
    columns = found, [stream for _, stream, _ in rows], [version for _, _, version in rows]
    quick, plain = dict(known), dict(known)
    assert in_place(*columns, quick, 0) == plain_in_place(*columns, plain, 0)
    assert quick == plain


@given(
    NAMES,
    st.lists(
        st.builds(
            NewEvent,
            event_id=IDS,
            type=NAMES,
            type_version=st.integers(-1, 2) | st.just(2**63),
            data=st.binary(max_size=9) | st.just("text"),
            correlation_id=st.none() | NAMES,
            causation_id=st.none() | NAMES,
        ),
        max_size=3,
    ).map(tuple),
)
@compiled
def test_what_is_taken_without_a_closer_look_would_have_passed_it(
    stream: str, events: tuple[NewEvent, ...]
) -> None:
    assert native is not None
    sound = native.sound_ids(stream, events)
    if sound is not None:
        assert sound == [plain_id_bytes(event.event_id) for event in events]
        assert len({*sound}) == len(sound)
        names = [
            stream,
            *(name for event in events for name in (event.type, event.correlation_id, event.causation_id)),
        ]
        assert all(
            name is None or (name and "\0" not in name and len(name.encode()) <= 1024) for name in names
        )
        assert all(1 <= event.type_version < 2**63 and type(event.data) is bytes for event in events)
    else:
        twice = (*events, *events[:1]) if len(events) == 1 else events
        assert native.sound_ids(stream, twice) is None


def test_an_append_of_what_is_no_bytes_is_refused() -> None:
    event = NewEvent(event_id=new_id(), type="Text", data="text")  # type: ignore[arg-type]
    with pytest.raises(EventStoreError, match="no bytes"):
        check_append("job-1", (event,), 0, None)


def _event(number: int, correlation: str | None, cause: str | None) -> NewEvent:
    return NewEvent(
        event_id=str(uuid.UUID(int=number)),
        type="Done",
        data=b"%d" % number,
        correlation_id=correlation,
        causation_id=cause,
    )


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "thread"]), st.sampled_from([None, 0, 1, 2, "text", "id"])),
        max_size=6,
    ),
    st.sampled_from([0, 4093, 250]),
)
def test_rows_hold_the_same_whoever_makes_them(given_events: list[tuple[str | None, Any]], head: int) -> None:
    events = tuple(
        _event(
            number,
            thread,
            str(uuid.UUID(int=cause))
            if isinstance(cause, int)
            else str(uuid.UUID(int=99))
            if cause == "id"
            else cause,
        )
        for number, (thread, cause) in enumerate(given_events)
    )
    made = [_filled(rows, events, head) for rows in (new_rows(), Rows())]
    assert made[0] == made[1]


def _filled(rows: Rows, events: tuple[NewEvent, ...], head: int) -> list[Any]:
    stream, tail = Stream(3, 7, head >> 12), dict[str, int]()
    fresh, chunks = list[bytes](), list[tuple[int, int, int]]()
    stream.correlations.add(5)
    ids = [uuid.UUID(event.event_id).bytes for event in events]
    firsts: Any = {head + 1: ("job-3", ("Done", 1), None)}
    known = {("Done", 1): 2}, {None: None, "thread": 5}
    rows.add(events, ids, stream, head, 1_760_000_000_000, *known, tail, fresh, chunks, firsts)
    again = rows.add_plain(events[:1], ids[:1], stream, head, 0, *known, tail, fresh, chunks, {})
    later = (_event(1000, "thread", None),)
    added = rows.add_plain(later, [bytes(16)], stream, head + len(events), 1, *known, tail, fresh, chunks, {})
    unknown = (_event(1001, "another", None), _event(1002, "thread", None))
    refused = rows.add_plain(unknown, [bytes(16)] * 2, stream, 9, 1, *known, tail, fresh, chunks, {})
    facts = [again, added, refused, len(rows), rows.sums(), rows.joined(0, len(rows))]
    return [*facts, stream.version, stream.chunk, tail, fresh, chunks]


@pytest.mark.parametrize("make", ["compiled", "in Python"])
def test_rows_are_written_together_and_what_is_refused_is_taken_back(make: str) -> None:
    if make == "compiled" and not SQLITE:
        pytest.skip("nothing is compiled here")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        columns = COLUMNS.removeprefix("position")
        db.execute(f"CREATE TABLE events (position INTEGER PRIMARY KEY{columns})")
        inserter = new_inserter(db) if make == "compiled" else Inserter(db)
        events = tuple(_event(number, None, None) for number in range(3))

        def rows(position: int) -> Rows:
            made = new_rows() if make == "compiled" else Rows()
            ids = [uuid.UUID(event.event_id).bytes for event in events]
            keys: Any = ({("Done", 1): 1}, {None: None}, {}, [], [], {})
            made.add(events, ids, Stream(1, position, 0), position, 0, *keys)
            return made

        inserter.insert(rows(0))
        with pytest.raises(sqlite3.IntegrityError) as refusal:
            inserter.insert(rows(2))
        assert refusal.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CONSTRAINT
        assert not db.in_transaction
        inserter.insert(rows(3))
        assert [row[0] for row in db.execute("SELECT position FROM events ORDER BY 1")] == [1, 2, 3, 4, 5, 6]
        inserter.close()


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.integers(0, 400))
def test_a_select_gives_the_same_columns(rows: list[tuple[Any, Any]], limit: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, a, b)")
        db.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
        sql = "SELECT n, a, b FROM t WHERE n > ? ORDER BY n"
        with closing(new_scan(db, sql)) as quick, closing(Scan(db, sql)) as plain:
            found, cut = quick.fetch((0,), 2**30)
            assert (found, cut) == plain.fetch((0,), 2**30)
            assert found == (tuple(map(list, zip(*db.execute(sql, (0,)), strict=True))) or ([], [], []))
            assert quick.frames(3, {}).joined(0, len(rows)) == plain.frames(3, {}).joined(0, len(rows))
            assert [quick.lacks(column) for column in range(3)] == [
                plain.lacks(column) for column in range(3)
            ]
            # In slices nothing is lost, and nothing comes twice.
            last, seen, more = 0, list[int](), True
            while more:
                columns, more = quick.fetch((last,), limit, (0,))
                seen += columns[0]
                last = seen[-1] if seen else 0
            assert seen == found[0]


@pytest.mark.parametrize("make", [new_scan, Scan])
def test_rows_before_one_that_cannot_be_read_are_given_and_then_it_is_told(make: Any) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, a)")
        db.executemany("INSERT INTO t (a) VALUES (?)", [("good",)] * 200)
        db.execute("UPDATE t SET a = CAST(x'ff' AS TEXT) WHERE n = 150")
        with closing(make(db, "SELECT n, a FROM t WHERE n > ? ORDER BY n")) as scan:
            columns, more = scan.fetch((0,), 2**30)
            assert more
            assert columns[0][-1] in (128, 149)
            with pytest.raises(sqlite3.OperationalError, match="UTF-8"):
                scan.fetch((149,), 2**30)


@compiled
def test_errors_of_sqlite_are_those_that_python_raises(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as db,
        closing(sqlite3.connect(path, timeout=0)) as other,
    ):
        db.execute("CREATE TABLE t (a)")
        for sql, values in (("SELECT a FROM nothing", ()), ("SELECT abs(-9223372036854775808)", ())):
            with pytest.raises(sqlite3.Error) as python:
                db.execute(sql, values).fetchall()
            with pytest.raises(sqlite3.Error) as ours:
                new_scan(db, sql).fetch(values, 1)
            assert type(ours.value) is type(python.value)
            assert str(ours.value) == str(python.value)
            assert ours.value.sqlite_errorcode == python.value.sqlite_errorcode
        scan = new_scan(other, "SELECT a FROM t")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as busy:
            scan.fetch((), 1)
        assert busy.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
        scan.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            scan.fetch((), 1)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        new_scan(db, "SELECT 1")


_WRITE = """
import asyncio, sys, uuid
from pathlib import Path
from eventstore import PARTS, Checkpoint, NewEvent, SqliteStore

def event(number, cause=None):
    return NewEvent(
        event_id=str(uuid.UUID(int=number)), type=f"Type{number % 3}", data=b"x" * (number % 700), metadata=b"{}",
        correlation_id=None if number % 5 == 0 else f"thread-{number % 7}", causation_id=cause,
    )

async def main(path, start, stop):
    async with SqliteStore.open(path, clock_ms=lambda: 1_760_000_000_000 + start) as store:
        for first in range(start, stop, 9):
            causes = [str(uuid.UUID(int=number - 3)) if number > 3 else "other" for number in range(first, first + 9)]
            made = [event(number, cause) for number, cause in enumerate(causes, first)]
            await store.append(f"job-{first % 4}", made, checkpoint=Checkpoint(consumer="c", position=first))
        report = await store.verify()
        print(PARTS, report.ok, report.events, report.head_digest.hex())

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""


@compiled
def test_logs_are_the_same_to_the_byte_whoever_writes_them_and_each_goes_on_with_the_others(
    tmp_path: Path,
) -> None:
    def write(path: Path, start: int, stop: int, pure: bool) -> list[str]:
        environment = {**os.environ, "EVENTSTORE_PURE": "1" if pure else ""}
        words = [sys.executable, "-c", _WRITE, str(path), str(start), str(stop)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
        *parts, ok, events, digest = done.stdout.split()
        assert (" ".join(parts) == "in Python") == pure
        return [ok, events, digest]

    told = []
    for name, order in (("one", (False, True, False)), ("other", (True, False, True))):
        path = tmp_path / f"{name}.db"
        for step, pure in enumerate(order):
            last = write(path, 9 * 100 * step, 9 * 100 * (step + 1), pure)
        told.append(last)
    assert told[0] == told[1]
    assert told[0][:2] == ["True", "2700"]
    tables = "events", "chunks", "streams", "types", "correlations", "correlated", "checkpoints"
    with closing(raw(tmp_path / "one.db")) as one, closing(raw(tmp_path / "other.db")) as other:
        for table in tables:
            sql = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert one.execute(sql).fetchall() == other.execute(sql).fetchall()


@compiled
async def test_a_store_that_is_closed_leaves_no_wal_behind(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-1", [_event(1, None, None)], checkpoint=Checkpoint(consumer="c", position=1))
        assert [one.version async for one in store.read("job-1")] == [1]
    assert not [name for name in os.listdir(tmp_path) if "wal" in name]  # noqa: PTH208


@compiled
def test_the_contract_is_kept_in_python_too() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "tests/eventstore/test_contract.py"]
    words += ["-k", "TestSqliteStore and not WithoutSync and not InThread"]
    environment = {**os.environ, "EVENTSTORE_PURE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_without_a_compiler_it_is_left_out_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sysconfig, sys; from pathlib import Path; known = sysconfig.get_config_var\n"
        "sysconfig.get_config_var = lambda name: '/no/such/cc -shared' if name == 'LDSHARED' else known(name)\n"
        f"import hatch_build; sys.exit(hatch_build.compiled('eventstore', Path({str(tmp_path)!r})) is not None)"
    )
    (tmp_path / "eventstore").mkdir()
    old = tmp_path / "eventstore" / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    old.write_bytes(b"of other sources")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0
    assert "will run in Python, not compiled: /no/such/cc: No such file" in done.stderr
    assert not old.exists()
