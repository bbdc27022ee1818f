"""A client that can be killed: renders to a folder, and keeps a journal of the ids that it recorded.

`python -m tests.comfy.client_process URL FOLDER FRAMES SECONDS`
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from caf.comfy.client import Comfy
from caf.comfy.run import run_prompts
from tests.comfy.given import LIMITS, OWNER, frames


def journal(folder: Path) -> list[tuple[str, str]]:
    """What was recorded, in order; a line that was being written when the client died does not count."""
    path = folder / "journal"
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [tuple(json.loads(line)) for line in whole.splitlines()]


async def _main(url: str, folder: Path, count: int, seconds: float) -> None:
    with (folder / "journal").open("a") as file:

        async def record(key: str, prompt_id: str) -> None:
            file.write(json.dumps([key, prompt_id]) + "\n")
            file.flush()
            os.fsync(file.fileno())

        async with Comfy(url) as comfy:
            done = await run_prompts(
                comfy,
                frames(count, seconds=seconds),
                owner=OWNER,
                known=dict(journal(folder)),
                record=record,
                out_dir=folder,
                progress=lambda _: None,
                preview=lambda _: None,
                limits=LIMITS,
            )
    (folder / "done").write_text(json.dumps([one.files for one in done]))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
