"""What a render has brought here, noted beside its files, so that a later life need not ask for it again."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caf.comfy.collecting import file_name
from caf.comfy.model import Done
from caf.ports import Parameter
from caf.sha256 import sha256_of

__all__ = ["Left", "kept", "left", "note", "note_all"]

_SUFFIX: Final = ".done.json"
_ALL: Final = "all.json"


class _Note(Struct, frozen=True, kw_only=True):
    """A prompt's end: its files by name and SHA-256, since after a power cut one may be there without its bytes."""

    done: Done
    sha256: tuple[str, ...]


class _All(Struct, frozen=True, kw_only=True):
    """A render's end: its prompts in their order, and what it was measured to take."""

    keys: tuple[str, ...]
    facts: dict[str, Parameter]


def note(done: Done, folder: Path) -> None:
    """Write down that the prompt's outputs lie in the folder. Where that fails they are asked for again, no more."""
    names = tuple(Path(path).name for path in done.files)
    path = folder / f"{file_name(done.key)}{_SUFFIX}"
    with suppress(OSError):
        written = _Note(
            done=replace(done, files=names), sha256=tuple(sha256_of(folder / name) for name in names)
        )
        _write(written, path)


def note_all(done: Sequence[Done], facts: Mapping[str, Parameter], folder: Path) -> None:
    """Write down that the render is over: what is noted of its prompts is all of it, and no server is needed more."""
    with suppress(OSError):
        _write(_All(keys=tuple(one.key for one in done), facts=dict(facts)), folder / _ALL)


def _write(what: Struct, path: Path) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(what))
    part.replace(path)


class Left(NamedTuple):
    """What an earlier life of a render has left in its folder."""

    folder: Path
    placed: dict[str, tuple[str, str]]
    """By key, the server's address and the prompt's id there, as the log has them."""
    here: dict[str, Done]
    """By key, the prompts whose outputs lie in the folder whole."""
    whole: tuple[list[Done], dict[str, Parameter]] | None
    """The outcome of a render that was over: no server is needed more."""


def left(folder: Path, handles: Mapping[str, str]) -> Left:
    """Look into the folder of a render. `handles`: by key, what the log has of its prompts."""
    placed = {key: _place(handle) for key, handle in handles.items()}
    here = kept(folder, {key: prompt_id for key, (_, prompt_id) in placed.items()})
    return Left(folder, placed, here, _whole(folder, here))


def _place(handle: str) -> tuple[str, str]:
    address, _, prompt_id = handle.rpartition("#")
    return address.rstrip("/"), prompt_id


def kept(folder: Path, known: Mapping[str, str]) -> dict[str, Done]:
    """By key, the prompts whose outputs lie in the folder whole. `known`: key to the id that the log has."""
    found = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            read = msgspec.json.decode(path.read_bytes(), type=_Note)
            done = read.done
            files = [folder / Path(name).name for name in done.files]
            if known.get(done.key) == done.prompt_id and tuple(map(sha256_of, files)) == read.sha256:
                found[done.key] = replace(done, files=tuple(map(str, files)))
    return found


def _whole(folder: Path, here: Mapping[str, Done]) -> tuple[list[Done], dict[str, Parameter]] | None:
    """None if the render was not over, or one of its prompts is not `here`."""
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        read = msgspec.json.decode((folder / _ALL).read_bytes(), type=_All)
        if here.keys() >= set(read.keys):
            return [here[key] for key in read.keys], read.facts
    return None
