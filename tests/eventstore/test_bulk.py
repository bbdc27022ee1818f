"""Rows for read models, many at once: what SQLite holds then is what was added, compiled or not."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import Bulk, new_bulk

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["", b"", "nul\0in it", "Katze 🐈" * 900, b"\xff" * 9000]),
)
COLUMNS = ("a", "b", "c")
INSERT = "INSERT INTO t VALUES (?, ?, ?)"
forms = pytest.mark.parametrize("form", [Bulk, new_bulk], ids=["in Python", "as it is"])
Form = Callable[[], Bulk]


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(opened()) as connection:
        yield connection


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE t (a, b, c)")
    connection.execute("CREATE TABLE named (name TEXT PRIMARY KEY, count INTEGER NOT NULL)")
    return connection


@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "of no column"]), VALUES), max_size=30))
def test_a_table_holds_what_was_added_whoever_writes_it(rows: list[dict[str, Any]]) -> None:
    found = []
    for form in (Bulk, new_bulk):
        with closing(opened()) as connection:
            bulk = form()
            for start in range(0, len(rows), 7):
                bulk.add(INSERT, COLUMNS, rows[start : start + 7])
            bulk.write(connection)
            found.append(connection.execute("SELECT *, typeof(a), typeof(b), typeof(c) FROM t").fetchall())
    assert found[0] == found[1]
    assert len(found[0]) == len(rows)


@forms
def test_what_a_row_lacks_is_null_and_what_changes_in_it_later_does_not_show(
    database: sqlite3.Connection, form: Form
) -> None:
    row = {"c": "x" * 100, "a": 1}
    bulk = form()
    bulk.add(INSERT, COLUMNS, [row])
    row |= {"a": 2, "b": 3, "c": "y"}
    bulk.write(database)
    assert database.execute("SELECT * FROM t").fetchall() == [(1, None, "x" * 100)]


@forms
def test_each_statement_has_its_own_rows_in_the_order_in_which_they_came(
    database: sqlite3.Connection, form: Form
) -> None:
    counted = "INSERT INTO named VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = excluded.count"
    bulk = form()
    for number in range(10):
        bulk.add(INSERT, COLUMNS, [{"a": number}])
        bulk.add(counted, ("name", "count"), [{"count": number, "name": "cat" if number % 2 else "dog"}])
    bulk.write(database)
    assert database.execute("SELECT a FROM t").fetchall() == [(number,) for number in range(10)]
    assert database.execute("SELECT * FROM named").fetchall() == [("dog", 8), ("cat", 9)]


@forms
def test_a_row_that_a_table_refuses_is_told_as_python_s_sqlite3_tells_it(
    database: sqlite3.Connection, form: Form
) -> None:
    bulk = form()
    bulk.add(
        "INSERT INTO named VALUES (?, ?)", ("name", "count"), [{"name": "cat", "count": 1}, {"name": "dog"}]
    )
    with pytest.raises(sqlite3.IntegrityError, match=r"NOT NULL constraint failed: named\.count") as refused:
        bulk.write(database)
    assert refused.value.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_NOTNULL
    assert database.execute("SELECT name FROM named").fetchall() == [("cat",)]
    wrong = form()
    wrong.add("INSERT INTO nowhere VALUES (?)", ("a",), [{}])
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        wrong.write(database)
    wrong = form()
    wrong.add(INSERT, ("a",), [{}])
    with pytest.raises(sqlite3.ProgrammingError):
        wrong.write(database)


@forms
@pytest.mark.parametrize("name", ["ü" * 300, "x" + "ü" * 300])
def test_however_long_what_sqlite_says_is_it_is_told(
    database: sqlite3.Connection, form: Form, name: str
) -> None:
    bulk = form()
    bulk.add(f'INSERT INTO "{name}" VALUES (?)', ("a",), [{}])
    with pytest.raises(sqlite3.OperationalError, match=r"no such table: x?ü"):
        bulk.write(database)


@forms
@pytest.mark.parametrize("value", [[1], 2**63, "\ud800", object()])
def test_a_value_that_no_table_keeps_is_refused(
    database: sqlite3.Connection, form: Form, value: object
) -> None:
    def write() -> None:
        bulk = form()
        bulk.add(INSERT, COLUMNS, [{"a": 1}, {"a": "text", "b": value}])
        bulk.write(database)

    with pytest.raises((TypeError, OverflowError, UnicodeEncodeError, sqlite3.ProgrammingError)):
        write()


@forms
def test_nothing_that_was_added_is_nothing_that_is_written(database: sqlite3.Connection, form: Form) -> None:
    bulk = form()
    bulk.write(database)
    bulk.add(INSERT, COLUMNS, [])
    bulk.write(database)
    assert database.total_changes == 0


@forms
def test_others_run_while_rows_are_written(database: sqlite3.Connection, form: Form) -> None:
    begun, seen = threading.Event(), threading.Event()

    def wait(value: int) -> int:
        begun.set()
        assert seen.wait(60)
        return value

    database.create_function("wait", 1, wait)
    bulk = form()
    bulk.add("INSERT INTO t (a) VALUES (wait(?))", ("a",), [{"a": 1}])
    writer = threading.Thread(target=bulk.write, args=(database,))
    writer.start()
    assert begun.wait(60)
    if form is not Bulk and new_bulk is not Bulk:
        with pytest.raises(ValueError, match="just being written"):
            bulk.add(INSERT, COLUMNS, [{}])
    seen.set()
    writer.join()
    assert database.execute("SELECT a FROM t").fetchall() == [(1,)]
