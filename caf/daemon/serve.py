"""The daemon's life: it takes the workspace over, serves it, reloads when told, and stops in good order."""

import os
import platform
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

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
from caf.daemon.service import Service
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

STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class Talk(Struct, frozen=True, kw_only=True):
    """Whom the daemon tells what; telling is never recorded."""

    say: Callable[[str], None]
    """A line for the operator."""
    seen: Callable[[RecordedEvent], None] = lambda recorded: None
    """Every event that comes."""
    failed: Callable[[str, Exception], None] = lambda job_id, fault: None
    """What held a job back."""


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
    notifier = notifier or Notifier()
    workspace = Workspace(root)
    workspace.prepare()
    with hold_daemon_lock(workspace.own):
        await anyio.to_thread.run_sync(workspace.sweep)
        async with _service(root, config, talk) as service:
            with _one_fault():
                await _Life(service, reload, talk, notifier).run(face)


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
        service.runner = await stack.enter_async_context(open_runner_of_many(app, service.tick))

        def seen(recorded: RecordedEvent) -> None:
            talk.seen(recorded)
            service.seen(recorded)

        def failed(job_id: str, fault: Exception) -> None:
            talk.failed(job_id, fault)
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
        self, service: Service, reload: Callable[[], Config], talk: Talk, notifier: Notifier
    ) -> None:
        self.service = service
        self.reload = reload
        self.talk = talk
        self.notifier = notifier
        self.run_id = service.app.ids.new()
        self.stop = anyio.Event()
        self.hurry = anyio.Event()
        self.reason = ""

    async def run(self, face: Face | None) -> None:
        service = self.service
        started = DaemonStarted(
            version=caf.__version__, host=platform.node(), pid=os.getpid(), settings=service.settings()
        )
        async with anyio.create_task_group() as group:
            await group.start(self._hear_signals)
            await service.app.daemon_command(lambda daemon: [started])
            places: list[Place] = []
            async with anyio.create_task_group() as workers:
                await workers.start(service.dispatcher.serve)
                taking_in = await workers.start(self._take_in)
                url = await workers.start(face, service) if face else ""
                publish_address(service.app.workspace.own, url)
                workers.start_soon(self._beat)
                self._say_ready(url)
                await self.stop.wait()
                taking_in.cancel()
                places = await self._drain()
                workers.cancel_scope.cancel()
            await self._note_end(places)
            group.cancel_scope.cancel()

    async def _take_in(self, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            await Intake(self.service.app, self.service.submit_file).serve()

    async def _hear_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*STOPS, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reload()
                elif not self.stop.is_set():
                    self.reason = number.name
                    self.stop.set()
                elif not self.hurry.is_set():
                    self.hurry.set()
                else:
                    self.talk.say("caf: ended at once; what was recorded is kept.")
                    os._exit(128 + number)

    async def _reload(self) -> None:
        try:
            late = await self.service.reload(self.reload())
        except (CafError, EventStoreError) as fault:
            self.talk.say(f"caf: the settings stay as they were: {fault}")
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
        told = f"{self.reason}: {running} running stages get {grace_s:g} s"
        self.notifier.stopping(told)
        self.talk.say(f"caf: {told}; once more to interrupt them")
        places: list[Place] = []
        async with anyio.create_task_group() as group:

            async def cut_short() -> None:
                await self.hurry.wait()
                places.extend(await dispatcher.drain(0))
                group.cancel_scope.cancel()

            group.start_soon(cut_short)
            places.extend(await dispatcher.drain(grace_s))
            group.cancel_scope.cancel()
        return places

    async def _note_end(self, places: list[Place]) -> None:
        """Record what was interrupted, and the end itself; on a full disk the next start goes on without."""
        dispatcher = self.service.dispatcher
        try:
            noted = await dispatcher.note_interrupted(places, reason=self.reason, run_id=self.run_id)
            stopped = DaemonStopped(pid=os.getpid(), reason=self.reason, interrupted=noted)
            await self.service.app.daemon_command(lambda daemon: [stopped])
        except (CafError, EventStoreError) as fault:
            self.talk.say(f"caf: the end could not be recorded: {fault}")
            return
        self.talk.say(f"caf: stopped; {noted} stages were interrupted and run again at the next start")
