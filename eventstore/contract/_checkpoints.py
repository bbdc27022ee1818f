"""Contract: which checkpoints an append may save."""

from pathlib import Path

import anyio

from eventstore.contract._support import Contract, events, mark, refused
from eventstore.errors import InvalidArgument
from eventstore.model import Checkpoint
from eventstore.store import EventStore

__all__ = ["CheckpointsContract"]


class CheckpointsContract(Contract):
    async def test_a_checkpoint_that_cannot_be_is_refused_with_every_append(self, tmp_path: Path) -> None:
        given = events(2)
        async with self.open(tmp_path) as store:
            await store.append("job-a", given)
            # A repeat, an empty one, and one that would be recorded.
            for made in (given, [], events(1)):
                for wrong in (
                    mark("qc", 4),
                    mark("qc", -1),
                    mark("", 1),
                    mark("a\0b", 1),
                    mark("x" * 1025, 1),
                ):
                    await refused(InvalidArgument, store.append("job-a", made, checkpoint=wrong))
            assert (await store.head(), await store.checkpoint("qc")) == (2, 0)

    async def test_a_checkpoint_may_name_the_last_event_of_its_append(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(4), checkpoint=mark("qc", 4))
            assert await store.checkpoint("qc") == 4

    async def test_of_appends_at_once_to_streams_that_are_there_each_saves_its_checkpoint(
        self, tmp_path: Path
    ) -> None:
        """What a store knows already it may write in another way than what is new to it."""
        names = [f"job-{number}" for number in range(40)]
        async with self.open(tmp_path) as store:
            for name in names:
                await store.append(name, events(1))
            for turn in (1, 2):
                async with anyio.create_task_group() as tasks:
                    for position, name in enumerate(names, turn):
                        where = mark(f"{name}-{position % 2}", position)
                        tasks.start_soon(self._append_one, store, name, where)
                saved = [await store.checkpoint(f"{name}-{n % 2}") for n, name in enumerate(names, turn)]
                assert saved == list(range(turn, turn + 40))
            assert await store.head() == 120

    async def _append_one(self, store: EventStore, name: str, where: Checkpoint) -> None:
        await store.append(name, events(1), checkpoint=where)
