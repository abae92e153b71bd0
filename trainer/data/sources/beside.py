"""Columns beside the features that repeats are made by: folds of a column, and times.

They come from a column of the training table, an array of its archive, a .npy file, or from Python
under the column's name; like a group, such a column is no feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.data.frame import Frame, Labels, RepeatColumn, coded
from trainer.data.rows import Array
from trainer.data.sources import npy
from trainer.data.sources.arrays import group_array
from trainer.data.sources.host import host_array
from trainer.errors import DataError
from trainer.text.labels import label_text
from trainer.text.numbers import finite_numbers
from trainer.text.printable import show_path

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec
    from trainer.config.schema.sweep import FoldFile


# as a config calls the forms of folds
COLUMN, FILE, FORWARD = "column", "npy", "forward"


def wanted_column(spec: Spec) -> str | FoldFile | None:
    """What the folds of a spec are made by: the name of a column, a file, or nothing."""
    folds = spec.repeat.folds if spec.repeat is not None else None
    key = {COLUMN: "column", FORWARD: "by"}.get(folds_form(spec))
    found: str | FoldFile | None = getattr(folds, key) if key is not None else None
    return folds if folds_form(spec) == FILE else found  # type: ignore[return-value]


def folds_form(spec: Spec) -> str:
    """What the folds of a spec are: column, npy, forward; empty where they are no block."""
    return getattr(spec.repeat.folds, "form", "") if spec.repeat is not None else ""


def without(source: Any, column: str | FoldFile | None) -> Any:
    """A source of the spec whose features do not have a column of a table."""
    if not isinstance(column, str) or isinstance(source, str) or not hasattr(source, "drop"):
        return source
    if source.columns is not None or column in (
        *source.drop,
        *source.target_names,
        source.weight,
        source.group,
    ):
        return source
    return source.model_copy(update={"drop": (*source.drop, column)})


class Found(NamedTuple):
    """The same as it was read, before its rows are compared with those of the source."""

    values: Labels | Array
    where: str

    def of(self, frame: Frame) -> RepeatColumn:
        """It beside the rows of a source.

        Raises:
            DataError: another number of rows, or not one value a row.
        """
        if isinstance(self.values, Labels):
            return RepeatColumn(_sorted(self.values), self.where)
        return RepeatColumn(_labels(self.values, self.where, frame), self.where)


ReadColumn = Callable[[Any, str], tuple[Labels | Array, str]]


def find(spec: Spec, arrays: Mapping[str, Any] | None, read: ReadColumn) -> Found | None:
    """What a spec's folds are made by; None where they are made by no column.

    Args:
        spec: the run.
        arrays: rows that Python passes in place of files.
        read: reads a column of a source of the spec by its name; and says what it is called.

    Raises:
        DataError: there is no such column, array or file.
    """
    wanted = wanted_column(spec)
    if wanted is None:
        return None
    if not isinstance(wanted, str):
        return Found(npy.read_npy(wanted.npy), show_path(wanted.npy))
    if arrays is None:
        return Found(*read(spec.data.train, wanted))
    where = f"data[{wanted!r}]"
    if wanted not in arrays:
        raise DataError(
            f"{where}: is not there, and repeat.folds is made by it; one value a row is right"
        )
    return Found(host_array(arrays[wanted], where), where)


def _labels(values: Array, where: str, frame: Frame) -> Labels:
    """Values of an array, one a row, as texts."""
    values = group_array(values, where, frame)
    if values.dtype.kind == "O":
        known = {value: i for i, value in enumerate(dict.fromkeys(values.tolist()))}
        distinct, codes = list(known), np.array([known[value] for value in values.tolist()])
    else:
        found, codes = np.unique(values, return_inverse=True)
        if values.dtype.kind == "M":
            found = np.datetime_as_string(found)
        elif values.dtype.kind == "S":
            found = np.strings.decode(found, "utf-8", "replace")
        distinct = found.tolist()
    texts = [_text(value) for value in distinct]
    return _sorted(coded(texts, codes.reshape(-1).astype(np.int32)))


def _text(value: Any) -> str | None:
    """A value as text, whole numbers alike of whatever type; None where it is missing."""
    if value is None or value != value or value == "NaT":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _sorted(labels: Labels) -> Labels:
    """Labels in the order of their numbers, where all are numbers."""
    texts = [label_text(value) for value in labels.values]
    numbers = finite_numbers(texts)
    if numbers is None:
        return Labels(tuple(texts), labels.codes)
    order = np.argsort(numbers, kind="stable")
    place = np.append(np.argsort(order), -1)  # code −1 reads the last: missing
    return Labels(tuple(texts[i] for i in order), place[labels.codes].astype(np.int32))
