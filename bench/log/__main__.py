"""`python -m bench.log`: measure, print the report, and with --write put it into bench/RESULTS.md."""

import argparse
import datetime
import shlex
import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.log.machine import load, machine, versions
from bench.log.measures import MEASURES, questions
from bench.log.measures.huge import TURNS
from bench.log.plot import draw
from bench.log.question import Scale
from bench.log.report import Run, replace_section, section
from bench.log.rounds import run
from bench.section import write

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "RESULTS.md"
PICTURE = ROOT / "docs" / "images" / "bench-log.svg"
WORK = ROOT / "build" / "bench-log"
HUGE = f"In it {TURNS} logs of 100,000 events are written and as many events added to the huge one, in turn: medians."


def options() -> argparse.Namespace:
    """The words of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.log", description=__doc__)
    parser.add_argument("--only", help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--subjects", help="some of the subjects; figures need both of theirs")
    parser.add_argument("--rounds", type=int, default=None, help="5; with --quick 1")
    parser.add_argument(
        "--seconds", type=float, default=None, help="for each rate of appends: 1; with --quick 0.2"
    )
    parser.add_argument("--quick", action="store_true", help="see that it runs; too little for figures")
    parser.add_argument("--huge", action="store_true", help="also a log of ten million events, once")
    parser.add_argument("--folder", type=Path, default=WORK, help="on the disk that is measured")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md, with the plot")
    parser.add_argument("--command", default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 5)
    part = given.only not in (None, "huge") or given.subjects or given.rounds < 5
    if given.write and (given.quick or part):
        parser.error("--write is for whole runs of 5 rounds and more, and for the huge log alone")
    unknown = set((given.only or "").split(",")) - {"", *MEASURES}
    if unknown:
        parser.error(f"--only knows {', '.join(MEASURES)}, not {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    """Run it."""
    given = options()
    scale = Scale.quick() if given.quick else Scale()
    if given.seconds is not None:
        scale = msgspec.structs.replace(scale, seconds=given.seconds)
    wanted = given.only.split(",") if given.only else [name for name in MEASURES if name != "huge"]
    subjects = set(given.subjects.split(",")) if given.subjects else None
    asked = [
        question
        for name in wanted
        if name != "huge"
        for question in questions(name, scale)
        if subjects is None or question.subject in subjects
    ]
    before = load()
    found = run(asked, given.rounds, given.folder)
    if given.huge or "huge" in wanted:
        huge = run(questions("huge", scale), 1, given.folder)
        found.samples |= huge.samples
        found.why |= huge.why
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "samples.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    circumstances = Run(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        command=given.command or shlex.join(["python", "-m", "bench.log", *sys.argv[1:]]),
        machine=machine(given.folder),
        versions=versions(),
        load=f"{before} at the start, {load()} at the end",
        rounds=given.rounds,
        note="Too quick for figures: it only shows that everything runs." if given.quick else "",
    )
    if wanted == ["huge"]:
        circumstances = replace(circumstances, rounds=1, note=f"{HUGE} {circumstances.note}".strip())
        text = section(circumstances, found, None, "A log of ten million events")
        print(text)
        if given.write:
            write("log-huge", text)
        return
    picture = PICTURE if given.write else given.folder / "ratios.svg"
    try:
        drawn = draw(found, picture)
    except ImportError:
        print("No plot: matplotlib is not installed here (make bench-log installs it).", file=sys.stderr)
        drawn = False
    shown = "../docs/images/bench-log.svg" if given.write else str(picture)
    text = section(circumstances, found, shown if drawn else None)
    print(text)
    if given.write:
        RESULTS.write_text(replace_section(RESULTS.read_text(), text))


if __name__ == "__main__":
    main()
