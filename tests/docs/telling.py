"""Code as Markdown: a struct's fields as a table, a type in JSON's words, a docstring as a paragraph."""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

__all__ = ["doc", "field_notes", "fields_table", "first_sentence", "flat", "json_type", "shown", "table"]

JSON_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    Any: "any",
}


def fields_table(struct: type) -> list[str]:
    notes = field_notes(struct)
    fields = msgspec.structs.fields(struct)
    rows = [(f"`{item.name}`", json_type(item.type), notes.get(item.name, "")) for item in fields]
    return table(("field", "type", "meaning"), rows)


def field_notes(struct: type) -> dict[str, str]:
    """The texts that stand below a struct's fields."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(note, ast.Expr)
            and isinstance(note.value, ast.Constant)
        ):
            notes[field.target.id] = flat(inspect.cleandoc(str(note.value.value)))
    return notes


def json_type(kind: Any) -> str:
    """A field's type in JSON's words, the same on every version of Python."""
    kind = getattr(kind, "__supertype__", kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return json_type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        names = list(
            dict.fromkeys(sorted((json_type(item) for item in inner), key=lambda name: name == "null"))
        )
        if "number" in names and "integer" in names:
            names.remove("integer")
        return " or ".join(names)
    if origin is tuple:
        return f"list of {json_type(inner[0])}"
    if origin is dict:
        return f"object of {json_type(inner[1])}"
    if kind in JSON_NAMES:
        return JSON_NAMES[kind]
    name: str = kind.__name__
    return name


def doc(thing: object) -> str:
    return flat(inspect.getdoc(thing) or "")


def first_sentence(thing: object) -> str:
    """The first sentence of a docstring."""
    text = doc(thing).partition("\n")[0]
    return text if text.endswith(".") and ". " not in text else f"{text.partition('. ')[0].rstrip('.')}."


def flat(text: str) -> str:
    """Paragraphs on one line each."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def shown(value: object) -> str:
    return msgspec.json.encode(value).decode() if not isinstance(value, str) else value


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    bars = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in bars]


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").strip()
