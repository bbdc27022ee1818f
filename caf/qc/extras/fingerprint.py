"""What a score was made with, as a number that `raw` can hold."""

import hashlib

__all__ = ["fingerprint"]


def fingerprint(text: str) -> float:
    """The first 48 bits of the text's SHA-256; a float holds them exactly. Of a hex digest: of the digest itself."""
    hexadecimal = len(text) == 64 and not set(text) - set("0123456789abcdef")
    digest = text if hexadecimal else hashlib.sha256(text.encode()).hexdigest()
    return float(int(digest[:12], 16))
