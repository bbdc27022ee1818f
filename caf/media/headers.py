"""What a file's own structure promises: sizes in headers, boxes that must be there, ends to be reached.

Read by hand because a decoder hides it: it allocates what the header asks for, and conceals what is cut off.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_part", "picture_size"]

_EBML_SEGMENT = b"\x18\x53\x80\x67"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_PACK = b"\x00\x00\x01\xba"
_PACK_BYTES = 2**20
"""More than a pack of MPEG-PS has: one of a DVD is 2048 bytes."""
_FLV_TAGS = (8, 9, 18)
"""Sound, picture and words."""
_HEAD_BYTES = 8192
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
    segment's stated size), RIFF (AVI, WebP), ASF (WMV), FLV, Ogg, MPEG-TS and MPEG-PS (VOB, MPG: a last part that is
    not whole), GIF (blocks), PNG (closing chunk) and JPEG (end marker). A stream that ends between two parts is whole;
    a bare one (H.264 without a container) promises nothing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
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
        if head.startswith(b"FLV\x01"):
            return _missing_in_tags(file, size, int.from_bytes(head[5:9], "big"))
        if head.startswith(_ASF_HEADER):
            return _missing_in_asf(head, size)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return _missing_in_blocks(file)
        if head.startswith(b"OggS"):
            return _missing_in_pages(file, size)
        if head.startswith(_PACK):
            return _missing_in_pack(file, size)
    return _missing_in_packets(head, size)


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


def _missing_in_tags(file: BinaryIO, size: int, start: int) -> str | None:
    """FLV: every tag states its length, and is followed by it."""
    at = start + 4
    while at + 4 < size:
        file.seek(at)
        head = file.read(4)
        if head[0] & 0x1F not in _FLV_TAGS:
            return None
        end = at + 11 + int.from_bytes(head[1:4], "big")
        if end > size:
            return f"its last part ends at byte {end}, the file at byte {size}"
        at = end + 4
    return None


def _missing_in_pages(file: BinaryIO, size: int) -> str | None:
    """Ogg: a page's head says of how many parts of which lengths it is."""
    at = 0
    while at + 27 <= size:
        file.seek(at)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            return None
        parts = head[27 : 27 + head[26]]
        end = at + 27 + head[26] + sum(parts)
        if end > size:
            return f"its last page ends at byte {end}, the file at byte {size}"
        at = end
    return None


def _missing_in_pack(file: BinaryIO, size: int) -> str | None:
    """MPEG-PS: what lies in the last pack states its length, part by part."""
    begun = max(0, size - _PACK_BYTES)
    file.seek(begun)
    tail = file.read()
    at = tail.rfind(_PACK)
    if at < 0:
        return None
    at += _pack_head(tail[at : at + 14])
    while at + 6 <= len(tail) and tail[at : at + 3] == _PACK[:3] and tail[at + 3] > _PACK[3]:
        at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return f"its last packet ends at byte {begun + at}, the file at byte {size}" if at > len(tail) else None


def _pack_head(head: bytes) -> int:
    """Bytes of a pack's head, which is shorter in MPEG-1; at least so many of one that is cut off itself."""
    if len(head) > 4 and head[4] & 0xC0 == 0x40:
        return 14 + (head[13] & 7 if len(head) > 13 else 0)
    return 12


def _missing_in_asf(head: bytes, size: int) -> str | None:
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:  # a broadcast, whose size nobody knew
        return None
    stated = int.from_bytes(head[at + 40 : at + 48], "little")
    return f"its header promises {stated} bytes, the file has {size}" if stated > size else None


def _missing_in_packets(head: bytes, size: int) -> str | None:
    """MPEG-TS, plain or with a time before each packet or a checksum behind it."""
    for length, before in ((188, 0), (192, 4), (204, 0)):
        if len(head) > 4 * length and set(head[before : 4 * length : length]) == {0x47}:
            rest = size % length
            return f"its last packet has {rest} of {length} bytes" if rest else None
    return None


def _missing_in_blocks(file: BinaryIO) -> str | None:
    """GIF: colours, extensions and pictures until a trailer, each of a length that it states."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 13 + _colours(data[10:11])
        while at < len(data) and data[at] in (0x21, 0x2C):
            # Of a picture nine bytes tell its place, then come its colours and the size of its codes.
            at += 2 if data[at] == 0x21 else 11 + _colours(data[at + 9 : at + 10])
            while at < len(data) and data[at]:
                at += 1 + data[at]
            at += 1
        if at > len(data):
            return f"its last block ends after byte {at - 1}, the file at byte {len(data)}"
    return None


def _colours(flags: bytes) -> int:
    """Bytes of the table of colours that these flags promise."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0
