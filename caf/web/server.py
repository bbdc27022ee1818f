"""The HTTP server of a daemon: bound, guarded, and gone when the daemon is."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
from aiohttp import web
from anyio.abc import TaskStatus

from caf.config import Config
from caf.daemon.service import Service
from caf.errors import InputError, TryAgainError
from caf.web import daemon, events, jobs
from caf.web.guard import guards, is_loopback
from caf.web.metrics import Metrics
from caf.web.openapi import document
from caf.web.routes import Route, path_of
from caf.web.token import token_of

__all__ = ["all_routes", "application", "face"]

MOST_BODY_BYTES: Final = 1 << 20
MOST_HEADER_BYTES: Final = 8190
CLOSING_S: Final = 1.0


def face(config: Config, environ: Mapping[str, str]) -> Callable[..., Coroutine[Any, Any, None]]:
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
        runner = web.AppRunner(
            application(all_routes(service, metrics), token=token, host=host),
            access_log=None,
            logger=_quiet(),
            shutdown_timeout=CLOSING_S,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, host.strip("[]"), port)
            try:
                await site.start()
            except OSError as fault:
                raise TryAgainError(
                    f"The HTTP API cannot listen on {config.listen}: {fault.strerror or fault}.",
                    remedy="End what listens there, or choose another place: listen in caf.toml, or --listen.",
                    kind="address_taken",
                ) from fault
            task_status.started(f"http://{_shown(host)}:{runner.addresses[0][1]}")
            await metrics.watch_loop()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    return serve


def all_routes(service: Service, metrics: Metrics) -> tuple[Route, ...]:
    """Everything that is answered, but the description itself."""
    return (*jobs.routes(service), *events.routes(service), *daemon.routes(service, metrics))


def application(routes: tuple[Route, ...], *, token: str | None, host: str) -> web.Application:
    """The routes behind their guards, with their description beside them."""
    made = web.Application(middlewares=guards(token=token, host=host), client_max_size=MOST_BODY_BYTES)
    for route in routes:
        made.router.add_route(route.method, path_of(route), route.answer)
    described = document(routes)

    async def describe(request: web.Request) -> web.Response:
        return web.json_response(described)

    made.router.add_get("/api/v1/openapi.json", describe)
    return made


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
