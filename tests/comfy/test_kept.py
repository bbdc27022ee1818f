"""What a render has brought here is not asked for again, as long as it is whole and the log knows its prompt."""

from pathlib import Path

import msgspec
import pytest

from caf.actors import scratch
from caf.comfy.kept import kept, note
from caf.comfy.model import Done, Output
from caf.errors import CafError, TryAgainError
from tests.comfy.given import Render, frames
from tests.comfy.server import FakeComfy

ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def brought(tmp_path: Path) -> Done:
    (tmp_path / "frame-000001.9.0.png").write_bytes(b"a picture")
    return Done(
        key="frame-000001",
        prompt_id=ID,
        outputs=(Output(node_id="9", kind="images", filename="x_00001_.png"),),
        files=(str(tmp_path / "frame-000001.9.0.png"),),
        queued_ms=1,
        ran_ms=2,
        node_ms={"9": 2},
    )


def test_what_was_noted_is_found_again_where_the_folder_is_now(brought: Done, tmp_path: Path) -> None:
    note(brought, tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    files = (str(moved / "frame-000001.9.0.png"),)
    assert kept(moved, {brought.key: ID}) == {brought.key: msgspec.structs.replace(brought, files=files)}


@pytest.mark.parametrize("known", [{}, {"frame-000001": "another"}, {"frame-000002": ID}])
def test_what_the_log_does_not_know_so_is_not_taken(
    brought: Done, tmp_path: Path, known: dict[str, str]
) -> None:
    note(brought, tmp_path)
    assert kept(tmp_path, known) == {}


@pytest.mark.parametrize("damage", [b"a pictur", b"A picture", b""])
def test_a_file_that_is_not_what_it_was_is_not_taken(brought: Done, tmp_path: Path, damage: bytes) -> None:
    note(brought, tmp_path)
    Path(brought.files[0]).write_bytes(damage)
    assert kept(tmp_path, {brought.key: ID}) == {}


def test_a_note_that_cannot_be_read_and_a_file_that_is_gone_are_passed_over(
    brought: Done, tmp_path: Path
) -> None:
    note(brought, tmp_path)
    [path] = tmp_path.glob("*.json")
    written = path.read_bytes()
    for damaged in (written[: len(written) // 2], written.replace(b"frame", b"\xff\xfeame")):
        path.write_bytes(damaged)
        assert kept(tmp_path, {brought.key: ID}) == {}
    path.write_bytes(written)
    assert kept(tmp_path, {brought.key: ID})
    Path(brought.files[0]).unlink()
    assert kept(tmp_path, {brought.key: ID}) == {}


def test_a_note_that_cannot_be_written_is_no_trouble(brought: Done, tmp_path: Path) -> None:
    (tmp_path / "frame-000001.done.part").mkdir()
    note(brought, tmp_path)
    assert kept(tmp_path, {brought.key: ID}) == {}


async def test_a_render_asks_the_server_only_for_what_is_not_here(tmp_path: Path) -> None:
    prompts = frames(4)
    async with FakeComfy(tmp_path / "server") as server:
        first = Render(server.url, tmp_path / "out")
        before = await first.run(prompts[:2])
        await server.restart()
        known = dict(first.recorded)
        here = kept(tmp_path / "out", known)
        assert list(here.values()) == before
        after = await Render(server.url, tmp_path / "out").run(prompts, known=known, kept=here)
    assert after[:2] == before
    assert [done.key for done in after] == [prompt.key for prompt in prompts]
    assert set(server.renders.values()) == {1}
    assert len(server.posts) == 4


async def test_a_kept_folder_outlives_a_run_that_is_put_off_and_no_other_end(tmp_path: Path) -> None:
    ends: list[Exception | None] = [
        TryAgainError("The server is away.", remedy=""),
        CafError("It failed.", remedy="", kind="failed"),
        None,
    ]
    outlived = []
    for end in ends:
        try:
            async with scratch.kept(tmp_path, "job-1", "frame.key") as folder:
                (folder / "file").touch()
                if end is not None:
                    raise end
        except CafError:
            pass
        outlived.append(folder.exists())
    assert outlived == [True, False, False]
