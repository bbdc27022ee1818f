"""The calls of ComfyUI's HTTP API, each once, each answer checked, each fault typed.

`submit` never gives a number: equal numbers under one prompt id stop a server's worker for ever.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

from caf.comfy.answers import (
    Account,
    Queue,
    Submitted,
    read_history,
    read_json,
    read_model_files,
    read_model_folders,
    read_queue,
    read_stats,
    read_submitted,
)
from caf.comfy.failures import (
    ComfyRefusedError,
    DamagedAnswerError,
    NotThereError,
    invalid_prompt,
)
from caf.comfy.http import Http, Timeouts
from caf.comfy.model import ModelFile, ServerFacts

__all__ = ["Comfy", "JobState"]

JobState = Literal["pending", "in_progress", "completed", "failed", "cancelled", "unknown"]

_JOB_STATES: Final[frozenset[str]] = frozenset({"pending", "in_progress", "completed", "failed", "cancelled"})


class Comfy:
    """One ComfyUI server. Use it as an async context manager.

    Every call raises `ComfyError`: `UnreachableError` and `DamagedAnswerError` are transient.
    """

    def __init__(self, base_url: str, *, timeouts: Timeouts | None = None) -> None:
        """Raises `InputError` for what is no address."""
        self.http = Http(base_url, timeouts or Timeouts())
        self._has_jobs = True
        self._has_cancel = True

    async def __aenter__(self) -> "Comfy":
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.http.__aexit__(*fault)

    @property
    def address(self) -> str:
        """For people: without user and password."""
        return self.http.shown

    async def submit(
        self,
        graph: Mapping[str, Any],
        *,
        prompt_id: str,
        client_id: str | None = None,
        extra_data: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Submitted:
        """Put a graph into the queue under an id of ours.

        The answer may carry `node_errors`: the server then leaves those outputs out.

        Raises:
            ComfyRefusedError: comfy_invalid_prompt, told per node; comfy_refused.
            UnreachableError, DamagedAnswerError: it may be in the queue all the same.
        """
        body: dict[str, Any] = {"prompt": graph, "prompt_id": prompt_id}
        if client_id is not None:
            body["client_id"] = client_id
        if extra_data:
            body["extra_data"] = extra_data
        try:
            answer = await self.http.post("/prompt", body)
        except ComfyRefusedError as no:
            raise _explained(no, key or prompt_id) from no
        found = read_submitted(answer, self._where("/prompt"))
        if found.prompt_id != prompt_id:
            raise DamagedAnswerError(
                f"{self._where('/prompt')} took {prompt_id} and answered for {found.prompt_id!r}."
            )
        return found

    async def queue(self) -> Queue:
        return read_queue(await self.http.get("/queue"), self._where("/queue"))

    async def waiting(self) -> int:
        """How many prompts run or wait, of everybody."""
        found = read_json(await self.http.get("/prompt"), dict[str, dict[str, Any]], self._where("/prompt"))
        remaining = found.get("exec_info", {}).get("queue_remaining")
        if not isinstance(remaining, int):
            raise DamagedAnswerError(f"{self._where('/prompt')} does not say how many prompts wait.")
        return remaining

    async def history(self, prompt_id: str) -> Account | None:
        """What became of a prompt that is over; None also for one that the server never had."""
        path = f"/history/{prompt_id}"
        return read_history(await self.http.get(path), prompt_id, self._where(path))

    async def job(self, prompt_id: str) -> JobState | None:
        """What /api/jobs says; `unknown`: it has no such prompt; None: this server has no such route."""
        if not self._has_jobs:
            return None
        try:
            body = await self.http.get(f"/api/jobs/{prompt_id}")
        except NotThereError as no:
            if b"Job not found" in no.answer:
                return "unknown"
            self._has_jobs = False
            return None
        status = read_json(body, dict[str, Any], self._where("/api/jobs")).get("status")
        if status not in _JOB_STATES:
            raise DamagedAnswerError(f"{self._where('/api/jobs')} answered the state {status!r}.")
        return status  # type: ignore[no-any-return]

    async def delete(self, prompt_ids: Iterable[str]) -> None:
        """Take these prompts out of the queue; the running one is not touched, unknown ones are passed over."""
        if ids := list(prompt_ids):
            await self.http.post("/queue", {"delete": ids})

    async def interrupt(self, prompt_id: str) -> None:
        """End this prompt if it is the one that runs. A node that takes long ends first.

        Newer servers have a call that cannot hit a prompt which started meanwhile; it is used where it is there.
        """
        assert prompt_id, "without an id the server ends whatever runs"
        if self._has_cancel:
            try:
                await self.http.post(f"/api/jobs/{prompt_id}/cancel", {})
            except ComfyRefusedError as no:
                if no.status not in (404, 405):
                    raise
                self._has_cancel = False
            else:
                return
        await self.http.post("/interrupt", {"prompt_id": prompt_id})

    async def free(self) -> None:
        """Have the server unload its models and forget its cache before the next prompt."""
        await self.http.post("/free", {"unload_models": True, "free_memory": True})

    async def system_stats(self) -> ServerFacts:
        return read_stats(await self.http.get("/system_stats"), self._where("/system_stats"))

    async def features(self) -> dict[str, Any]:
        """What the server says it can do; empty for one that does not know the question."""
        try:
            return read_json(await self.http.get("/features"), dict[str, Any], self._where("/features"))
        except NotThereError:
            return {}

    async def object_info(self, node_class: str | None = None) -> dict[str, Any]:
        """The node classes with their inputs; of one class only, {} if the server does not have it."""
        path = f"/object_info/{quote(node_class, safe='')}" if node_class else "/object_info"
        return read_json(await self.http.get(path), dict[str, Any], self._where(path))

    async def model_folders(self) -> tuple[str, ...]:
        """The kinds of model files that it has folders for; empty where the server does not know the question."""
        path = "/experiment/models"
        try:
            return read_model_folders(await self.http.get(path), self._where(path))
        except NotThereError:
            return ()

    async def models_in(self, folder: str) -> dict[str, ModelFile]:
        """The files of one kind by the names that nodes give them."""
        path = f"/experiment/models/{quote(folder, safe='')}"
        try:
            return read_model_files(await self.http.get(path), folder, self._where(path))
        except NotThereError:
            return {}

    async def model_metadata(self, folder: str, name: str) -> dict[str, Any]:
        """What the header of a safetensors file says of it; empty where it has none, and for every other file."""
        path = f"/view_metadata/{quote(folder, safe='')}"
        try:
            answer = await self.http.get(path, {"filename": name})
        except NotThereError:
            return {}
        return read_json(answer, dict[str, Any], self._where(path))

    async def log_tail(self) -> str:
        """The end of the server's log, where it shows it; else nothing."""
        try:
            return (await self.http.get("/internal/logs"))[-20_000:].decode("utf-8", "replace")
        except ComfyRefusedError:
            return ""

    def _where(self, path: str) -> str:
        return f"{self.address}{path}"


def _explained(no: ComfyRefusedError, key: str) -> ComfyRefusedError:
    """A 400 with its reasons told per node; anything else as it was."""
    if no.status != 400:
        return no
    try:
        found = json.loads(no.answer)
    except ValueError:
        return no
    if not isinstance(found, dict):
        return no
    error, nodes = found.get("error"), found.get("node_errors")
    if not isinstance(error, dict) and not isinstance(nodes, dict):
        return no
    return invalid_prompt(
        key, error if isinstance(error, dict) else {}, nodes if isinstance(nodes, dict) else {}
    )
