"""Hands the log's events to a handler, one after the other, and never gets stuck on one of them.

At least once: the checkpoint is saved after the handler has returned, so that a crash between the two brings the
event again. An answer that the handler returns is appended together with the checkpoint, and so is there once. An
event that the handler fails on again and again becomes a dead letter, appended together with the checkpoint, and
the next one is handled; nothing is skipped without one.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Struct

from eventstore.checks import check_append
from eventstore.errors import EventStoreError, StoreBusy, StoreClosed, StoreCorrupt, StoreFull, StoreReadOnly
from eventstore.ids import new_id
from eventstore.model import Checkpoint, NewEvent, RecordedEvent, category_of
from eventstore.store import EventStore

__all__ = ["Answer", "DeadLetter", "Handle", "consume", "dead_letters", "redeliver"]

DEAD: Final = "DeadLettered"
RESOLVED: Final = "DeadLetterResolved"
_WHY: Final = 10_000
"""Characters of what a handler said that are kept."""
_PASSING: Final = (StoreBusy, StoreFull, StoreReadOnly)
"""Faults of the machine: they pass, and no event is to blame."""
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Answer(Struct, frozen=True, kw_only=True):
    """Events that a handler answers an event with. Derive their ids from it, so that a repeat is known as one."""

    stream: str
    events: Sequence[NewEvent]


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that a consumer could not handle. Stored shape: only new fields with a default may be added."""

    consumer: str
    position: int
    why: str
    tries: int
    stream: str = ""
    """Empty, as the next three, where the log is damaged at that position."""
    version: int = 0
    type: str = ""
    event_id: str = ""


Handle = Callable[[RecordedEvent], Awaitable[Answer | None]]


def stream_of(consumer: str) -> str:
    """Where a consumer's dead letters are."""
    return f"deadletter-{consumer}"


async def consume(
    store: EventStore,
    consumer: str,
    handle: Handle,
    *,
    category: str | None = None,
    tries: int = 3,
    pause_s: float = 0.1,
    longest_pause_s: float = 30.0,
) -> None:
    """Handle every event behind the consumer's checkpoint, then what is appended, until cancelled.

    Only events of `category`, if one is given, and never the consumer's own dead letters. `tries` is how often
    `handle` may raise on one event; between two tries it waits `pause_s`, then twice as long each time. What the
    machine is to blame for (StoreBusy, StoreFull, StoreReadOnly) is tried for ever. Raises `StoreClosed`,
    `StoreCorrupt` where the log is so damaged that nothing can be appended, and `InvalidArgument` for a name that is
    too long for a stream of dead letters.
    """
    check_append(stream_of(consumer), (), 0, Checkpoint(consumer=consumer, position=0))
    work = _Consumer(store, consumer, handle, tries, _Pause(pause_s, longest_pause_s))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(work.save)
            await work.follow(category)
    except BaseExceptionGroup as failed:
        # Both may have met it; whoever waits for it by its name shall not need to know that there are two.
        raise failed.exceptions[0] from None


class _Pause:
    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s

    async def after(self, failures: int) -> None:
        await anyio.sleep(min(self._first_s * 2 ** min(failures - 1, 30), self._longest_s))


class _Consumer:
    def __init__(self, store: EventStore, name: str, handle: Handle, tries: int, pause: _Pause) -> None:
        self._store = store
        self._name = name
        self._handle = handle
        self._tries = tries
        self._pause = pause
        self._position = 0
        self._saved = 0
        self._moved = anyio.Event()
        self._saving = anyio.Lock(fast_acquire=True)
        """One checkpoint at a time, or an older one could be saved after that of an answer."""

    async def follow(self, category: str | None) -> None:
        with contextlib.suppress(*_PASSING):
            # An answer of one that was cancelled just now may be on its way still, with its checkpoint: wait behind it.
            await self._store.append(stream_of(self._name), ())
        self._position = self._saved = await self._store.checkpoint(self._name)
        failures = damaged = 0
        while True:
            try:
                # All categories, so that what cannot be read is noticed whatever it was.
                async for event in self._store.subscribe(after_position=self._position):
                    failures = damaged = 0
                    await self._take(event, category)
            except StoreClosed:
                raise
            except StoreCorrupt as error:
                # SQLite also says so where a disk could not read for a moment.
                damaged += 1
                if damaged < self._tries:
                    await self._pause.after(damaged)
                    continue
                letter = DeadLetter(
                    consumer=self._name, position=self._position + 1, why=str(error), tries=damaged
                )
                await self._bury(letter)
                damaged = 0
            except EventStoreError:
                failures += 1
                await self._pause.after(failures)

    async def _take(self, event: RecordedEvent, category: str | None) -> None:
        # A handler that waits for nothing must not keep the consumer from being cancelled.
        await anyio.lowlevel.checkpoint_if_cancelled()
        wanted = category is None or category_of(event.stream) == category
        if wanted and event.stream != stream_of(self._name):
            letter = await self._handled(event)
            if letter is not None:
                await self._bury(letter, event)
                return
        if self._position < event.position:
            self._move(event.position)

    def _move(self, position: int) -> None:
        self._position = position
        self._moved.set()

    async def _handled(self, event: RecordedEvent) -> DeadLetter | None:
        """None once it is handled; a dead letter if it cannot be."""
        failures = passing = 0
        while True:
            try:
                answer = await self._handle(event)
                if answer is not None:
                    await self._answer(event, answer)
            except StoreClosed:
                raise
            except _PASSING:
                passing += 1
                await self._pause.after(passing)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise
                failures += 1
                if failures >= self._tries:
                    return _letter(self._name, event, error, failures)
                await self._pause.after(failures)
            else:
                return None

    async def _answer(self, event: RecordedEvent, answer: Answer) -> None:
        mark = Checkpoint(consumer=self._name, position=event.position)
        async with self._saved_with(event.position):
            await self._store.append(answer.stream, answer.events, checkpoint=mark)

    @contextlib.asynccontextmanager
    async def _saved_with(self, position: int) -> AsyncIterator[None]:
        """Save nothing else meanwhile, and nothing older if it is cancelled: it may be recorded all the same."""
        async with self._saving:
            before, self._saved = self._saved, position
            try:
                yield
            except Exception:
                self._saved = before
                raise

    async def _bury(self, letter: DeadLetter, event: RecordedEvent | None = None) -> None:
        """Record the dead letter and the checkpoint together, however long that takes."""
        made = NewEvent(
            event_id=new_id(),
            type=DEAD,
            data=_encode(letter),
            correlation_id=event.correlation_id if event else None,
            causation_id=event.event_id if event else None,
        )
        mark = Checkpoint(consumer=self._name, position=letter.position)
        failures = 0
        while True:
            try:
                letters = await _open_letters(self._store, self._name)
                async with self._saved_with(letter.position):
                    if letter.position in letters:
                        await self._store.save_checkpoint(mark)
                    else:
                        await self._store.append(stream_of(self._name), [made], checkpoint=mark)
            except _PASSING:
                failures += 1
                await self._pause.after(failures)
            else:
                self._position = letter.position
                return

    async def save(self) -> None:
        """Save the checkpoint behind what is handled; while one is saved more is handled, and the next has it all."""
        failures = 0
        while True:
            await self._moved.wait()
            self._moved = anyio.Event()
            try:
                async with self._saving:
                    position = self._position
                    if position > self._saved:
                        await self._store.save_checkpoint(Checkpoint(consumer=self._name, position=position))
                        self._saved = position
            except _PASSING:
                failures += 1
                await self._pause.after(failures)
                self._moved.set()
            else:
                failures = 0


def _is_cancelled() -> bool:
    """True if the consumer shall end; False if something that a handler waited for was cancelled, and not we."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0 or anyio.current_effective_deadline() == -math.inf


def _why(error: BaseException) -> str:
    """What it says, as text that can be recorded; some say nothing, or names of files that are no Unicode."""
    name = type(error).__name__
    try:
        said = f"{name}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - whatever its own words raise
        said = name
    return said[:_WHY].encode(errors="backslashreplace").decode()


def _letter(consumer: str, event: RecordedEvent, error: BaseException, tries: int) -> DeadLetter:
    return DeadLetter(
        consumer=consumer,
        position=event.position,
        why=_why(error),
        tries=tries,
        stream=event.stream,
        version=event.version,
        type=event.type,
        event_id=event.event_id,
    )


async def _open_letters(store: EventStore, consumer: str) -> dict[int, DeadLetter]:
    found: dict[int, DeadLetter] = {}
    async for event in store.read(stream_of(consumer)):
        if event.type not in (DEAD, RESOLVED):
            continue
        try:
            letter = msgspec.json.decode(event.data, type=DeadLetter)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Not one of ours, whoever appended it; nothing waits for it.
            continue
        if event.type == DEAD:
            found[letter.position] = letter
        else:
            found.pop(letter.position, None)
    return found


async def dead_letters(store: EventStore, consumer: str) -> list[DeadLetter]:
    """What a consumer could not handle and nobody has handled since, in the order of the log."""
    return [letter for _, letter in sorted((await _open_letters(store, consumer)).items())]


async def redeliver(store: EventStore, consumer: str, handle: Handle) -> AsyncIterator[DeadLetter]:
    """Handle the dead letters again; yields those that are handled now, each recorded as resolved.

    An event that fails again, or whose answer is refused, stays a dead letter, and the next one is handled. Raises
    `StoreClosed`, and what the machine is to blame for.
    """
    for letter in await dead_letters(store, consumer):
        try:
            event = await anext(aiter(store.read_all(after_position=letter.position - 1, limit=1)))
            answer = await handle(event)
            if answer is not None:
                await store.append(answer.stream, answer.events)
        except (StoreClosed, *_PASSING):
            raise
        except Exception:  # noqa: BLE001, S112 - it stays what it is, and is in the list still
            continue
        resolved = NewEvent(
            event_id=new_id(),
            type=RESOLVED,
            data=_encode(letter),
            correlation_id=event.correlation_id,
            causation_id=event.event_id,
        )
        await store.append(stream_of(consumer), [resolved])
        yield letter
