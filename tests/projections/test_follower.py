"""Read models: the same rows however and by whomever the log was folded."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_process
import anyio.to_thread
import pytest
from msgspec.structs import replace

from caf import projections
from caf.contracts.times import timestamp
from caf.events import AttemptId, Event, HandoffPrepared
from caf.log import new_events, stream_of
from caf.projections import follower, rebuild, tables
from caf.projections.asking import ask
from caf.projections.follower import ReadModels
from caf.projections.model import JobRows, Projection, Seen
from eventstore import MemoryLog, MemoryStore, NewEvent, SqliteStore, new_id
from eventstore.chain import new_of
from tests.eventstore.support import lose_page
from tests.simulation.simulator import Simulation
from tests.support.jobs import JOB_ID, attempt, completed, failed, job_completed, posted, submitted, up_to

Dump = dict[str, list[tuple[Any, ...]]]


def stormy_log(seed: int) -> Simulation:
    simulation = Simulation(seed)
    simulation.run()
    return simulation


def prefix(log: MemoryLog, length: int) -> MemoryLog:
    """The same log when it was shorter, with the same times."""
    clock = iter(list(log.read_all(limit=length)))
    times: Iterator[int] = (event.recorded_at_ms for event in clock)
    shorter = MemoryLog(clock_ms=lambda: next(times))
    grow(shorter, log, length)
    return shorter


def grow(log: MemoryLog, whole: MemoryLog, length: int) -> None:
    for event in whole.read_all(after_position=log.head(), limit=length - log.head()):
        log.append(event.stream, [new_of(event)])


async def folded(log: MemoryLog, path: Path | None = None, *, batch: int = follower.BATCH) -> Dump:
    models = ReadModels(path, batch=batch)
    try:
        async with MemoryStore(log) as store:
            await models.catch_up(store)
        return await models.dump()
    finally:
        models.close()


@pytest.fixture(scope="module")
def storm() -> Simulation:
    """A log with retries, escalations, answers, failed stages and ends in it."""
    storms = (stormy_log(seed) for seed in range(20))
    failed = [storm for storm in storms if "StageFailed" in {event.type for event in storm.log.read_all()}]
    return max(failed, key=lambda simulation: simulation.log.head())


@pytest.fixture
def stormy(request: pytest.FixtureRequest) -> Simulation:
    """The log of a seed; made here, since a simulation has an event loop of its own."""
    return stormy_log(request.param)


@pytest.mark.parametrize("stormy", range(12), indirect=True)
async def test_rows_that_grew_with_the_log_equal_rows_rebuilt_from_nothing(
    stormy: Simulation, tmp_path: Path
) -> None:
    log = stormy.log
    models = ReadModels(tmp_path / "rows.db", batch=7)
    times = iter([event.recorded_at_ms for event in log.read_all()])
    growing = MemoryLog(clock_ms=lambda: next(times))
    async with MemoryStore(growing) as store:
        for length in [*range(1, log.head(), 5), log.head()]:
            grow(growing, log, length)
            assert await models.catch_up(store) == length
        live = await models.dump()
        assert await models.rebuild(store) == log.head()
        assert await models.dump() == live == await folded(log)
    assert growing.verify().head_digest == log.verify().head_digest


@pytest.mark.parametrize("batch", [1, 2, 13, 100_000])
async def test_the_size_of_the_pieces_does_not_show(storm: Simulation, batch: int) -> None:
    assert await folded(storm.log, batch=batch) == await folded(storm.log)


async def test_catching_up_again_changes_nothing(storm: Simulation, tmp_path: Path) -> None:
    models = ReadModels(tmp_path / "rows.db")
    async with MemoryStore(storm.log) as store:
        first = await models.catch_up(store)
        rows = await models.dump()
        assert await models.catch_up(store) == first
        assert await models.dump() == rows


@pytest.mark.parametrize("stormy", range(20, 32), indirect=True)
async def test_the_rows_say_of_every_job_what_its_fold_says(stormy: Simulation) -> None:
    models = ReadModels(None)
    async with MemoryStore(stormy.log) as store:
        await models.catch_up(store)
    jobs = {row["job_id"]: row for row in await models.rows("SELECT * FROM jobs")}
    for job_id in stormy.jobs():
        job, row = stormy.job(job_id), jobs[job_id]
        assert (row["status"], row["version"], row["attempts"]) == (
            job.status,
            job.version,
            len(job.attempts),
        )
        assert row["final_sha256"] == job.final_sha256
        open_questions = await models.rows(
            "SELECT * FROM escalations WHERE job_id = ? AND state = 'open'", (job_id,)
        )
        assert len(open_questions) == (1 if job.escalation else 0)
        if job.escalation:
            assert open_questions[0]["detail"] == job.escalation.detail == row["reason"]
        attempts = await models.rows("SELECT attempt_id FROM attempts WHERE job_id = ? ORDER BY 1", (job_id,))
        assert [found["attempt_id"] for found in attempts] == [attempt.id for attempt in job.attempts]
        scores = await models.rows(
            "SELECT metric, score, status FROM measurements WHERE job_id = ? AND attempt_id = ? AND stage = ?",
            (job_id, job.attempt.id, "motion"),
        )
        judged = [gate for gate in job.attempt.gates if gate.stage == "motion"]
        seen = {gate.metric for found in judged for gate in found.report.gates}
        assert {row["metric"] for row in scores} == seen or "motion" not in {
            done.stage for done in job.attempt.stages.values() if done.attempt_id == job.attempt.id
        }
    models.close()


async def test_two_followers_of_one_file_at_once_fold_every_event_once(
    storm: Simulation, tmp_path: Path
) -> None:
    path = tmp_path / "rows.db"
    async with anyio.create_task_group() as group:
        for batch in (1, 2, 3, 5):
            group.start_soon(_follow, storm.log, path, batch)
    assert await folded(storm.log, path) == await folded(storm.log)


async def _follow(log: MemoryLog, path: Path, batch: int) -> None:
    async with MemoryStore(log) as store:
        await ReadModels(path, batch=batch).catch_up(store)


def follow_in_a_process(log: str, rows: str, batch: int) -> None:
    """What a second command does; module level, so that another process finds it."""

    async def work() -> None:
        async with SqliteStore.open(Path(log), read_only=True) as store:
            await ReadModels(Path(rows), batch=batch).catch_up(store)

    anyio.run(work)


async def test_two_processes_that_catch_up_at_once_leave_the_rows_of_one(
    storm: Simulation, tmp_path: Path
) -> None:
    log, rows = tmp_path / "log.db", tmp_path / "rows.db"
    async with SqliteStore.open(log) as store:
        for event in storm.log.read_all():
            await store.append(event.stream, [new_of(event)])
        async with anyio.create_task_group() as group:
            for batch in (1, 2):
                group.start_soon(anyio.to_process.run_sync, follow_in_a_process, str(log), str(rows), batch)
        models, fresh = ReadModels(rows), ReadModels(None)
        await fresh.catch_up(store)
        assert await models.catch_up(store) == storm.log.head()
        assert await models.dump() == await fresh.dump()
        fresh.close()


async def test_a_rebuild_in_the_middle_of_another_s_catching_up_leaves_no_gap(
    storm: Simulation, tmp_path: Path
) -> None:
    path = tmp_path / "rows.db"
    half = prefix(storm.log, storm.log.head() // 2)
    await folded(half, path)

    class RebuiltMeanwhile(ReadModels):
        """Another process drops the rows after this one has read its next piece."""

        dropped = False

        def _fold(self, after: int, batch: Any) -> int:
            if not self.dropped:
                self.dropped = True
                ReadModels(path)._drop()
            return super()._fold(after, batch)

    async with MemoryStore(storm.log) as store:
        await RebuiltMeanwhile(path).catch_up(store)
    assert await folded(storm.log, path) == await folded(storm.log)


@pytest.mark.parametrize("made_anew", [1, 3, 5])
async def test_rows_that_are_put_in_place_between_two_pieces_lose_no_event(
    storm: Simulation, tmp_path: Path, made_anew: int
) -> None:
    """Another process has made rows of the first events anew, and swaps them in under a follower that is further."""
    path, older = tmp_path / "rows.db", tmp_path / "older.db"
    await folded(prefix(storm.log, 4), older)

    class Overtaken(ReadModels):
        pieces = 0

        def _fold(self, after: int, items: Any) -> int:
            self.pieces += 1
            if self.pieces == made_anew:
                with closing(sqlite3.connect(older)) as rows, closing(sqlite3.connect(path)) as live:
                    rows.backup(live)
            return super()._fold(after, items)

    models = Overtaken(path, batch=7)
    async with MemoryStore(storm.log) as store:
        assert await models.catch_up(store) == storm.log.head()
    assert models.pieces > made_anew
    assert await models.dump() == await folded(storm.log)


async def test_the_old_rows_serve_until_a_rebuild_has_made_all_new_ones(
    storm: Simulation, tmp_path: Path
) -> None:
    path = tmp_path / "rows.db"
    await folded(storm.log, path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET reason = 'old'")
    reader = sqlite3.connect(path)
    seen: list[Any] = []

    class Watched(MemoryStore):
        """Looks at the rows as others do, while the log is read for the rebuild."""

        async def replay(self, *args: Any, **options: Any) -> Any:
            async for batch in super().replay(*args, **options):
                yield batch
                seen.append(reader.execute("SELECT DISTINCT reason FROM jobs").fetchall())

    async with Watched(storm.log) as store:
        await ReadModels(path).rebuild(store)
    assert seen[0] == [("old",)]
    assert ("old",) not in reader.execute("SELECT DISTINCT reason FROM jobs").fetchall()
    reader.close()
    assert await folded(storm.log, path) == await folded(storm.log)
    assert not any(".new-" in name for name in os.listdir(tmp_path))  # noqa: PTH208


async def test_a_rebuild_goes_on_where_another_one_was_killed(storm: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    (tmp_path / "rows.db.new-1").write_bytes(b"half of a rebuild")
    async with MemoryStore(storm.log) as store:
        assert await ReadModels(path).rebuild(store) == storm.log.head()
    assert not any(".new-" in name for name in os.listdir(tmp_path))  # noqa: PTH208


@pytest.mark.parametrize("together", [1, 3, 20])
@pytest.mark.parametrize("compiled", [True, False])
async def test_how_much_a_rebuild_folds_and_writes_together_does_not_show(
    storm: Simulation, tmp_path: Path, together: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few enough that a job's rows are forgotten and loaded again, also while others are being written."""

    class OneByOne(MemoryStore):
        async def replay(self, *args: Any, **options: Any) -> Any:
            async for batch in super().replay(*args, **options):
                for item in batch:
                    yield [item]

    monkeypatch.setattr(rebuild, "_TOGETHER", together)
    monkeypatch.setattr(rebuild, "LETS_OTHERS_RUN", compiled)
    models = ReadModels(tmp_path / "rows.db")
    async with OneByOne(storm.log) as store:
        await models._rebuild(store)
    assert await models.dump() == await folded(storm.log)


async def test_a_rebuild_that_is_called_off_leaves_the_old_rows_and_nothing_else(
    storm: Simulation, tmp_path: Path
) -> None:
    path = tmp_path / "rows.db"
    expected = await folded(storm.log, path)

    class CalledOff(MemoryStore):
        async def replay(self, *args: Any, **options: Any) -> Any:
            async for batch in super().replay(*args, **options):
                yield batch
                tasks.cancel_scope.cancel()

    models = ReadModels(path)
    async with CalledOff(storm.log) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(models.rebuild, store)
    assert not any(".new-" in name for name in os.listdir(tmp_path))  # noqa: PTH208
    assert await models.dump() == expected


async def test_where_new_rows_have_no_room_the_old_ones_go_on(
    storm: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.db"
    half = prefix(storm.log, storm.log.head() // 2)
    await folded(half, path)
    tried = []

    def small(connection: sqlite3.Connection) -> None:
        tables.make(connection)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        tried.append(connection)

    monkeypatch.setattr(rebuild, "make", small)
    models = ReadModels(path)
    async with MemoryStore(storm.log) as store:
        assert await models.rebuild(store) == storm.log.head()
    assert tried
    assert models.path == path
    assert await models.dump() == await folded(storm.log)


async def test_the_lag_says_how_far_the_rows_are_behind(storm: Simulation, tmp_path: Path) -> None:
    models = ReadModels(tmp_path / "rows.db")
    half = prefix(storm.log, storm.log.head() // 2)
    async with MemoryStore(half) as store:
        await models.catch_up(store)
        lag = await models.lag(store)
        assert (lag.events, lag.oldest_recorded_at_ms) == (0, None)
    whole = list(storm.log.read_all())
    async with MemoryStore(storm.log) as store:
        lag = await models.lag(store)
    assert lag.events == storm.log.head() - half.head()
    assert lag.oldest_recorded_at_ms == whole[half.head()].recorded_at_ms


async def test_an_event_that_cannot_be_read_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    log = MemoryLog(clock_ms=lambda: 0)
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(6)]
    stream = stream_of(JOB_ID)
    log.append(stream, new_events([submitted()], ids[:1], job_id=JOB_ID, causation_id=None))
    log.append(stream, [NewEvent(event_id=ids[1], type="JobTeleported", data=b"{}")])
    log.append(stream, [NewEvent(event_id=ids[2], type="Posted", data=b"not json")])
    log.append(stream, [NewEvent(event_id=ids[3], type="Posted", type_version=9, data=b"{}")])
    log.append(stream, new_events([posted()], ids[4:5], job_id=JOB_ID, causation_id=None))
    models = ReadModels(tmp_path / "rows.db", batch=2)
    async with MemoryStore(log) as store:
        assert await models.catch_up(store) == 5
    noted = await models.rows("SELECT position, type, why FROM unreadable ORDER BY position")
    assert [(row["position"], row["type"]) for row in noted] == [
        (2, "JobTeleported"),
        (3, "Posted"),
        (4, "Posted"),
    ]
    assert "unknown to this version" in noted[0]["why"]
    assert [row["platform"] for row in await models.rows("SELECT platform FROM handoffs")] == ["youtube"]


@pytest.mark.parametrize("folded_before", [False, True])
async def test_events_that_lie_in_a_damaged_part_of_the_log_are_noted_and_stop_nothing(
    storm: Simulation, tmp_path: Path, folded_before: bool
) -> None:
    path, head = tmp_path / "log.db", storm.log.head()
    live, again = ReadModels(tmp_path / "rows.db", batch=3), ReadModels(tmp_path / "again.db")
    recorded = list(storm.log.read_all())
    data = [event.data for event in recorded]
    one = next(
        event
        for event in recorded[head // 3 :]
        if data.count(event.data) == 1 and 1000 < len(event.data) < 5000
    )
    async with SqliteStore.open(path) as store:
        for event in recorded:
            await store.append(event.stream, [new_of(event)])
        if folded_before:
            assert await live.catch_up(store, until=one.position) == one.position
    lose_page(path, one.data)
    async with SqliteStore.open(path, read_only=True) as store:
        assert await live.catch_up(store) == head
        assert await again.rebuild(store) == head
    assert await live.dump() == await again.dump()
    lost = [row["position"] for row in await live.rows("SELECT position FROM unreadable ORDER BY position")]
    assert one.position in lost
    assert lost == list(range(lost[0], lost[-1] + 1))


async def test_rows_stay_as_they_are_where_the_archive_of_the_last_event_is_gone(tmp_path: Path) -> None:
    models = ReadModels(tmp_path / "rows.db")
    new = new_events(
        [submitted()], ["00000000-0000-4000-8000-000000000001"], job_id=JOB_ID, causation_id=None
    )
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append(stream_of(JOB_ID), new)
        await models.catch_up(store)
        before = await models.dump()
        await store.archive([stream_of(JOB_ID)], "old.db")
    (tmp_path / "old.db").rename(tmp_path / "elsewhere.db")
    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:
        assert await models.catch_up(store) == 1
    assert await models.dump() == before


async def test_streams_that_are_no_jobs_are_none_of_the_rows_business() -> None:
    log = MemoryLog()
    log.append("diary-1", [NewEvent(event_id="00000000-0000-4000-8000-000000000001", type="X", data=b"")])
    assert not any(
        rows for table, rows in (await folded(log)).items() if table not in ("projections", "progress")
    )


async def test_a_post_that_was_registered_twice_is_one_row_and_the_first_stands() -> None:
    log = MemoryLog(clock_ms=lambda: 0)
    events = [
        *up_to("video"),
        job_completed(),
        posted(),
        posted(post_url="https://example.org/youtube/2"),
        posted("x"),
    ]
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(len(events))]
    log.append(stream_of(JOB_ID), new_events(events, ids, job_id=JOB_ID, causation_id=None))
    models = ReadModels(None)
    async with MemoryStore(log) as store:
        await models.catch_up(store)
    assert await models.rows("SELECT platform, post_url FROM handoffs ORDER BY platform") == [
        {"platform": "x", "post_url": "https://example.org/x/1"},
        {"platform": "youtube", "post_url": "https://example.org/youtube/1"},
    ]
    models.close()


async def test_a_stage_s_row_keeps_when_it_began_also_when_it_failed(storm: Simulation) -> None:
    models = ReadModels(None)
    async with MemoryStore(storm.log) as store:
        await models.catch_up(store)
    began: dict[tuple[str, str, str], int] = {}
    for job_id, entries in storm.jobs().items():
        for entry in entries:
            if entry.recorded.type == "StageStarted":
                key = (job_id, getattr(entry.event, "attempt_id", ""), getattr(entry.event, "stage", ""))
                began[key] = entry.recorded.recorded_at_ms
    rows = await models.rows("SELECT job_id, attempt_id, stage, status, started_at FROM stages")
    assert {row["status"] for row in rows} >= {"completed", "failed"}
    assert {(row["job_id"], row["attempt_id"], row["stage"]): row["started_at"] for row in rows} == {
        key: timestamp(at) for key, at in began.items()
    }
    models.close()


async def test_rows_of_another_shape_are_made_anew(storm: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    expected = await folded(storm.log, path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE projections SET version = 0 WHERE name = 'jobs'")
        connection.execute("UPDATE jobs SET status = 'invented'")
        connection.execute("CREATE TABLE forgotten (x)")
    connection.close()
    assert await folded(storm.log, path) == expected


async def test_a_question_may_read_and_never_write(storm: Simulation, tmp_path: Path) -> None:
    models = ReadModels(tmp_path / "rows.db")
    async with MemoryStore(storm.log) as store:
        await models.catch_up(store)
    before = await models.dump()
    [row] = await models.select("SELECT count(*) AS jobs FROM jobs")
    assert row["jobs"] == len(storm.jobs())
    for sql in (
        "DELETE FROM jobs",
        "DROP TABLE jobs",
        "UPDATE progress SET position = 0",
        "CREATE TABLE t (x)",
    ):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await models.select(sql)
    for sql in (f"ATTACH '{tmp_path}/more.db' AS more", f"VACUUM INTO '{tmp_path}/copy.db'"):
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|authorization denied"):
            await models.select(sql)
    assert {name for name in os.listdir(tmp_path) if name.endswith(".db")} == {"rows.db"}  # noqa: PTH208
    assert await models.dump() == before


@pytest.mark.parametrize(
    "strange",
    [
        replace(attempt(), attempt_id=AttemptId("again")),
        replace(attempt(), attempt_id=AttemptId(f"run-{2**70}")),
        replace(completed("pose"), duration_ms=2**70),
        replace(failed("pose"), duration_ms=-(2**70)),
        submitted(priority=2**64),
        HandoffPrepared(platforms=("x", "youtube"), documents=("x.json",)),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_an_event_of_another_program_that_fits_no_row_is_noted_and_stops_nothing(
    strange: Event,
) -> None:
    log = MemoryLog(clock_ms=lambda: 0)
    for told in ([submitted(), attempt()], [strange], [job_completed()]):
        ids = [new_id() for _ in told]
        log.append(stream_of(JOB_ID), new_events(told, ids, job_id=JOB_ID, causation_id=None))
    folded_at_once = await folded(log)
    [(position, stream, version, kind, why)] = folded_at_once["unreadable"]
    assert (position, stream, version, kind) == (3, stream_of(JOB_ID), 3, type(strange).__name__)
    assert "no row can hold" in why
    [job] = folded_at_once["jobs"]
    assert "completed" in job
    models = ReadModels(None)
    async with MemoryStore(log) as store:
        await models.rebuild(store)
    assert await models.dump() == folded_at_once
    models.close()


async def test_columns_of_one_name_are_all_told(tmp_path: Path) -> None:
    models = ReadModels(tmp_path / "rows.db")
    async with MemoryStore(MemoryLog(clock_ms=lambda: 0)) as store:
        await models.catch_up(store)
    [row] = await models.select("SELECT 1 AS a, 2 AS a, 3 AS 'a:1', 4 AS a")
    assert row == {"a": 1, "a:1": 2, "a:1:1": 3, "a:2": 4}


LONG = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000000) SELECT count(*) FROM n"
)


@pytest.mark.parametrize("on_disk", [True, False])
async def test_a_question_that_takes_long_ends_when_it_is_called_off(
    storm: Simulation, tmp_path: Path, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), []

    def asked(connection: sqlite3.Connection, sql: str, stop: threading.Event) -> list[dict[str, Any]]:
        begun.set()
        try:
            return ask(connection, sql, stop)
        except sqlite3.OperationalError as fault:
            ended.append(str(fault))
            raise

    models = ReadModels(tmp_path / "rows.db" if on_disk else None)
    async with MemoryStore(storm.log) as store:
        await models.catch_up(store)
        with monkeypatch.context() as patched:
            patched.setattr(follower, "ask", asked)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(models.select, LONG)
                await anyio.to_thread.run_sync(begun.wait)
                tasks.cancel_scope.cancel()
        assert ended == ["interrupted"]
        [row] = await models.select("SELECT count(*) AS jobs FROM jobs")
        assert row["jobs"] == len(storm.jobs())


@pytest.mark.parametrize("projection", projections.ALL, ids=lambda one: one.name)
def test_a_projection_is_a_pure_function_of_the_event_its_place_and_the_rows_before(
    storm: Simulation, projection: Projection
) -> None:
    for job_id in storm.specs:
        one, other = both = [JobRows(job_id, lambda table, job_id: {}) for _ in range(2)]
        for entry in storm.entries(job_id):
            recorded = entry.recorded
            place = Seen(
                job_id,
                recorded.version,
                recorded.position,
                timestamp(recorded.recorded_at_ms),
                recorded.recorded_at_ms,
                recorded.event_id,
            )
            handler = projection.handlers.get(type(entry.event))
            for rows in both if handler else ():
                handler(entry.event, place, rows)
            for rows in both if projection.ending else ():
                projection.ending(place, rows)
            assert one.changed == other.changed
