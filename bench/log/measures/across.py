"""To a handler in another process: the delay after the call, after the answer, and what following costs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.log.question import Question, Sample, Scale
from bench.log.stats import percentile
from bench.log.subjects import subject

SUBJECTS = ("own", "umadb")
PACE_S = 0.01
FIRST = 10
"""So many deliveries at the start are not counted: the follower is still catching up."""


def questions(scale: Scale) -> list[Question]:
    return [
        Question(
            measure="across",
            subject=name,
            with_={"synchronous": synchronous, "count": scale.deliveries + FIRST},
        )
        for synchronous in ("FULL", "NORMAL")
        for name in SUBJECTS
    ]


def answer(question: Question, folder: Path) -> list[Sample]:
    asked = question.with_
    others: list[subprocess.Popen[str]] = []
    told: list[str] = []

    def follow(place: str) -> Callable[[], None]:
        words = ("-m", "bench.log.measures.across", question.subject, place, str(asked["count"]))
        other = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        others.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n", "the other process did not start"
        return lambda: told.append(other.communicate(timeout=60)[0])

    try:
        times = subject(question.subject).send(folder, asked["synchronous"], asked["count"], PACE_S, follow)
    finally:
        for other in others:
            other.kill()
            other.wait()
    arrived, share = json.loads(told[0])
    pairs = list(zip(times, arrived, strict=True))[FIRST:]
    # Nobody outside of a store can see its commit. Its answer comes a little later, so a handler may be first.
    answered = [max(0.0, came - acknowledged) * 1000 for (_, acknowledged), came in pairs]
    call = [(came - begun) * 1000 for (begun, _), came in pairs]
    name, who = f"across/{asked['synchronous']}", question.subject
    return [
        Sample(f"{name}/answer p50", who, percentile(answered, 50)),
        Sample(f"{name}/answer p99", who, percentile(answered, 99)),
        Sample(f"{name}/call p50", who, percentile(call, 50)),
        Sample(f"{name}/call p99", who, percentile(call, 99)),
        Sample(f"{name}/core", who, share * 100),
    ]


def main() -> None:
    """The other process."""
    name, place, count = sys.argv[1:]
    print(json.dumps(subject(name).follow(place, int(count), lambda: print("ready", flush=True))), flush=True)


if __name__ == "__main__":
    main()
