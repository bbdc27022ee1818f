"""Files to a ComfyUI server and from it, each checked at the other end.

A server takes half a picture, loads it and renders it with success; a line that breaks gives half a file.
"""

import asyncio
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
from msgspec import Struct

from caf.comfy.answers import Uploaded, read_uploaded
from caf.comfy.client import Comfy
from caf.comfy.failures import (
    ComfyError,
    ComfyRefusedError,
    DamagedAnswerError,
    NotThereError,
    PromptFailedError,
    UnreachableError,
)
from caf.comfy.model import Output
from caf.comfy.whole import damage_of
from caf.errors import NO_ROOM, InputError, TryAgainError, UnavailableError

__all__ = ["download", "upload"]

_TRIES: Final = 5
"""Attempts at one file that bring nothing, before it is given up; one that brings bytes does not count."""
_BELIEVED: Final = 3
"""Refusals of one file in a row, before they are believed; one may be the word of something before the server."""
_PAUSE_S: Final = 0.05
_TAIL: Final = 4096
_PIECE: Final = 2**18
_NO_SPACE: Final = ("no space left on device", "errno 28", "disk quota exceeded")


class _Range(Struct, frozen=True):
    """The end of a file at the server, and how long all of it is."""

    tail: bytes
    total: int


async def upload(comfy: Comfy, path: Path, subfolder: str) -> Uploaded:
    """Put a file below the server's input folder, and see that it arrived whole.

    Its name there is made of its content, so the same file twice is one file.

    Raises:
        InputError: `missing_input`. ComfyRefusedError: comfy_too_large, comfy_refused.
        PromptFailedError: comfy_disk_full. UnreachableError: at once; DamagedAnswerError: after a few tries.
    """
    try:
        name, size, tail = await asyncio.to_thread(_described, path)
    except OSError as fault:
        raise _unreadable(path, fault) from fault
    last: ComfyError | None = None
    for again in range(_TRIES):
        if again:
            await asyncio.sleep(_PAUSE_S * 2**again)
        try:
            there = await _send(comfy, path, name, subfolder, overwrite=again > 0)
            try:
                seen = await _end_of(comfy, _as_output(there))
            except ComfyRefusedError as no:
                last = no
                continue
            if seen.total == size and seen.tail == tail[-len(seen.tail) :] and seen.tail:
                return there
            last = DamagedAnswerError(
                f"{path.name} arrived at {comfy.address} with {seen.total} of {size} bytes."
            )
        except (DamagedAnswerError, NotThereError) as fault:
            last = fault
    assert last is not None
    raise last


def _described(path: Path) -> tuple[str, int, bytes]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if not size:
        raise OSError(0, "it is empty")
    return f"{digest[:32]}{path.suffix.lower()}", size, tail


def _unreadable(path: Path, fault: OSError) -> InputError:
    return InputError(
        f"{path} cannot be read: {fault.strerror}.",
        remedy="Nothing was sent; see that the file is there.",
        kind="missing_input",
    )


class _Source(io.BufferedReader):
    """A file that is sent. aiohttp takes a fault of its disk for one of the line; here it is kept."""

    fault: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(size)
        except OSError as fault:
            self.fault = fault
            raise


async def _send(comfy: Comfy, path: Path, name: str, subfolder: str, *, overwrite: bool) -> Uploaded:
    # Opened in a thread, it would stay open when the upload is called off meanwhile.
    try:
        raw = path.open("rb", buffering=0)
    except OSError as fault:
        raise _unreadable(path, fault) from fault
    with _Source(raw) as file:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("image", file, filename=name, content_type="application/octet-stream")
        form.add_field("type", "input")
        form.add_field("subfolder", subfolder)
        if overwrite:
            form.add_field("overwrite", "true")
        try:
            answer = await comfy.http.post("/upload/image", form)
        except UnreachableError:
            if file.fault is not None:
                raise _unreadable(path, file.fault) from file.fault
            raise
        except ComfyRefusedError as no:
            if no.status == 500 and await _disk_full(comfy):
                raise PromptFailedError(
                    f"The disk of {comfy.address} is full; it could not take {path.name}.",
                    remedy="Make room in the server's input folder.",
                    kind="comfy_disk_full",
                ) from no
            raise
    return read_uploaded(answer, f"{comfy.address}/upload/image")


async def _disk_full(comfy: Comfy) -> bool:
    """The server says 500 to everything that its code did not foresee; its log says which."""
    with suppress(ComfyError):
        tail = (await comfy.log_tail()).lower()
        return any(words in tail for words in _NO_SPACE)
    return False


def _as_output(there: Uploaded) -> Output:
    return Output(
        node_id="", kind="images", filename=there.name, subfolder=there.subfolder, type=there.type or "input"
    )


def _query(output: Output) -> dict[str, str]:
    return {"filename": output.filename, "subfolder": output.subfolder, "type": output.type}


async def _end_of(comfy: Comfy, output: Output) -> _Range:
    """One request that gives a file's length and its end."""
    ask = {"Range": f"bytes=-{_TAIL}", "Accept-Encoding": "identity"}
    async with comfy.http.open("GET", "/view", _query(output), headers=ask) as answer:
        body = await comfy.http.body(answer, "/view")
        if answer.status != 206:
            return _Range(body[-_TAIL:], len(body))
        total = _total(answer.headers.get("Content-Range", ""))
        if total is None or len(body) != min(total, _TAIL):
            raise DamagedAnswerError(f"{comfy.address}/view gave {len(body)} bytes for the end of a file.")
        return _Range(body, total)


def _total(content_range: str) -> int | None:
    """Of `bytes 0-99/1234`."""
    _, _, total = content_range.partition("/")
    return int(total) if total.isascii() and total.isdigit() else None


async def download(comfy: Comfy, output: Output, to: Path) -> Path:
    """Bring an output here, going on where a broken line left off, and see that it is whole.

    Raises:
        NotThereError: the server has no such file. ComfyRefusedError: it gives none, asked several times.
        PromptFailedError: comfy_output_damaged. UnreachableError: no bytes came for several tries.
        TryAgainError: `disk_full`. UnavailableError: `disk_failed`.
    """
    part = _Part(to.with_name(to.name + ".part"))
    part.drop()
    fruitless = refusals = begun = longest = 0
    last: ComfyError = DamagedAnswerError("it brought no bytes")
    # A cut is progress only where more has come than ever since the file was begun, and it is begun only so often.
    while max(fruitless, begun) < _TRIES:
        try:
            await part.read_on(comfy, output)
            damage = await _damage(comfy, output, part.path)
            if damage is None:
                await asyncio.to_thread(part.become, to)
                return to
            last = DamagedAnswerError(damage)
            part.drop()
        except ComfyRefusedError as no:
            last, refusals = no, refusals + 1
            if refusals == _BELIEVED:
                part.drop()
                raise
        except (UnreachableError, DamagedAnswerError) as fault:
            last = fault
            if part.size > longest:
                longest, fruitless, refusals = part.size, 0, 0
                continue
        if not part.size:
            begun, longest = begun + 1, 0
        fruitless += 1
        await asyncio.sleep(min(2.0, _PAUSE_S * 2**fruitless))
    part.drop()
    if isinstance(last, UnreachableError):
        raise last
    raise PromptFailedError(
        f"The output {output.filename} of node {output.node_id} did not come whole from {comfy.address}: "
        f"{last.message}",
        remedy="It may lie whole in the server's output folder; see what is between caf and the server.",
        kind="comfy_output_damaged",
    )


class _Part:
    """As much of a file as has come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tag: str | None = None
        self.whole = False
        """It came to the end that the server named."""

    @property
    def size(self) -> int:
        with _here(self.path):
            return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        with _here(self.path):
            self.path.unlink(missing_ok=True)
        self.tag, self.whole = None, False

    def become(self, to: Path) -> None:
        with _here(to):
            self.path.replace(to)

    async def read_on(self, comfy: Comfy, output: Output) -> None:
        """Up to the end that the server names; what comes of another file version starts anew."""
        if self.whole:
            return
        have = self.size
        ask = {"Accept-Encoding": "identity"}
        if have and self.tag:
            ask |= {"Range": f"bytes={have}-", "If-Range": self.tag}
        try:
            async with comfy.http.open("GET", "/view", _query(output), headers=ask) as answer:
                total = self._begin(answer, have)
                await self._take(answer)
        except ComfyRefusedError as no:
            if no.status != 416:
                raise
            self.drop()
            raise DamagedAnswerError(
                f"{comfy.address}/view has no more of the file than {have} bytes."
            ) from no
        if (total is not None and self.size != total) or not self.size:
            raise DamagedAnswerError(f"{comfy.address}/view gave {self.size} of {total} bytes.")
        self.whole = True

    def _begin(self, answer: aiohttp.ClientResponse, have: int) -> int | None:
        """The length of the whole file, if it is told."""
        if answer.status == 206:
            told = answer.headers.get("Content-Range", "")
            if not told.startswith(f"bytes {have}-"):
                self.drop()
                raise DamagedAnswerError(f"{answer.url.path} gave {told!r}, which was not asked.")
            return _total(told)
        self.drop()
        self.tag = answer.headers.get("Etag")
        return answer.content_length

    async def _take(self, answer: aiohttp.ClientResponse) -> None:
        # Unbuffered: what a full disk did not take must not be tried again when the file is closed.
        with _here(self.path):
            file = self.path.open("ab", buffering=0)
        with file:
            async for piece in answer.content.iter_chunked(_PIECE):
                left = memoryview(piece)
                while left:
                    with _here(self.path):
                        left = left[file.write(left) :]


@contextmanager
def _here(path: Path) -> Iterator[None]:
    """What this machine's disk says is no word of the server's, whose connection it comes up in."""
    try:
        yield
    except OSError as fault:
        if fault.errno in NO_ROOM:
            raise TryAgainError(
                f"There is no room here to write {path}.",
                remedy="Free some space on that disk, then go on with: caf resume JOB",
                kind="disk_full",
                transient=True,
            ) from fault
        raise UnavailableError(
            f"{path} cannot be written here: {fault.strerror}.",
            remedy="See that its folder is there and may be written to, then retry the stage.",
            kind="disk_failed",
        ) from fault


async def _damage(comfy: Comfy, output: Output, path: Path) -> str | None:
    """What is wrong with a file that came to its end; None if nothing is.

    A whole file may be another one's: something before the server may answer for it what it had of before.
    """
    found = await asyncio.to_thread(damage_of, path)
    if found is not None:
        return found
    seen = await _end_of(comfy, output)
    size, tail = await asyncio.to_thread(_size_and_end, path, len(seen.tail))
    if seen.total != size:
        return f"it has {size} bytes here and {seen.total} there"
    return None if tail == seen.tail else "its end is not the one that it has there"


def _size_and_end(path: Path, count: int) -> tuple[int, bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - count))
        return size, file.read()
