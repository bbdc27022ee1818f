"""The run as a section of Markdown, between markers, so that the next run replaces it."""

from typing import Final

from msgspec import Struct

from bench.log.rounds import Found
from bench.log.tables import comparison, figures_table

__all__ = ["BEGIN", "END", "Run", "replace_section", "section"]

BEGIN: Final = "<!-- bench-log: written by make bench-log, do not edit -->"
END: Final = "<!-- bench-log: end -->"


class Run(Struct, frozen=True, kw_only=True):
    """Under what circumstances it was measured."""

    date: str
    command: str
    machine: str
    versions: str
    load: str
    rounds: int
    note: str = ""


def replace_section(text: str, section: str) -> str:
    """`text` with `section` between the markers, at its end where there were none.

    Raises `ValueError` when only one of the markers is there.
    """
    body = f"{BEGIN}\n{section.strip()}\n{END}"
    if BEGIN not in text and END not in text:
        return f"{text.rstrip()}\n\n{body}\n" if text.strip() else f"{body}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The section needs both markers, {BEGIN!r} and then {END!r}.")
    return before + body + after


def section(run: Run, found: Found, picture: str | None, title: str = "Event log beside its peers") -> str:
    """All that was measured."""
    parts = [
        f"## {title}",
        "\n".join(
            [
                f"`{run.command}`, {run.date}. {run.machine}. {run.versions}. Load average {run.load}.",
                f"Medians of {run.rounds} round{'s' * (run.rounds > 1)} (lowest..highest); all subjects take",
                "turns on the same disk, each in a process of its own; ratios are taken within a round. Events",
                "carry about 400 bytes of JSON, encoded by msgspec (by their own way where they insist). A peer",
                "that blocks gets a thread for each writer.",
                *([run.note] if run.note else []),
            ]
        ),
    ]
    if picture:
        parts.append(
            f"![Ratio to what is to be reached, with ranges; right of the line is reached]({picture})"
        )
    parts.append("### What is to be reached")
    parts.append("\n".join(figures_table(found)))
    for heading, text, columns in _TABLES:
        lines = comparison(found, columns)
        if lines:
            parts += [f"### {heading}", *([text] if text else []), "\n".join(lines)]
    return "\n\n".join(parts)


_WRITERS: Final = (1, 16, 256)

_TABLES: Final = (
    *(
        (
            f"Appends per second, synchronous={synchronous}",
            "",
            [
                (
                    f"{writers} writer{'s' * (writers > 1)}",
                    f"append/{writers}/{synchronous}",
                    f"append {{}} {writers} {synchronous}",
                )
                for writers in _WRITERS
            ],
        )
        for synchronous in ("FULL", "NORMAL")
    ),
    (
        "From append to a handler in the same process, ms",
        "From the call of append; for raw sqlite3 one commit, and no handler. dbos: a queue polled every ms.",
        [
            (f"{synchronous} {share}", f"delivery/{synchronous}/{share}", f"delivery {{}} {synchronous}")
            for synchronous in ("FULL", "NORMAL")
            for share in ("p50", "p99")
        ],
    ),
    (
        "The same with CPU work on the event loop, in slices of 1 ms",
        "The raw commit blocks the loop: no work holds it up.",
        [
            (f"{synchronous} {share}", f"busy/{synchronous}/{share}", f"busy {{}} {synchronous}")
            for synchronous in ("FULL", "NORMAL")
            for share in ("p50", "p99")
        ],
    ),
    *(
        (
            f"To a handler in another process, ms, synchronous={synchronous}",
            "100 events/s; the share of a core is the follower's. 0 after the answer: the handler was first.",
            [
                (head, f"across/{synchronous}/{what}", f"across {{}} {synchronous}")
                for head, what in (
                    ("call → handler p50", "call p50"),
                    ("p99", "call p99"),
                    ("answer → handler p50", "answer p50"),
                    ("p99", "answer p99"),
                    ("% of a core", "core"),
                )
            ],
        )
        for synchronous in ("FULL", "NORMAL")
    ),
    (
        "Replay, events per second, and size",
        "From first to last, by what is done with each event. Slow peers read a shorter log. For eventsourcing's"
        " application decoding is its mapper, for dbos replay of a workflow's recorded steps. Size: bytes an"
        " event beyond its payload, in a log of streams of 50.",
        [
            ("read", "replay/select", "replay {}"),
            ("+ decode", "replay/decode", "replay {}"),
            ("+ dispatch", "replay/dispatch", "replay {}"),
            ("verify", "replay/verify", "replay {}"),
            ("dispatch and verify", "replay/dispatch and verify", "replay {}"),
            ("aggregates", "replay/aggregates", "replay {}"),
            ("bytes beyond the payload", "size", "replay {}"),
        ],
    ),
    (
        "Rebuild of all projections, events per second",
        "A log of whole jobs, as caf writes them.",
        [
            ("reading and decoding", "rebuild/replay", "rebuild {}"),
            ("rebuild", "rebuild/all", "rebuild {}"),
        ],
    ),
    (
        "A huge log",
        "",
        [
            ("append/s at 100,000", "huge/small rate", "huge {}"),
            ("append/s at the end", "huge/big rate", "huge {}"),
            ("open ms at 100,000", "huge/small open", "huge {}"),
            ("open ms at the end", "huge/big open", "huge {}"),
        ],
    ),
)
