"""Small ONNX models, written byte by byte: no library is needed, and nothing is fetched."""

from collections.abc import Sequence

__all__ = ["mean_colours", "model"]


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """A ValueInfoProto of floats; a text is the name of an open size."""
    dims = b"".join(_bytes(1, _bytes(2, one) if isinstance(one, str) else _number(1, one)) for one in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, dims)))


def _ints(name: str, values: Sequence[int]) -> bytes:
    """An AttributeProto of type INTS."""
    return _bytes(5, _bytes(1, name) + b"".join(_number(8, one) for one in values) + _number(20, 7))


def _node(kind: str, given: str, gives: str, attributes: bytes = b"") -> bytes:
    return (
        _bytes(1, given) + _bytes(2, gives) + _bytes(3, f"{kind} of {given}") + _bytes(4, kind) + attributes
    )


def model(nodes: Sequence[bytes], inputs: Sequence[bytes], output: bytes) -> bytes:
    """A ModelProto of opset 13."""
    graph = b"".join(_bytes(1, one) for one in nodes) + _bytes(2, "graph")
    graph += b"".join(_bytes(11, one) for one in inputs) + _bytes(12, output)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))


def mean_colours(side: int | str = 32, *, colours_first: bool = True, kind: str = "AveragePool") -> bytes:
    """The mean colour of each of 4x4 cells of a picture of 32x32 pixels: 48 values."""
    shape = (1, 3, side, side) if colours_first else (1, side, side, 3)
    pool = _ints("kernel_shape", (8, 8)) + _ints("strides", (8, 8))
    nodes = [
        _node(kind, "seen" if colours_first else "turned", "cells", pool),
        _node("Flatten", "cells", "values"),
    ]
    if not colours_first:
        nodes.insert(0, _node("Transpose", "seen", "turned", _ints("perm", (0, 3, 1, 2))))
    return model(nodes, [_value("seen", shape)], _value("values", (1, 48)))
