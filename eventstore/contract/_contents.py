"""Contract: what is kept is kept to the byte, and what is nearly the same is another thing."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from eventstore.contract._support import Contract, appended, collect, events, mark, new, refused, same
from eventstore.errors import DuplicateEvent, VersionConflict
from eventstore.ids import new_id
from eventstore.model import ANY, NO_STREAM, Checkpoint

__all__ = ["NEAR_NAMES", "ContentsContract"]

_ODD_DATA: Final = (
    *(bytes([byte]) for byte in range(256)),
    b'{"a":  1.0, "a": 1e2}',
    b'{"b": 1, "a": "\\u00e4"}\n',
    b" \t{}\r\n",
    b"one\r\ntwo\rthree\n",
    b"zeros at the end\0\0",
    b"\0\0zeros before",
    b"\xef\xbb\xbf{}",
    "猫 \U0001f408 A\u0308 \ufb01".encode(),
    "{}".encode("utf-16"),
    b"NaN",
    b"null",
    b"\x1f\x8b\x08\x00",
    b"x\x9c\x03\x00\x00\x00\x00\x01",
    b"None",
    b"b'{}'",
    b"e30=",
    b"\\x7b\\x7d",
    b"%7B%7D",
    b"'; DROP TABLE events; --",
)
NEAR_NAMES: Final = (
    "job-1",
    "job-1.",
    "job-1.0",
    "job-1/",
    "job-1//",
    "job-1\\",
    "job-1\n",
    "job-1\r\n",
    "job-1\u200b",
    "job-1\ufeff",
    "job-1\x7f",
    "job-01",
    "job-+1",
    "job-%31",
    "job-&#49;",
    "job-\uff11",
    "job\u20131",
    "job\u22121",
    "job:1",
    "job_1",
    "job/1",
    "job.1",
    "job 1",
    "job+1",
    "job*",
    "job-*",
    "job-?",
    "job-[0-9]",
    "job-.",
    "job-.*",
    "job",
    "1",
    "1.0",
    "1e0",
    "None",
    "null",
    "i",
    "\u0131",
    "\u0130",
    "x" * 255,
    "x" * 256,
    "x" * 1_023,
    "x" * 1_024,
    "x" * 1_023 + "y",
    "\u00e9" * 512,
)
"""Names that something that is no store takes for the same, for a pattern, or for a number."""


@contextmanager
def _in_zone(name: str) -> Iterator[None]:
    """The machine's time zone, meanwhile."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    try:
        time.tzset()
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


class ContentsContract(Contract):
    async def test_data_is_kept_to_the_byte(self, tmp_path: Path) -> None:
        given = [new(data) for data in _ODD_DATA] + [new(metadata=data) for data in _ODD_DATA]
        async with self.open(tmp_path) as store:
            await store.append("job-a", given)
            for event in given[::37]:
                await store.append("job-b", [structs.replace(event, event_id=new_id())])
            due = [(e.data, e.metadata) for e in given]
            for found in (store.read("job-a"), store.read_all(limit=len(given)), store.subscribe()):
                same([(e.data, e.metadata) for e in await collect(found, len(given))], due)
            assert (await store.append("job-a", given)).repeated

    async def test_what_is_nearly_the_same_is_other_content(self, tmp_path: Path) -> None:
        """Were it taken for a repeat, it would be lost; and recorded anew it is kept as it is."""
        base = new(b'{"a":1}', metadata=b"1", type="A", correlation_id="b", causation_id="c")
        near: tuple[dict[str, Any], ...] = (
            {"data": b'{"a": 1}'},
            {"data": b'{"a":1.0}'},
            {"data": b'{"a":1}\n'},
            {"data": b'{"a":1}\0'},
            {"data": b'{"A":1}'},
            {"data": b'{"a":2}'},
            {"data": b"1", "metadata": b'{"a":1}'},
            {"data": b'{"a":1}1', "metadata": b""},
            {"data": b'{"a":1', "metadata": b"}1"},
            {"metadata": b"1 "},
            {"metadata": b"1.0"},
            {"metadata": b"\0001"},
            {"type": "a"},
            {"type": "A "},
            {"type": "A1"},
            {"type": "A", "type_version": 257},
            {"type_version": 2**32 + 1},
            {"correlation_id": "c", "causation_id": "b"},
            {"correlation_id": "B"},
            {"causation_id": "C"},
            {"correlation_id": None},
            {"causation_id": None},
            {"correlation_id": None, "causation_id": "b"},
        )
        bare = new()
        late = new(bytes(5_000), type="A", type_version=11)
        pairs = [(base, structs.replace(base, **fields)) for fields in near]
        pairs += [
            (bare, structs.replace(bare, **{field: "None"})) for field in ("correlation_id", "causation_id")
        ]
        pairs += [(late, structs.replace(late, data=bytes(4_999) + b"1"))]
        pairs += [(late, structs.replace(late, type="A1", type_version=1))]
        async with self.open(tmp_path) as store:
            await store.append("job-a", [base, bare, late])
            for old, other in pairs:
                error = await refused(DuplicateEvent, store.append("job-a", [other]))
                assert error.event_id == old.event_id
                await refused(DuplicateEvent, store.append("job-a", [new(), other]))
            fresh = [structs.replace(other, event_id=new_id()) for _, other in pairs]
            await store.append("job-b", fresh)
            for event, found in zip(fresh, await collect(store.read("job-b")), strict=True):
                same(
                    [getattr(found, f.name) for f in structs.fields(event)],
                    [getattr(event, f.name) for f in structs.fields(event)],
                )
            assert (await store.append("job-a", [base, bare, late])).repeated

    async def test_every_cause_is_kept(self, tmp_path: Path) -> None:
        """Known or not, before it, behind it, or itself."""
        first, later, own = new(), new(), new_id()
        causes = [
            first.event_id,
            later.event_id,
            new_id(),
            own,
            "text",
            first.event_id.upper(),
            str(json),
            None,
        ]
        made = [new(causation_id=cause, event_id=own if cause == own else None) for cause in causes]
        async with self.open(tmp_path) as store:
            await store.append("job-a", [first])
            await store.append("job-a", made)
            await store.append("job-b", events(300))
            far = [structs.replace(e, event_id=new_id()) for e in made]
            await store.append("job-a", [later, *far])
            found = await collect(store.read("job-a", after_version=1))
            same([e.causation_id for e in found], [*causes, None, *causes])
            assert (await store.append("job-a", made)).repeated

    async def test_names_that_are_nearly_the_same_are_streams_of_their_own(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number, name in enumerate(NEAR_NAMES, 1):
                work = store.append(name, events(1), expected_version=1)
                assert (await refused(VersionConflict, work)).actual == 0
                answer = await store.append(
                    name, [new(name.encode(), correlation_id=name)], expected_version=NO_STREAM
                )
                assert answer == appended(name, 1, 1, number, number, repeated=False)
                await store.save_checkpoint(mark(name, number))
            for number, name in enumerate(NEAR_NAMES, 1):
                assert (await store.version(name), await store.checkpoint(name)) == (1, number)
                for backward in (False, True):
                    found = await collect(store.read(name, backward=backward))
                    same([(e.stream, e.data) for e in found], [(name, name.encode())])
                same([e.stream for e in await collect(store.read_all(correlation_id=name))], [name])
                work = store.append(name, events(1), expected_version=2)
                error = await refused(VersionConflict, work)
                assert (error.stream, error.expected, error.actual) == (name, 2, 1)
                same(
                    (await collect(store.read_all(category=name))),
                    [e for e in await collect(store.read_all()) if e.stream.split("-")[0] == name],
                )
            assert await store.head() == len(NEAR_NAMES)

    async def test_a_partly_known_append_tells_what_is_known_and_where(self, tmp_path: Path) -> None:
        known, elsewhere = events(4), events(2)
        async with self.open(tmp_path) as store:
            await store.append("job-b", elsewhere)
            await store.append("job-a", known)
            places = {e.event_id: e.position for e in await collect(store.read_all())}
            for made in (
                [new(), known[1]],
                [known[1], new()],
                [*known, new()],
                [new(), new(), known[3], new(), new()],
                [new(), elsewhere[1], new(), new()],
                [new(), new(), elsewhere[0], known[0], new()],
                [*events(300), known[2], *events(300)],
                [*known[2:], *known[:2]],
            ):
                for expected in (ANY, 4):
                    error = await refused(
                        DuplicateEvent, store.append("job-a", made, expected_version=expected)
                    )
                    assert error.event_id in {e.event_id for e in made} & places.keys()
                    assert error.position == places[error.event_id]
            assert (await store.head(), await store.version("job-a")) == (6, 4)

    async def test_the_time_of_an_event_is_that_of_no_zone(self, tmp_path: Path) -> None:
        with _in_zone("XXX-5:45"):
            async with self.open(tmp_path) as store:
                before_ms = time.time_ns() // 1_000_000 - 1_000
                await store.append("job-a", events(1))
                (found,) = await collect(store.read("job-a"))
                assert before_ms <= found.recorded_at_ms <= before_ms + 600_000

    async def test_saving_a_checkpoint_records_no_event(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            before = await store.verify()
            for position in (3, 1, 2):
                await store.save_checkpoint(mark("qc", position))
                await store.append("job-a", [], checkpoint=Checkpoint(consumer="job-a", position=position))
            assert (await store.head(), await store.version("job-a")) == (3, 3)
            assert await store.verify() == before
            assert (await store.append("job-a", events(1), expected_version=3)).last_position == 4

    async def test_an_unreadable_event_says_what_its_decoder_said(self, tmp_path: Path) -> None:
        def picky(kind: str, version: int) -> Any:
            if kind == "Unheard":
                raise LookupError("never heard of it")

            def decode(data: bytes) -> bytes:
                if data == b"bad":
                    raise ValueError("no good data")
                return data

            return decode

        async with self.open(tmp_path) as store:
            await store.append("job-a", [new(b"1"), new(b"bad"), new(type="Unheard"), new(b"4")])
            got = [event async for batch in store.replay(picky) for event in batch.events()]
            assert (got[0], got[3]) == (b"1", b"4")
            assert ("no good data" in got[1].why, "never heard of it" in got[2].why) == (True, True)
