"""Fixtures: a worker whose tasks misbehave on purpose, and a witness of a child's end."""

import os
import select
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from caf.worker.host import Worker

TASKS: Final = "tests.worker.tasks_for_tests"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    async with Worker(tasks=TASKS) as one:
        yield one


class Witness:
    """A FIFO that a child keeps open for writing: its end of file is the end of the child."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read_pid(self) -> int:
        """The process id that the child wrote when it opened the FIFO."""
        assert select.select([self._fd], [], [], 30)[0], "no child came"
        return int(os.read(self._fd, 64))

    def sees_the_end(self) -> bool:
        """Waits for the child's death; False if it outlives a long wait."""
        return bool(select.select([self._fd], [], [], 30)[0]) and os.read(self._fd, 64) == b""

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    one = Witness(tmp_path / "witness")
    yield one
    one.close()
