"""An event id is known for ever, wherever the log keeps it by now."""

import random
import shutil
import uuid
from pathlib import Path

import anyio
import pytest

from eventstore import DuplicateEvent, NewEvent, SqliteStore, StoreCorrupt, _ids, _runs
from eventstore._runs import items_of, pack_ids
from eventstore._schema import SCHEMA_VERSION
from eventstore.ids import fold_ids
from tests.eventstore.golden.make import ARCHIVE, golden_log
from tests.eventstore.support import new, raw, refused

COUNT = 600


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred events go all the way that millions go."""
    monkeypatch.setattr(_ids, "STEP", 4)
    monkeypatch.setattr(_runs, "_BITS", 2)


async def written(path: Path) -> list[NewEvent]:
    given = [new(b"%d" % number) for number in range(COUNT)]
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in range(0, COUNT, 3):
            await store.append(f"job-{number % 7}", given[number : number + 3])
    return given


def recorded(path: Path) -> list[tuple[int, bytes]]:
    """The level and the ids of every row, in order."""
    connection = raw(path)
    rows = connection.execute("SELECT key >> 53, ids FROM id_runs ORDER BY key").fetchall()
    connection.close()
    return rows


async def test_the_runs_hold_every_id_once_up_to_the_position_they_name(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    connection = raw(path)
    (indexed,) = connection.execute("SELECT indexed FROM id_progress").fetchone()
    connection.close()
    assert COUNT - 8 < indexed <= COUNT
    rows = recorded(path)
    due = pack_ids([uuid.UUID(event.event_id).bytes for event in given[:indexed]], 1)
    assert sorted(item for _, ids in rows for item in items_of(ids)) == list(items_of(due))
    assert {level for level, _ in rows} >= {0, 1, 2}


async def test_an_append_is_known_again_however_long_ago_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in random.Random(3).sample(range(0, COUNT, 3), 60):
            answer = await store.append(f"job-{number % 7}", given[number : number + 3])
            assert answer.repeated
            assert answer.first_position == number + 1
        assert await store.head() == COUNT


async def test_an_id_is_refused_for_other_content_however_long_ago_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in random.Random(4).sample(range(COUNT), 60):
            other = NewEvent(event_id=given[number].event_id, type="Other", data=b"other")
            error = await refused(DuplicateEvent, store.append("job-new", [new(), other]))
            assert isinstance(error, DuplicateEvent)
            assert error.position == number + 1
        assert await store.head() == COUNT
        assert await store.version("job-new") == 0


async def test_known_and_new_appends_that_come_together_each_get_their_own_answer(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    async with SqliteStore.open(path, synchronous="OFF") as store:
        repeated: list[bool] = []

        async def again(number: int) -> None:
            answer = await store.append(f"job-{number % 7}", given[number : number + 3])
            repeated.append(answer.repeated and answer.first_position == number + 1)

        async def more(number: int) -> None:
            for _ in range(3):
                assert not (await store.append(f"job-{number % 7}", [new()])).repeated

        async with anyio.create_task_group() as tasks:
            for number in range(0, COUNT, 3):
                tasks.start_soon(again, number)
                tasks.start_soon(more, number)
        assert repeated == [True] * (COUNT // 3)
        assert await store.head() == COUNT * 2
        assert (await store.verify()).ok


async def test_ids_that_share_a_fold_are_told_apart(tmp_path: Path) -> None:
    # 8 bytes XOR the same 8 bytes: all of them fold to 0.
    alike = [str(uuid.UUID(bytes=bytes([number]) * 16)) for number in range(200)]
    assert set(fold_ids([uuid.UUID(text).bytes for text in alike])) == {0}
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:
        for text in alike:
            answer = await store.append("job-a", [NewEvent(event_id=text, type="Happened", data=b"1")])
            assert not answer.repeated
        for text in alike[::20]:
            answer = await store.append("job-a", [NewEvent(event_id=text, type="Happened", data=b"1")])
            assert answer.repeated
        assert await store.head() == 200


async def test_two_stores_that_take_turns_know_each_others_ids(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with (
        SqliteStore.open(path, synchronous="OFF") as one,
        SqliteStore.open(path, synchronous="OFF") as other,
    ):
        given: list[NewEvent] = []
        for _ in range(200):
            event = new()
            given.append(event)
            first = await one.append("job-a", [event])
            answer = await other.append("job-a", [event])
            assert answer.repeated
            assert answer.first_position == first.first_position
            await other.append("job-b", [new()])
        for number, event in enumerate(given):
            answer = await (one, other)[number % 2].append("job-a", [event])
            assert answer.repeated
            assert answer.first_position == 2 * number + 1
        assert (await one.verify()).ok
        assert await one.head() == 400
        assert await one.check_file() == ()


async def test_ids_are_known_without_the_filter_that_was_kept_and_it_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    connection = raw(path)
    connection.execute("DELETE FROM id_filters")
    connection.commit()
    connection.close()
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in range(0, COUNT, 3):
            answer = await store.append(f"job-{number % 7}", given[number : number + 3])
            assert answer.repeated
            assert not (await store.append("job-new", [new(), new()])).repeated
        assert await store.head() == COUNT + 2 * COUNT // 3
        assert await store.check_file() == ()
    connection = raw(path)
    assert connection.execute("SELECT count(*) FROM id_filters").fetchone()[0] > 100
    connection.close()


async def test_ids_of_an_older_schema_go_into_runs_when_the_log_is_opened_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copyfile(golden_log(4), path)
    shutil.copyfile(golden_log(4).with_name(ARCHIVE.format(4)), tmp_path / ARCHIVE.format(4))
    async with SqliteStore.open(path) as store:
        for number in range(1, 60):
            assert (await store.append("job-new", [new(), new()])).last_position == 290 + 2 * number
        assert await store.check_file() == ()
        assert (await store.verify()).ok
    connection = raw(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT sum(length(ids)) / 11 FROM id_runs").fetchone()[0] > 380
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert not names & {"recent_ids", "middle_ids", "older_ids", "id_index", "middle_index"}


async def test_an_older_log_that_is_damaged_says_so_when_it_is_opened_and_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    shutil.copyfile(golden_log(4), path)
    connection = raw(path)
    connection.execute("UPDATE older_ids SET position = -1")
    connection.commit()
    connection.close()
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="older_ids"):
            async with SqliteStore.open(path):
                pass
    connection = raw(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (4,)
    connection.close()


async def test_a_log_of_an_older_schema_is_read_and_checked_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copyfile(golden_log(3), path)
    async with SqliteStore.open(path, read_only=True) as store:
        assert await store.check_file() == ()
        assert await store.head() == 290
    connection = raw(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()
