"""Numbers that stand for a missing value: −999 among measurements, 999 among ages.

Files of SPSS, SAS and old instruments have them, and a model takes them for what they say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trainer.config.yaml.write import flow_keys
from trainer.data.frame import ColumnData, Frame, Labels
from trainer.data.rows import Array
from trainer.data.sources.csv_options import MISSING, CsvOptions
from trainer.text.numbers import counted

_FEWEST = 2  # rows
_APART = 5  # times as large as all others


def sentinel_remarks(frame: Frame, options: CsvOptions) -> Iterator[str]:
    """A clause on each column of numbers with such a value, with the key that reads it.

    Args:
        frame: read from a text file.
        options: how its text is written.
    """
    if not isinstance(frame.features, tuple):
        return
    for name, column in zip(frame.names, frame.features, strict=True):
        value = None if isinstance(column, Labels) else sentinel(column)
        if value is not None:
            rows = counted(int(np.sum(column == value)), "row")
            said = options.na_values or (MISSING[1:] if _has_gaps(frame.features) else ())
            cure = flow_keys({"na_values": [*said, value]})
            yield (
                f"{value} stands in {rows} of {name}, far from all else: where it means missing,"
                f" `{cure}` says so"
            )


def _has_gaps(columns: Sequence[ColumnData]) -> bool:
    return any(bool(np.isnan(c).any()) for c in columns if not isinstance(c, Labels))


def sentinel(values: Array) -> int | None:
    """The value of a column of numbers that is nothing but nines, and far from all others.

    Far: five times as large as any other, or the one value below 0.

    Args:
        values: (N,) numbers, NaN where missing.
    """
    # extremes first, without a copy: hardly a column has one of nines
    for value in (np.fmin.reduce(values), np.fmax.reduce(values)) if len(values) else ():
        if abs(value) < 99 or set(f"{abs(value):.17g}") != {"9"}:
            continue
        known = values[~np.isnan(values)]
        others = known[known != value]
        if not others.size or len(known) - len(others) < _FEWEST:
            continue
        if _APART * np.abs(others).max() <= abs(value) or value < 0 <= others.min():
            return int(value)
    return None
