"""The daemon: takes jobs in, serves them all at once within limits, and stops in good order."""

__all__: list[str] = []
