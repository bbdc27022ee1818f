"""A durable, append-only event log: named streams, one global order, one hash chain.

Knows bytes and names, nothing of what they mean. `SqliteStore` is one file on one disk, `MemoryStore` the
same in memory; both keep the promises of the protocol `EventStore`, which `eventstore.contract` tests.
"""

from eventstore._compiled import PARTS
from eventstore._place import check_place
from eventstore.bulk import LETS_OTHERS_RUN, Bulk, new_bulk
from eventstore.codec import Codec, UnreadableEvent, UnwritableEvent, Upcaster
from eventstore.consumer import Answer, DeadLetter, consume, dead_letters, redeliver
from eventstore.errors import (
    DuplicateEvent,
    EventStoreError,
    InvalidArgument,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreFull,
    StoreIncompatible,
    StoreNotFound,
    StoreReadOnly,
    VersionConflict,
    WrongLoop,
)
from eventstore.ids import new_id
from eventstore.memory import MemoryLog, MemoryStore
from eventstore.model import (
    ANY,
    NO_STREAM,
    Appended,
    Archived,
    Checkpoint,
    Fault,
    NewEvent,
    RecordedEvent,
    VerifyReport,
    Witness,
    category_of,
)
from eventstore.replay import Batch, Column, Decoder, Unreadable
from eventstore.snapshots import Fold, Snapshots
from eventstore.sqlite import SqliteStore
from eventstore.sqlite_version import SqliteNote, sqlite_note
from eventstore.store import EventStore
from eventstore.transfer import export_lines, import_log

__all__ = [
    "ANY",
    "LETS_OTHERS_RUN",
    "NO_STREAM",
    "PARTS",
    "Answer",
    "Appended",
    "Archived",
    "Batch",
    "Bulk",
    "Checkpoint",
    "Codec",
    "Column",
    "DeadLetter",
    "Decoder",
    "DuplicateEvent",
    "EventStore",
    "EventStoreError",
    "Fault",
    "Fold",
    "InvalidArgument",
    "MemoryLog",
    "MemoryStore",
    "NewEvent",
    "RecordedEvent",
    "Snapshots",
    "SqliteNote",
    "SqliteStore",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupt",
    "StoreFull",
    "StoreIncompatible",
    "StoreNotFound",
    "StoreReadOnly",
    "Unreadable",
    "UnreadableEvent",
    "UnwritableEvent",
    "Upcaster",
    "VerifyReport",
    "VersionConflict",
    "Witness",
    "WrongLoop",
    "category_of",
    "check_place",
    "consume",
    "dead_letters",
    "export_lines",
    "import_log",
    "new_bulk",
    "new_id",
    "redeliver",
    "sqlite_note",
]
