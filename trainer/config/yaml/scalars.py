"""Plain scalars by the core schema of YAML 1.2 (§10.3.2), as editors read them.

`1e-3` is a number, `no` is text, `010` is ten. What fits no number of ours is refused: `695e0514`
overflows, and is more likely somebody's git hash.
"""

from __future__ import annotations

import math
import re
from typing import Any

LARGEST_INTEGER = 2**63 - 1

Path = tuple[Any, ...]  # keys and list indices from the top of the file

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Refused(ValueError):
    """A scalar that cannot be read; the message says what is wrong and what would be right."""


def resolve(text: str) -> bool | int | float | str | None:
    """Return the value of a plain scalar by the core schema of YAML 1.2.

    Raises:
        Refused: an integer over 64 bits, or a number too large for a float.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    for pattern, base, skip in ((_DECIMAL, 10, 0), (_OCTAL, 8, 2), (_HEXADECIMAL, 16, 2)):
        if pattern.fullmatch(text):
            return _integer(text, text[skip:], base)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise Refused(f"{text[:40]} is a number too large for a float; {_quotes(text)}")
        return number
    if _SPECIAL.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


def _integer(text: str, digits: str, base: int) -> int:
    significant = digits.lstrip("+-0") or "0"
    number = int(significant, base) if len(significant) <= 64 else LARGEST_INTEGER + 1
    if number > LARGEST_INTEGER:
        raise Refused(f"{text[:40]} is over 64 bits; write a smaller number; {_quotes(text)}")
    return -number if text.startswith("-") else number


def _quotes(text: str) -> str:
    return "quotes make it text" + (f": '{text}'" if len(text) <= 40 else "")


def key_path(key: str) -> Path:
    """The path of a dotted key; a label may be a number."""
    return tuple(_label(part) if i else part for i, part in enumerate(key.split(".")))


def _label(part: str) -> Any:
    try:
        read = resolve(part)
    except Refused:
        return part
    return part if read is None else read
