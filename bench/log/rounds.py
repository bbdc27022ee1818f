"""Asks every question once a round, each in a process of its own, in an order that turns with the rounds."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

from bench.log.question import Answer, Question, Task

__all__ = ["Found", "run"]

LIMIT_S = 600
HUGE_LIMIT_S = 7200


class Found(Struct, kw_only=True):
    """All samples of a run."""

    samples: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    """By what was measured, subject and round."""
    why: dict[str, str] = field(default_factory=dict)
    """Why a question has no answer, by its name; the last word of it."""

    def add(self, number: int, question: Question, answer: Answer) -> None:
        """One answer of one round."""
        for sample in answer.samples:
            self.samples.setdefault(sample.key, {}).setdefault(sample.subject, {})[number] = sample.value
        if answer.why is not None:
            self.why[question.name] = answer.why

    def of(self, key: str, subject: str) -> dict[int, float]:
        """The values by round; empty if there are none."""
        return self.samples.get(key, {}).get(subject, {})


def run(questions: Sequence[Question], rounds: int, folder: Path) -> Found:
    """All answers. What is known not to be offered or installed is asked only once."""
    found = Found()
    folder.mkdir(parents=True, exist_ok=True)
    kept = Path(tempfile.mkdtemp(dir=folder, prefix="kept-"))
    hopeless: set[str] = set()
    begun = time.monotonic()
    try:
        for number in range(rounds):
            for index, question in enumerate(_order(questions, number), 1):
                if question.name in hopeless:
                    continue
                answer = _ask(question, folder, kept)
                found.add(number, question, answer)
                if answer.why is not None and not answer.why.startswith("failed"):
                    hopeless.add(question.name)
                told = answer.why or ", ".join(f"{one.key} {one.value:,.4g}" for one in answer.samples)
                place = f"round {number + 1}/{rounds}, {index}/{len(questions)}"
                print(
                    f"[{time.monotonic() - begun:5.0f} s, {place}] {question.name}: {told}", file=sys.stderr
                )
    finally:
        shutil.rmtree(kept, ignore_errors=True)
    return found


def _order(questions: Sequence[Question], number: int) -> list[Question]:
    """Another beginning each round, and every other round backward: nobody always follows the same one."""
    turn = number * 5 % max(1, len(questions))
    order = [*questions[turn:], *questions[:turn]]
    return order[::-1] if number % 2 else order


def _ask(question: Question, folder: Path, kept: Path) -> Answer:
    """One question in a process of its own, its files gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as fresh:
        place = kept / question.name.replace(" ", "-") if question.keep else Path(fresh, "log")
        place.mkdir(exist_ok=True)
        told = Path(fresh, "answer.json")
        task = msgspec.json.encode(Task(question=question, folder=str(place))).decode()
        words = [sys.executable, "-m", "bench.log.one", task, str(told)]
        os.sync()  # what others left to be written is not this one's
        limit = HUGE_LIMIT_S if question.measure == "huge" else LIMIT_S
        with Path(fresh, "said").open("w+") as said:
            try:
                subprocess.run(words, stdout=said, stderr=said, timeout=limit, check=False)
            except subprocess.TimeoutExpired:
                return Answer(why=f"failed: no answer in {limit} s")
            if told.exists():
                answer = msgspec.json.decode(told.read_bytes(), type=Answer)
                if answer.why is None or not answer.why.startswith("failed"):
                    return answer
            else:
                answer = Answer(why="failed: the process ended without an answer")
            said.seek(0)
            sys.stderr.write(said.read()[-2000:])
            return answer
