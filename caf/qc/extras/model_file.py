"""What an ONNX file says of its input, read without any library: the few fields of its protobuf that tell it.

Source: onnx.proto3 of ONNX (ModelProto.graph 7; GraphProto.initializer 5, input 11; ValueInfoProto.name 1, type 2;
TypeProto.tensor_type 1; Tensor.shape 2; TensorShapeProto.dim 1; Dimension.dim_value 1; TensorProto.name 8).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MOST_BYTES", "ModelFile", "input_shapes", "model_file"]

MOST_BYTES = 1 << 30
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_COLOURS = 3
_PICTURE_DIMS = 4


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that takes a batch of pictures in three colours."""

    sha256: str
    height_px: int
    """0: any; the width likewise."""
    width_px: int
    colours_first: bool
    """(N, 3, H, W); else (N, H, W, 3)."""


def model_file(path: str) -> ModelFile | str:
    """What the model wants to be given, or a sentence why it cannot be used."""
    try:
        if not Path(path).is_file():
            return f"There is no model {path}."
        if Path(path).stat().st_size > MOST_BYTES:
            return f"{path} is larger than {MOST_BYTES >> 20} MiB."
        content = Path(path).read_bytes()
    except OSError as fault:
        return f"{path} cannot be read: {fault.strerror}."
    shapes = input_shapes(content)
    if len(shapes) != 1:
        return (
            f"{path} has {len(shapes)} inputs; one picture can be given."
            if shapes
            else f"{path} is no ONNX model."
        )
    (shape,) = shapes
    if len(shape) != _PICTURE_DIMS or shape[0] > 1 or _COLOURS not in (shape[1], shape[3]):
        told = "x".join(str(size) if size else "any" for size in shape)
        return f"{path} takes {told}; a picture in three colours is 1x3xHEIGHTxWIDTH or 1xHEIGHTxWIDTHx3."
    first = shape[1] == _COLOURS
    height, width = shape[2:] if first else shape[1:3]
    return ModelFile(hashlib.sha256(content).hexdigest(), height, width, first)


def input_shapes(content: bytes) -> list[list[int]]:
    """Of every input of a model that is no constant of it; an open size is 0. Empty for what is no model."""
    try:
        return _shapes(memoryview(content))
    except (ValueError, IndexError):
        return []


def _shapes(model: memoryview) -> list[list[int]]:
    inputs: dict[bytes, list[int]] = {}
    constants: set[bytes] = set()
    for graph in _parts(model, 7):
        constants |= {bytes(name) for one in _parts(graph, 5) for name in _parts(one, 8)}
        for given in _parts(graph, 11):
            name = b"".join(bytes(part) for part in _parts(given, 1))
            dims = [
                dim
                for kind in _parts(given, 2)
                for tensor in _parts(kind, 1)
                for shape in _parts(tensor, 2)
                for dim in _parts(shape, 1)
            ]
            inputs[name] = [next((size for field, size in _fields(dim) if field == 1), 0) for dim in dims]  # type: ignore[misc]  # a number, as _VARINT
    return [shape for name, shape in inputs.items() if name not in constants]


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Every field `wanted` that holds bytes."""
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(kind)
        if at + length > len(message):
            raise ValueError(length)
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError(shift)
