"""Contract: which names and numbers are accepted, and that no name means anything to the store."""

import uuid
from pathlib import Path
from typing import Any, Final

import anyio
from msgspec import structs

from eventstore.contract._support import Contract, collect, events, mark, new, refused, same
from eventstore.errors import DuplicateEvent, InvalidArgument
from eventstore.model import NO_STREAM, Witness

__all__ = ["NamesContract"]

_HOSTILE: Final = (
    "a",
    "-",
    "--",
    "-a",
    "A",
    "a ",
    " a",
    "a-b-c",
    "job-Ä",
    "job-A\u0308",
    "job-ß",
    "job-SS",
    "%",
    "job-_",
    "job-a",
    "job-b",
    "'; DROP TABLE events; --",
    '"quoted"',
    "new\nline",
    "tab\tbed",
    "\u202eright to left",
    "猫-1",
    "\U0001f408-1",
    "../../etc/passwd",
    "NULL",
    "0",
    "00",
    "x" * 1024,
)
_NO_TEXT: Final[tuple[Any, ...]] = (None, 5, b"a", ["a"])
_NO_NUMBER: Final[tuple[Any, ...]] = (None, "1", 1.0, 0.5, True, [1])


class _Text(str):
    """Equal to a str, and no str that every encoder takes."""

    __slots__ = ()


_WRONG: Final = ("", "a\0b", "\ud800", "x" * 1025, "é" * 513)


class NamesContract(Contract):
    async def test_every_name_is_its_own_stream(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number, name in enumerate(_HOSTILE):
                await store.append(
                    name, [new(b"%d" % number, type=name, correlation_id=name, causation_id=name)]
                )
            for number, name in enumerate(_HOSTILE):
                (event,) = await collect(store.read(name))
                assert (event.stream, event.type, event.correlation_id, event.causation_id) == (name,) * 4
                assert event.data == b"%d" % number
                same([e.stream for e in await collect(store.read_all(correlation_id=name))], [name])
            assert (await store.verify()).ok

    async def test_a_category_is_what_stands_before_the_first_dash(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for name in _HOSTILE:
                await store.append(name, events(1))
            for category in {name.split("-")[0] for name in _HOSTILE} | {"nothing", "job-a", "JOB"}:
                due = [name for name in _HOSTILE if name.split("-")[0] == category]
                same([e.stream for e in await collect(store.read_all(category=category))], due)

    async def test_every_name_has_a_version_of_its_own(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number, name in enumerate(_HOSTILE):
                assert await store.version(name) == 0
                await store.append(name, events(1 + number % 3), expected_version=NO_STREAM)
            for number, name in enumerate(_HOSTILE):
                count = 1 + number % 3
                assert await store.version(name) == count
                for backward in (False, True):
                    found = await collect(store.read(name, backward=backward))
                    same([e.stream for e in found], [name] * count)
            assert await store.version("JOB-A") == 0
            same(await collect(store.read("JOB-A", backward=True)), [])

    async def test_a_category_is_the_same_however_it_is_read(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number, name in enumerate(_HOSTILE):
                await store.append(name, events(1 + number % 3))
            log = await collect(store.read_all())
            names = {name.split("-")[0] for name in _HOSTILE}
            for category in names | {"nothing", "job-a", "JOB", "_ob"}:
                due = [e.position for e in log if e.stream.split("-")[0] == category]
                for limit in (None, 0, 2):
                    found = store.read_all(category=category, limit=limit)
                    same([e.position for e in await collect(found)], due[:limit])
                    back = store.read_all(category=category, backward=True, limit=limit)
                    same([e.position for e in await collect(back)], due[::-1][:limit])
                batches = store.replay(lambda kind, version: bytes, category=category)
                same([place async for batch in batches for place in batch.positions], due)
                with anyio.fail_after(self.guard_s):
                    live = await collect(store.subscribe(category=category), len(due))
                same([e.position for e in live], due)
            # No correlation is not an empty one.
            same(await collect(store.read_all(correlation_id="")), [])

    async def test_names_that_cannot_be_kept_are_refused(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for name in _WRONG:
                await refused(InvalidArgument, store.append(name, events(1)))
                await refused(InvalidArgument, store.append("a", [new(type=name)]))
                await refused(InvalidArgument, store.append("a", [new(correlation_id=name)]))
                await refused(InvalidArgument, store.append("a", [new(causation_id=name)]))
            assert await store.head() == 0

    async def test_an_event_id_is_a_canonical_uuid(self, tmp_path: Path) -> None:
        good = "0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01"
        async with self.open(tmp_path) as store:
            for wrong in (
                "1",
                good.upper(),
                good.replace("-", ""),
                f"{{{good}}}",
                f"urn:uuid:{good}",
                good[:-1],
                good + "0",
                good.replace("0b", "0g"),
                good[:13] + good[14:18] + "-" + good[18:],
                " " + good[1:],
            ):
                await refused(InvalidArgument, store.append("a", [new(event_id=wrong)]))
            await store.append("a", [new(event_id=good)])
            same([event.event_id for event in await collect(store.read("a"))], [good])

    async def test_every_uuid_is_an_id(self, tmp_path: Path) -> None:
        """Of any version; and ids that differ in one bit are two."""
        base = uuid.UUID("0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01")
        several = [base, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid1()]
        near = [uuid.UUID(int=base.int ^ 1 << bit) for bit in range(128)]
        ids = [str(one) for one in (*several, *near)]
        async with self.open(tmp_path) as store:
            # Some alone and many together: a store may look for them in different ways.
            for event_id in ids[:20]:
                await store.append("a", [new(event_id=event_id)])
            await store.append("a", [new(event_id=event_id) for event_id in ids[20:]])
            same([event.event_id for event in await collect(store.read("a"))], ids)
            for position, event_id in enumerate(ids, 1):
                other = [new(b"other", event_id=event_id)]
                error = await refused(DuplicateEvent, store.append("a", other))
                assert (error.event_id, error.position) == (event_id, position)

    async def test_large_type_versions_are_kept_exactly(self, tmp_path: Path) -> None:
        versions = [2**63 - 1, 2**53 + 1]
        async with self.open(tmp_path) as store:
            await store.append("a", [new(type_version=version) for version in versions])
            same([event.type_version for event in await collect(store.read("a"))], versions)

    async def test_numbers_out_of_range_are_refused(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for expected in (-2, 2**63):
                await refused(InvalidArgument, store.append("a", events(1), expected_version=expected))
            for version in (0, -1, 2**63):
                await refused(InvalidArgument, store.append("a", [new(type_version=version)]))
            for number in (-1, 2**63):
                await refused(InvalidArgument, collect(store.read("a", after_version=number)))
                await refused(InvalidArgument, collect(store.read("a", limit=number)))
                await refused(InvalidArgument, collect(store.read_all(after_position=number)))
                await refused(InvalidArgument, collect(store.read_all(limit=number)))
                await refused(InvalidArgument, collect(store.subscribe(after_position=number)))
            assert await store.head() == 0

    async def test_a_field_of_another_type_is_refused_and_fails_no_other(self, tmp_path: Path) -> None:
        strange: dict[str, tuple[Any, ...]] = {
            "event_id": (*_NO_TEXT, _Text("0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01")),
            "type": (*_NO_TEXT, _Text("T")),
            "type_version": _NO_NUMBER,
            "data": (None, "{}", bytearray(b"{}"), memoryview(b"{}")),
            "correlation_id": (*_NO_TEXT[1:], _Text("t")),
            "causation_id": (*_NO_TEXT[1:], _Text("t")),
            "metadata": (None, "{}", bytearray(b"{}")),
        }
        async with self.open(tmp_path) as store:
            for field, values in strange.items():
                for value in values:
                    event: Any = structs.replace(new(type=f"Of{field}"), **{field: value})
                    await refused(InvalidArgument, store.append("a", [new(), event]))
            for value in (*_NO_TEXT, _Text("a")):
                await refused(InvalidArgument, store.append(value, events(1)))
                await refused(InvalidArgument, store.save_checkpoint(mark(value, 0)))
            for value in _NO_NUMBER:
                await refused(InvalidArgument, store.append("a", events(1), expected_version=value))
                await refused(InvalidArgument, store.save_checkpoint(mark("qc", value)))
                await refused(InvalidArgument, store.append("a", events(1), checkpoint=mark("qc", value)))
            for odd in (None, 5, "ab", [None], ["a"]):
                given: Any = odd
                await refused(InvalidArgument, store.append("a", given))
            nothing: Any = ("qc", 1)
            await refused(InvalidArgument, store.save_checkpoint(nothing))
            assert (await store.head(), await store.checkpoint("qc")) == (0, 0)
            await store.append("a", [new(type=f"Of{field}") for field in strange])
            assert (await store.verify()).ok

    async def test_a_question_of_another_type_is_refused(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("a", events(1))
            for text in (*_NO_TEXT, "\ud800"):
                await refused(InvalidArgument, collect(store.read(text)))
                await refused(InvalidArgument, store.version(text))
                await refused(InvalidArgument, store.checkpoint(text))
                if text is not None:
                    await refused(InvalidArgument, collect(store.read_all(category=text)))
                    await refused(InvalidArgument, collect(store.read_all(correlation_id=text)))
                    await refused(InvalidArgument, collect(store.subscribe(category=text), 1))
            for number in _NO_NUMBER:
                await refused(InvalidArgument, collect(store.read("a", after_version=number)))
                await refused(InvalidArgument, collect(store.read_all(after_position=number)))
                await refused(InvalidArgument, collect(store.subscribe(after_position=number), 1))
                if number is not None:
                    await refused(InvalidArgument, collect(store.read("a", limit=number)))
                    await refused(InvalidArgument, collect(store.read_all(limit=number)))
            digest = (await store.verify()).head_digest
            witnesses: tuple[Any, ...] = (
                (1, digest),
                Witness(position=1, digest=b""),
                Witness(position=1, digest=digest + b"x"),
                Witness(position=-1, digest=digest),
            )
            for witness in witnesses:
                await refused(InvalidArgument, store.verify(witness=witness))
