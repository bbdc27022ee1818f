"""What a file's own structure promises: sizes in headers, boxes that must be there, ends to be reached.

Read by hand because a decoder hides it: it allocates what the header asks for, and conceals what is cut off.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_part", "picture_size"]

_EBML_SEGMENT = b"\x18\x53\x80\x67"
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height that a PNG, GIF, BMP, WebP or JPEG header states; None for anything else.

    Nothing is decoded, so a header that promises 20,000 x 20,000 costs a few bytes.
    """
    with path.open("rb") as file:
        head = file.read(32)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
            return struct.unpack(">II", head[16:24])
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return struct.unpack("<HH", head[6:10])
        if head.startswith(b"BM") and len(head) >= 26:
            width, height = struct.unpack("<ii", head[18:26])
            return abs(width), abs(height)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
            return _webp_size(head)
        if head.startswith(b"\xff\xd8"):
            return _jpeg_size(file)
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    chunk = head[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while True:
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            return None
        length = int.from_bytes(marker[2:4], "big")
        if marker[1] in _JPEG_SIZE_MARKERS:
            body = file.read(5)
            return (
                (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
                if len(body) == 5
                else None
            )
        file.seek(length - 2, 1)


def missing_part(path: Path) -> str | None:
    """One clause saying what the file promises but does not hold, or None when nothing is missing.

    Checks ISO media (every top-level box inside the file, an index present), Matroska and WebM (the
    segment's stated size), RIFF (AVI, WebP), PNG (closing chunk) and JPEG (end marker).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
            return _missing_in_boxes(file, size)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _missing_in_segment(file, size)
        if head.startswith(b"RIFF"):
            stated = int.from_bytes(head[4:8], "little") + 8
            # Writers that stream leave the size at 0 or at its maximum.
            if 8 < stated < 0xFFFFFFFF and stated > size + 1:
                return f"its header promises {stated} bytes, the file has {size}"
            return None
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return None if _tail_holds(file, size, b"IEND") else "its closing chunk is missing"
        if head.startswith(b"\xff\xd8\xff"):
            return None if _tail_holds(file, size, b"\xff\xd9") else "its end marker is missing"
    return None


def _tail_holds(file: BinaryIO, size: int, mark: bytes) -> bool:
    # Cameras and editors append up to some kilobytes of their own after the end of the picture.
    file.seek(max(0, size - 65_536))
    return mark in file.read()


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Top-level boxes as (kind, start, stated end)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            return
        yield kind, at, at + length
        at += length


def _missing_in_boxes(file: BinaryIO, size: int) -> str | None:
    kinds = set()
    for kind, _, end in _boxes(file, size):
        kinds.add(kind)
        if end > size and kind in (b"mdat", b"moov", b"moof"):
            name = kind.decode("ascii")
            return f"its `{name}` part ends at byte {end}, the file at byte {size}"
    if b"moov" not in kinds:
        return "its index (the `moov` part) is missing"
    return None


def _missing_in_segment(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    head = file.read(4096)
    at = head.find(_EBML_SEGMENT)
    if at < 0:
        return None
    first = head[at + 4]
    length = 9 - first.bit_length() if first else 0
    if not length:
        return None
    value = int.from_bytes(head[at + 4 : at + 4 + length], "big") & ((1 << 7 * length) - 1)
    if value == (1 << 7 * length) - 1:  # unknown size: a stream, legal
        return None
    end = at + 4 + length + value
    return f"its header promises {end} bytes, the file has {size}" if end > size else None
