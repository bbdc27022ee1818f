"""What one process is asked, and what it answers."""

from pathlib import Path
from typing import Any

from msgspec import Struct, field

__all__ = ["Answer", "Question", "Sample", "Scale"]


class Scale(Struct, frozen=True, kw_only=True):
    """How much is asked of everybody."""

    seconds: float = 1.0
    deliveries: int = 300
    replayed: int = 200_000
    rebuilt: int = 200_000
    huge: int = 10_000_000

    @classmethod
    def quick(cls) -> "Scale":
        """Enough to see that everything runs; too little for figures."""
        return cls(seconds=0.2, deliveries=30, replayed=4_000, rebuilt=1_000, huge=600_000)


class Question(Struct, frozen=True, kw_only=True):
    """One measurement of one subject."""

    measure: str
    subject: str
    with_: dict[str, Any] = field(default_factory=dict)
    keep: bool = False
    """The folder that was filled for it serves all rounds."""

    @property
    def name(self) -> str:
        return " ".join([self.measure, self.subject, *(str(value) for value in self.with_.values())])


class Sample(Struct, frozen=True):
    """One number: `key` is what was measured, its unit with it (see `bench.log.figures`)."""

    key: str
    subject: str
    value: float


class Answer(Struct, frozen=True, kw_only=True):
    """Samples, or why there are none, in a few words."""

    samples: list[Sample] = field(default_factory=list)
    why: str | None = None


class Task(Struct, frozen=True, kw_only=True):
    """What the process is started with."""

    question: Question
    folder: str

    @property
    def path(self) -> Path:
        return Path(self.folder)
