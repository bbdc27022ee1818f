"""What a fault tells its caller in place of the truth."""

from msgspec import structs

from eventstore import Appended

__all__ = ["joined"]


def joined(first: Appended, last: Appended) -> Appended:
    """The answer to an append that was recorded in parts, as if it had been one."""
    return structs.replace(last, first_version=first.first_version, first_position=first.first_position)
