"""The contract has teeth: stores with one planted fault each fail it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventstore import Appended, EventStore, EventStoreError, MemoryLog, MemoryStore, NewEvent
from eventstore.contract import Contract, DurableContract, EventStoreContract
from tests.eventstore.faults.files import FAULTY_FILES, IsNotWokenByOtherProcesses, WithoutAFault
from tests.eventstore.faults.logs import FAULTY_LOGS, Faulty
from tests.eventstore.faults.stores import (
    FAULTY_STORES,
    DropsTheOldestForASlowSubscriber,
    LeavesSubscribersWaitingWhenClosed,
    LosesItsWriterToACancelledCaller,
    SkipsAheadWhenItGoesLive,
    SwallowsWakeUps,
)
from tests.eventstore.faults.subtle import HANGING_STORES, SUBTLE_LOGS, SUBTLE_STORES

HANGS_S = 3.0
GUARD_S = 60.0
LAST = (
    # What is planted here takes no care of values of another type: it would be found by these for another fault.
    ("another_type",),
    # Where one that hangs would wait for ever; most are found before.
    ("woken",),
    ("waits",),
    # What takes long.
    (
        "processes",
        "killed",
        "opened_again",
        "slow",
        "long",
        "thousands",
        "any_number",
        "large",
        "rare",
        "many",
        "length",
    ),
)
"""Parts of names of tests: those with the first come last of all."""
HANGING: set[type] = {
    DropsTheOldestForASlowSubscriber,
    IsNotWokenByOtherProcesses,
    LeavesSubscribersWaitingWhenClosed,
    LosesItsWriterToACancelledCaller,
    SkipsAheadWhenItGoesLive,
    SwallowsWakeUps,
    *HANGING_STORES,
}
"""Faults that show in that something waits for ever; of the others none may pass for found because a test took long."""


async def first_failure(run: Contract, folder: Path, *, hangs: bool = False) -> str | None:
    """The first test of the contract that the store fails."""
    for name in sorted(dir(run), key=lambda name: [any(part in name for part in parts) for parts in LAST]):
        if not name.startswith("test_"):
            continue
        place = folder / name
        place.mkdir(parents=True)
        try:
            with anyio.fail_after(HANGS_S if hangs else GUARD_S):
                await getattr(run, name)(place)
        except TimeoutError:
            assert hangs, f"{name} took too long"
            return name
        except (AssertionError, EventStoreError, ExceptionGroup, IndexError):
            return name
    return None


def in_memory(make: Callable[[], MemoryStore]) -> EventStoreContract:
    class Run(EventStoreContract):
        def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
            return make()

    return Run()


@pytest.mark.parametrize("fault", [*FAULTY_LOGS, *SUBTLE_LOGS], ids=lambda fault: fault.__name__)
async def test_a_log_with_a_planted_fault_fails_the_contract(fault: type[MemoryLog], tmp_path: Path) -> None:
    assert await first_failure(in_memory(lambda: MemoryStore(fault())), tmp_path) is not None


@pytest.mark.parametrize("fault", [*FAULTY_STORES, *SUBTLE_STORES], ids=lambda fault: fault.__name__)
async def test_a_store_with_a_planted_fault_fails_the_contract(
    fault: type[MemoryStore], tmp_path: Path
) -> None:
    hangs = fault in HANGING
    assert await first_failure(in_memory(fault), tmp_path, hangs=hangs) is not None


@pytest.mark.parametrize("fault", FAULTY_FILES, ids=lambda fault: fault.__name__)
async def test_a_file_with_a_planted_fault_fails_the_contract(
    fault: type[DurableContract], tmp_path: Path
) -> None:
    hangs = fault in HANGING
    assert await first_failure(fault(), tmp_path, hangs=hangs) is not None


async def test_the_stores_without_a_fault_pass(tmp_path: Path) -> None:
    shared = MemoryStore(Faulty())
    assert await first_failure(in_memory(lambda: shared), tmp_path / "shared") is not None, (
        "a log shared by all tests is a fault too"
    )
    assert await first_failure(in_memory(lambda: MemoryStore(Faulty())), tmp_path / "memory") is None
    assert await first_failure(WithoutAFault(), tmp_path / "file") is None


class Twists(Faulty):
    """The eighth and the ninth of ten thousand change places."""

    def planted(self, stream: str, events: Sequence[NewEvent], expected: int, checkpoint: Any) -> Appended:
        if len(events) == 10_000:
            events = [*events[:7], events[8], events[7], *events[9:]]
        return super().planted(stream, events, expected, checkpoint)


async def test_of_thousands_of_events_the_contract_tells_the_first_that_differs(tmp_path: Path) -> None:
    run = in_memory(lambda: MemoryStore(Twists()))
    with pytest.raises(
        AssertionError, match=r"^10000 came where 10000 are due; the first that differs, at 7: 8, where 7"
    ):
        await run.test_a_large_event_and_a_large_append_come_back_whole(tmp_path)
