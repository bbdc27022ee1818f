"""What works beside caf or for it: the pose model, ComfyUI, the daemon."""

import http.client
import json
from base64 import b64encode
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from caf.comfy.addresses import shown, urls_of
from caf.config import Config
from caf.contracts.read import read_object
from caf.daemon.lock import daemon_address
from caf.doctor.finding import Finding, bad, good, warning
from caf.errors import CafError
from caf.workspace import Workspace

__all__ = ["comfyui", "daemon", "model"]

_PATIENCE_S: Final = 3
_MOST_BYTES: Final = 1 << 20
_MOST_SERVERS: Final = 5


def model(config: Config) -> Finding:
    from caf.pose.model import cache_folder

    if config.model_path is not None:
        if Path(config.model_path).is_file():
            return good("model", f"pose model {config.model_path}")
        what = f"the configured pose model {config.model_path} is not there"
        return bad("model", what, "Correct model_path in the configuration.")
    folder = cache_folder(config.cache_dir) / "models"
    if any(folder.glob("*.task")):
        return good("model", f"pose model in {folder}")
    what = f"no pose model in {folder} yet; the first job fetches it"
    return warning("model", what, "Fetch it now: caf models fetch")


def comfyui(workspace: Workspace, config: Config) -> Finding:
    """Whether the ComfyUI servers answer that the settings and the job files name; no other address is asked."""
    named = _servers(workspace)
    servers = list(dict.fromkeys([*urls_of(config.comfy_urls), *named]))[:_MOST_SERVERS]
    if not servers:
        return good(
            "comfyui", "no ComfyUI server is set, and no job file names one; the embedded engine needs none"
        )
    answers = {server: _stats(server) for server in servers}
    silent = {server: told for server, told in answers.items() if isinstance(told, str)}
    if not silent:
        return good(
            "comfyui", "; ".join(f"{shown(server)}: {_cards(told)}" for server, told in answers.items())
        )
    told = ", ".join(f"{shown(server)} ({why})" for server, why in silent.items())
    if config.comfy_urls == Config().comfy_urls and not silent.keys() & set(named):
        return good("comfyui", f"no answer from {told}; only workflows for ComfyUI need one")
    remedy = "Start it there, or correct comfy_urls in caf.toml, or comfyui.base_url in the job files."
    return warning("comfyui", f"no answer from {told}", remedy)


def daemon(workspace: Workspace) -> Finding:
    address = daemon_address(workspace.own)
    if address is None:
        return good("daemon", "none serves this workspace; caf serve is one")
    if not address.url:
        return good("daemon", f"process {address.pid} serves this workspace, without HTTP")
    answer = _get(address.url, "/health")
    if isinstance(answer, str):
        what = f"process {address.pid} serves this workspace, but {address.url} does not answer: {answer}"
        return warning("daemon", what, "See what it says in its own output, or in the journal.")
    return good("daemon", f"process {address.pid} serves this workspace on {address.url}")


def _servers(workspace: Workspace) -> list[str]:
    found: dict[str, None] = {}
    for path in sorted((workspace.sandbox / "jobs").glob("*.job.json")):
        try:
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                document = read_object(path.read_bytes(), where=path.name)
                found[str(document["comfyui"]["base_url"])] = None
        except (CafError, OSError, KeyError, TypeError):
            continue
    return [server for server in found if urlsplit(server).scheme in ("http", "https")]


def _stats(server: str) -> dict[str, Any] | str:
    return _get(server, f"{urlsplit(server).path.rstrip('/')}/system_stats")


def _get(server: str, path: str) -> dict[str, Any] | str:
    """The JSON object that is answered, or a word why there is none. Follows no redirect."""
    try:
        place = urlsplit(server)
        if place.scheme not in ("http", "https") or not place.hostname:
            return "it is no address, as http://127.0.0.1:8188 is"
        secret = f"{unquote(place.username or '')}:{unquote(place.password or '')}"
        headers = {"Authorization": f"Basic {b64encode(secret.encode()).decode()}"} if place.username else {}
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname, place.port, timeout=_PATIENCE_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            return f"it answers {answer.status}"
        found = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as fault:
        return str(fault) or type(fault).__name__
    return found if isinstance(found, dict) else "it is no ComfyUI"


def _cards(stats: dict[str, Any] | str) -> str:
    devices = stats.get("devices") if isinstance(stats, dict) else None
    names = [str(device.get("name")) for device in devices or () if isinstance(device, dict)]
    return ", ".join(names) or "answers"
