"""Any valid document of a kind, built from what its struct says of itself."""

from typing import Any

from hypothesis import strategies as st
from msgspec import Struct, inspect

_CHARACTERS = st.characters(codec="utf-8")
_TEXT = st.text(_CHARACTERS, max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)


def documents(kind: type[Struct]) -> st.SearchStrategy[Any]:
    """Valid instances; ids that must not repeat are made unlike by their index."""
    made: st.SearchStrategy[Any] = _struct(inspect.type_info(kind))
    return made


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata():
            return _of(kind.type)
        case inspect.StructType():
            return _struct(kind)
        case inspect.UnionType():
            return st.one_of([_of(option) for option in kind.types])
        case inspect.DictType():
            return st.dictionaries(_TEXT, _of(kind.value_type), max_size=3)
        case inspect.VarTupleType():
            return st.lists(_of(kind.item_type), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*[_of(item) for item in kind.item_types])
        case _:
            return _scalar(kind)


def _scalar(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.StrType():
            return _string(kind)
        case inspect.FloatType():
            low = kind.ge if kind.ge is not None else kind.gt
            return st.floats(
                low, kind.le, allow_nan=False, allow_infinity=False, exclude_min=kind.gt is not None
            )
        case inspect.IntType():
            return st.integers(kind.ge if kind.ge is not None else -(2**40), kind.le or 2**40)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return _JSON
    raise AssertionError(f"no strategy for {kind}")


def _string(kind: inspect.StrType) -> st.SearchStrategy[str]:
    if kind.pattern is None:
        return st.text(_CHARACTERS, min_size=kind.min_length or 0, max_size=12)
    longest = kind.max_length or 1000
    return st.from_regex(kind.pattern, fullmatch=True).filter(lambda text: len(text) <= longest)


def _struct(kind: inspect.Type) -> st.SearchStrategy[Any]:
    assert isinstance(kind, inspect.StructType)
    fields = {field.name: _of(field.type) for field in kind.fields}

    def build(values: dict[str, Any]) -> Any:
        for many, one in (("gates", "gate_id"), ("workflows", "workflow_id")):
            if many in values and hasattr(kind.cls, "__post_init__"):
                values[many] = _unlike(values[many], one)
        if "entries" in values:
            values["entries"] = values["entries"][:1]
        return kind.cls(**values)

    return st.fixed_dictionaries(fields).map(build)


def _unlike(items: tuple[Any, ...], field: str) -> tuple[Any, ...]:
    seen: dict[str, Any] = {getattr(item, field): item for item in items}
    return tuple(seen.values())
