"""Takes in what is dropped into the workspace's folders: jobs, answers, approvals, posts. Each exactly once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec
import watchfiles
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from caf import commands
from caf.app import App
from caf.artifacts import write_atomically
from caf.contracts import Approval, EscalationAnswer
from caf.contracts.paths import workspace_path
from caf.contracts.read import read_document, read_object
from caf.contracts.times import timestamp
from caf.daemon.state import reject
from caf.errors import CafError, DocumentError, InputError, MediaError, RefusedError, TryAgainError
from caf.events import DocumentRejected
from caf.events.codec import derived_id, digest
from caf.handoff import scan_one
from caf.log import fold, fold_daemon
from caf.submission import document_bytes, document_sha256

__all__ = ["Intake", "rejection_of"]

LOOK_EVERY_S: Final = 5.0
"""Also without a word from the system: folders on some filesystems change unheard."""
QUIET_S: Final = 2.0
"""What cannot be read yet is given so long without a change before it is called broken."""
AT_ONCE: Final = 4
PLATFORMS: Final = ("youtube", "tiktok", "instagram", "x")
_REJECTED: Final = ".rejected.json"

State = tuple[int, int, int]
"""Inode, size and time of change: what tells one content of a file from the next."""


class _Known(Struct):
    """What was last seen of a file."""

    state: tuple[State | None, State | None]
    """Of the file, and of the clip that it names."""
    since_ms: int
    done: bool = False
    taken: bool = False
    """It was taken in, so that nothing but another content of the file itself is news."""


Submit = Callable[[Path, str], Awaitable[None]]
"""Submits a job file; the second argument is who it is recorded for."""


def rejection_of(path: Path) -> Path:
    """Where the reason stands why a file was not taken."""
    return path.with_name(path.name + _REJECTED)


class Intake:
    """Looks at `sandbox/jobs`, `sandbox/inbox` and `sandbox/dist_artifacts` whenever something changes there."""

    def __init__(self, app: App, submit: Submit, *, quiet_s: float = QUIET_S) -> None:
        self.app = app
        self._submit = submit
        self._quiet_ms = round(quiet_s * 1000)
        self._root = app.workspace.root
        self._known: dict[Path, _Known] = {}
        self._busy: set[Path] = set()
        self._news = anyio.Event()
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Take in what is there, then what comes, for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            task_status.started()
            while True:
                news = self._news
                waiting = await self._look(group)
                with anyio.move_on_after(
                    min(LOOK_EVERY_S, self._quiet_ms / 1000) if waiting else LOOK_EVERY_S
                ):
                    await news.wait()

    async def _watch(self) -> None:
        sandbox = self.app.workspace.sandbox
        folders = [sandbox / name for name in ("jobs", "inbox", "dist_artifacts")]
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(_set_when_cancelled, stop)
            while True:
                try:
                    async for _ in watchfiles.awatch(
                        *folders, debounce=50, step=20, stop_event=stop, ignore_permission_denied=True
                    ):
                        self._wake()
                except (
                    OSError,
                    RuntimeError,
                ):  # a folder that is gone, or no more watches: looking goes on without
                    await anyio.sleep(LOOK_EVERY_S)

    async def _look(self, group: TaskGroup) -> bool:
        """Begin on every file that is new or changed; True when one has to be looked at again soon."""
        found = await anyio.to_thread.run_sync(self._candidates)
        for path in self._known.keys() - found.keys():
            del self._known[path]
        now_ms = self.app.clock.monotonic_ms()
        for path, state in found.items():
            known = self._known.get(path)
            if known is None or known.state != state:
                known = self._known[path] = _Known(state=state, since_ms=now_ms)
            if not known.done and path not in self._busy:
                self._busy.add(path)
                group.start_soon(self._take, path, known)
        return any(not known.done for known in self._known.values())

    def _candidates(self) -> dict[Path, tuple[State | None, State | None]]:
        sandbox = self.app.workspace.sandbox
        found: dict[Path, tuple[State | None, State | None]] = {}
        for path in sorted((sandbox / "jobs").glob("*.job.json")):
            state, known = _state(path), self._known.get(path)
            if known is not None and known.taken and known.state[0] == state:
                found[path] = known.state
            else:
                found[path] = state, _state(self._asset(path))
        for path in sorted((sandbox / "inbox").glob("*.json")):
            if not path.name.endswith(_REJECTED):
                found[path] = _state(path), None
        for path in sorted((sandbox / "dist_artifacts").glob("*/*.state.json")):
            found[path] = _state(path), None
        return {path: state for path, state in found.items() if state[0] is not None}

    def _asset(self, path: Path) -> Path | None:
        """The clip that a job file names, so that one that is still being copied is noticed; None if unclear."""
        try:
            named = read_object(document_bytes(path), where=path.name)["render"]["background_asset"]
            return self._root / "sandbox" / workspace_path(named, where="").removeprefix("sandbox/")
        except (CafError, KeyError, TypeError):
            return None

    async def _take(self, path: Path, known: _Known) -> None:
        try:
            async with self._limiter:
                await self._take_one(path)
            known.done = known.taken = True
            await anyio.to_thread.run_sync(_unlink, rejection_of(path))
        except TryAgainError:
            pass  # of this machine; looked at again at the next round
        except (CafError, OSError) as fault:
            quiet_ms = self.app.clock.monotonic_ms() - known.since_ms
            if quiet_ms >= self._quiet_ms or not _may_be_half_written(fault):
                known.done = await self._reject(path, _told(path, fault))
        finally:
            self._busy.discard(path)

    async def _take_one(self, path: Path) -> None:
        if path.name.endswith(".job.json"):
            await self._take_job(path)
        elif path.name.endswith(".state.json") and path.parent.parent.name == "dist_artifacts":
            scanned = await scan_one(self.app, path)
            if scanned.outcome == "refused":
                raise DocumentError(scanned.detail, remedy="Correct the file.")
        else:
            await self._take_from_inbox(path)

    async def _take_job(self, path: Path) -> None:
        job_id = path.name.removesuffix(".job.json")
        data = await anyio.to_thread.run_sync(document_bytes, path)
        told = document_sha256(read_object(data, where=self._shown(path)))
        known = (await fold(self.app.store, job_id)).submitted
        if known is None:
            await self._submit(path, self._shown(path))
        elif known.document_sha256 != told:
            raise RefusedError(
                f"Job {job_id} was submitted with other content; a job does not change afterwards.",
                remedy="Put the old content back, or give the new job a name of its own.",
                kind="job_exists",
            )

    async def _take_from_inbox(self, path: Path) -> None:
        shown = self._shown(path)
        data = await anyio.to_thread.run_sync(document_bytes, path)
        refused = (await fold_daemon(self.app.store)).rejected.get(shown)
        if refused is not None and refused.sha256 == digest(data):
            return  # it was refused as things stood then; that they stand otherwise now is no new answer
        event_id = derived_id("inbox", f"{shown}/{digest(data)}", 0)
        if path.name.startswith("approve-"):
            said = read_document(data, Approval, where=shown)
            job_id, platform = await self._approved(path, said)
            await self.app.command(
                job_id,
                lambda job: commands.approve(
                    job, platform=platform, by=said.by or "inbox", note=said.note, observed_from=shown
                ),
                event_id=event_id,
            )
            return
        answer = read_document(data, EscalationAnswer, where=shown)
        await self.app.answer(
            answer.job_id,
            action=answer.action,
            by=answer.by,
            note=answer.note,
            from_stage=answer.from_stage,
            parameters=answer.parameters,
            source=self._below(answer.source, "source"),
            reference=self._below(answer.reference, "reference"),
            event_id=event_id,
        )

    async def _approved(self, path: Path, said: Approval) -> tuple[str, str]:
        """The job and the platform of `approve-<job_id>-<platform>-<nonce>`; all three may have dashes in them."""
        words = path.name.removesuffix(".json").split("-")[1:]
        found = []
        for cut in range(1, len(words) - 1):
            job_id, platform = "-".join(words[:cut]), words[cut]
            if said.job_id not in (None, job_id) or said.platform not in (None, platform):
                continue
            job = await fold(self.app.store, job_id)
            if job.submitted is not None and platform in (said.platform, *PLATFORMS, *job.spec.platforms):
                found.append((job_id, platform))
        if len(found) != 1:
            raise DocumentError(
                f"{self._shown(path)} names {'no job and platform' if not found else 'more than one job'} of this log.",
                remedy="Name it approve-<job_id>-<platform>-<nonce>.json, and say job_id and platform in it.",
                kind="unknown_job",
            )
        return found[0]

    def _below(self, path: str | None, where: str) -> str | None:
        if path is None:
            return None
        inside = workspace_path(path, where=where)
        if not (self._root / inside).is_file():
            raise MediaError(f"{inside} is not a file.", remedy="Check the path.", kind="media_missing")
        return inside

    async def _reject(self, path: Path, fault: CafError) -> bool:
        """Say why a file was not taken, beside it and in the log; False when that could not be said yet."""
        shown = self._shown(path)
        try:
            data = await anyio.to_thread.run_sync(document_bytes, path)
        except (CafError, OSError):
            data = b""
        refused = DocumentRejected(
            path=shown,
            sha256=digest(data),
            kind=fault.kind,
            message=fault.message,
            remedy=fault.remedy,
        )
        try:
            await self.app.daemon_command(lambda daemon: reject(daemon, refused))
            told = {**msgspec.structs.asdict(refused), "rejected_at": timestamp(self.app.clock.now_ms())}
            content = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
            await anyio.to_thread.run_sync(write_atomically, rejection_of(path), content)
        except CafError:
            return False
        return True

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


async def _set_when_cancelled(stop: anyio.Event) -> None:
    """Tell the thread that watches, which nothing else ends before its patience does."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def _state(path: Path | None) -> State | None:
    try:
        found = path.stat() if path is not None else None
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None


def _may_be_half_written(fault: Exception) -> bool:
    """True for what a file may just not be yet: JSON, a clip, there."""
    return isinstance(fault, InputError | OSError)


def _told(path: Path, fault: Exception) -> CafError:
    if isinstance(fault, CafError):
        return fault
    why = fault.strerror if isinstance(fault, OSError) else fault
    return DocumentError(f"{path} cannot be read: {why}.", remedy="Check the file and its permissions.")


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
