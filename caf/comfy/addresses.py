"""Where ComfyUI servers are, as settings say it."""

from collections.abc import Iterable

__all__ = ["each_once", "shown", "urls_of"]


def urls_of(setting: str) -> tuple[str, ...]:
    """Addresses from a setting: one or more, separated by commas or space, each once."""
    return each_once(setting.replace(",", " ").split())


def each_once(urls: Iterable[str]) -> tuple[str, ...]:
    """The addresses in one spelling, without a slash at the end, so that one server is one."""
    return tuple(dict.fromkeys(url.rstrip("/") for url in urls))


def shown(url: str) -> str:
    """An address for people and for the log: without user and password."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"
