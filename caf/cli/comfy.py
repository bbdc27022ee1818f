"""`caf comfy`: the ComfyUI servers that jobs are rendered on."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from caf.cli.common import JSON, WORKSPACE, configured, print_json, print_table, run_async
from caf.cli.tables import say

if TYPE_CHECKING:
    from caf.comfy.servers import Examined
    from caf.contracts import ComfyUIWorkflow
    from caf.events import Parameters

__all__ = ["comfy"]

NO_SERVER: Final = "No server is configured: set comfy_urls."

SERVER: Final[Callable[[Any], Any]] = click.option(
    "--server",
    "given",
    multiple=True,
    metavar="URL",
    help="This server and not those of comfy_urls; repeat it.",
)
SIGNS: Final = {"good": "ok", "warning": "WARNING", "bad": "BAD"}


class ServerStatus(Struct, frozen=True, kw_only=True):
    """One server in `caf comfy status --json`; what it does not say is null."""

    url: str
    reachable: bool
    fault: str | None = None
    version: str | None = None
    waiting: int | None = None
    """Prompts in its queue, everybody's, the running one included."""
    devices: tuple[Any, ...] = ()


class QueueItem(Struct, frozen=True, kw_only=True):
    """One prompt in `caf comfy queue --json`."""

    url: str
    state: str
    place: int
    """0: it runs."""
    prompt_id: str
    job_id: str | None
    """None: caf did not send it."""
    attempt_id: str | None
    key: str | None


@click.group(short_help="Look at the ComfyUI servers: status, doctor, queue.")
def comfy() -> None:
    """The ComfyUI servers of comfy_urls, or of --server. Nothing here changes anything."""


def _urls(workspace: Path, given: tuple[str, ...]) -> tuple[str, ...]:
    from caf.comfy.addresses import urls_of

    return urls_of(",".join(given)) if given else urls_of(configured(workspace).comfy_urls)


@comfy.command()
@WORKSPACE
@SERVER
@JSON
def status(workspace: Path, given: tuple[str, ...], as_json: bool) -> int:
    """Say which servers answer, and how busy they are. Exits with 69 when none does."""
    from caf.comfy.servers import Servers

    urls = _urls(workspace, given)
    seen = [_status(one) for one in run_async(lambda: Servers(urls).examine(urls))]
    if as_json:
        print_json(seen)
    else:
        print_table(
            ["server", "version", "queue", "device", "free"],
            [
                [
                    one.url,
                    one.version if one.reachable else f"no answer: {one.fault}",
                    one.waiting,
                    ", ".join(device.name for device in one.devices),
                    ", ".join(f"{device.vram_free / 2**30:.1f} GiB" for device in one.devices),
                ]
                for one in seen
            ],
            empty=NO_SERVER,
        )
    return 0 if any(one.reachable for one in seen) else 69


def _status(seen: "Examined") -> ServerStatus:
    if seen.facts is None:
        fault = seen.fault.message if seen.fault else ""
        return ServerStatus(url=seen.address, reachable=False, fault=fault)
    return ServerStatus(
        url=seen.address,
        reachable=True,
        version=seen.facts.version,
        waiting=seen.waiting,
        devices=seen.facts.devices,
    )


@comfy.command()
@WORKSPACE
@SERVER
@JSON
def doctor(workspace: Path, given: tuple[str, ...], as_json: bool) -> int:
    """Look closely: version, devices and free memory, latency, clock, queue, models, the registry's workflows.

    Exits with 69 when no server could be used.
    """
    from caf.comfy.addresses import shown
    from caf.doctor.comfy import examine_server
    from caf.doctor.finding import Finding

    workflows = _workflows(workspace)
    urls = _urls(workspace, given)

    async def look() -> dict[str, list[Finding]]:
        return {shown(url): await examine_server(url, workflows) for url in urls}

    found = run_async(look)
    if as_json:
        print_json(found)
    else:
        for findings in found.values():
            for one in findings:
                say(f"{SIGNS[one.verdict]:8}{one.name}: {one.what}")
                if one.remedy:
                    say(f"{'':8}{one.remedy}")
        if not found:
            click.echo(NO_SERVER, err=True)
    usable = [all(one.verdict != "bad" for one in findings) for findings in found.values()]
    return 0 if any(usable) else 69


def _workflows(workspace: Path) -> "dict[str, tuple[ComfyUIWorkflow, Parameters]]":
    """Those of the configured registry, and its default_parameters; one that cannot be read is told and left out."""
    from caf.contracts import node_defaults
    from caf.errors import CafError
    from caf.outside import OUTSIDE_ENGINE
    from caf.submission import file_bytes, load_defaults
    from caf.workflows import workflow_of

    found = {}
    for flow in load_defaults(workspace, configured(workspace)).registry.workflows:
        if flow.engine == OUTSIDE_ENGINE:
            try:
                found[flow.workflow_id] = (workflow_of(flow, workspace, file_bytes), node_defaults(flow))
            except CafError as fault:
                say(f"{SIGNS['warning']:8}workflow: {fault}", err=True)
    return found


@comfy.command()
@WORKSPACE
@SERVER
@JSON
def queue(workspace: Path, given: tuple[str, ...], as_json: bool) -> int:
    """List what runs and waits on the servers, and which of it is caf's. Exits with 69 when none answers."""
    from caf.comfy.client import Comfy
    from caf.comfy.failures import ComfyError
    from caf.errors import InputError

    urls = _urls(workspace, given)
    silent = 0

    async def look() -> list[QueueItem]:
        nonlocal silent
        found: list[QueueItem] = []
        for url in urls:
            try:
                async with Comfy(url) as server:
                    there = await server.queue()
            except (ComfyError, InputError) as fault:  # the latter: no address at all
                silent += 1
                say(f"caf: {fault.message}", err=True)
                continue
            lines = [(0, item) for item in there.running] + list(enumerate(there.pending, 1))
            found += [_item(server.address, place, item.prompt_id, item.extra_data) for place, item in lines]
        return found

    items = run_async(look)
    nothing = "Nothing runs or waits there." if silent < len(urls) else ""
    if as_json:
        print_json(items)
    else:
        print_table(
            ["server", "place", "job", "key", "prompt"],
            [
                [one.url, one.place or "runs", one.job_id or "not caf's", one.key, one.prompt_id]
                for one in items
            ],
            empty=nothing if urls else NO_SERVER,
        )
    return 69 if silent == len(urls) else 0


def _item(url: str, place: int, prompt_id: str, extra: dict[str, Any]) -> QueueItem:
    mark = extra.get("caf")
    told: dict[str, Any] = mark if isinstance(mark, dict) else {}
    words = {name: str(told[name]) if name in told else None for name in ("job_id", "attempt_id", "key")}
    return QueueItem(
        url=url, state="pending" if place else "running", place=place, prompt_id=prompt_id, **words
    )
