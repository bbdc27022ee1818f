"""The played server does what was seen of a real one; `behaviours` says the same of both."""

from pathlib import Path

import pytest

from tests.comfy.behaviours import CHECKS, examine
from tests.comfy.server import FakeComfy


@pytest.mark.parametrize("old", [False, True])
async def test_the_played_server_behaves_as_a_real_one(tmp_path: Path, old: bool) -> None:
    async with FakeComfy(tmp_path / "server", old=old) as server:
        found = await examine(server.url, tmp_path)
    assert found == dict.fromkeys(CHECKS, "ok")
