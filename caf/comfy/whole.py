"""Is a file whole? Told from its own structure, without decoding it."""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["damage_of"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_PIECE: Final = 2**20


def damage_of(path: Path) -> str | None:
    """What is wrong with it, or None where nothing is seen.

    A PNG proves by the check sum of every chunk that it is whole; a RIFF file (WebP, WAV) and a JPEG only show
    where they end; of other files nothing is known.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if not head:
            return "it is empty"
        if head.startswith(_PNG):
            return _png_damage(file, size)
        if head.startswith(b"RIFF") and len(head) == 12:
            told = struct.unpack("<I", head[4:8])[0] + 8
            return f"it has {size} bytes and says {told}" if size < told else None
        if head.startswith(_JPEG):
            file.seek(max(0, size - 64))
            return None if b"\xff\xd9" in file.read() else "it stops before its end"
    return None


def _png_damage(file: BinaryIO, size: int) -> str | None:
    file.seek(len(_PNG))
    while True:
        header = file.read(8)
        if len(header) < 8:
            return "it stops before its end"
        length, kind = struct.unpack(">I4s", header)
        if file.tell() + length + 4 > size:
            return "it stops before its end"
        check = zlib.crc32(kind)
        left = length
        while left:
            piece = file.read(min(left, _PIECE))
            check = zlib.crc32(piece, check)
            left -= len(piece)
        if struct.unpack(">I", file.read(4))[0] != check:
            return f"its {kind.decode('latin-1')} chunk is damaged"
        if kind == b"IEND":
            return None
