"""The token that callers from other machines must show: where it comes from, how it is compared."""

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from caf.config import Config
from caf.errors import DocumentError

__all__ = ["LEAST", "matches", "token_of"]

LEAST: Final = 16
"""Characters below which a token can be guessed."""
_MOST_BYTES: Final = 4096


def token_of(config: Config, environ: Mapping[str, str] = os.environ) -> str | None:
    """CAF_TOKEN, else the content of `token_file`; None when neither is given.

    Raises `DocumentError` for a file that cannot be read and for a token that is too short or no ASCII; the token
    itself is in no message.
    """
    token = environ.get("CAF_TOKEN", "")
    where = "CAF_TOKEN"
    if not token and config.token_file is not None:
        where = config.token_file
        try:
            with Path(where).open("rb") as file:
                token = file.read(_MOST_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "it is no ASCII"
            raise DocumentError(
                f"The token in {where} cannot be read: {why}.", remedy="Correct token_file in caf.toml."
            ) from fault
        if not token:
            raise DocumentError(f"{where} is empty.", remedy="Put a token into it: openssl rand -hex 32")
    if not token:
        return None
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise DocumentError(
            f"The token of {where} cannot be used; it needs {LEAST} or more printable ASCII characters, no space.",
            remedy="Make one with: openssl rand -hex 32",
        )
    return token


def matches(header: str | None, token: str) -> bool:
    """True for `Bearer <token>`; takes the same time wherever the two differ."""
    kind, _, given = (header or "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return same and kind.lower() == "bearer"
