"""Submissions over HTTP: a job document or a clip, probed, and recorded once for each Idempotency-Key."""

import re
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import msgspec
from aiohttp import web

from caf.contracts import JobDocument
from caf.contracts.read import read_document
from caf.daemon.service import Service
from caf.errors import DocumentError, MediaError, RefusedError
from caf.events.codec import derived_id, digest
from caf.log import stream_of
from caf.submission import Wish, job_id_for
from caf.web import model
from caf.web.guard import ask_again
from caf.web.routes import BadBody, Route, json_response, read_body
from eventstore import RecordedEvent

__all__ = ["KEY", "routes", "workspace_file"]

KEY: Final = "^[!-~]{1,200}$"
"""What an Idempotency-Key may be."""
PATIENCE_S: Final = 120.0
"""Until a child process is free to look at the inputs, and has."""


class Submissions:
    """Takes jobs in."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = service.app
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def submit(self, request: web.Request) -> web.Response:
        key = _key(request)
        asked = await read_body(request, model.Submission)
        document = _document(asked)
        event_id = derived_id("api", key, 0) if key is not None else None
        job_id = _job_id(asked, document, event_id or self.app.ids.new())
        if event_id is None:
            await self._record(asked, document, job_id)
            return _submitted(job_id, repeated=False)
        lock = self._locks.setdefault(event_id, anyio.Lock())
        async with lock:
            repeated = await self._record_once(asked, document, job_id, event_id)
        return _submitted(job_id, repeated=repeated)

    async def _record_once(
        self, asked: model.Submission, document: dict[str, Any] | None, job_id: str, event_id: str
    ) -> bool:
        """True when this very submission is recorded already. Raises `RefusedError` for another under its key."""
        content = digest(msgspec.json.encode(asked, order="deterministic"))
        metadata = msgspec.json.encode({"request_sha256": content})
        before = await self._recorded(job_id, event_id)
        if before is not None:
            if before.metadata != metadata:
                raise _other_under_key()
            return True
        try:
            await self._record(asked, document, job_id, event_id=event_id, metadata=metadata)
        except RefusedError as fault:
            if fault.kind == "job_exists" and not await self.app.store.version(stream_of(job_id)):
                raise _other_under_key() from fault  # the key's job is one of another name
            raise
        return False

    async def _recorded(self, job_id: str, event_id: str) -> RecordedEvent | None:
        async for recorded in self.app.store.read(stream_of(job_id)):
            if recorded.event_id == event_id:
                return recorded
        return None

    async def _record(
        self,
        asked: model.Submission,
        document: dict[str, Any] | None,
        job_id: str,
        *,
        event_id: str | None = None,
        metadata: bytes = b"",
    ) -> None:
        if self.service.dispatcher.draining:
            raise ask_again("The daemon is stopping.")
        root = self.app.workspace.root
        files = await anyio.to_thread.run_sync(_files, root, asked)
        wish = Wish(
            document=document,
            clip=files.get("clip"),
            job_id=job_id,
            workflow=asked.workflow,
            reference=files.get("reference"),
            require_costume=asked.require_costume,
            require_audio=asked.require_audio,
            parameters=asked.parameters,
            platforms=asked.platforms,
            priority=asked.priority,
        )
        found = await self.service.draft(wish, self.app.ids.new())
        with anyio.move_on_after(PATIENCE_S) as looking:
            await self.service.runner.submit(found, by="api", event_id=event_id, metadata=metadata)
        if looking.cancelled_caught:
            raise ask_again("All child processes are busy; the inputs could not be looked at.")


def workspace_file(root: Path, path: str, field: str) -> Path:
    """A file of the workspace; callers of the API see no other. Raises `MediaError`."""
    root = root.resolve()
    try:
        place = (root / path).resolve()
        inside = place.is_relative_to(root) and place.is_file()
    except (OSError, RuntimeError, ValueError):
        inside, place = False, root
    if not inside:
        raise MediaError(
            f"{field}: {path!r} is no file of the workspace.", remedy="Check the path.", kind="media_missing"
        )
    return place


def _files(root: Path, asked: model.Submission) -> dict[str, Path]:
    named = {"clip": asked.clip, "reference": asked.reference}
    return {field: workspace_file(root, path, field) for field, path in named.items() if path is not None}


def _key(request: web.Request) -> str | None:
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(KEY, key):
        raise web.HTTPBadRequest(reason="Idempotency-Key is not 1 to 200 visible ASCII characters")
    return key


def _document(asked: model.Submission) -> dict[str, Any] | None:
    """The job document under the id that it is to have. Raises `BadBody`."""
    if asked.document is None:
        if asked.clip is None:
            raise BadBody("The body names no document and no clip.", remedy="Give one of them.")
        return None
    document = {**asked.document, **({"job_id": asked.job_id} if asked.job_id else {})}
    try:
        read_document(msgspec.json.encode(document), JobDocument, where="document")
    except DocumentError as fault:
        raise BadBody(fault.message, remedy=fault.remedy) from fault
    return document


def _job_id(asked: model.Submission, document: dict[str, Any] | None, fresh: str) -> str:
    if document is not None:
        return str(document["job_id"])
    return asked.job_id or job_id_for(Path(asked.clip or ""), fresh)


def _submitted(job_id: str, *, repeated: bool) -> web.Response:
    return json_response(
        model.Submitted(job_id=job_id, repeated=repeated),
        status=200 if repeated else 201,
        headers={"Location": f"/api/v1/jobs/{job_id}"},
    )


def _other_under_key() -> RefusedError:
    return RefusedError(
        "This Idempotency-Key was used for another submission.",
        remedy="Use a new key for what is new; repeat a submission with the same body.",
        kind="key_reused",
    )


def routes(service: Service) -> tuple[Route, ...]:
    """What is answered here."""
    return (
        Route(
            method="POST",
            path="/api/v1/jobs",
            name="submitJob",
            summary="Submit a job; its inputs are probed first.",
            answer=Submissions(service).submit,
            body=model.Submission,
            gives=model.Submitted,
            status=201,
            also={200: "The same submission was recorded before."},
            faults=(409,),
            headers={
                "Idempotency-Key": "The same key and body again give the same job, and submit nothing; the same key "
                "with another body is refused with 409."
            },
        ),
    )
