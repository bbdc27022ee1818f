"""The documentation as data: pages, fenced blocks, commands, links, named tests."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "ROOT",
    "Block",
    "blocks",
    "code_spans",
    "missing_tests",
    "named_tests",
    "pages",
    "prose",
    "tests_in",
    "text",
    "written_by_hand",
]

ROOT: Final = Path(__file__).resolve().parents[2]
FENCE: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`\n]+)`")
TEST: Final = re.compile(r"\b(tests/[\w/]+\.py)(?:::(\w+))?")


class Block(NamedTuple):
    """A fenced block: its language, its content, and where it begins."""

    language: str
    content: str
    line: int


def pages() -> list[Path]:
    """Every page, by hand or generated."""
    return [
        ROOT / "README.md",
        ROOT / "AGENTS.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def written_by_hand() -> list[Path]:
    return [page for page in pages() if page.parent.name != "reference"]


@cache
def text(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path) -> list[Block]:
    whole = text(page)
    return [
        Block(found[1], found[2], whole.count("\n", 0, found.start()) + 1) for found in FENCE.finditer(whole)
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text(page))


def code_spans(page: Path) -> Iterator[str]:
    """Everything between single backquotes outside of fenced blocks."""
    for found in SPAN.finditer(prose(page)):
        yield found[1]


def named_tests(said: str) -> list[tuple[str, str | None]]:
    """Every `tests/file.py::test` or `tests/file.py` in a text."""
    return [(found[1], found[2]) for found in TEST.finditer(said)]


@cache
def tests_in(file: str) -> frozenset[str]:
    """The tests that a file defines, those in classes included; empty when there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_bytes())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def missing_tests(named: list[tuple[str, str | None]]) -> list[str]:
    """Those that do not exist."""
    return [
        f"{file}::{test}" if test else file
        for file, test in named
        if (test not in tests_in(file) if test else not tests_in(file))
    ]
