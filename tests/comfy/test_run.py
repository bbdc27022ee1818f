"""A render on a server where nothing goes wrong, and what it leaves behind."""

import filecmp
from pathlib import Path

from tests.comfy.given import Render, frames, reading
from tests.comfy.pixels import png
from tests.comfy.server import FakeComfy


async def test_prompts_come_back_in_their_order_with_their_files(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        done = await Render(server.url, tmp_path / "out").run(frames(7))
    assert [one.key for one in done] == [f"frame-{index:06}" for index in range(7)]
    for one in done:
        (there,) = one.outputs
        (here,) = one.files
        made = server.root / "output" / there.subfolder / there.filename
        assert filecmp.cmp(here, made, shallow=False)


async def test_each_prompt_is_rendered_once_and_recorded_before_it_is_sent(tmp_path: Path) -> None:
    async with FakeComfy(tmp_path / "server") as server:
        render = Render(server.url, tmp_path / "out")
        await render.run(frames(5))
    assert server.renders == {f"frame-{index:06}": 1 for index in range(5)}
    assert [prompt_id for _, prompt_id in render.recorded] == server.posts


async def test_files_are_uploaded_once_into_a_folder_of_the_attempt(tmp_path: Path) -> None:
    picture = tmp_path / "Ü plate 1.PNG"
    picture.write_bytes(png("plate"))
    async with FakeComfy(tmp_path / "server") as server:
        done = await Render(server.url, tmp_path / "out").run([reading(one, picture) for one in frames(4)])
    (there,) = [path for path in (server.root / "input").rglob("*") if path.is_file()]
    assert there.parent.relative_to(server.root / "input") == Path("caf/job-1/attempt-1")
    assert there.read_bytes() == picture.read_bytes()
    assert server.calls["POST /upload/image"] == 1
    assert len(done) == 4
