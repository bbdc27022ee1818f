"""The real HTTP API over a real service on a real workspace; every answer is held to its description."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import jsonschema
import msgspec
from aiohttp import ClientSession, DummyCookieJar
from multidict import CIMultiDictProxy

from caf.app import open_app
from caf.config import Config
from caf.daemon.dispatcher import Dispatcher
from caf.daemon.service import Service
from caf.daemon.timed import timed
from caf.runner import open_runner_of_many
from caf.submission import load_defaults
from caf.web.limits import Limits
from caf.web.server import face

__all__ = ["Answer", "Api", "served"]

CONFIG: Final = Config(listen="127.0.0.1:0", render_lanes=1, workers=1)
DEADLINE_S: Final = 60


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def kind(self) -> str:
        """Of an error."""
        return str(self.json()["error"]["kind"])


class Api:
    """A client that believes no answer which the description does not allow."""

    def __init__(self, url: str, session: ClientSession, service: Service | None = None) -> None:
        self.url = url
        self.session = session
        self._service = service
        self.document: dict[str, Any] = {}

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def ask(self, method: str, path: str, **how: Any) -> Answer:
        with anyio.fail_after(DEADLINE_S):
            async with self.session.request(method, f"{self.url}{path}", **how) as response:
                answer = Answer(response.status, response.headers, await response.read())
        self.hold(method, path, answer)
        return answer

    async def get(self, path: str, **how: Any) -> Answer:
        return await self.ask("GET", path, **how)

    async def post(self, path: str, **how: Any) -> Answer:
        return await self.ask("POST", path, **how)

    def hold(self, method: str, path: str, answer: Answer) -> None:
        """Fail unless the description has this status, this type and this shape for what was asked."""
        place = f"{method} {path} -> {answer.status} {answer.body[:400]!r}"
        assert b"Traceback" not in answer.body, place
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        told = self._responses(method, path)
        if told is None:
            assert answer.status in (400, 401, 403, 404, 405), place
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/FaultReport"}}}
        else:
            assert str(answer.status) in told, place
            content = told[str(answer.status)].get("content", {})
        if method == "HEAD" or answer.status == 304:
            assert answer.body == b"", place
            return
        assert kind in content or "*/*" in content, f"{place} is {kind}"
        if kind == "application/json" and kind in content:
            schema = {**content[kind]["schema"], "components": self.document["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json())

    def _responses(self, method: str, path: str) -> dict[str, Any] | None:
        asked = path.partition("?")[0]
        for template, methods in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), asked):
                operation = methods.get("get" if method == "HEAD" else method.lower())
                return None if operation is None else operation["responses"]
        return None


@asynccontextmanager
async def served(
    root: Path,
    *,
    config: Config = CONFIG,
    environ: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Api]:
    """A workspace, served on a port of its own; `headers` go with every request."""
    serve = face(config, environ or {}, limits or Limits())
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(root, config))
        service = Service(app, load_defaults(app.workspace.root, config))
        app.store = timed(app.store, service.appended)
        service.runner = await stack.enter_async_context(open_runner_of_many(app, service.tick))
        service.dispatcher = Dispatcher(
            app.store,
            run=service.run,
            unfinished=service.unfinished,
            lanes=service.runner.lanes,
            jobs_at_once=config.jobs_at_once,
            clock=app.clock,
            seen=service.seen,
        )
        session = ClientSession(headers=headers, cookie_jar=DummyCookieJar())
        await stack.enter_async_context(session)
        async with anyio.create_task_group() as group:
            await group.start(service.dispatcher.serve)
            url = await group.start(serve, service)
            api = Api(url.replace("0.0.0.0", "127.0.0.1"), session, service)
            async with session.get(f"{api.url}/api/v1/openapi.json") as response:
                api.document = await response.json()
            yield api
            group.cancel_scope.cancel()
