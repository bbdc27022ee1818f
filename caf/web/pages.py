"""The page for a browser: what the daemon does at this moment, with pictures of it. It asks the API as any program."""

from functools import partial
from importlib.resources import files
from typing import Final

from aiohttp import web

from caf.web.routes import Route

__all__ = ["routes"]

MAY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: its own script and style, and pictures that it was given; nothing from elsewhere."""
PARTS: Final = {
    "/": (
        "live.html",
        "text/html",
        "showPage",
        "A page that shows what the daemon does; needs no token, but asks for it.",
    ),
    "/live.js": ("live.js", "text/javascript", "getPageScript", "The page's script."),
    "/live.css": ("live.css", "text/css", "getPageStyle", "The page's style."),
}


async def _part(request: web.Request, *, text: str, kind: str) -> web.Response:
    return web.Response(text=text, content_type=kind, headers={"Content-Security-Policy": MAY})


def routes() -> tuple[Route, ...]:
    """What is answered here."""
    folder = files("caf.web") / "page"
    return tuple(
        Route(
            method="GET",
            path=path,
            name=name,
            summary=summary,
            answer=partial(_part, text=(folder / file).read_text("utf-8"), kind=kind),
            gives=kind,
        )
        for path, (file, kind, name, summary) in PARTS.items()
    )
