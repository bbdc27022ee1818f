"""Short jobs without a pause on a real daemon, and whether anything grows: memory, files, threads, the WAL, latency.

    python -m bench.soak [--minutes 60] [--write]

Every sample goes to build/soak/samples.csv. Exits with 1 when something grew.
"""

import argparse
import csv
import itertools
import random
import shutil
import signal
import statistics
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.section import circumstances, write
from tests.crash.daemon import Daemon, caf
from tests.crash.place import CLIPS, clips, document, prepare

__all__ = ["Judged", "Slope", "judge", "main", "slope_of"]

WORK: Final = Path(__file__).parents[1] / "build" / "soak"
EVERY_S: Final = 5.0
PAUSE_S: Final = 0.1
DEPTH: Final = 6
"""Jobs that wait or run at any time."""
CLI_EVERY_S: Final = 60.0
WARM_UP_S: Final = 600.0
"""Before that nothing counts, or in a short run its first half: children start, and caches fill up to their bounds."""
MOST_GROWTH: Final = 0.05
MOST_WAL_MB: Final = 64.0
POLICIES: Final = ("lenient", "lenient", "lenient", "lenient", "repairing", "asking")
ASKED: Final = ("/api/v1/jobs?limit=50", "/api/v1/status", "/metrics", "/ready")


class Sample(NamedTuple):
    """What was seen at one moment."""

    at_s: float
    daemon_mb: float
    children_mb: float
    children: int
    fds: int
    threads: int
    wal_mb: float
    log_mb: float
    scratch: int
    ended: int
    job_s: float
    """Median time from submission to the end, of jobs that ended since the last sample; NaN where none did."""
    api_ms: float
    """The slowest of the questions that are asked at every sample."""


class Slope(NamedTuple):
    """Of a straight line through values over time: per second, with its 95 % interval."""

    per_s: float
    low: float
    high: float


class Judged(NamedTuple):
    """One row of the verdict."""

    what: str
    first: float
    last: float
    told: str
    good: bool


class Soak:
    """A daemon, and the people and the clock beside it."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.place = prepare(folder / "place", clips(folder / "media"))
        self.daemon = Daemon(self.place)
        self.chance = random.Random(1)
        self.samples: list[Sample] = []
        self._numbers = itertools.count(1)
        self._begun: dict[str, float] = {}
        self._took_s: list[float] = []
        self._ended = 0
        self._cli_at_s = 0.0

    def run(self, minutes: float) -> list[Sample]:
        """So long; a sample every few seconds."""
        with self.daemon, (self.folder / "samples.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(Sample._fields)
            self.daemon.start()
            self.daemon.wait_ready()
            begun_s = time.monotonic()
            for number in itertools.count(1):
                due_s = begun_s + number * EVERY_S
                while time.monotonic() < due_s:
                    self._keep_busy()
                    time.sleep(PAUSE_S)
                self.samples.append(self._sample(time.monotonic() - begun_s))
                table.writerow([f"{value:.6g}" for value in self.samples[-1]])
                file.flush()
                if due_s - begun_s >= minutes * 60:
                    break
            self.daemon.stop()
        return self.samples

    def _keep_busy(self) -> None:
        for job_id in list(self._begun):
            row = self.daemon.ask("GET", f"/api/v1/jobs/{job_id}")
            if row.status == 200:
                self._look_at(job_id, row.body["job"]["status"])
        while len(self._begun) < DEPTH:
            self._submit()

    def _look_at(self, job_id: str, status: str) -> None:
        if status == "waiting":
            action = self.chance.choice(("proceed", "abort"))
            self.daemon.ask("POST", f"/api/v1/jobs/{job_id}/answer", {"action": action, "by": "soak"})
        elif status in ("completed", "cancelled", "aborted"):
            self._took_s.append(time.monotonic() - self._begun.pop(job_id))
            self._ended += 1

    def _submit(self) -> None:
        number = next(self._numbers)
        name = f"soak-{number:06}"
        clip = self._clip(name)
        said = document(
            name,
            clip=clip,
            policy=self.chance.choice(POLICIES),
            strength=round(self.chance.uniform(0, 1), 3),
        )
        now_s = time.monotonic()
        self._begun[name] = now_s
        if now_s - self._cli_at_s > CLI_EVERY_S:
            self._cli_at_s = now_s
            file = self.folder / f"{name}.job.json"
            file.write_bytes(said)
            done = caf(self.place, "submit", "--job", str(file))
            assert done.returncode == 0, done.stderr
        elif number % 3 == 0:
            (self.place / "sandbox" / "jobs" / f"{name}.job.json").write_bytes(said)
        else:
            body = {"document": msgspec.json.decode(said)}
            answer = self.daemon.ask("POST", "/api/v1/jobs", body, key=name)
            assert answer.status == 201, answer

    def _clip(self, name: str) -> str:
        """A clip that no job had before: the same pictures, and a box behind them that players pass over."""
        source = self.folder / "media" / self.chance.choice(CLIPS[:2])
        box = struct.pack(">I4s", 24, b"free") + self.chance.randbytes(16)
        (self.place / "sandbox" / "clips" / f"{name}.mp4").write_bytes(source.read_bytes() + box)
        return f"{name}.mp4"

    def _sample(self, at_s: float) -> Sample:
        api_ms = max(self._asked_ms(path) for path in ASKED)
        took_s, self._took_s = self._took_s, []
        children = self.daemon.children()
        own = self.place / ".caf"
        return Sample(
            at_s=at_s,
            daemon_mb=_rss_mb(self.daemon.pid),
            children_mb=sum(map(_rss_mb, children)),
            children=len(children),
            fds=_count(Path(f"/proc/{self.daemon.pid}/fd")),
            threads=_count(Path(f"/proc/{self.daemon.pid}/task")),
            wal_mb=_size_mb(own / "log.db-wal"),
            log_mb=_size_mb(own / "log.db"),
            scratch=_count(own / "tmp"),
            ended=self._ended,
            job_s=statistics.median(took_s) if took_s else float("nan"),
            api_ms=api_ms,
        )

    def _asked_ms(self, path: str) -> float:
        begun_s = time.perf_counter()
        answer = self.daemon.status_of(path)
        assert answer == 200, f"{path}: {answer}"
        return 1000 * (time.perf_counter() - begun_s)


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """A least squares line through (seconds, value)."""
    count = len(points)
    middle_x = sum(x for x, _ in points) / count
    middle_y = sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    per_s = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    left = sum((y - middle_y - per_s * (x - middle_x)) ** 2 for x, y in points)
    error = (left / max(1, count - 2) / spread) ** 0.5
    return Slope(per_s, per_s - 1.96 * error, per_s + 1.96 * error)


def judge(samples: Sequence[Sample]) -> list[Judged]:
    """What grew after the warm-up and what did not."""
    counted = [sample for sample in samples if sample.at_s >= min(WARM_UP_S, samples[-1].at_s / 2)]
    return [
        _flat("daemon, resident", counted, lambda sample: sample.daemon_mb, "MB"),
        _flat("children, resident", counted, lambda sample: sample.children_mb, "MB"),
        _flat("file descriptors", counted, lambda sample: sample.fds, "", least=3),
        _flat("threads", counted, lambda sample: sample.threads, "", least=2),
        _flat("scratch folders", counted, lambda sample: sample.scratch, "", least=8),
        _below("WAL", counted, lambda sample: sample.wal_mb, MOST_WAL_MB, "MB"),
        _no_slower("job, from submission to its end", counted, lambda sample: sample.job_s, "s"),
        _no_slower("API, the slowest of four", counted, lambda sample: sample.api_ms, "ms"),
    ]


def _flat(
    what: str, samples: Sequence[Sample], value: Callable[[Sample], float], unit: str, least: float = 0
) -> Judged:
    """Medians of the first and the last quarter differ by no more than a share, or than `least`."""
    first, last = _quarters([value(sample) for sample in samples])
    grown = last - first
    good = grown <= max(least, MOST_GROWTH * first)
    return Judged(what, first, last, f"{grown:+.3g} {unit} ({grown / (first or 1):+.1%})", good)


def _below(
    what: str, samples: Sequence[Sample], value: Callable[[Sample], float], most: float, unit: str
) -> Judged:
    values = [value(sample) for sample in samples]
    first, last = _quarters(values)
    return Judged(
        what, first, last, f"at most {max(values):.3g} {unit}, allowed {most:g}", max(values) <= most
    )


def _no_slower(what: str, samples: Sequence[Sample], value: Callable[[Sample], float], unit: str) -> Judged:
    """It did not grow, or not surely, or by less than a share over the whole time."""
    points = [(sample.at_s, value(sample)) for sample in samples if value(sample) == value(sample)]
    first, last = _quarters([y for _, y in points])
    slope, lasted_s = slope_of(points), points[-1][0] - points[0][0]
    surely = slope.low * lasted_s
    told = f"{slope.per_s * 3600:+.3g} {unit}/h (95 %: {slope.low * 3600:+.3g}..{slope.high * 3600:+.3g})"
    return Judged(what, first, last, told, surely <= 2 * MOST_GROWTH * first)


def _quarters(values: Sequence[float]) -> tuple[float, float]:
    quarter = max(1, len(values) // 4)
    return statistics.median(values[:quarter]), statistics.median(values[-quarter:])


def section(samples: Sequence[Sample], judged: Sequence[Judged], command: str) -> str:
    """The verdict as Markdown."""
    rows = [
        f"| {row.what} | {row.first:.4g} | {row.last:.4g} | {row.told} | {'yes' if row.good else '**NO**'} |"
        for row in judged
    ]
    return "\n".join(
        [
            "## Soak",
            "",
            circumstances(command, WORK.parent),
            f"{samples[-1].at_s / 60:.0f} minutes, {samples[-1].ended} jobs that came to an end, {DEPTH} at any time, "
            f"by HTTP, dropped files and `caf submit`; {len(samples)} samples. Medians of the first and the last "
            f"quarter after a warm-up of {min(WARM_UP_S, samples[-1].at_s / 2) / 60:.0f} minutes.",
            "",
            "| | first | last | change | good |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def main() -> int:
    """Run, print, and with --write put the verdict into bench/RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=WORK)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    # So that the daemon is not left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        samples = Soak(given.folder).run(given.minutes)
    except KeyboardInterrupt:
        print(f"Interrupted; what was seen so far is in {given.folder / 'samples.csv'}.", file=sys.stderr)
        return 128 + signal.SIGINT
    judged = judge(samples)
    told = section(samples, judged, f'make soak WORDS="--minutes {given.minutes:g}"')
    print(told)
    if given.write:
        write("soak", told)
    return 0 if all(row.good for row in judged) else 1


def _rss_mb(pid: int) -> float:
    try:
        words: list[Any] = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return int(words[1]) * 4096 / 1e6


def _size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
