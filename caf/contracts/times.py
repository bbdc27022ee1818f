"""Times in documents: RFC 3339, UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["timestamp", "to_utc"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(epoch_ms: int) -> str:
    """Milliseconds since the Unix epoch as RFC 3339 in UTC, like 2026-02-08T05:00:46.997Z."""
    seconds, ms = divmod(epoch_ms, 1000)
    return f"{_to_the_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=1024)
def _to_the_second(epoch_s: int) -> str:
    # Many events of a log are recorded within the same second.
    return (_EPOCH + timedelta(seconds=epoch_s)).isoformat().removesuffix("+00:00")


def to_utc(text: str) -> str | None:
    """A time that another tool wrote, in any zone, as RFC 3339 in UTC; None when it is no such time.

    A time without a zone is read as UTC, which is what the format says it is.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None
