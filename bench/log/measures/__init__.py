"""What is asked: each module makes its questions and, in the process of one, answers it."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench.log.question import Question, Sample, Scale

__all__ = ["MEASURES", "answer", "questions"]

MEASURES: Final = ("append", "chain", "delivery", "across", "replay", "rebuild", "huge")
"""In the order of the report; `huge` only on request."""


def _module(measure: str) -> Any:
    return import_module(f"bench.log.measures.{measure}")


def questions(measure: str, scale: Scale) -> list[Question]:
    """All questions of a measure, for one round."""
    made: list[Question] = _module(measure).questions(scale)
    return made


def answer(question: Question, folder: Path) -> list[Sample]:
    """Ask the subject. Raises `NotOffered`, or whatever goes wrong."""
    found: list[Sample] = _module(question.measure).answer(question, folder)
    return found
