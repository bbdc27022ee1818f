"""What the hash chain costs an event, by calling its function over a batch."""

from pathlib import Path

from bench.log.own_events import chain_us
from bench.log.question import Question, Sample, Scale


def questions(scale: Scale) -> list[Question]:
    return [Question(measure="chain", subject="own")]


def answer(question: Question, folder: Path) -> list[Sample]:
    return [Sample("chain", "own", chain_us())]
