"""Contract: what verification finds."""

from pathlib import Path

from eventstore.chain import Chain, Keyring, adler32, encode_frame
from eventstore.contract._support import Contract, collect, events
from eventstore.model import Witness

__all__ = ["VerifyContract"]


class VerifyContract(Contract):
    async def test_every_event_is_stamped_and_chained(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            await store.append("job-b", events(2))
            log = await collect(store.read_all())
            report = await store.verify()
            chain, keys, positions = Chain(), Keyring(), dict[str, int]()
            for event in log:
                assert event.recorded_at_ms > 0
                frame = encode_frame(keys.frame(event, positions))
                assert event.checksum == adler32(frame)
                chain.extend([frame])
                positions[event.event_id] = event.position
            assert report.ok
            assert (report.events, report.head_digest) == (5, chain.digest)

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
