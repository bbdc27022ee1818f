"""Takes in what is dropped into the workspace's folders, each once; a file that cannot be used is told why."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import watchfiles
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct

from caf.app import App
from caf.artifacts import write_atomically
from caf.contracts.times import timestamp
from caf.daemon.dropped import Dropped, Submit, dropped_bytes, rejection_of
from caf.daemon.state import reject
from caf.errors import CafError, DocumentError, InputError, TryAgainError
from caf.events import DocumentRejected
from caf.events.codec import digest
from eventstore import EventStoreError, InvalidArgument

__all__ = ["Intake"]

LOOK_EVERY_S: Final = 5.0
"""Also without a word from the system: folders on some filesystems change unheard."""
QUIET_S: Final = 2.0
"""What cannot be read yet is given so long without a change before it is called broken."""
IDLE_SHARE, BUSY_SHARE = 50, 2
"""How much longer than a look the pause after it is, so that very many files keep nobody busy."""
AT_ONCE: Final = 4
SLICE: Final = 500
"""Files that are handed on without a pause."""
TRIES: Final = 3
"""How often a file may end the child that looks at it before the file is to blame."""

State = tuple[int, int, int]
"""Inode, size and time of change in ns: what tells one content of a file from the next."""
OF_THE_MACHINE: Final = (TryAgainError, EventStoreError)
"""Nothing that the file did: it is looked at again."""


class _Known(Struct):
    """What was last seen of a file."""

    state: State
    asset: Path | None
    """The clip that it names."""
    asset_state: State | None
    since_ms: int
    tries: int = 0
    done: bool = False
    told: str = ""
    """What was last said of it."""


class Intake:
    """Looks at `sandbox/jobs`, `sandbox/inbox` and `sandbox/dist_artifacts` whenever something changes there."""

    def __init__(
        self,
        app: App,
        submit: Submit,
        *,
        failed: Callable[[str, Exception], None] = lambda path, fault: None,
        quiet_s: float = QUIET_S,
    ) -> None:
        """`failed` is told which file could not be looked at for now, and why."""
        self.app = app
        self._dropped = Dropped(app, submit)
        self._failed = failed
        self._quiet_ms = round(quiet_s * 1000)
        self._known: dict[str, _Known] = {}
        self._taken: set[int] = set()
        """What was taken in, as `_mark` has it: only another content of such a file is news, and there are many."""
        self._busy: set[str] = set()
        self._news = anyio.Event()

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Take in what is there, then what comes, for ever."""
        give, takes = anyio.create_memory_object_stream[tuple[str, _Known]](float("inf"))
        async with give, takes, anyio.create_task_group() as group:
            group.start_soon(self._watch)
            for _ in range(AT_ONCE):
                group.start_soon(self._take_all, takes)
            task_status.started()
            while True:
                news, begun_s = self._news, anyio.current_time()
                waiting = await self._look(give)
                took_s = anyio.current_time() - begun_s
                soon_s = min(LOOK_EVERY_S, self._quiet_ms / 1000)
                with anyio.move_on_after(max(soon_s if waiting else LOOK_EVERY_S, took_s * IDLE_SHARE)):
                    await news.wait()
                    await anyio.sleep(took_s * BUSY_SHARE)

    async def _watch(self) -> None:
        sandbox = self.app.workspace.sandbox
        folders = [sandbox / name for name in ("jobs", "inbox", "dist_artifacts")]
        stop = anyio.Event()
        told = ""
        async with anyio.create_task_group() as group:
            group.start_soon(_set_when_cancelled, stop)
            while True:
                try:
                    async for _ in watchfiles.awatch(
                        *folders, debounce=50, step=20, stop_event=stop, ignore_permission_denied=True
                    ):
                        told = ""
                        self._wake()
                except Exception as fault:  # noqa: BLE001 - of watchfiles' own task group, too
                    # A folder that is gone, no more watches, a name that is no Unicode: looking goes on without.
                    if str(fault) != told:  # it may stay so for months
                        told = str(fault)
                        self._failed("the watch on the folders", fault)
                    self._wake()
                    await anyio.sleep(LOOK_EVERY_S)

    async def _look(self, give: MemoryObjectSendStream[tuple[str, _Known]]) -> bool:
        """Hand on every file that is new or changed; True when one has to be looked at again soon."""
        found, gone = await anyio.to_thread.run_sync(self._found)
        self._known = found
        self._taken -= gone
        for number, (path, known) in enumerate(found.items()):
            if number % SLICE == 0:
                await anyio.lowlevel.checkpoint()
            if not known.done and path not in self._busy:
                self._busy.add(path)
                give.send_nowait((path, known))
        return any(not known.done for known in found.values())

    def _found(self) -> tuple[dict[str, _Known], set[int]]:
        """What is there, but for what was taken in; what did not change since the last look is the same object.

        And the marks of those of the taken ones that are there no more as they were.
        """
        now_ms = self.app.clock.monotonic_ms()
        found: dict[str, _Known] = {}
        gone = self._taken.copy()
        for path in self._dropped.files():
            state, known = _state(path), self._known.get(path)
            if state is None:
                continue
            mark = _mark(path, state)
            if mark in self._taken:
                gone.discard(mark)
                continue
            if known is None or known.state != state:
                asset = self._dropped.asset(Path(path))
                known = _Known(state=state, asset=asset, asset_state=_state(asset), since_ms=now_ms)
            elif (asset_state := _state(known.asset)) != known.asset_state:
                known = _Known(state=state, asset=known.asset, asset_state=asset_state, since_ms=now_ms)
            found[path] = known
        for path in self._known.keys() - found.keys():
            _unlink(rejection_of(Path(path)))
        return found, gone

    async def _take_all(self, takes: MemoryObjectReceiveStream[tuple[str, _Known]]) -> None:
        while True:
            path, known = await takes.receive()
            try:
                await self._take(Path(path), known)
            finally:
                self._busy.discard(path)

    async def _take(self, path: Path, known: _Known) -> None:
        if self._may_still_grow(known):
            return
        try:
            await self._dropped.take(path)
        except InvalidArgument as fault:  # the log takes no such name, now or later
            known.done = await self._reject(path, known, self._told(path, fault))
        except OF_THE_MACHINE as fault:
            self._tell(path, known, fault)
        except Exception as fault:  # noqa: BLE001 - whatever a file holds, it ends no daemon
            if self._is_final(known, fault):
                known.done = await self._reject(path, known, self._told(path, fault))
        else:
            known.done = True
            self._taken.add(_mark(str(path), known.state))
            await anyio.to_thread.run_sync(_unlink, rejection_of(path))

    def _may_still_grow(self, known: _Known) -> bool:
        """A clip that changed a moment ago may be half copied, however whole it looks."""
        if known.asset_state is None or self._is_quiet(known):
            return False
        return self.app.clock.now_ms() - known.asset_state[2] // 1_000_000 < self._quiet_ms

    def _is_quiet(self, known: _Known) -> bool:
        return self.app.clock.monotonic_ms() - known.since_ms >= self._quiet_ms

    def _is_final(self, known: _Known, fault: Exception) -> bool:
        """False for what a file may just not be yet (JSON, a clip, there), and for what may go well the next time."""
        if isinstance(fault, CafError) and fault.transient:
            known.tries += 1
            return known.tries >= TRIES
        if isinstance(fault, CafError) and fault.kind == "unknown_job" and self._jobs_are_coming():
            return False
        return self._is_quiet(known) or not isinstance(fault, InputError | OSError)

    def _jobs_are_coming(self) -> bool:
        """Whether there are job files that were neither taken nor refused yet: an answer may be about one of them."""
        return any(path.endswith(".job.json") and not known.done for path, known in self._known.items())

    async def _reject(self, path: Path, known: _Known, fault: CafError) -> bool:
        """Say why a file was not taken, beside it and in the log; False when that could not be said yet."""
        try:
            data = await anyio.to_thread.run_sync(dropped_bytes, path)
        except CafError:
            data = b""
        refused = DocumentRejected(
            path=self._dropped.shown(path),
            sha256=digest(data),
            kind=fault.kind,
            message=fault.message,
            remedy=fault.remedy,
        )
        told = {**msgspec.structs.asdict(refused), "rejected_at": timestamp(self.app.clock.now_ms())}
        content = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
        try:
            await self.app.daemon_command(lambda daemon: reject(daemon, refused))
            await anyio.to_thread.run_sync(write_atomically, rejection_of(path), content)
        except (CafError, EventStoreError, OSError) as problem:
            self._tell(path, known, problem)
            return False
        return True

    def _told(self, path: Path, fault: Exception) -> CafError:
        """An error for people, with nothing in it that is no text."""
        if isinstance(fault, CafError):
            return CafError(_text(fault.message), remedy=_text(fault.remedy), kind=fault.kind)
        if isinstance(fault, InvalidArgument):
            return InputError(_text(fault.message), remedy=_text(fault.remedy), kind="bad_parameter")
        shown = self._dropped.shown(path)
        if isinstance(fault, OSError):
            return DocumentError(
                f"{shown} cannot be read: {fault.strerror}.", remedy="Check the file and its permissions."
            )
        return CafError(
            f"{shown} could not be taken: {_text(f'{type(fault).__name__}: {fault}')}.",
            remedy="This is a defect of caf; please report it with the file.",
            kind="defect",
        )

    def _tell(self, path: Path, known: _Known, fault: Exception) -> None:
        if str(fault) != known.told:
            known.told = str(fault)
            self._failed(self._dropped.shown(path), fault)

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


async def _set_when_cancelled(stop: anyio.Event) -> None:
    """Tell the thread that watches, which nothing else ends before its patience does."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def _state(path: str | Path | None) -> State | None:
    try:
        found = os.stat(path) if path is not None else None  # noqa: PTH116 - of very many
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None


def _mark(path: str, state: State) -> int:
    """A number for one content of one file, of 8 bytes; the same in this process only."""
    return hash((path, state))


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _text(words: str) -> str:
    return words.encode("utf-8", "backslashreplace").decode()
