"""How the text of a table is written: what the user said, or what the file's ending says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL")
"""Cells of a text file that are missing values, quoted or not, unless `na_values` says others."""


@dataclass(frozen=True)
class CsvOptions:
    """How cells, numbers and missing values are told from the text of a file."""

    separator: str | None = None
    """Between cells; None: a tab in .tsv files, else a comma."""
    decimal: str = "."
    thousands: str | None = None
    """Between groups of digits, if anything is."""
    header: bool = True
    """Whether the first line names the columns; without it they are x0, x1, …"""
    na_values: tuple[str, ...] | None = None
    """Cells that are missing values besides empty ones; None: those of `MISSING`."""
    encoding: str = "utf-8"
    quote: str | None = '"'
    """Around cells that hold a separator; None: quotes are letters like others."""
    width: int | None = None
    """Columns of a training file without a header, by which another is read."""
    optional: tuple[tuple[str, ...], ...] = ()
    """Columns of such a file that one to be predicted may be without."""
    to_predict: bool = False
    """Whether the rows are to be predicted: a blank line is a row too, and no key can be said."""

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The cells that are missing values, as they are written."""
        if self.na_values is None:
            return MISSING
        return tuple(dict.fromkeys(("", *self.na_values)))

    @cached_property
    def missing_numbers(self) -> tuple[float, ...]:
        """The numbers that are missing values, however a cell writes them: -999, -999.00."""
        found = []
        for word in self.na_values or ():
            with contextlib.suppress(ValueError):
                found.append(float(word))
        return tuple(number for number in found if number == number)

    @property
    def codec(self) -> str:
        """The encoding for Python, which takes off the mark that may begin a UTF-8 file."""
        return "utf-8-sig" if self.encoding.lower() in ("utf-8", "utf8") else self.encoding

    @property
    def plain_numbers(self) -> bool:
        """Whether numbers are written with a point and without separators between digits."""
        return self.decimal == "." and self.thousands is None

    def delimiter(self, path: Path) -> str:
        """What stands between the cells of a file."""
        if self.separator is not None:
            return self.separator
        return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","

    def to_keys(self) -> dict[str, str]:
        """What differs from the defaults, as texts by which a saved model reads another file."""
        keys = {
            name: getattr(self, name)
            for name in ("separator", "decimal", "thousands", "encoding")
            if getattr(self, name) != getattr(DEFAULT, name)
        }
        if self.quote != DEFAULT.quote:
            keys["quote"] = self.quote or "none"
        if self.na_values is not None:
            keys["na_values"] = json.dumps(self.na_values, ensure_ascii=False)
        if not self.header:
            keys |= {"header": "none", "width": str(self.width)}
        return keys

    @classmethod
    def from_keys(cls, keys: Mapping[str, str]) -> CsvOptions:
        """The options that `to_keys` wrote; other keys are passed over.

        Raises:
            ValueError: something that it cannot have written.
        """
        words = json.loads(keys["na_values"]) if "na_values" in keys else None
        if not isinstance(words, list | None):
            raise ValueError("its keys do not fit")
        read = cls(
            separator=keys.get("separator"),
            decimal=keys.get("decimal", "."),
            thousands=keys.get("thousands"),
            header=keys.get("header") != "none",
            na_values=None if words is None else tuple(map(str, words)),
            encoding=keys.get("encoding", "utf-8"),
            quote=None if keys.get("quote") == "none" else keys.get("quote", '"'),
            width=int(keys["width"]) if "width" in keys else None,
        )
        letters = (read.separator, read.decimal, read.quote)
        try:
            "".encode(read.encoding)
        except LookupError:
            raise ValueError("its keys do not fit") from None
        if any(
            letter is not None and not (len(letter) == 1 and letter.isascii()) for letter in letters
        ):
            raise ValueError("its keys do not fit")
        return read


DEFAULT = CsvOptions()
