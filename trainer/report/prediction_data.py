"""The predictions of one split as arrays: predictions.parquet in the codes of the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
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
    """

    split: str
    kind: str
    row: NDArray[np.int64]
    names: tuple[str, ...]
    target: NDArray[Any]
    prediction: NDArray[Any]
    p: Numbers
    shares: Numbers | None = None

    def __len__(self) -> int:
        return len(self.row)


def read_predictions(run_data: RunData) -> Iterator[PredictionData]:
    """Each split of predictions.parquet, in the order of the file.

    Raises:
        RunFolderError: the predictions are not those of the model beside them.
    """
    table, model = run_data.predictions, run_data.model
    if table is None or model is None or table.num_columns < 4:
        return
    columns = [table.column(i) for i in range(2, table.num_columns)]  # by place: names may repeat
    row = arrow.numbers(table["row"])
    split_of_row, splits = _codes(table["split"])
    for code, split in enumerate(splits):
        here = split_of_row == code
        mask = arrow.column(here)
        values = [column.filter(mask) for column in columns]
        try:
            yield _prediction_data(str(split), row[here], values, model)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            path = run_data.folder / PREDICTIONS
            raise RunFolderError(f"{path}: does not fit the model beside it") from error


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[Any]]:
    """(N,) codes into the distinct values, and those in the order they first occur."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return arrow.numbers(encoded.indices), encoded.dictionary.to_pylist()


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
        codes = [_class_codes(column, place) for column in values[:2]]
        return PredictionData(split, kind, row, names, codes[0], codes[1], _matrix(values[2:]))
    C = len(names)
    shares, p = _matrix(values[:C]), _matrix(values[C + 1 :])
    return PredictionData(
        split, kind, row, names, shares.argmax(axis=1), p.argmax(axis=1), p, shares
    )


def _class_codes(column: pa.ChunkedArray, place: dict[str, int]) -> NDArray[np.int64]:
    codes, labels = _codes(column)
    return np.array([place[label_text(label)] for label in labels], dtype=np.int64)[codes]


def _matrix(columns: list[Any], rows: int = 0) -> Numbers:
    """Columns side by side, (N, columns) float64."""
    if not columns:
        return np.empty((rows, 0))
    return np.stack([arrow.numbers(column) for column in columns], axis=1).astype(np.float64)
