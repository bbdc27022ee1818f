"""Ids that must not repeat within a document."""

from collections.abc import Sequence

__all__ = ["refuse_repeats"]


def refuse_repeats(items: str, field: str, ids: Sequence[str]) -> None:
    """Raises ValueError, saying which two of `items` share an id; a reader turns it into its own error."""
    first: dict[str, int] = {}
    for index, value in enumerate(ids):
        if value in first:
            raise ValueError(
                f"{items}[{index}].{field} is {value!r}, which {items}[{first[value]}] already has"
            )
        first[value] = index
