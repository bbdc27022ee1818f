"""The HTTP API of the daemon, version 1."""

__all__: list[str] = []
