"""What is asked of the writer, and what it has decided to do about it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from eventstore._rows import MARK
from eventstore._statements import WIDTH
from eventstore.chain import checksum_of, record
from eventstore.errors import EventStoreError
from eventstore.model import Appended, Checkpoint, NewEvent, RecordedEvent

__all__ = ["Answer", "Outdated", "Plan", "Request", "answer_to"]

Answer = Appended | EventStoreError


class Request:
    """One append on its way to the disk; nobody wants it any more once `answer` is done.

    `answer` is None where the caller takes the answers from the ledger itself.
    """

    __slots__ = ("answer", "checkpoint", "events", "expected_version", "ids", "size", "stream")

    def __init__(
        self,
        stream: str,
        events: Sequence[NewEvent],
        ids: list[bytes],
        expected_version: int,
        checkpoint: Checkpoint | None = None,
        answer: "asyncio.Future[Appended] | None" = None,
    ) -> None:
        self.stream = stream
        self.events = events
        self.ids = ids
        self.expected_version = expected_version
        self.checkpoint = checkpoint
        self.answer = answer
        self.size = 0
        for event in events:
            self.size += len(event.data) + len(event.metadata) + 150


class Plan:
    """A batch that was decided from memory: what to answer, once `write` has written its rows."""

    __slots__ = (
        "answers",
        "checkpoints",
        "chunks",
        "count",
        "frames",
        "now_ms",
        "pages",
        "requests",
        "rows",
        "tables",
    )

    def __init__(self, now_ms: int, tables: tuple[str, ...]) -> None:
        self.now_ms = now_ms
        self.tables = tables
        """Where ids are recorded that memory does not know."""
        self.requests: list[Request] = []
        self.answers: list[Appended] = []
        self.rows: list[Any] = []
        self.frames: list[bytes] = []
        self.chunks: list[tuple[int, int, int]] = []
        self.checkpoints: list[Checkpoint] = []
        self.count = 0
        """Events."""
        self.pages = 0

    def recorded(self) -> list[RecordedEvent]:
        """Its events as they stand in the log."""
        events: list[RecordedEvent] = []
        marks = iter(self.rows[MARK::WIDTH])
        for request, answer in zip(self.requests, self.answers, strict=True):
            for index, event in enumerate(request.events):
                events.append(
                    record(
                        event,
                        stream=request.stream,
                        version=answer.first_version + index,
                        position=answer.first_position + index,
                        recorded_at_ms=self.now_ms,
                        checksum=checksum_of(next(marks)),
                    )
                )
        return events


def answer_to(request: Request, version: int, head: int) -> Appended:
    """What to answer if it comes after that version and that position."""
    count = len(request.events)
    return Appended(
        stream=request.stream,
        first_version=version + 1,
        last_version=version + count,
        first_position=head + 1,
        last_position=head + count,
        repeated=False,
    )


class Outdated(Exception):  # noqa: N818 - a signal to the writer
    """The log is not as it was planned for: another process has appended, or an id may be known."""
