"""What is asked of the writer, and what it has decided to do about it."""

import asyncio

from eventstore._batch import Rows, new_rows
from eventstore.chain import record
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
        events: tuple[NewEvent, ...],
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
        "now_ms",
        "pages",
        "requests",
        "rows",
    )

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.requests: list[Request] = []
        self.answers: list[Appended] = []
        self.rows: Rows = new_rows()
        self.chunks: list[tuple[int, int, int]] = []
        self.checkpoints: list[Checkpoint] = []
        self.count = 0
        """Events."""
        self.pages = 0

    def recorded(self) -> list[RecordedEvent]:
        """Its events as they stand in the log."""
        events: list[RecordedEvent] = []
        sums = iter(self.rows.sums())
        for request, answer in zip(self.requests, self.answers, strict=True):
            for index, event in enumerate(request.events):
                events.append(
                    record(
                        event,
                        stream=request.stream,
                        version=answer.first_version + index,
                        position=answer.first_position + index,
                        recorded_at_ms=self.now_ms,
                        checksum=next(sums),
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
