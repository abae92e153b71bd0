"""Text from outside as letters that can be printed, on one line where it must be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any


class Verbatim(str):
    """A text that a user would copy, such as a command: a summary never wraps it."""

    __slots__ = ()


class Sentence(str):
    """A text with parts that a user would copy, such as paths: a summary never wraps those.

    Attributes:
        whole: the parts.
    """

    __slots__ = ("whole",)
    whole: tuple[str, ...]

    def __new__(cls, text: str, whole: Iterable[str]) -> Sentence:  # noqa: D102
        sentence = super().__new__(cls, text)
        sentence.whole = tuple(whole)
        return sentence


def printable(text: str) -> str:
    """`text` with what cannot be printed (control characters, but for newlines) as its escape."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def quote(name: object) -> str:
    """A name between quotes on one line, shortened past 60 characters."""
    text = repr(str(name))
    return text if len(text) <= 62 else text[:58] + "…" + text[0]


def show_path(path: str | os.PathLike[str]) -> str:
    """A path as it is, or quoted where a line break or the like would tear the line."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)


def error_text(error: BaseException) -> str:
    """What another library's exception says, as part of a line of ours."""
    words = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return text if len(text) <= 200 else text[:199] + "…"


def first_line(error: BaseException) -> str:
    """The first line of what an exception says: Arrow's go on for several, and quote raw bytes."""
    words = getattr(error, "strerror", None) or str(error)
    line = (words.splitlines() or [type(error).__name__])[0]
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line if len(line) <= 300 else f"{line[:299]}…"


SHOWN = 60  # characters of a value or a key in a message


def dotted(path: Sequence[Any]) -> str:
    """Return a path as it is written in an override: `data.test.0.name`."""
    return _shorten(".".join(show_key(key) for key in path), 120)


def show_key(key: Any) -> str:
    """Return a key as written; between quotes where it would tear the line or the path."""
    if isinstance(key, bool):
        return str(key).lower()
    text = str(key)
    plain = text and text.isprintable() and not set(text) & set(" .:;'\"=")
    return _shorten(text if plain or isinstance(key, (int, float)) else repr(text))


def show_value(value: Any) -> str:
    """Return a value as a message shows it: short, on one line, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _shorten(repr(value))
    if isinstance(value, (int, float)):
        return _shorten(str(value))
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"a {type(value).__name__}"


def one_line(text: str) -> str:
    """Return a file's name or an override on one line, without control characters."""
    return text if text.isprintable() else repr(text)[1:-1]


def _shorten(text: str, length: int = SHOWN) -> str:
    return text if len(text) <= length else f"{text[: length - 4]}...{text[-1]}"


def one_of(words: Sequence[str], last: str = "or") -> str:
    """`a, b or c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
