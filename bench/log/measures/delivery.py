"""From the call of append to another task's (or thread's) handler, in the same process."""

from pathlib import Path

from bench.log.question import Question, Sample, Scale
from bench.log.stats import percentile
from bench.log.subjects import subject

SUBJECTS = ("own", "eventsourcing-save", "umadb", "dbos")


def questions(scale: Scale) -> list[Question]:
    return [
        Question(
            measure="delivery",
            subject=name,
            with_={"synchronous": synchronous, "count": scale.deliveries, "busy": busy},
        )
        for busy in (False, True)
        for synchronous in ("FULL", "NORMAL")
        for name in SUBJECTS
        # Only handlers that share the loop with the work have to stand it.
        if name == "own" or not busy
    ]


def answer(question: Question, folder: Path) -> list[Sample]:
    asked = question.with_
    found = subject(question.subject).delivery(folder, asked["synchronous"], asked["count"], asked["busy"])
    name = f"{'busy' if asked['busy'] else 'delivery'}/{asked['synchronous']}"
    return [
        Sample(f"{name}/p{share}", who, percentile(delays, share))
        for who, delays in found.items()
        for share in (50, 99)
    ]
