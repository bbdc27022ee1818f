"""Whole numbers in JSON: 5.0 is one, and many programs write it so where 5 is meant."""

from functools import cache
from typing import Any

from msgspec import inspect

__all__ = ["is_whole", "with_whole_numbers"]


def is_whole(value: object) -> bool:
    """True for 5 and for 5.0, as JSON Schema's `integer` has it; false for true, which is no number."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )


def with_whole_numbers(value: Any, kind: Any) -> Any:
    """A decoded document with 5.0 as 5 where `kind` has a whole number; everything else is as it was."""
    return _whole(value, _info(kind))


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _whole(value: Any, kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType(types=types):
            return _whole(value, _option(value, types))
        case inspect.IntType() if is_whole(value):
            return int(value)
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            of = {field.encode_name: field.type for field in fields}
            return {name: _whole(inner, of[name]) if name in of else inner for name, inner in value.items()}
        case inspect.DictType(value_type=inner_type) if isinstance(value, dict):
            return {name: _whole(inner, inner_type) for name, inner in value.items()}
        case inspect.ListType(item_type=item_type) | inspect.VarTupleType(item_type=item_type) if isinstance(
            value, list
        ):
            return [_whole(inner, item_type) for inner in value]
        case _:
            return value


def _option(value: Any, types: tuple[inspect.Type, ...]) -> inspect.Type:
    """The one among several that a value is to be seen as; where it may be any number, it stays as it is."""
    wanted: tuple[type[inspect.Type], ...] = ()
    match value:
        case float():
            wanted = (inspect.IntType, inspect.FloatType)
        case dict():
            wanted = (inspect.StructType, inspect.DictType)
        case list():
            wanted = (inspect.ListType, inspect.VarTupleType)
    fitting = [kind for kind in types if isinstance(kind, wanted)] if wanted else []
    return fitting[0] if len(fitting) == 1 else inspect.AnyType()
