"""Contract: what verification finds."""

from pathlib import Path
from typing import Final

from eventstore.contract._chain import CAUSE_WINDOW, Rechained
from eventstore.contract._support import Contract, collect, events, new
from eventstore.model import Witness

__all__ = ["VerifyContract"]

_UNKNOWN: Final = "0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01"


class VerifyContract(Contract):
    async def test_every_event_is_stamped_and_chained(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            await store.append("job-b", events(2))
            log = await collect(store.read_all())
            report = await store.verify()
            again = Rechained()
            for event in log:
                assert event.recorded_at_ms > 0
                again.add(event)
            assert report.ok
            assert (report.events, report.head_digest) == (5, again.digest)

    async def test_the_chain_covers_all_fields_of_every_event(self, tmp_path: Path) -> None:
        """Causes too, whether they are near, far, unknown or no id; and also where a segment of it ends."""
        first = new(b"first")
        again, done = Rechained(), 0
        async with self.open(tmp_path) as store:
            await store.append("job-a", [first])
            for turn in range(4):
                cause = first
                for n in range(3):
                    causes = (None, first.event_id, cause.event_id, "text", cause.event_id.upper(), _UNKNOWN)
                    made = [
                        new(
                            b"%d" % n,
                            type=f"T{n}",
                            type_version=1 + n + turn,
                            correlation_id=f"t{turn}" if n else None,
                            causation_id=one,
                            metadata=b'{"n":%d}' % n,
                        )
                        for one in causes
                    ]
                    cause = made[-1]
                    await store.append(f"job-{n}", made)
                if turn in (1, 2):
                    await store.append("many", events(255 if turn == 1 else CAUSE_WINDOW))
                for event in await collect(store.read_all(after_position=done)):
                    again.add(event)
                    done = event.position
                report = await store.verify()
                assert report.ok
                assert (report.events, report.head_digest) == (done, again.digest)

    async def test_a_witness_of_the_empty_log_agrees_for_ever(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            report = await store.verify()
            witness = Witness(position=report.events, digest=report.head_digest)
            assert (await store.verify(witness=witness)).ok
            await store.append("job-a", events(1))
            assert (await store.verify(witness=witness)).ok

    async def test_a_witness_of_the_log_agrees_as_the_log_grows(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            witnesses: list[Witness] = []
            for size in (3, 1, 600, 20):
                await store.append("job-a", events(size))
                report = await store.verify()
                witnesses.append(Witness(position=report.events, digest=report.head_digest))
            for witness in witnesses:
                report = await store.verify(witness=witness)
                assert report.ok
                assert report.events == 624

    async def test_as_much_of_a_digest_as_was_written_down_is_witness(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(7))
            digest = (await store.verify()).head_digest
            await store.append("job-a", events(5))
            for size in (1, 4, 31):
                assert (await store.verify(witness=Witness(position=7, digest=digest[:size]))).ok
                other = digest[: size - 1] + bytes([digest[size - 1] ^ 1])
                report = await store.verify(witness=Witness(position=7, digest=other))
                assert report.fault is not None
                assert report.fault.position == 7

    async def test_a_witness_of_another_log_contradicts(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(300))
            digest = (await store.verify()).head_digest
            for position in (1, 256, 300):
                other = Witness(position=position, digest=bytes([digest[0] ^ 1]) + digest[1:])
                report = await store.verify(witness=other)
                assert report.fault is not None
                assert report.fault.position == position

    async def test_a_witness_of_more_than_the_log_holds_contradicts(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(5))
            digest = (await store.verify()).head_digest
            report = await store.verify(witness=Witness(position=6, digest=digest))
            assert report.fault is not None
            assert (report.fault.position, report.events) == (6, 5)
