"""Names of encodings of text."""

from __future__ import annotations


def is_encoding(name: str) -> bool:
    """Whether Python has a text encoding of this name."""
    try:
        "".encode(name)
    except LookupError:
        return False
    return True
