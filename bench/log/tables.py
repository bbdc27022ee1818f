"""The tables of the report. Every cell is a median with its range, or a word why there is none."""

from collections.abc import Sequence
from typing import Final

from bench.log.figures import FIGURES, Figure, reached, spread_of
from bench.log.rounds import Found
from bench.log.stats import Spread, spread

__all__ = ["cell", "comparison", "figures_table", "number"]

TITLES: Final[dict[str, str]] = {
    "own": "**eventstore** (hash chain, both ids)",
    "raw": "raw sqlite3, batched by the writers",
    "raw-one": "raw sqlite3, one commit each",
    "umadb": "umadb (Rust server)",
    "eventsourcing": "eventsourcing, SQLite recorder",
    "eventsourcing-save": "eventsourcing, application",
    "eventsource-py": "eventsource-py (asyncio, SQLite)",
    "aiosqlite": "aiosqlite, a transaction each",
    "dbos": "dbos, steps (SQLite)",
}


def number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def cell(measured: Spread | None, why: str = "–") -> str:
    """`median (lowest..highest)`."""
    if measured is None:
        return why
    if measured.low == measured.high:
        return number(measured.median)
    return f"{number(measured.median)} ({number(measured.low)}..{number(measured.high)})"


def figures_table(found: Found) -> list[str]:
    """What is to be reached, of what was measured in this run."""
    lines = ["| what | beside | bound | measured | reached |", "|---|---|---|---|---|"]
    for figure in FIGURES:
        measured = spread_of(figure, found)
        if measured is None:
            if figure.above[0] in found.samples:
                lines.append(f"| {figure.what} | {figure.beside} | {_bound(figure)} | not measured | – |")
            continue
        answer = "yes" if reached(figure, measured) else "**no**"
        lines.append(f"| {figure.what} | {figure.beside} | {_bound(figure)} | {cell(measured)} | {answer} |")
    return lines


def _bound(figure: Figure) -> str:
    return f"{'≥' if figure.at_least else '≤'} {figure.bound:g}"


def comparison(found: Found, columns: Sequence[tuple[str, str, str]]) -> list[str]:
    """Subjects against measurements; a column is its head, what was measured, and the question it came from.

    Empty when none of it was measured.
    """
    rows = []
    for subject, title in TITLES.items():
        cells = [
            cell(spread(found.of(key, subject).values()), _why(found, asked.format(subject)))
            for _, key, asked in columns
        ]
        if any(found.of(key, subject) for _, key, _ in columns) or any(text != "–" for text in cells):
            rows.append(f"| {title} | {' | '.join(cells)} |")
    if not rows:
        return []
    head = [f"| | {' | '.join(name for name, _, _ in columns)} |", "|---" * (len(columns) + 1) + "|"]
    return head + rows


def _why(found: Found, question: str) -> str:
    asked = [why for name, why in found.why.items() if f"{name} ".startswith(f"{question} ")]
    return asked[0] if asked else "–"
