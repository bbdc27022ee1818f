"""The four actors and the loop that serves them.

`render`, `qc`, `supervisor` and `handoff` are pure reactions to recorded events; `loop`, `feed`, `perform` and
`stages` are the shell around them.
"""

__all__: list[str] = []
