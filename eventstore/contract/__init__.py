"""What every event store must do, as tests that any store can run.

    class TestMyStore(EventStoreContract):
        def open(self, folder: Path) -> AbstractAsyncContextManager[EventStore]:
            return MyStore.open(folder / "log")

Every method `test_*` takes an empty folder (pytest's `tmp_path`) and is a coroutine function; asserts are
plain, so that any runner will do. `DurableContract` adds what holds for a store that outlives its process
and that several processes can open.
"""

from eventstore.contract._append import AppendContract
from eventstore.contract._beside import BesideContract
from eventstore.contract._boundaries import BoundariesContract
from eventstore.contract._checkpoints import CheckpointsContract
from eventstore.contract._closing import ClosingContract
from eventstore.contract._concurrency import ConcurrencyContract
from eventstore.contract._contents import ContentsContract
from eventstore.contract._durable import DurableContract
from eventstore.contract._live import LiveContract
from eventstore.contract._names import NamesContract
from eventstore.contract._read import ReadContract
from eventstore.contract._reopened import ReopenedContract
from eventstore.contract._repeats import RepeatsContract
from eventstore.contract._replay import ReplayContract
from eventstore.contract._shared import SharedContract
from eventstore.contract._subscribe import SubscribeContract
from eventstore.contract._support import Contract, collect, events, mark, new, refused
from eventstore.contract._verify import VerifyContract

__all__ = [
    "AppendContract",
    "BesideContract",
    "BoundariesContract",
    "CheckpointsContract",
    "ClosingContract",
    "ConcurrencyContract",
    "ContentsContract",
    "Contract",
    "DurableContract",
    "EventStoreContract",
    "LiveContract",
    "NamesContract",
    "ReadContract",
    "ReopenedContract",
    "RepeatsContract",
    "ReplayContract",
    "SharedContract",
    "SubscribeContract",
    "VerifyContract",
    "collect",
    "events",
    "mark",
    "new",
    "refused",
]


class EventStoreContract(
    AppendContract,
    RepeatsContract,
    ContentsContract,
    BoundariesContract,
    CheckpointsContract,
    NamesContract,
    ReadContract,
    ReplayContract,
    SubscribeContract,
    LiveContract,
    ConcurrencyContract,
    BesideContract,
    ClosingContract,
    VerifyContract,
):
    """All that holds for every store."""
