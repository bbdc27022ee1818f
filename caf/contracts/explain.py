"""Says in a sentence where a JSON value first breaks its struct: place, what was found, what is allowed."""

import re
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from caf.contracts.whole import is_whole

__all__ = ["explain", "found"]

_WORD: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LONGEST: Final = 60


class _Problem(NamedTuple):
    path: str
    found: str
    allowed: str


def explain(data: bytes, kind: Any) -> str | None:
    """The first problem of JSON `data` as a `kind`; None when none is seen that this module knows of."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    problem = _check(value, inspect.type_info(kind), "")
    if problem is None:
        return None
    return f"{problem.path or 'the document'} is {problem.found}; {problem.allowed}."


def _check(value: Any, kind: inspect.Type, path: str) -> _Problem | None:
    match kind:
        case inspect.Metadata():
            problem = _check(value, kind.type, path)
            return problem and problem._replace(allowed=_allowed(kind))
        case inspect.StructType():
            return _check_struct(value, kind, path) if isinstance(value, dict) else _wrong(value, kind, path)
        case inspect.UnionType():
            return _check_union(value, kind, path)
        case inspect.DictType():
            if not isinstance(value, dict):
                return _wrong(value, kind, path)
            inner = (_check(item, kind.value_type, _member(path, key)) for key, item in value.items())
            return next((problem for problem in inner if problem), None)
        case inspect.ListType() | inspect.VarTupleType():
            if not isinstance(value, list):
                return _wrong(value, kind, path)
            inner = (_check(item, kind.item_type, f"{path}[{index}]") for index, item in enumerate(value))
            return next((problem for problem in inner if problem), None)
        case _:
            return None if _fits(value, kind) else _wrong(value, kind, path)


def _check_struct(value: dict[str, Any], kind: inspect.StructType, path: str) -> _Problem | None:
    if kind.tag_field and value.get(kind.tag_field, kind.tag) != kind.tag:
        place = _member(path, kind.tag_field)
        return _Problem(place, found(value[kind.tag_field]), f"allowed is {kind.tag!r}")
    for field in kind.fields:
        place = _member(path, field.encode_name)
        if field.encode_name in value:
            problem = _check(value[field.encode_name], field.type, place)
            if problem:
                return problem
        elif field.required:
            return _Problem(place, "missing", _allowed(field.type))
    return None


def _check_union(value: Any, kind: inspect.UnionType, path: str) -> _Problem | None:
    problems = [_check(value, option, path) for option in kind.types]
    if None in problems:
        return None
    deeper = [problem for problem in problems if problem and problem.path != path]
    return deeper[0] if deeper else _wrong(value, kind, path)


def _fits(value: Any, kind: inspect.Type) -> bool:
    match kind:
        case inspect.LiteralType():
            return value in kind.values
        case inspect.StrType():
            return isinstance(value, str) and _text_fits(value, kind)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return is_whole(value) and _in_range(value, kind)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool) and _in_range(value, kind)
        case inspect.NoneType():
            return value is None
        case _:
            return True


def _text_fits(value: str, kind: inspect.StrType) -> bool:
    too_short = kind.min_length is not None and len(value) < kind.min_length
    too_long = kind.max_length is not None and len(value) > kind.max_length
    return not (too_short or too_long or (kind.pattern and not re.search(kind.pattern, value)))


def _in_range(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    too_low = (kind.ge is not None and value < kind.ge) or (kind.gt is not None and value <= kind.gt)
    return not (too_low or (kind.le is not None and value > kind.le))


def _wrong(value: Any, kind: inspect.Type, path: str) -> _Problem:
    return _Problem(path, found(value), _allowed(kind))


def _allowed(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType) and len(kind.values) > 1:
        return f"allowed are {', '.join(str(value) for value in kind.values)}"
    if isinstance(kind, inspect.UnionType):
        options = _said(kind)
        if len(options) == 1:
            return _allowed(options[0])
    return f"allowed is {_named(kind)}"


def _said(kind: inspect.UnionType) -> list[inspect.Type]:
    """The options worth saying: null is a way to leave out, and a whole number is a number."""
    silent: tuple[type, ...] = (inspect.NoneType,)
    if any(isinstance(option, inspect.FloatType) for option in kind.types):
        silent = (inspect.NoneType, inspect.IntType)
    return [option for option in kind.types if not isinstance(option, silent)]


def _named(kind: inspect.Type) -> str:
    """The kind of value in a person's words."""
    match kind:
        case inspect.Metadata():
            return (kind.extra_json_schema or {}).get("description") or _named(kind.type)
        case inspect.UnionType():
            return " or ".join(_named(option) for option in _said(kind))
        case inspect.LiteralType():
            return " or ".join(str(value) for value in kind.values)
        case inspect.StrType():
            return "a text that is not empty" if kind.min_length else "a text"
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.ListType() | inspect.VarTupleType():
            return "a list"
        case _:
            return "an object"


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    if kind.ge is not None and kind.le is not None:
        return f"{name} from {kind.ge} to {kind.le}"
    if kind.ge is not None:
        return f"{name} of at least {kind.ge}"
    return f"{name} above {kind.gt}" if kind.gt is not None else name


def found(value: Any) -> str:
    """A JSON value in a sentence: short, and in full only where it is short."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return repr(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}..."
        case _:
            text = msgspec.json.encode(value).decode()
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _member(path: str, name: str) -> str:
    if not _WORD.match(name):
        return f"{path}[{found(name)}]"
    return f"{path}.{name}" if path else name
