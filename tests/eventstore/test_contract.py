"""Both stores keep the contract."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from eventstore import EventStore, MemoryStore, SqliteStore
from eventstore.contract import DurableContract, EventStoreContract


class TestMemoryStore(EventStoreContract):
    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return MemoryStore()


class TestSqliteStore(EventStoreContract, DurableContract):
    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return SqliteStore.open(folder / "log.db")


class TestSqliteStoreWithoutSync(EventStoreContract):
    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return SqliteStore.open(folder / "log.db", synchronous="OFF")


class TestSqliteStoreInThread(EventStoreContract):
    def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
        return SqliteStore.open(folder / "log.db", synchronous="OFF", in_thread=True)
