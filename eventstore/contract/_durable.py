"""Contract for stores that outlive their process and that several processes can open."""

import contextlib
import inspect
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from eventstore.contract._support import GUARD_S, Contract, appended, collect, events, mark, new, refused
from eventstore.errors import StoreClosed, VersionConflict
from eventstore.model import Appended, RecordedEvent

__all__ = ["DurableContract"]

# Loads the contract's subclass from its own file, because test modules need not be importable by name.
_CHILD: Final = """
import anyio, importlib.util, sys
from pathlib import Path
from eventstore.contract._support import new

async def main(file, name, folder, child, writers, each):
    spec = importlib.util.spec_from_file_location("contract_of_a_store", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    async with getattr(module, name)().open(Path(folder)) as store:
        async def write(number):
            for _ in range(int(each)):
                answer = await store.append(f"job-{child}-{number}", [new(), new()])
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
        assert [(e.stream, e.version) for e in found] == due


class DurableContract(Contract):
    def _start(self, folder: Path, child: int, writers: int, each: int) -> subprocess.Popen[str]:
        """A process that appends; for each append that it is told of it prints position, stream and version."""
        words = (inspect.getfile(type(self)), type(self).__name__, folder, child, writers, each)
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _CHILD, *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        )

    async def test_a_log_that_is_opened_again_goes_on_where_it_ended(self, tmp_path: Path) -> None:
        given = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", given, checkpoint=mark("qc", 2))
            await store.save_checkpoint(mark("render", 3))
            before = await collect(store.read_all())
        async with self.open(tmp_path) as store:
            assert await collect(store.read_all()) == before
            assert (await store.checkpoint("qc"), await store.checkpoint("render")) == (2, 3)
            again = await store.append("job-a", given)
            assert again == appended("job-a", 1, 3, 1, 3, repeated=True)
            await refused(VersionConflict, store.append("job-a", events(1), expected_version=2))
            more = await store.append("job-a", events(1), expected_version=3)
            assert more == appended("job-a", 4, 4, 4, 4, repeated=False)
            assert (await store.verify()).ok

    async def test_what_was_acknowledged_before_the_store_closed_is_there(self, tmp_path: Path) -> None:
        acknowledged: dict[str, Appended] = {}
        with anyio.fail_after(GUARD_S):
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
                    assert [(e.stream, e.version) for e in found] == [(name, 1), (name, 2)]
                assert len(log) % 2 == 0
                assert (await store.verify()).ok

    async def test_what_a_killed_process_was_told_is_there(self, tmp_path: Path) -> None:
        with anyio.fail_after(4 * GUARD_S):
            child = self._start(tmp_path, 0, 8, 100_000)
            assert child.stdout is not None
            told = [await anyio.to_thread.run_sync(child.stdout.readline) for _ in range(60)]
            child.kill()
            rest, _ = await anyio.to_thread.run_sync(child.communicate)
            lines = [line for line in (*told, *rest.splitlines(keepends=True)) if line.endswith("\n")]
            async with self.open(tmp_path) as store:
                log = await collect(store.read_all())
                assert [e.position for e in log] == list(range(1, len(log) + 1))
                _check_told(lines, log)
                for name in {e.stream for e in log}:
                    assert sum(e.stream == name for e in log) % 2 == 0, "an append is half there"
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
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                following = one.subscribe()
                for number in range(1, 30):
                    await (two if number % 2 else one).append("job-a", [new()])
                    assert (await anext(following)).position == number

    async def test_many_writers_in_four_processes_leave_no_gap(self, tmp_path: Path) -> None:
        children, writers, each = 4, 16, 5
        with anyio.fail_after(4 * GUARD_S):
            async with self.open(tmp_path) as store:
                running = [self._start(tmp_path, child, writers, each) for child in range(children)]
                total = children * writers * each * 2
                seen = await collect(store.subscribe(), total)
                told = [await anyio.to_thread.run_sync(process.communicate) for process in running]
                assert [process.returncode for process in running] == [0] * children
                assert [e.position for e in seen] == list(range(1, total + 1))
                lines = [line for out, _ in told for line in out.splitlines()]
                assert len(lines) == total // 2
                _check_told(lines, seen)
                assert (await store.verify()).ok
