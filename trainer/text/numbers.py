"""Numbers, names and metrics as people read them; `plain_number` also as they type them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.text.printable import printable


def number(value: Any, digits: int = 4) -> str:
    """Four significant digits; thousands in groups; a dash for what is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "–" if value is None else text(value)
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    if isinstance(value, int) or abs(value) >= 1000:
        shown = f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    else:
        shown = f"{value:.{digits}g}"
    return shown.replace("-", "−") if "e" not in shown else shown


def plain_number(value: float, digits: int = 4) -> str:
    """So many significant digits, in letters that a config takes: 1e-5 for 0.00001, no groups."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.{digits}g}")


def percent(value: float) -> str:
    """A share as a percentage; what is not all does not round to 100 %."""
    if not math.isfinite(value):
        return number(value)
    for digits in (1, 2, 3, 4):
        shown = f"{100 * value:.{digits}f}"
        if float(shown) not in (0.0, 100.0) or value in (0.0, 1.0):
            break
    return f"{float(shown):g} %" if value in (0.0, 1.0) else f"{shown} %"


def metric(value: Any, is_share: bool) -> str:
    """A metric's value in the form it is read in."""
    if isinstance(value, float) and is_share:
        return percent(value)
    return number(value)


def deviation(value: Any, is_share: bool) -> str:
    """A standard deviation of a metric: two digits say enough."""
    if isinstance(value, float) and is_share:
        return percent(value)
    return number(value, 2)


def counted(n: int, word: str, words: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,200 rows`."""
    return f"{n:,} {word if n == 1 else words or word + 's'}"


def shown_size(size: int) -> str:
    """Bytes in words: `1.5 GiB`."""
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:,.0f} {name}" if size >= 10 * unit else f"{size / unit:.3g} {name}"


def text(value: Any) -> str:
    """Any value of a file as one line of letters that can be printed."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(text(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return printable(str(value)).replace("\n", "\\n")


def split_name(split: str) -> str:
    """How a split is called in a sentence."""
    return {"train": "training", "val": "validation"}.get(split, text(split))


def finite_numbers(texts: Sequence[str]) -> list[float] | None:
    """Texts as numbers; None where one of them is none, or not finite."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
