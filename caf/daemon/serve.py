"""The daemon's life: it takes the workspace over, serves it, reloads when told, and stops in good order."""

import os
import platform
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from msgspec import Struct

import caf
from caf.app import App, open_app
from caf.config import Config
from caf.daemon.dispatcher import Dispatcher
from caf.daemon.intake import Intake
from caf.daemon.lock import hold_daemon_lock, publish_address
from caf.daemon.memory import settle_objects
from caf.daemon.rows import RowsInStep
from caf.daemon.service import Service
from caf.daemon.signals import Signals
from caf.daemon.systemd import Notifier
from caf.daemon.timed import timed
from caf.errors import CafError
from caf.events import DaemonStarted, DaemonStopped
from caf.lanes import Place
from caf.runner import open_runner_of_many
from caf.submission import load_defaults
from caf.workspace import Workspace
from eventstore import EventStoreError, RecordedEvent

__all__ = ["Face", "Talk", "serve"]


class Talk(Struct, frozen=True, kw_only=True):
    """Whom the daemon tells what; telling is never recorded."""

    say: Callable[[str], None]
    """A line for the operator."""
    seen: Callable[[RecordedEvent], None] = lambda recorded: None
    """Every event that comes."""
    failed: Callable[[str, Exception], None] = lambda what, fault: None
    """What held a job back, or a file."""
    warn: Callable[[str, str], None] = lambda job_id, told: None
    """What people should know of a job that no event tells."""


class Face(Protocol):
    """How people and programs reach a service: an HTTP server, say."""

    def __call__(self, service: Service, *, task_status: TaskStatus[str]) -> Coroutine[Any, Any, None]:
        """Serve until cancelled; started with the URL."""


async def serve(
    root: Path,
    config: Config,
    *,
    reload: Callable[[], Config],
    face: Face | None,
    talk: Talk,
    notifier: Notifier | None = None,
) -> None:
    """Serve a workspace until SIGTERM or SIGINT. Raises `CafError`.

    `reload` reads the configuration again, for SIGHUP.
    """
    signals = Signals(talk.say)
    with _one_fault():
        async with anyio.create_task_group() as group:
            await group.start(signals.hear)
            await _serve(root, config, reload, face, talk, signals, notifier or Notifier())
            group.cancel_scope.cancel()


async def _serve(
    root: Path,
    config: Config,
    reload: Callable[[], Config],
    face: Face | None,
    talk: Talk,
    signals: Signals,
    notifier: Notifier,
) -> None:
    workspace = Workspace(root)
    workspace.prepare()
    with hold_daemon_lock(workspace.own):
        publish_address(workspace.own, "")
        async with anyio.create_task_group() as group:
            ready = anyio.Event()
            group.start_soon(_cancel_unless_ready, group, signals, ready)
            await anyio.to_thread.run_sync(workspace.sweep)
            async with _service(root, config, talk) as service:
                await _Life(service, reload, talk, signals, notifier).run(face, ready)
            group.cancel_scope.cancel()
        if not ready.is_set():
            talk.say(f"caf: {signals.reason} while it was starting; nothing was begun.")


async def _cancel_unless_ready(group: anyio.abc.TaskGroup, signals: Signals, ready: anyio.Event) -> None:
    """Who asks to stop while a long log is read need not wait for the end of that."""
    await signals.stop.wait()
    if not ready.is_set():
        group.cancel_scope.cancel()


@contextmanager
def _one_fault() -> Iterator[None]:
    """Of faults that ended a group together, the first that a person can act on."""
    try:
        yield
    except BaseExceptionGroup as faults:
        told: BaseException | None = faults.subgroup((CafError, EventStoreError))
        while isinstance(told, BaseExceptionGroup):
            told = told.exceptions[0]
        if told is None:
            raise
        raise told from faults


@asynccontextmanager
async def _service(root: Path, config: Config, talk: Talk) -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        app: App = await stack.enter_async_context(open_app(root, config))
        defaults = await anyio.to_thread.run_sync(load_defaults, app.workspace.root, config)
        service = Service(app, defaults)
        app.store = timed(app.store, service.appended)
        service.runner = await stack.enter_async_context(open_runner_of_many(app, service.tick, talk.warn))

        def seen(recorded: RecordedEvent) -> None:
            talk.seen(recorded)
            service.seen(recorded)

        def failed(job_id: str, fault: Exception) -> None:
            talk.failed(job_id or "the log", fault)
            service.held_back()

        service.dispatcher = Dispatcher(
            app.store,
            run=service.run,
            unfinished=service.unfinished,
            lanes=service.runner.lanes,
            jobs_at_once=config.jobs_at_once,
            clock=app.clock,
            seen=seen,
            failed=failed,
        )
        yield service


class _Life:
    """From the first event of a daemon to its last."""

    def __init__(
        self,
        service: Service,
        reload: Callable[[], Config],
        talk: Talk,
        signals: Signals,
        notifier: Notifier,
    ) -> None:
        self.service = service
        self.reload = reload
        self.talk = talk
        self.signals = signals
        self.notifier = notifier
        self.run_id = service.app.ids.new()

    async def run(self, face: Face | None, ready: anyio.Event) -> None:
        """Until it is told to stop. `ready` is set before anything is begun, and recorded."""
        service, own = self.service, self.service.app.workspace.own
        await service.dispatcher.load()
        async with anyio.create_task_group() as workers:
            # Who cannot listen has not taken over anything yet.
            url = await workers.start(face, service) if face else ""
            ready.set()
            started = DaemonStarted(
                version=caf.__version__, host=platform.node(), pid=os.getpid(), settings=service.settings()
            )
            await service.app.daemon_command(lambda daemon: [started])
            await workers.start(service.dispatcher.serve)
            taking_in = await workers.start(self._take_in)
            workers.start_soon(self._reload_when_asked)
            rows = RowsInStep(service.app, failed=self.talk.failed)
            service.listeners.append(rows)
            workers.start_soon(rows.serve)
            await anyio.to_thread.run_sync(publish_address, own, url)
            workers.start_soon(self._beat)
            settle_objects()
            self._say_ready(url)
            await self.signals.stop.wait()
            taking_in.cancel()
            places = await self._drain()
            workers.cancel_scope.cancel()
        await self._note_end(places)
        await self._show_the_rest()

    async def _take_in(self, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            await Intake(self.service.app, self.service.submit_file, failed=self.talk.failed).serve()

    async def _reload_when_asked(self) -> None:
        while True:
            await self.signals.again()
            await self._reload()

    async def _reload(self) -> None:
        try:
            late = await self.service.reload(await anyio.to_thread.run_sync(self.reload))
        except Exception as fault:  # noqa: BLE001 - whatever is wrong with the settings, the old ones are good
            told = str(fault) if isinstance(fault, CafError | EventStoreError) else repr(fault)
            self.talk.say(f"caf: the settings stay as they were: {told}")
            return
        judged = self.service.settings()
        self.talk.say(f"caf: new jobs are judged by {judged.policy_id} ({judged.policy_sha256[:12]})")
        if late:
            self.talk.say(f"caf: only a restart changes {', '.join(late)}")

    async def _beat(self) -> None:
        """Say that the loop turns, for as long as it does."""
        if self.notifier.beat_s is None:
            return
        while True:
            self.notifier.beat()
            await anyio.sleep(self.notifier.beat_s)

    def _say_ready(self, url: str) -> None:
        where = f" on {url}" if url else ""
        self.notifier.ready(f"serving{where}")
        root = self.service.app.workspace.root
        self.talk.say(f"caf serves {root}{where} (process {os.getpid()})")

    async def _drain(self) -> list[Place]:
        grace_s = self.service.app.config.grace_s
        dispatcher = self.service.dispatcher
        running = sum(len(lane.running) for lane in dispatcher.lanes.all)
        told = f"{self.signals.reason}: {running} running stages get {grace_s:g} s"
        self.notifier.stopping(told)
        self.talk.say(f"caf: {told}; once more to interrupt them")
        places: list[Place] = []
        async with anyio.create_task_group() as group:

            async def cut_short() -> None:
                await self.signals.hurry.wait()
                places.extend(await dispatcher.drain(0))
                group.cancel_scope.cancel()

            group.start_soon(cut_short)
            places.extend(await dispatcher.drain(grace_s))
            group.cancel_scope.cancel()
        return places

    async def _note_end(self, places: list[Place]) -> None:
        """Record what was interrupted, and the end itself; on a full disk the next start goes on without."""
        dispatcher, reason = self.service.dispatcher, self.signals.reason
        try:
            noted = await dispatcher.note_interrupted(places, reason=reason, run_id=self.run_id)
            stopped = DaemonStopped(pid=os.getpid(), reason=reason, interrupted=noted)
            await self.service.app.daemon_command(lambda daemon: [stopped])
        except (CafError, EventStoreError) as fault:
            self.talk.say(f"caf: the end could not be recorded: {fault}")
            return
        self.talk.say(f"caf: stopped; {noted} stages were interrupted and run again at the next start")

    async def _show_the_rest(self) -> None:
        """Tell what was recorded since nobody followed the log any more."""
        service = self.service
        with suppress(EventStoreError):
            async for recorded in service.app.store.read_all(after_position=service.dispatcher.position):
                self.talk.seen(recorded)
