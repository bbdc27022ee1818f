"""Where ComfyUI servers are, as settings say it."""

__all__ = ["shown", "urls_of"]


def urls_of(setting: str) -> tuple[str, ...]:
    """Addresses from a setting: one or more, separated by commas or space, each once."""
    return tuple(dict.fromkeys(url.rstrip("/") for url in setting.replace(",", " ").split()))


def shown(url: str) -> str:
    """An address for people and for the log: without user and password."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"
