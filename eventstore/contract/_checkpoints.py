"""Contract: which checkpoints an append may save."""

from pathlib import Path

from eventstore.contract._support import Contract, events, mark, refused
from eventstore.errors import InvalidArgument

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
