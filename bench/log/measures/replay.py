"""Reading a whole log of typed events, by what is done with each; and what an event takes on disk."""

from pathlib import Path

from bench.log.question import Question, Sample, Scale
from bench.log.subjects import subject

SUBJECTS = ("own", "raw", "umadb", "eventsourcing", "eventsourcing-save", "eventsource-py", "dbos")


def questions(scale: Scale) -> list[Question]:
    return [
        Question(measure="replay", subject=name, with_={"count": scale.replayed}, keep=True)
        for name in SUBJECTS
    ]


def answer(question: Question, folder: Path) -> list[Sample]:
    store = subject(question.subject)
    count = max(100, int(question.with_["count"] * store.fill_share))
    beyond = folder / "beyond-the-payload"
    if not beyond.exists():
        payload = store.fill(folder, count)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        beyond.write_text(repr((size - payload) / count))
    samples = [
        Sample(f"replay/{what}", question.subject, rate) for what, rate in store.replay(folder, count).items()
    ]
    if not store.no_size:
        samples.append(Sample("size", question.subject, float(beyond.read_text())))
    return samples
