"""The command line: data on stdout, talk on stderr, `--json` on every read verb."""

__all__: list[str] = []
