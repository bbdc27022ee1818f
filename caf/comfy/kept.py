"""What a render has brought here, noted beside its files, so that a later life need not ask for it again."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caf.comfy.collecting import file_name
from caf.comfy.model import Done
from caf.sha256 import sha256_of

__all__ = ["kept", "note"]

_SUFFIX: Final = ".done.json"


class _Note(Struct, frozen=True, kw_only=True):
    """A prompt's end: its files by name and SHA-256, since after a power cut one may be there without its bytes."""

    done: Done
    sha256: tuple[str, ...]


def note(done: Done, folder: Path) -> None:
    """Write down that the prompt's outputs lie in the folder. Where that fails they are asked for again, no more."""
    names = tuple(Path(path).name for path in done.files)
    path = folder / f"{file_name(done.key)}{_SUFFIX}"
    with suppress(OSError):
        written = _Note(
            done=replace(done, files=names), sha256=tuple(sha256_of(folder / name) for name in names)
        )
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(written))
        part.replace(path)


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
