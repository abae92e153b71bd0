"""The predictions of one split as arrays: predictions.parquet in the codes of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
from numpy.typing import NDArray

from trainer.errors import RunFolderError
from trainer.runs.names import PREDICTIONS
from trainer.text import arrow
from trainer.text.labels import label_text
from trainer.text.numbers import text

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel
    from trainer.report.run_data import RunData

Numbers = NDArray[np.float64]
_MORE = {"weight": "f", "group": "iu"}
"""Columns that a split has where its source has them, and the kinds of their numbers."""
_PLACE = ("repeat", "time")  # columns of out-of-fold predictions


@dataclass(frozen=True)
class PredictionData:
    """N rows of one split and what the chosen model says of them.

    Attributes:
        split: its name.
        kind: "numbers", "labels", "multilabel" or "distribution".
        row: (N,) row of the source, from 0.
        names: of the C outputs, or of the classes.
        target, prediction: numbers and multilabel: (N, C) numbers. Else (N,) class codes; of a
            distribution that of its largest share.
        p: (N, classes or C) probabilities; without columns for numbers.
        shares: (N, C) of a distribution, the targets as they are; else None.
        weight: (N,) row weights; None without any.
        group: (N,) codes of the rows' groups; None without any.
        folds: how many predicted these rows, each those that it held out; 0 of one model.
        times: how many times all folds have, of which these rows are the first.
    """

    split: str
    kind: str
    row: NDArray[np.int64]
    names: tuple[str, ...]
    target: NDArray[Any]
    prediction: NDArray[Any]
    p: Numbers
    shares: Numbers | None = None
    weight: Numbers | None = None
    group: NDArray[np.int64] | None = None
    folds: int = 0
    times: int = 1

    def __len__(self) -> int:
        return len(self.row)


def read_predictions(run_data: RunData) -> Iterator[PredictionData]:
    """Each split of predictions.parquet, in the order of the file.

    Raises:
        RunFolderError: the predictions are not those of the model beside them.
    """
    table, model = run_data.predictions, run_data.model
    more = {name: table[name] for name in _MORE if table is not None and name in table.column_names}
    table = table if table is None else table.drop_columns([*more])
    if table is None or model is None or table.num_columns < 4:
        return
    try:
        repeat = _repeats(table)
        table = table.drop_columns([name for name in _PLACE if name in table.column_names])
        if any(column.null_count for column in table.columns):
            raise ValueError("a cell without a value")
        row, split = arrow.numbers(table["row"]), _coded(table["split"])
        if row.dtype.kind != "i" or row.min() < 0:
            raise ValueError("no row numbers")
        columns = [_read(table.column(i)) for i in range(2, table.num_columns)]
        for code, name in enumerate(split.words):
            here = np.flatnonzero(split.codes == code)
            if not len(here):
                continue
            folds, times = 0, 1
            if repeat is not None and (repeat[here] >= 0).any():
                first = np.sort(np.unique(row[here], return_index=True)[1])
                times = -(-len(here) // len(first))
                here = here[first]
                folds = len(np.unique(repeat[here]))
            values = [column[here] for column in columns]
            data = _checked(_prediction_data(str(name), row[here], values, model))
            found = _more_of(more, here)
            data = replace(data, weight=found.get("weight"), group=found.get("group"))
            yield replace(data, folds=folds, times=times)
    except (KeyError, IndexError, ValueError, TypeError, OverflowError) as error:
        path = run_data.folder / PREDICTIONS
        raise RunFolderError(f"{path}: does not fit the model beside it") from error


def _more_of(
    more: Mapping[str, pa.ChunkedArray], here: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """What some splits have beside their predictions.

    Raises:
        ValueError: they are no such numbers.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, column in more.items():
        some = column.take(arrow.column(here))
        if some.null_count == len(some):
            continue
        values = arrow.numbers(some)
        if values.dtype.kind not in _MORE[name] or not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"its {name} is none")
        found[name] = values
    return found


def _repeats(table: pa.Table) -> NDArray[Any] | None:
    """(N,) which repeat predicts a row, -1 where none does; None of a table without repeats."""
    if "repeat" not in table.column_names:
        return None
    return arrow.numbers(table["repeat"], null=-1)


def _checked(data: PredictionData) -> PredictionData:
    """The same, if its numbers are such as a model of its kind predicts.

    Raises:
        ValueError: a probability outside 0 to 1, a label of several that is neither 0 nor 1, or a
            number to be predicted that is none.
    """
    shares = data.p if data.shares is None else np.hstack([data.p, data.shares])
    if data.kind != "numbers" and data.p.shape[1] != len(data.names):
        raise ValueError("as many probabilities as names are right")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("no probability")
    labels = [data.target, data.prediction] if data.kind == "multilabel" else []
    if any(not np.isin(part, (0, 1)).all() for part in labels):
        raise ValueError("no label")
    if data.kind == "numbers" and not np.isfinite(data.target).all():
        raise ValueError("no target")
    return data


@dataclass(frozen=True)
class _Coded:
    """A column that is no numbers: (N,) codes into its distinct values, as they first occur."""

    codes: NDArray[Any]
    words: list[Any]

    def __getitem__(self, rows: NDArray[np.intp]) -> _Coded:
        return _Coded(self.codes[rows], self.words)


def _read(column: pa.ChunkedArray) -> NDArray[Any] | _Coded:
    plain = types.is_integer(column.type) or types.is_floating(column.type)
    return arrow.numbers(column) if plain else _coded(column)


def _coded(column: pa.ChunkedArray) -> _Coded:
    whole = column if types.is_dictionary(column.type) else column.combine_chunks()
    if not types.is_dictionary(column.type):
        whole = whole.dictionary_encode()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.unify_dictionaries().combine_chunks()
    return _Coded(arrow.numbers(whole.indices), whole.dictionary.to_pylist())


def _prediction_data(
    split: str, row: NDArray[np.int64], values: list[Any], model: FittedModel
) -> PredictionData:
    kind = model.encoder.target.kind
    if kind in ("numbers", "multilabel"):
        C = len(model.encoder.outputs)
        names = tuple(text(name) for name in model.encoder.outputs)
        p = _matrix(values[2 * C :], len(row))
        return PredictionData(
            split, kind, row, names, _matrix(values[:C]), _matrix(values[C : 2 * C]), p
        )
    names = tuple(text(label_text(label)) for label in model.encoder.classes or ())
    if kind == "labels":
        place = {label_text(label): i for i, label in enumerate(model.encoder.classes or ())}
        codes = [_class_codes(each, place) for each in values[:2]]
        return PredictionData(split, kind, row, names, codes[0], codes[1], _matrix(values[2:]))
    C = len(names)
    shares, p = _matrix(values[:C]), _matrix(values[C + 1 :])
    return PredictionData(
        split, kind, row, names, shares.argmax(axis=1), p.argmax(axis=1), p, shares
    )


def _class_codes(values: NDArray[Any] | _Coded, place: dict[str, int]) -> NDArray[np.int64]:
    if isinstance(values, _Coded):
        codes, words = values.codes, values.words
    else:
        words = sorted(set(values.tolist()))
        codes = np.searchsorted(np.array(words), values)
    own = np.array([place[label_text(word)] for word in words], dtype=np.int64)
    return np.asarray(own[codes])


def _matrix(columns: list[Any], rows: int = 0) -> Numbers:
    """Columns side by side, (N, columns) float64."""
    if not columns:
        return np.empty((rows, 0))
    return np.stack(columns, axis=1).astype(np.float64)
