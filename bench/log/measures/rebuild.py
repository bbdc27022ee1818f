"""All of caf's projections made again from a log of whole jobs, beside reading that log alone."""

import asyncio
import time
import uuid
from pathlib import Path

from bench.log.own_events import read_everything
from bench.log.question import Question, Sample, Scale
from caf.events.codec import decoder
from caf.log import new_events, stream_of
from caf.projections.follower import ReadModels
from eventstore import SqliteStore


def questions(scale: Scale) -> list[Question]:
    return [Question(measure="rebuild", subject="own", with_={"count": scale.rebuilt}, keep=True)]


def answer(question: Question, folder: Path) -> list[Sample]:
    replay, rebuild = asyncio.run(_measure(folder, question.with_["count"]))
    return [Sample("rebuild/replay", "own", replay), Sample("rebuild/all", "own", rebuild)]


async def _measure(folder: Path, count: int) -> tuple[float, float]:
    async with SqliteStore.open(folder / "log.db", synchronous="OFF") as store:
        if await store.head() == 0:
            await _fill(store, count)
        head = await store.head()
        start = time.perf_counter()
        done = await read_everything(store, decoder=decoder)
        replay = done / (time.perf_counter() - start)
        models = ReadModels(folder / "rows.db")
        try:
            start = time.perf_counter()
            reached = await models.rebuild(store)
            rebuild = head / (time.perf_counter() - start)
        finally:
            models.close()
        assert done == reached == head
        return replay, rebuild


async def _fill(store: SqliteStore, count: int) -> None:
    """Whole jobs, as the tests have them: submitted, run, judged, decided."""
    from tests.support.jobs import submitted, up_to

    written = 0
    while written < count:
        job_id = f"cat-dances-{written}"
        events = up_to("video", submitted(job_id=job_id))
        ids = [str(uuid.uuid4()) for _ in events]
        await store.append(stream_of(job_id), new_events(events, ids, job_id=job_id, causation_id=None))
        written += len(events)
