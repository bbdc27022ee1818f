"""An event id is known for ever, wherever the log keeps it by now."""

import random
import shutil
import uuid
from pathlib import Path

import anyio
import pytest

from eventstore import DuplicateEvent, NewEvent, SqliteStore, _ids
from eventstore._ids import TABLES
from eventstore._schema import SCHEMA_VERSION
from eventstore.ids import fold_ids
from tests.eventstore.golden.make import golden_log
from tests.eventstore.support import new, raw, refused

COUNT = 600


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred events go all the way that millions go."""
    monkeypatch.setattr(_ids, "STEP", 16)
    monkeypatch.setattr(_ids, "_RECENT", 64)
    monkeypatch.setattr(_ids, "_MIDDLE", 160)


async def written(path: Path) -> list[NewEvent]:
    given = [new(b"%d" % number) for number in range(COUNT)]
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in range(0, COUNT, 3):
            await store.append(f"job-{number % 7}", given[number : number + 3])
    return given


def tables(path: Path) -> dict[str, set[tuple[int, int]]]:
    connection = raw(path)
    found = {name: set(connection.execute(f"SELECT fold, position FROM {name}")) for name in TABLES}
    connection.close()
    return found


async def test_the_tables_hold_every_id_once_up_to_the_position_they_name(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    connection = raw(path)
    indexed, recent = connection.execute("SELECT indexed, recent FROM id_index").fetchone()
    (middle,) = connection.execute("SELECT middle FROM middle_index").fetchone()
    connection.close()
    assert COUNT - 32 < indexed <= COUNT
    folds = fold_ids([uuid.UUID(event.event_id).bytes for event in given[:indexed]])
    found = tables(path)
    assert set().union(*found.values()) == set(zip(folds, range(1, indexed + 1), strict=True))
    assert sum(map(len, found.values())) == indexed
    assert len(found["recent_ids"]) == recent <= 64
    assert len(found["middle_ids"]) == middle <= 160
    assert len(found["older_ids"]) > 300


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


@pytest.mark.parametrize(
    "spoil",
    [
        "DELETE FROM id_filters",
        # As a log of schema 3 is, when it is opened for the first time: without the tables that came later.
        "INSERT INTO older_ids SELECT * FROM middle_ids; DROP TABLE middle_ids; DROP TABLE middle_index;"
        " DROP TABLE id_filters; PRAGMA user_version = 3",
    ],
)
async def test_ids_are_known_without_the_filter_that_was_kept_and_it_is_made_again(
    tmp_path: Path, spoil: str
) -> None:
    path = tmp_path / "log.db"
    given = await written(path)
    connection = raw(path)
    connection.executescript(spoil)
    connection.close()
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for number in range(0, COUNT, 3):
            answer = await store.append(f"job-{number % 7}", given[number : number + 3])
            assert answer.repeated
            assert not (await store.append("job-new", [new(), new()])).repeated
        assert await store.head() == COUNT + 2 * COUNT // 3
        assert await store.check_file() == ()
    connection = raw(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT count(*) FROM id_filters").fetchone()[0] > 100
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
