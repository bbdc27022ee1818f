"""Durable appends per second of 1, 16 and 256 writers that each wait for their answer."""

from pathlib import Path

from bench.log.question import Question, Sample, Scale
from bench.log.subjects import SUBJECTS, subject


def questions(scale: Scale) -> list[Question]:
    return [
        Question(
            measure="append",
            subject=name,
            with_={"writers": writers, "synchronous": synchronous, "seconds": scale.seconds},
        )
        for synchronous in ("FULL", "NORMAL")
        for writers in (1, 16, 256)
        for name in SUBJECTS
    ]


def answer(question: Question, folder: Path) -> list[Sample]:
    asked = question.with_
    rate = subject(question.subject).append(folder, asked["writers"], asked["synchronous"], asked["seconds"])
    return [Sample(f"append/{asked['writers']}/{asked['synchronous']}", question.subject, rate)]
