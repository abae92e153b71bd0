"""The tables of a run folder as rows: trials.csv, repeats.csv and groups.csv, checked as they come.

They may come from anybody, so that a column holds what a writer of ours puts there, or the table is
refused. A swept key has a column of its own name, which may hold anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from trainer.catalog.records import ENDS
from trainer.runs.names import PENALTY_COLUMNS, TARGET, TEXT_COLUMNS
from trainer.text.csv_json import number, parse_csv

_WHOLE = ("trial", "repeat", "rank", "epochs", "best_epoch", "iterations", "evaluations")
_NUMBERS = (*PENALTY_COLUMNS, "grad_norm", "gradient_max", "gap")
_OF_SPLITS = ("train_", "val_", "test_")  # metrics
_LARGEST = 2**53


def read_rows(text: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table of trials; swept values, which may be text, as they were written.

    Args:
        text: the file's.
        keys: columns that tell one row from another: `trial`, or `trial` and `repeat`.

    Raises:
        ValueError: it is no such table; the message is a clause.
    """
    header = text.partition("\n")[0].split(",")
    if len(set(header)) < len(header):
        raise ValueError("two columns have one name")
    swept = {column for column in header if "." in column} - set(PENALTY_COLUMNS)
    rows = parse_csv(text, words=TEXT_COLUMNS | swept)
    _check(rows, keys)
    for column in swept & (rows[0].keys() if rows else set()):
        values = {cell: _value(cell) for cell in {row[column] for row in rows}}
        for row in rows:
            row[column] = values[row[column]]
    return rows


def _check(rows: list[dict[str, Any]], keys: Sequence[str]) -> None:
    columns = rows[0].keys() if rows else ()
    for name in keys:
        if rows and name not in columns:
            raise ValueError(f"it has no column {name}")
    for name in columns:
        cells = {row[name] for row in rows}
        if name in keys and not all(type(cell) is int and 0 <= cell < 2**31 for cell in cells):
            raise ValueError(f"its column {name} does not number the {name}s")
        if not _fits(name, cells - {None}):
            raise ValueError(f"its column {name!r:.80} has a cell that cannot be one of its own")
    keys = (*keys, TARGET) if keys and TARGET in columns else keys
    if keys and len({tuple(row[name] for name in keys) for row in rows}) < len(rows):
        raise ValueError(f"two rows have the same {' and '.join(keys)}")


def _fits(name: str, cells: Collection[Any]) -> bool:
    """Whether the cells that have a value can stand in a column."""
    if name == "status":
        return all(cell in ENDS for cell in cells)
    if name in _WHOLE or name.endswith("_count"):
        return all(type(cell) is int and 0 <= cell < _LARGEST for cell in cells)
    kinds = set(map(type, cells))
    if (name in _NUMBERS or name.startswith(_OF_SPLITS)) and not kinds <= {int, float}:
        return False
    return int not in kinds or all(_has_a_float(cell) for cell in cells)


def _has_a_float(cell: Any) -> bool:
    return not isinstance(cell, int) or abs(cell) < 2**1000


def _value(cell: Any) -> Any:
    """A swept value: a number, true or false where that was written, else text; None stays."""
    if cell in ("true", "false"):
        return cell == "true"
    found = number(cell) if isinstance(cell, str) else None
    return cell if found is None else found
