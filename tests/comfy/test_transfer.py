"""A file that is brought or sent is the one that was meant, whole, or the fault is told as what it is."""

import errno
import io
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from caf.comfy.client import Comfy
from caf.comfy.failures import NotThereError, PromptFailedError
from caf.comfy.model import Output
from caf.comfy.transfer import download, upload
from caf.errors import InputError, TryAgainError, UnavailableError
from tests.comfy.given import QUICK
from tests.comfy.pixels import png
from tests.comfy.proxy import REFUSALS, FaultProxy, Plan
from tests.comfy.server import FakeComfy

CAT = Output(node_id="9", kind="images", filename="cat.png")
DOG = Output(node_id="9", kind="images", filename="dog.png")


@asynccontextmanager
async def serving(tmp_path: Path, plan: Plan | None = None) -> AsyncIterator[tuple[FakeComfy, Comfy]]:
    """A server with a cat and a dog, and a bad line to it."""
    async with (
        FakeComfy(tmp_path / "server") as server,
        FaultProxy(server.url, plan) as proxy,
        Comfy(proxy.url, timeouts=QUICK) as comfy,
    ):
        for name in ("cat", "dog"):
            (server.root / "output" / f"{name}.png").write_bytes(png(name))
        with anyio.fail_after(20):
            yield server, comfy


def viewing(*faults: str | None, whole: bool = True) -> Plan:
    """These faults one after the other, over and over, for requests of a file; `whole`: not of its end alone."""
    asked = 0

    def plan(request: web.Request) -> str | None:
        nonlocal asked
        of_the_end = request.headers.get("Range", "").startswith("bytes=-")
        if request.path != "/view" or of_the_end is whole:
            return None
        asked += 1
        return faults[(asked - 1) % len(faults)]

    return plan


def once(*faults: str | None, whole: bool = True) -> Plan:
    return viewing(*faults, *[None] * 1000, whole=whole)


async def test_a_file_that_is_said_to_be_longer_than_it_is_ends_in_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path, viewing("overlong")) as (_, comfy):
        with pytest.raises(PromptFailedError, match=r"cat\.png of node 9 did not come whole") as told:
            await download(comfy, CAT, tmp_path / "cat.png")
    assert told.value.kind == "comfy_output_damaged"
    assert not (tmp_path / "cat.png.part").exists()


async def test_a_file_that_is_damaged_at_the_server_ends_in_an_error_behind_a_line_that_cuts(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, viewing("half", None)) as (server, comfy):
        whole = png("cat")
        (server.root / "output" / "cat.png").write_bytes(whole[:60] + b"?" + whole[61:])
        with pytest.raises(PromptFailedError, match="IDAT chunk is damaged"):
            await download(comfy, CAT, tmp_path / "cat.png")


async def test_a_line_that_cuts_at_every_step_is_gone_on_with(tmp_path: Path) -> None:
    async with serving(tmp_path, once("shrunk", "half", "half", "half", "half", "half", "half")) as (
        _,
        comfy,
    ):
        assert (await download(comfy, CAT, tmp_path / "cat.png")).read_bytes() == png("cat")


async def test_a_file_that_came_whole_is_not_brought_again_to_compare_its_end(tmp_path: Path) -> None:
    async with serving(tmp_path, once("drop", "busy", whole=False)) as (server, comfy):
        assert (await download(comfy, CAT, tmp_path / "cat.png")).read_bytes() == png("cat")
        assert server.calls["GET /view"] == 2


async def test_another_picture_s_body_is_not_taken_for_the_one_that_was_asked(tmp_path: Path) -> None:
    async with serving(tmp_path, once(None, "other")) as (_, comfy):
        assert (await download(comfy, CAT, tmp_path / "cat.png")).read_bytes() == png("cat")
        assert (await download(comfy, DOG, tmp_path / "dog.png")).read_bytes() == png("dog")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_file_that_is_refused_once_or_twice_is_asked_for_again(
    tmp_path: Path, fault: str, whole: bool
) -> None:
    async with serving(tmp_path, once(fault, fault, whole=whole)) as (_, comfy):
        assert (await download(comfy, CAT, tmp_path / "cat.png")).read_bytes() == png("cat")


async def test_a_file_that_is_gone_is_told_after_a_few_tries(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, comfy):
        (server.root / "output" / "cat.png").unlink()
        with pytest.raises(NotThereError):
            await download(comfy, CAT, tmp_path / "cat.png")
        assert server.calls["GET /view"] == 3


async def test_a_folder_that_is_gone_here_is_no_fault_of_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, comfy):
        with pytest.raises(UnavailableError, match=r"cat\.png\.part cannot be written here") as told:
            await download(comfy, CAT, tmp_path / "gone" / "cat.png")
    assert told.value.kind == "disk_failed"


async def test_a_disk_that_is_full_here_is_told_as_that(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, comfy):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(png("cat")) // 2, hard))
        try:
            with pytest.raises(TryAgainError, match="no room here") as told:
                await download(comfy, CAT, tmp_path / "cat.png")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (told.value.kind, told.value.transient) == ("disk_full", True)


class Unreadable(io.FileIO):
    def readinto(self, _: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")


class Failing(type(Path())):  # type: ignore[misc]
    """A path whose file is read once and then no more."""

    opened = 0

    def open(self, *given: Any, **named: Any) -> Any:
        Failing.opened += 1
        return super().open(*given, **named) if Failing.opened == 1 else Unreadable(self)


async def test_a_disk_that_fails_while_a_file_is_sent_is_no_fault_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate"))
    async with serving(tmp_path) as (_, comfy):
        with pytest.raises(InputError, match=r"plate\.png cannot be read: Input/output error") as told:
            await upload(comfy, Failing(tmp_path / "plate.png"), "caf")
    assert told.value.kind == "missing_input"


@pytest.mark.parametrize("fault", REFUSALS)
async def test_an_upload_whose_check_is_refused_is_seen_to_again(tmp_path: Path, fault: str) -> None:
    (tmp_path / "plate.png").write_bytes(png("plate"))
    async with serving(tmp_path, once(fault, whole=False)) as (server, comfy):
        there = await upload(comfy, tmp_path / "plate.png", "caf")
        assert (server.root / "input" / there.path).read_bytes() == png("plate")
