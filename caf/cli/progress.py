"""Live progress: bars with rate and ETA on a terminal, plain lines elsewhere; always on stderr."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from caf.cli.tables import one_line
from caf.cli.telling import tell
from caf.events import JobSubmitted, PromptSubmitted, RepairDecided, StageStarted
from caf.log import Entry

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["View"]


class View:
    """Shows the events of a run as they are recorded, and how far the work between them is."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.shown_after = 0
        self.recorded = False
        """Whether any event of the job was seen."""
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._doing = ""
        self._heard = True

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),  # it names nodes of other engines
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def tick(self, job_id: str, doing: str, done: int, total: int | None) -> None:
        """Telemetry of the work in progress; not recorded anywhere."""
        if self._progress is None:
            return
        what = doing.partition(" · ")[0]  # the rest changes with every step, and the bar goes on
        if self._task is None or self._doing != what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(doing, total=total, rate="")
            self._doing = what
        speed = self._progress.tasks[-1].speed
        rate = "" if not speed else _rate(what, speed)
        self._progress.update(self._task, description=doing, completed=done, total=total, rate=rate)

    def seen(self, entry: Entry) -> None:
        """One recorded event; those of before this run are not shown again."""
        self.recorded = True
        if self.quiet or entry.recorded.version <= self.shown_after:
            return
        if isinstance(
            entry.event, StageStarted | PromptSubmitted
        ):  # a thousand frames are a thousand prompts
            return
        name = type(entry.event).__name__
        line = f"{name:<21}{tell(entry.event)}"
        if self._progress is None:
            self._echo(line)
            return
        style = {"StageFailed": "red", "QCFailed": "yellow", "Escalated": "red", "QCPassed": "green"}.get(
            name
        )
        bold = isinstance(entry.event, JobSubmitted | RepairDecided)
        from rich.text import Text

        self._progress.console.print(Text(line, style=style or ("bold" if bold else "")))

    def say(self, line: str) -> None:
        """A line of talk, e.g. a warning."""
        if self._progress is None:
            self._echo(line)
        else:
            self._progress.console.print(line, markup=False)

    def step(self, line: str) -> None:
        """How far the work is, where no bar shows it."""
        if self._progress is None and not self.quiet:
            self._echo(line)

    def warn(self, job_id: str, told: str) -> None:
        """What people should know of a job that no event tells."""
        self.say(one_line(f"caf: {job_id}: {told}"))

    def _echo(self, line: str) -> None:
        """Talk; work does not stop because nobody listens (`2>&1 | head`)."""
        if self._heard:
            try:
                click.echo(line, err=True)
            except OSError:
                self._heard = False


def _rate(doing: str, speed: float) -> str:
    if doing == "pose model":
        return f"{speed / 2**20:.1f} MB/s"
    return f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s"
