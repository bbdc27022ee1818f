"""aiosqlite on the naive table: one connection, a transaction for each event."""

import asyncio
from pathlib import Path
from typing import Any

import aiosqlite

from bench.log.events import ENCODE, event, new_id
from bench.log.raw import INSERT, NAIVE
from bench.log.subject import Subject, rate_of_tasks


class AioSqlite(Subject):
    """aiosqlite, a transaction each."""

    title = "aiosqlite, a transaction each"
    distribution = "aiosqlite"

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        async def run() -> float:
            connection: Any
            async with aiosqlite.connect(folder / "aio.db", isolation_level=None) as connection:
                await connection.execute("PRAGMA journal_mode = WAL")
                await connection.execute(f"PRAGMA synchronous = {synchronous}")
                await connection.execute(NAIVE)
                # One connection holds one transaction at a time: the writers take turns.
                turn = asyncio.Lock()

                async def write(writer: int, version: int) -> None:
                    made = event(version + writer)
                    row = (new_id(), f"job-{writer}", version, type(made).__name__, ENCODE(made))
                    async with turn:
                        await connection.execute("BEGIN IMMEDIATE")
                        await connection.execute(INSERT, row)
                        await connection.commit()

                return await rate_of_tasks(writers, seconds, write)

        return asyncio.run(run())
