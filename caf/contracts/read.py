"""Bytes to documents and back: tolerant of unknown fields when reading, strict when writing."""

import math
import re
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from caf.contracts.explain import explain
from caf.contracts.whole import with_whole_numbers
from caf.errors import DocumentError

__all__ = ["MAX_BYTES", "read_document", "read_object", "write_document"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""No document of this format comes near; a larger file was named by mistake."""

_REMEDY: Final = "Correct it and try again."
_AT_BYTE: Final = re.compile(r"^JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)$")
_AT_PATH: Final = re.compile(r" - at `\$(?P<path>.*)`$")

T = TypeVar("T", bound=msgspec.Struct)


def read_document(data: bytes, kind: type[T], *, where: str) -> T:
    """The document in `data`; unknown fields are ignored. `where` names the file for the error.

    Raises `DocumentError` for whatever is wrong with it, with file, place, what was found and what is
    allowed there; for malformed JSON with line and column.
    """
    document: T = _decode(data, kind, where)
    return document


def read_object(data: bytes, *, where: str) -> dict[str, Any]:
    """Any JSON object. Raises `DocumentError` as `read_document` does."""
    value: dict[str, Any] = _decode(data, dict[str, Any], where)
    return value


def write_document(doc: msgspec.Struct) -> bytes:
    """The document as indented UTF-8 JSON with a newline at the end; equal documents give equal bytes.

    Fields stand in the contract's order, free-form names are sorted, optional values that are not
    there are left out. Raises `DocumentError` when the document breaks its own contract.
    """
    name = type(doc).__name__
    try:
        data = _encoder.encode(doc)
    except UnicodeEncodeError as fault:
        raise DocumentError(f"this {name} has text that is no Unicode: {fault}", remedy=_REMEDY) from fault
    odd = _not_finite(msgspec.to_builtins(doc), "")
    if odd is not None:
        raise DocumentError(f"this {name} cannot be written: {odd} is not a finite number.", remedy=_REMEDY)
    _decode(data, type(doc), f"this {name} cannot be written")
    return msgspec.json.format(data, indent=2) + b"\n"


_encoder: Final = msgspec.json.Encoder(order="deterministic")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _decode(data: bytes, kind: Any, where: str) -> Any:
    _refuse_other_encodings(data, where)
    try:
        return _decoder(kind).decode(data)
    except msgspec.ValidationError as fault:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.convert(with_whole_numbers(msgspec.json.decode(data), kind), kind)
        sentence = explain(data, kind) or _reworded(str(fault))
        raise DocumentError(f"{where}: {sentence}", remedy=_REMEDY) from fault
    except msgspec.DecodeError as fault:
        raise DocumentError(f"{where}: {_malformed(data, str(fault))}", remedy=_REMEDY) from fault
    except UnicodeDecodeError as fault:
        raise DocumentError(f"{where}: a text in it is not UTF-8.", remedy="Save it as UTF-8.") from fault
    except RecursionError as fault:
        raise DocumentError(f"{where}: it is nested too deeply to be read.", remedy=_REMEDY) from fault


def _refuse_other_encodings(data: bytes, where: str) -> None:
    if len(data) > MAX_BYTES:
        size = f"{len(data) / 2**20:.0f} MiB"
        raise DocumentError(
            f"{where}: it has {size}; a document has at most {MAX_BYTES // 2**20} MiB.",
            remedy="Check that this is the right file.",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise DocumentError(f"{where}: it is UTF-16 or UTF-32 text, or no text.", remedy="Save it as UTF-8.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise DocumentError(
            f"{where}: it begins with a byte order mark.", remedy="Save it as UTF-8 without BOM."
        )
    if not data.strip(b" \t\r\n"):
        raise DocumentError(f"{where}: the file is empty.", remedy="Check that it was written to the end.")


def _malformed(data: bytes, message: str) -> str:
    found = _AT_BYTE.match(message)
    at = min(int(found["byte"]), len(data)) if found else len(data)
    what = found["what"] if found else "the text ends too early"
    line = data.count(b"\n", 0, at) + 1
    start = data.rfind(b"\n", 0, at) + 1
    column = len(data[start:at].decode("utf-8", "replace")) + 1
    return f"the JSON is malformed at line {line}, column {column}: {what}."


def _reworded(message: str) -> str:
    """msgspec's own sentence, with our way of naming places."""
    place = _AT_PATH.search(message)
    if place is None:
        return f"{message}."
    # "[...]" stands for any member of an object: no place that a person could look for.
    path = "" if "[...]" in place["path"] else place["path"].removeprefix(".")
    sentence = message[: place.start()]
    return f"{path}: {sentence}." if path else f"{sentence}."


def _not_finite(value: object, path: str) -> str | None:
    """The first place that holds NaN or an infinity, which JSON cannot say."""
    match value:
        case float() if not math.isfinite(value):
            return path
        case dict():
            places = (
                _not_finite(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()
            )
        case list() | tuple():
            places = (_not_finite(inner, f"{path}[{index}]") for index, inner in enumerate(value))
        case _:
            return None
    return next((place for place in places if place is not None), None)
