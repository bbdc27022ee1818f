"""The HTTP server of a daemon: bound, guarded, and gone when the daemon is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from aiohttp import web
from anyio.abc import TaskStatus

from caf.config import Config
from caf.daemon.service import Service
from caf.errors import InputError, TryAgainError
from caf.web import artifacts, daemon, events, jobs, pages, previews, submit
from caf.web.connection import Connection, at_work
from caf.web.crowd import CROWD, Crowd
from caf.web.guard import guards, is_loopback
from caf.web.limits import LIMITS, Limits, affordable
from caf.web.metrics import Metrics
from caf.web.openapi import with_description
from caf.web.routes import Route, path_of
from caf.web.token import token_of

__all__ = ["all_routes", "application", "face"]

DEFAULT: Final = Limits()
CLOSING_S: Final = 1.0


def face(
    config: Config, environ: Mapping[str, str], limits: Limits = DEFAULT
) -> Callable[..., Coroutine[Any, Any, None]]:
    """What serves HTTP for a service, as `caf.daemon.serve.Face`. Raises `InputError`, `DocumentError`.

    An address that other machines can reach is refused without a token.
    """
    host, port = _address(config.listen)
    token = token_of(config, environ)
    if token is None and not is_loopback(host):
        raise InputError(
            f"listen is {config.listen}, which other machines can reach, and there is no token.",
            remedy="Set token_file in caf.toml, or CAF_TOKEN; or listen on 127.0.0.1.",
            kind="no_token",
        )

    async def serve(service: Service, *, task_status: TaskStatus[str]) -> None:
        metrics = Metrics(service)
        service.listeners.append(metrics)
        within = affordable(limits)
        app = application(all_routes(service, metrics), token=token, host=host, limits=within)
        async with _serving(app, host, port, config.listen, within) as url:
            task_status.started(url)
            await metrics.watch_loop()

    return serve


def all_routes(service: Service, metrics: Metrics) -> tuple[Route, ...]:
    """Everything that is answered, the description itself included."""
    routes = (*jobs.routes(service), *artifacts.routes(service), *previews.routes(service))
    routes = (*routes, *submit.routes(service), *pages.routes())
    return with_description((*routes, *events.routes(service), *daemon.routes(service, metrics)))


def application(
    routes: tuple[Route, ...], *, token: str | None, host: str, limits: Limits
) -> web.Application:
    """The routes behind their guards."""
    made = web.Application(middlewares=guards(token=token, host=host), client_max_size=limits.body_bytes)
    made[LIMITS] = limits
    made[CROWD] = Crowd(limits.connections)
    for route in routes:
        resource = made.router.add_resource(path_of(route))
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            resource.add_route(method, route.answer, expect_handler=_go_on)
    return made


async def _go_on(request: web.Request) -> None:
    """Tell who waits to be told so that the body may come; other expectations are nothing to us."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # it is no part of the answer


@asynccontextmanager
async def _serving(
    app: web.Application, host: str, port: int, listen: str, limits: Limits
) -> AsyncIterator[str]:
    """The application bound to its address; the URL. Raises `TryAgainError`."""
    logger = _quiet()
    runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=CLOSING_S)
    await runner.setup()
    server = runner.server
    assert server is not None
    crowd = app[CROWD]
    server.request_handler = at_work(crowd, server.request_handler)
    loop = asyncio.get_running_loop()
    try:
        try:
            listening = await loop.create_server(
                lambda: Connection(crowd, limits, server, logger=logger, access_log=None),
                host,
                port,
                backlog=limits.connections,
            )
        except (OSError, UnicodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) and fault.strerror else fault
            raise TryAgainError(
                f"The HTTP API cannot listen on {listen}: {why}.",
                remedy="End what listens there, or choose another place: listen in caf.toml, or --listen.",
                kind="address_taken",
            ) from fault
        try:
            yield f"http://{_shown(host)}:{listening.sockets[0].getsockname()[1]}"
        finally:
            listening.close()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def _address(listen: str) -> tuple[str, int]:
    """Host and port. Raises `InputError` for another form."""
    try:
        place = urlsplit(f"//{listen}")
        host, port = place.hostname, place.port
        if host and port is not None and place.netloc == listen and not place.username:
            return host, port
    except ValueError:
        pass
    raise InputError(
        f"listen is {listen!r}, which is no address.",
        remedy="Give one like 127.0.0.1:8765.",
        kind="bad_setting",
    )


def _quiet() -> logging.Logger:
    """Requests that are no HTTP are answered, not talked about; what goes wrong in a handler `guard` tells."""
    logger = logging.getLogger("caf.web")
    logger.setLevel(logging.CRITICAL)
    return logger


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
