"""The part of the store that is compiled where a C compiler was at hand when it was installed.

Everything in it has a twin in Python that gives the same bytes; `PARTS` says what is in use. Set EVENTSTORE_PURE to
leave the compiled part out.
"""

import os
import sqlite3
from hashlib import sha256
from importlib import import_module
from typing import Any, Final, NoReturn

__all__ = ["CRYPTO", "PARTS", "SQLITE", "native", "new_sha256"]

_FACE: Final = 6
_KINDS: Final[dict[int, type[Exception]]] = {
    **dict.fromkeys((1, 3, 4, 5, 6, 8, 9, 10, 13, 14, 15, 16, 17), sqlite3.OperationalError),
    sqlite3.SQLITE_INTERNAL: sqlite3.InternalError,
    sqlite3.SQLITE_NOTFOUND: sqlite3.InternalError,
    sqlite3.SQLITE_NOMEM: MemoryError,
    sqlite3.SQLITE_TOOBIG: sqlite3.DataError,
    sqlite3.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISMATCH: sqlite3.IntegrityError,
    sqlite3.SQLITE_MISUSE: sqlite3.ProgrammingError,
    sqlite3.SQLITE_RANGE: sqlite3.InterfaceError,
}
"""As in Python's sqlite3, by result code; any other is a `sqlite3.DatabaseError`."""


def _fault(code: int, message: str) -> NoReturn:
    """Raise what Python's sqlite3 raises for an extended result code."""
    error = _KINDS.get(code & 0xFF, sqlite3.DatabaseError)(message)
    if isinstance(error, sqlite3.Error):
        error.sqlite_errorcode = code
    raise error


def _load() -> tuple[Any, bool, bool]:
    if os.environ.get("EVENTSTORE_PURE"):
        return None, False, False
    try:
        found: Any = import_module("eventstore._native")
    except ImportError:
        return None, False, False
    if found.FACE != _FACE:
        # It was compiled from other sources than these.
        return None, False, False
    library = getattr(import_module("_sqlite3"), "__file__", None)
    return found, found.use_sqlite(library, sqlite3.Connection, _fault), _has_crypto(found)


def _has_crypto(found: Any) -> bool:
    try:
        library = import_module("_hashlib")
    except ImportError:
        # A Python without OpenSSL.
        return False
    return bool(found.use_crypto(getattr(library, "__file__", None)))


_LOADED: Final = _load()
native: Final[Any] = _LOADED[0]
"""The compiled module, or None."""
SQLITE: Final[bool] = _LOADED[1]
"""Whether it can speak to the SQLite that Python uses."""
CRYPTO: Final[bool] = _LOADED[2]
"""Whether it can hash with the libcrypto that Python uses."""
new_sha256: Final[Any] = native.Sha256 if CRYPTO else sha256
"""A running SHA-256 that begins with some bytes."""
PARTS: Final = "compiled" if SQLITE else "in Python" if native is None else "compiled, SQLite through Python"
"""What is in use."""
