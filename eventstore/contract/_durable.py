"""Contract for stores that outlive their process and that several processes can open."""

import contextlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from msgspec import structs

from eventstore.chain import new_of
from eventstore.contract._reopened import ReopenedContract
from eventstore.contract._shared import SharedContract
from eventstore.contract._support import (
    appended,
    collect,
    events,
    mark,
    new,
    refused,
    same,
)
from eventstore.errors import DuplicateEvent, StoreClosed, VersionConflict
from eventstore.model import NO_STREAM, Appended, NewEvent, RecordedEvent
from eventstore.store import EventStore

__all__ = ["DurableContract"]

_T = TypeVar("_T")

# Loads the contract's subclass from its own file, because test modules need not be importable by name.
_CHILD: Final = """
import anyio, importlib.util, sys
from pathlib import Path
from eventstore.contract._support import mark, new

async def main(file, name, folder, child, writers, each):
    spec = importlib.util.spec_from_file_location("contract_of_a_store", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    async with getattr(module, name)().open(Path(folder)) as store:
        async def write(number):
            name, last = f"job-{child}-{number}", 0
            for _ in range(int(each)):
                answer = await store.append(name, [new(), new()], checkpoint=mark(name, last))
                last = answer.last_position
                await store.save_checkpoint(mark(f"alone-{name}", last))
                print(answer.first_position, answer.stream, answer.first_version, flush=True)
        async with anyio.create_task_group() as tasks:
            for number in range(int(writers)):
                tasks.start_soon(write, number)

anyio.run(main, *sys.argv[1:])
"""


def _check_told(lines: Iterable[str], log: Sequence[RecordedEvent]) -> None:
    """Both events of each append that a child was told of stand where it says."""
    for line in lines:
        position, stream, version = line.split()
        found = log[int(position) - 1 : int(position) + 1]
        due = [(stream, int(version)), (stream, int(version) + 1)]
        same([(e.stream, e.version) for e in found], due)


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


class DurableContract(SharedContract, ReopenedContract):
    @contextlib.contextmanager
    def _started(self, folder: Path, child: int, writers: int, each: int) -> Iterator[subprocess.Popen[str]]:
        """A process that appends; for each append that it is told of it prints position, stream and version."""
        words = (inspect.getfile(type(self)), type(self).__name__, folder, child, writers, each)
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _CHILD, *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            # What the store is reached by may stand there too.
            env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        try:
            yield process
        finally:
            # Also where it hangs; whoever waits for its words then has them.
            process.kill()
            process.wait()

    async def test_a_log_that_is_opened_again_goes_on_where_it_ended(self, tmp_path: Path) -> None:
        given = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", given, checkpoint=mark("qc", 2))
            await store.save_checkpoint(mark("render", 3))
            before = await collect(store.read_all())
        async with self.open(tmp_path) as store:
            same(await collect(store.read_all()), before)
            assert (await store.checkpoint("qc"), await store.checkpoint("render")) == (2, 3)
            again = await store.append("job-a", given)
            assert again == appended("job-a", 1, 3, 1, 3, repeated=True)
            await refused(VersionConflict, store.append("job-a", events(1), expected_version=2))
            more = await store.append("job-a", events(1), expected_version=3)
            assert more == appended("job-a", 4, 4, 4, 4, repeated=False)
            assert (await store.verify()).ok

    async def test_an_append_is_known_when_the_log_is_opened_again(self, tmp_path: Path) -> None:
        first, early = events(2), new(b"early")
        async with self.open(tmp_path) as store:
            await store.append("job-a", first)
            await store.append("job-early", [early])
            for number in range(15):
                await store.append(f"job-{number}", events(1_000))
        for _ in range(2):
            async with self.open(tmp_path) as store:
                again = await store.append("job-a", first, expected_version=NO_STREAM)
                assert again == appended("job-a", 1, 2, 1, 2, repeated=True)
                other = [new(event_id=early.event_id)]
                error = await refused(DuplicateEvent, store.append("job-early", other))
                assert error.position == 3
                assert await store.head() == 15_003

    async def test_of_writers_in_two_stores_that_expect_the_same_version_one_wins(
        self, tmp_path: Path
    ) -> None:
        won: list[int] = []
        lost: list[int] = []
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:

            async def write(number: int, expected: int) -> None:
                store = two if number % 2 else one
                try:
                    await store.append("job-a", [new(b"%d" % number)], expected_version=expected)
                except VersionConflict as conflict:
                    lost.append(conflict.actual)
                else:
                    won.append(number)

            for expected in range(8):
                async with anyio.create_task_group() as tasks:
                    for number in range(8):
                        tasks.start_soon(write, number, expected)
                assert (len(won), len(lost)) == (expected + 1, 7 * (expected + 1))
            same([int(e.data) for e in await collect(one.read("job-a"))], won)
            same(lost, [expected + 1 for expected in range(8) for _ in range(7)])

    async def test_the_same_append_made_in_two_stores_at_once_is_recorded_once(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            for turn in range(8):
                given = events(3)
                answers: list[Appended] = []

                async def write(store: EventStore, made: list[NewEvent], told: list[Appended]) -> None:
                    told.append(await store.append("job-a", made))

                async with anyio.create_task_group() as tasks:
                    for number in range(6):
                        tasks.start_soon(write, two if number % 2 else one, given, answers)
                assert await one.head() == await two.head() == 3 * turn + 3
                same(sorted(answer.repeated for answer in answers), [False] + [True] * 5)
                assert {answer.first_position for answer in answers} == {3 * turn + 1}

    async def test_what_was_acknowledged_before_the_store_closed_is_there(self, tmp_path: Path) -> None:
        acknowledged: dict[str, Appended] = {}
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:

                async def write(number: int) -> None:
                    with contextlib.suppress(StoreClosed):
                        for turn in range(100):
                            name = f"job-{number}-{turn}"
                            acknowledged[name] = await store.append(name, events(2))

                for number in range(20):
                    tasks.start_soon(write, number)
                while len(acknowledged) < 50:
                    await anyio.lowlevel.checkpoint()
                await store.aclose()
            async with self.open(tmp_path) as store:
                log = await collect(store.read_all())
                for name, answer in acknowledged.items():
                    found = log[answer.first_position - 1 : answer.last_position]
                    same([(e.stream, e.version) for e in found], [(name, 1), (name, 2)])
                assert len(log) % 2 == 0
                assert (await store.verify()).ok

    async def _check_known(
        self, store: EventStore, lines: Iterable[str], log: Sequence[RecordedEvent]
    ) -> None:
        """What was recorded is known when it comes again; what was saved by itself before a line is saved."""
        told = {line.split()[1]: int(line.split()[0]) + 1 for line in lines}
        for name in {e.stream for e in log}:
            made = [new_of(e) for e in log if e.stream == name]
            assert (await store.append(name, made, expected_version=NO_STREAM)).repeated
            other = [structs.replace(made[-1], data=b"other")]
            await refused(DuplicateEvent, store.append(name, other))
            await refused(VersionConflict, store.append(name, events(1), expected_version=len(made) - 1))
            assert await store.checkpoint(f"alone-{name}") >= told.get(name, 0)

    async def _until_it_grows(self, tmp_path: Path) -> None:
        """Just after others recorded something, and mostly before they are told of it."""
        async with self.open(tmp_path) as store:
            head = await store.head()
            while await store.head() == head:
                pass

    async def test_what_a_killed_process_was_told_is_there(self, tmp_path: Path) -> None:
        with anyio.fail_after(4 * self.guard_s):
            with self._started(tmp_path, 0, 8, 100_000) as child:
                assert child.stdout is not None
                told = [await _in_thread(child.stdout.readline) for _ in range(60)]
                await self._until_it_grows(tmp_path)
                child.kill()
                rest, _ = await _in_thread(child.communicate)
            lines = [line for line in (*told, *rest.splitlines(keepends=True)) if line.endswith("\n")]
            async with self.open(tmp_path) as store:
                log = await collect(store.read_all())
                same([e.position for e in log], list(range(1, len(log) + 1)))
                _check_told(lines, log)
                for name in {e.stream for e in log}:
                    places = [e.position for e in log if e.stream == name]
                    assert len(places) % 2 == 0, "an append is half there"
                    # Each append saves where the one before it ended.
                    assert await store.checkpoint(name) == (places[-3] if len(places) > 2 else 0)
                await self._check_known(store, lines, log)
                assert (await store.append("after", events(1))).last_position == len(log) + 1
                assert (await store.verify()).ok

    async def test_two_open_stores_share_one_log(self, tmp_path: Path) -> None:
        given = events(2)
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            for turn in range(5):
                assert (await one.append("job-a", events(1))).last_position == 2 * turn + 1
                assert await two.version("job-a") == await two.head() == 2 * turn + 1
                assert (await two.append("job-a", events(1))).last_position == 2 * turn + 2
                assert await one.version("job-a") == await one.head() == 2 * turn + 2
                assert len(await collect(one.read("job-a"))) == 2 * turn + 2
                await two.save_checkpoint(mark("qc", 2 * turn + 1))
                assert await one.checkpoint("qc") == 2 * turn + 1
            await refused(VersionConflict, one.append("job-a", events(1), expected_version=9))
            first = await one.append("job-b", given)
            again = await two.append("job-b", given, expected_version=0)
            assert (again.first_position, again.repeated) == (first.first_position, True)
            assert await one.version("job-a") == await two.version("job-a") == 10
            assert (await two.verify()).ok

    async def test_a_subscription_sees_what_another_store_appends(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                following = one.subscribe()
                got: list[RecordedEvent] = []
                cause = new()
                for number in range(1, 30):
                    made = new(
                        b"%d" % number if number % 7 else bytes(range(256)) * 1_024,
                        type=f"Type{number % 3}",
                        type_version=1 + number % 2,
                        correlation_id=f"t-{number % 4}" if number % 5 else None,
                        causation_id=cause.event_id if number % 3 else "text",
                        metadata=b'{"n":%d}' % number,
                    )
                    await (two if number % 2 else one).append(f"job-{number % 4}", [made])
                    got.append(await anext(following))
                    cause = made
                same([event.position for event in got], list(range(1, 30)))
                same(got, await collect(two.read_all()))

    async def test_many_writers_in_four_processes_leave_no_gap(self, tmp_path: Path) -> None:
        children, writers, each = 4, 16, 5
        with anyio.fail_after(4 * self.guard_s), contextlib.ExitStack() as ending:
            async with self.open(tmp_path) as store:
                started = [self._started(tmp_path, child, writers, each) for child in range(children)]
                running = [ending.enter_context(one) for one in started]
                total = children * writers * each * 2
                seen = await collect(store.subscribe(), total)
                told = [await _in_thread(process.communicate) for process in running]
                same([process.returncode for process in running], [0] * children)
                same([e.position for e in seen], list(range(1, total + 1)))
                lines = [line for out, _ in told for line in out.splitlines()]
                assert len(lines) == total // 2
                _check_told(lines, seen)
                assert (await store.verify()).ok
