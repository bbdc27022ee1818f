"""Where ComfyUI servers are, as settings say it."""

__all__ = ["urls_of"]


def urls_of(setting: str) -> tuple[str, ...]:
    """Addresses from a setting: one or more, separated by commas or space, each once."""
    return tuple(dict.fromkeys(url.rstrip("/") for url in setting.replace(",", " ").split()))
