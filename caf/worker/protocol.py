"""The lines between a worker's two sides: one JSON document each way per line.

The caller writes an `Ask`. The child answers with any number of `Say` lines; the last one carries
`result` or `error`. Every line is a sign of progress.
"""

import os
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

__all__ = ["LINE_LIMIT_BYTES", "Ask", "Fault", "Say", "send"]

LINE_LIMIT_BYTES: Final = 64 * 2**20
"""A longer answer belongs into a file, with its path in the result."""


class Ask(Struct, frozen=True, kw_only=True):
    """One task. `log` is the absolute path that takes all the child prints meanwhile."""

    task: str
    request: Raw
    log: str | None = None


class Fault(Struct, frozen=True, kw_only=True):
    """An error on its way to the caller; `raised_as` names a class of `caf.errors`."""

    raised_as: str
    kind: str
    message: str
    remedy: str
    transient: bool


class Say(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`phase` is `accepted` (the request was read) or `loaded` (its code was imported).

    `peak_bytes` is the highest resident memory since the request was accepted.
    """

    phase: str | None = None
    progress: tuple[int, int | None] | None = None
    result: Raw | UnsetType = UNSET
    error: Fault | None = None
    peak_bytes: int = 0


def send(answers: int, message: Struct) -> None:
    """Write one line to a pipe, all of it. Ends the process where nobody reads any more."""
    line = memoryview(msgspec.json.encode(message) + b"\n")
    try:
        while line:
            line = line[os.write(answers, line) :]
    except BrokenPipeError:
        os._exit(0)
