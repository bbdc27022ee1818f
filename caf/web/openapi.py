"""The OpenAPI 3.1 document of the HTTP API, made from its routes and structs."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

import caf
from caf.contracts import JobDocument
from caf.web.events import POSITION
from caf.web.model import FaultReport, Submission
from caf.web.routes import PATTERNS, Route
from caf.web.submit import KEY

__all__ = ["document", "with_description"]

_REF: Final = "#/components/schemas/{name}"
_WORDS: Final = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "Asked from a page of another site, or under another name.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "The job's state does not allow it.",
    412: "A precondition does not hold.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    416: "The file has no such range.",
    422: "What was given cannot be used, and why.",
    431: "A header is too large.",
    500: "A defect of caf.",
    503: "Not now: the disk is full, a library is missing, or the daemon stops.",
}
_EVERYWHERE: Final = (400, 401, 403, 431, 500, 503)


def with_description(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes and, last, the one that describes them all."""

    async def describe(request: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    route = Route(
        method="GET",
        path="/api/v1/openapi.json",
        name="describeApi",
        summary="This document.",
        answer=describe,
        gives="application/json",
    )
    described = msgspec.json.encode(document((*routes, route)))
    return *routes, route


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document. Equal routes give equal documents."""
    structs = sorted(
        {kind for route in routes for kind in _structs(route)} | {FaultReport, JobDocument},
        key=lambda kind: kind.__name__,
    )
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    _refine(components["Submission"])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "caf",
            "version": "1",
            "summary": "The production of AI cat videos: jobs, their events, and the daemon that runs them.",
            "description": (
                f"Served by caf {caf.__version__}. Errors are JSON with `kind`, `message` and `remedy`. What GET "
                "answers is answered for HEAD too, without its body; another method gets 405 and what is allowed."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _portable(part) for name, part in sorted(components.items())},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed where the daemon was started with a token, and always off loopback.",
                }
            },
        },
    }


def _refine(submission: dict[str, Any]) -> None:
    """What the struct cannot say: the document is a job, and it or a clip must be there."""
    submission["properties"]["document"] = {"$ref": _REF.format(name="JobDocument")}
    submission["anyOf"] = [{"required": [name]} for name in ("document", "clip")]
    submission["properties"]["clip"] = _said(submission["properties"]["clip"])


def _structs(route: Route) -> Iterable[type[Struct]]:
    for kind in (route.gives, route.body, route.query):
        if isinstance(kind, type):
            yield kind


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route),
    }
    if route.body is not None:
        required = (
            any(field.required for field in msgspec.structs.fields(route.body)) or route.body is Submission
        )
        made["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": {"$ref": _REF.format(name=route.body.__name__)}}},
        }
    return made


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{PATTERNS[name]}$"},
        }
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=_REF)
    properties = components[route.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _portable(_said(schema))}
        for name, schema in properties.items()
    ]


def _said(schema: dict[str, Any]) -> dict[str, Any]:
    """A field's schema for a query, where null cannot be said."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if schema.get("default") is not None:
        rest["default"] = schema["default"]
    return rest | options[0] if len(options) == 1 else {**rest, **({"anyOf": options} if options else {})}


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": _HEADERS[name]}
        for name, text in route.headers.items()
    ]


_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {"type": "string", "pattern": KEY},
    "Last-Event-ID": {"type": "string", "pattern": POSITION},
}


_CONTENT: Final[dict[str, dict[str, Any]]] = {
    "application/json": {"application/json": {"schema": {"type": "object"}}},
    "application/octet-stream": {"*/*": {"schema": {}}},
    **{kind: {kind: {"schema": {"type": "string"}}} for kind in ("text/html", "text/css", "text/javascript")},
    "text/plain": {"text/plain": {"schema": {"type": "string"}}},
    "text/event-stream": {
        "text/event-stream": {
            "schema": {
                "description": "One event of the stream.",
                "type": "object",
                "properties": {
                    "id": {"type": "string", "pattern": POSITION, "description": "its position"},
                    "event": {"type": "string", "description": "its type"},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": _REF.format(name="EventRecord")},
                    },
                },
                "required": ["id", "event", "data"],
            }
        }
    },
}
"""What is sent that is no struct, by media type."""


def _responses(route: Route) -> dict[str, Any]:
    if isinstance(route.gives, str):
        content = _CONTENT[route.gives]
    else:
        content = {"application/json": {"schema": {"$ref": _REF.format(name=route.gives.__name__)}}}
    responses: dict[str, Any] = {str(route.status): {"description": "Done.", "content": content}}
    for status, text in route.also.items():
        responses[str(status)] = {"description": text, **({} if status == 304 else {"content": content})}
    fault = {"application/json": {"schema": {"$ref": _REF.format(name="FaultReport")}}}
    also = (408, 413, 415, 422) if route.body else ()
    for status in sorted({*route.faults, *also, *_EVERYWHERE}):
        responses.setdefault(str(status), {"description": _WORDS[status], "content": fault})
    return responses


def _portable(part: Any) -> Any:
    """The part with patterns that every dialect of regular expressions has."""
    if isinstance(part, list):
        return [_portable(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _portable(value) for key, value in part.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"(?!\n)$", "$")
    return made
