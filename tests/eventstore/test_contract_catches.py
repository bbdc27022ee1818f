"""The contract has teeth: stores with one planted fault each fail it."""

import functools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from eventstore import (
    EventStore,
    EventStoreError,
    MemoryLog,
    MemoryStore,
)
from eventstore.contract import EventStoreContract
from tests.eventstore.faults.logs import FAULTY_LOGS, Faulty
from tests.eventstore.faults.stores import FAULTY_STORES

GUARD_S = 60.0


async def first_failure(make: Callable[[], MemoryStore], folder: Path, guard_s: float = 1.0) -> str | None:
    """The first test of the contract that the store fails; to wait longer than the guard is to fail."""

    class Run(EventStoreContract):
        def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
            return make()

    run = Run()
    for name in sorted(dir(run), key=lambda name: "waits" in name or "woken" in name):
        if not name.startswith("test_"):
            continue
        try:
            with anyio.fail_after(guard_s):
                await getattr(run, name)(folder)
        except (AssertionError, EventStoreError, TimeoutError, ExceptionGroup, IndexError):
            return name
    return None


@pytest.mark.parametrize("fault", FAULTY_LOGS, ids=lambda fault: fault.__name__)
async def test_a_log_with_a_planted_fault_fails_the_contract(fault: type[MemoryLog], tmp_path: Path) -> None:
    assert await first_failure(lambda: MemoryStore(fault()), tmp_path) is not None


@pytest.mark.parametrize("make", FAULTY_STORES, ids=lambda make: make.__name__)
async def test_a_store_with_a_planted_fault_fails_the_contract(
    make: Callable[[], MemoryStore], tmp_path: Path
) -> None:
    assert await first_failure(make, tmp_path) is not None


async def test_the_store_without_a_fault_passes(tmp_path: Path) -> None:
    assert await first_failure(functools.partial(MemoryStore, Faulty()), tmp_path / "shared") is not None, (
        "a log shared by all tests is a fault too"
    )
    assert await first_failure(lambda: MemoryStore(Faulty()), tmp_path, GUARD_S) is None
