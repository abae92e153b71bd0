"""Text cells that are numbers to a reader: `3,14`, `1,234`, `4.2%`, `$5`, `(5)`, `12 kg`; dates.

A column of them would become one one-hot column a value without a word. `doubt` says what a text
column looks like, and which key of the source would read it, where one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from trainer.data.sources.csv_options import CsvOptions
from trainer.text.printable import quote

_KNOWN_UNITS = """
    kg mg µg ug lb lbs oz km cm mm µm nm mi ft hr hrs min sec ms day days yr yrs year years bn mn
    kb mb gb tb kib mib gib tib hz khz mhz ghz kw mw kwh ml mmhg bpm px pt cc hp mph kmh km/h m/s
    kcal cal usd eur gbp °c °f k m b
"""
_UNITS = frozenset(_KNOWN_UNITS.split())
_WORDS_FOR_MISSING = r"""
    none null nil na n/a n.a. n.a nan nat <na> #n/a #na #null! #div/0! #value! #ref! #num! #name?
    - -- --- – — . .. ... ? ?? * missing unknown undefined unavailable (null) \n void nd n.d.
    -nan -1.#ind 1.#qnan
"""
_WORDS = frozenset(_WORDS_FOR_MISSING.split())
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_TIME = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s*[ap]m)?(\s*(z|[+-]\d{2}:?\d{2}|utc))?"
_DATE = re.compile(
    r"("
    r"\d{4}([-/.])\d{1,2}(\2\d{1,2})?"  # 2020-01-31, 2020/1
    r"|\d{1,2}([-/.])\d{1,2}\4(\d{4}|\d{2})"  # 31.01.2020, 1/31/20
    rf"|(\d{{1,2}}[ .-]+)?{_MONTH}[ .,-]+(\d{{1,2}},?[ -])?(\d{{4}}|\d{{2}})"  # 31 Jan 2020
    r"|\d{4}[- ]?(w\d{2}|q\d)"  # 2020-W05, 2020Q1
    rf")([t ]{_TIME})?|{_TIME}",
    re.A | re.I,
)
_PLAIN = "write plain numbers"
_FEWEST = 20  # rows and more, of which
_DIFFER = 0.9  # differ: names, ids, free text


class Doubt(NamedTuple):
    """What the cells of a text column look like."""

    cell: int
    """The one to show: its place among the distinct cells."""
    what: str
    """A clause of which the cell is the subject."""
    keys: Mapping[str, Any] = {}
    """Keys of the source that read the column as numbers, where there are such."""
    other: str = ""
    """What else would be right."""


class _Spelling(NamedTuple):
    """A way to write numbers, and the keys of a source by which it is read."""

    what: str
    pattern: re.Pattern[str]
    keys: Mapping[str, Any] = {}


def doubt(cells: Sequence[str], counts: Sequence[int], options: CsvOptions | None) -> Doubt | None:
    """What speaks against a column's being text; None where nothing does.

    Args:
        cells: the distinct cells in the order of the rows that they first stand in, none missing.
        counts: how many rows have each.
        options: how the text of a file is written; None for text in a table with types.
    """
    plain = _pattern(None, options.decimal if options else ".")
    numbers = [i for i, cell in enumerate(cells) if plain.fullmatch(cell)]
    words = [i for i, cell in enumerate(cells) if cell.strip().casefold() in _WORDS]
    odd = sorted(set(range(len(cells))).difference(numbers, words))
    if words and odd and _are_truth([cells[i] for i in (*odd, *numbers)]):
        keys = {"na_values": [cells[i] for i in words]} if options else {}
        what = "stands among true and false, as a word for a missing value"
        return Doubt(words[0], what, keys)
    if not odd:
        return _numbers_and_words(cells, numbers, words, options)
    for spelling in _separators(options):
        if all(spelling.pattern.fullmatch(cells[i]) for i in (*odd, *numbers)):
            keys = dict(spelling.keys)
            if keys and words:
                keys["na_values"] = [cells[i] for i in words]
            return Doubt(odd[0], spelling.what, keys)
    for spelling in (*_SIGNS, *[_BOUND][: len(numbers)]):
        if all(spelling.pattern.fullmatch(cells[i]) for i in odd):
            return Doubt(odd[0], spelling.what, other=_PLAIN)
    unit = _unit([cells[i] for i in odd])
    if unit is not None:
        return Doubt(odd[0], f"is a number with a unit, {quote(unit)}", other=_PLAIN)
    return (
        _mostly_numbers(cells, counts, odd, words, options)
        or _dates(cells, odd, numbers)
        or _lists(cells, odd, numbers)
        or _all_different(cells, counts, odd)
    )


def spelled_otherwise(
    cell: str, options: CsvOptions | None
) -> tuple[str, Mapping[str, Any]] | None:
    """How a cell is a number to a reader, as a clause, and the keys that read it; None if not."""
    if _BEGINS.match(cell):
        for spelling in (*_separators(options), *_SIGNS):
            if spelling.pattern.fullmatch(cell):
                return spelling.what, spelling.keys
    return None


def stands_for_missing(cell: str) -> bool:
    """Whether a cell among numbers is a word for a missing value, such as `?` or `unknown`."""
    return cell.strip().casefold() in _WORDS


# Spaces of no width, marks of direction, soft hyphens.
_INVISIBLE = "\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad"
# A quick look: most text does not.
_BEGINS = re.compile(rf"[-+−–(\s$€£¥₹₽₩='\"{_INVISIBLE}]*[.,]?\d")


@cache
def _pattern(thousands: str | None, decimal: str) -> re.Pattern[str]:
    """A number with these separators."""
    digits, point = r"\d+", re.escape(decimal)
    if thousands is not None:
        apart = re.escape(thousands)
        digits = rf"(?:\d+|[1-9]\d{{0,2}}(?:{apart}\d{{2,3}})*{apart}\d{{3}})"
    number = rf"(?:{digits}(?:{point}\d*)?|{point}\d+)(?:e[+-]?\d+)?"
    return re.compile(rf"\s*[+-]?(?:{number}|inf(?:inity)?|nan)\s*", re.A | re.I)


_SEPARATORS = (
    (None, "."),
    (",", "."),
    (None, ","),
    (".", ","),
    *(
        (mark, decimal)
        for mark in ("_", " ", "\u00a0", "\u202f", "\u2009", "'", "’")
        for decimal in ".,"
    ),
)


@cache
def _separators(options: CsvOptions | None) -> tuple[_Spelling, ...]:
    """Numbers with other separators than those that were said."""
    said = (options.thousands, options.decimal) if options else (None, ".")
    spellings = []
    for thousands, decimal in _SEPARATORS:
        if (thousands, decimal) == said:
            continue
        clauses = []
        if decimal != said[1]:
            clauses.append("a decimal comma" if decimal == "," else "a decimal point")
        if thousands is not None and thousands != said[0]:
            clauses.append(f"{quote(thousands)} between thousands")
        keys = {"thousands": thousands} if thousands not in (None, said[0]) else {}
        keys |= {"decimal": decimal} if decimal != said[1] else {}
        # What the source says of other columns is not to be said anew for this one.
        fits = options is not None and said[0] in (None, thousands) and said[1] in (".", decimal)
        what = f"is a number with {' and '.join(clauses) or 'other separators'}"
        spellings.append(_Spelling(what, _pattern(thousands, decimal), keys if fits else {}))
    return tuple(sorted(spellings, key=lambda spelling: not spelling.keys))  # those that fit, first


_NUMBER = rf"(?:{_pattern(',', '.').pattern}|{_pattern('.', ',').pattern})".replace(r"\s*[+-]?", "")
_DIGITS = "[٠-٩۰-۹०-९০-৯０-９]+"  # Arabic, Persian, Devanagari, Bengali, full width
_SIGNS = tuple(
    _Spelling(what, re.compile(rf"\s*(?:{pattern})\s*", re.A | re.I))
    for what, pattern in (
        ("is a percentage", rf"[+-]?{_NUMBER}\s*%"),
        (
            "is an amount of money",
            rf"[+-]?\s*[$€£¥₹₽₩]\s*[+-]?{_NUMBER}|[+-]?{_NUMBER}\s*[$€£¥₹₽₩]",
        ),
        (
            "is a number with another sign",
            rf"[−–]\s*{_NUMBER}|{_NUMBER}\s*[-−]|\(\s*[$€£¥]?{_NUMBER}\)",
        ),
        ("is a number that a spreadsheet keeps as text", rf"=\"[+-]?{_NUMBER}\"|'[+-]?{_NUMBER}"),
        ("is a number with Fortran's exponent", r"[+-]?\d*\.\d*d[+-]?\d+"),
        ("is a number with a power of ten", rf"[+-]?{_NUMBER}\s*[x×*·]\s*10\s*\^?\s*[-+−]?\d+"),
        (
            "is a number with letters that cannot be seen",
            rf"(?=.*[{_INVISIBLE}])[{_INVISIBLE}]*[+-]?[{_INVISIBLE}]*{_NUMBER}[{_INVISIBLE}]*",
        ),
        ("is a number in other digits than 0 to 9", rf"[+-]?{_DIGITS}([.,٫]{_DIGITS})?"),
    )
)
_BOUND = _Spelling(
    "is a bound among numbers", re.compile(rf"\s*([<>≤≥~≈]|[<>]=)\s*[+-]?{_NUMBER}", re.A | re.I)
)


def _numbers_and_words(
    cells: Sequence[str], numbers: Sequence[int], words: Sequence[int], options: CsvOptions | None
) -> Doubt | None:
    """Of cells that are all numbers, or words for missing values among them."""
    if not any(any(map(str.isdecimal, cells[i])) for i in numbers):
        return None
    if words:
        keys = {"na_values": [cells[i] for i in words]} if options else {}
        return Doubt(words[0], "stands among numbers, as a word for a missing value", keys)
    if options is not None or any(_CODE.match(cells[i]) for i in numbers):
        return None  # 02139 as text is a name, not a number
    return Doubt(0, "is a number, stored as text", other="convert the column to numbers")


def _are_truth(cells: Sequence[str]) -> bool:
    """Whether cells are booleans, of which some may be written as 1 and 0."""
    return {cell.strip().casefold() for cell in cells} <= {"true", "false", "1", "0", "1.0", "0.0"}


def _unit(cells: Sequence[str]) -> str | None:
    """The unit of cells that all are a number with one."""
    found = [_WITH_UNIT.fullmatch(cell) for cell in cells]
    if not all(found):
        return None
    units = list(dict.fromkeys(str(match[1]) for match in found if match))
    known = all(unit.casefold() in _UNITS for unit in units)
    return units[0] if known or (len(units) == 1 and len(cells) >= 5) else None


_WITH_UNIT = re.compile(rf"\s*[+-]?{_NUMBER}\s*([^\W\d_]{{1,5}}[²³]?|°[CF]|km/h|m/s)\.?\s*", re.I)
_CODE = re.compile(r"\s*[+-]?0\d")


def _mostly_numbers(
    cells: Sequence[str],
    counts: Sequence[int],
    odd: Sequence[int],
    words: Sequence[int],
    options: CsvOptions | None,
) -> Doubt | None:
    """Of a column most of whose rows are numbers, in whatever spelling."""
    others = [i for i in odd if spelled_otherwise(cells[i], options) is None]
    if not others:
        what = "is a number in another spelling than others of the column"
        return Doubt(odd[0], what, other=_PLAIN)
    rows = sum(counts) - sum(counts[i] for i in words)
    if 2 * sum(counts[i] for i in others) < rows:
        return Doubt(others[0], "is not a number, as most of the column is", other=_PLAIN)
    return None


def _dates(cells: Sequence[str], odd: Sequence[int], numbers: Sequence[int]) -> Doubt | None:
    if numbers or not all(_DATE.fullmatch(cells[i].strip()) for i in odd):
        return None
    return Doubt(odd[0], "is a date or a time, where a number is needed (a year, days since a day)")


def _lists(cells: Sequence[str], odd: Sequence[int], numbers: Sequence[int]) -> Doubt | None:
    if numbers or not all(_LIST.fullmatch(cells[i]) for i in odd):
        return None
    other = "keep lists in a .parquet file, where they are a block of features"
    return Doubt(odd[0], "is a list of numbers as text", other=other)


_LIST = re.compile(r"\s*[\[(]\s*[+-]?\.?\d[-+.,;\seE\d]*[\])]\s*", re.A)


def _all_different(cells: Sequence[str], counts: Sequence[int], odd: Sequence[int]) -> Doubt | None:
    rows = sum(counts)
    if rows < _FEWEST or len(cells) <= _DIFFER * rows:
        return None
    what = f"is text, and {len(cells):,} of {rows:,} cells differ, as names and ids do"
    return Doubt(odd[0], what)
