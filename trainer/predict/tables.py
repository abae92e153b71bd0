"""Predictions as tables: of a run's own held-out rows, and of a file with a saved model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.catalog import MODELS, facts_of
from trainer.data.frame import Frame
from trainer.data.rows import Array, IntArray, Rows
from trainer.data.sources.for_predict import read_for_predict
from trainer.data.sources.shards import files_of
from trainer.data.sources.standard_input import as_file
from trainer.errors import UserError
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.model.metrics import Targets
from trainer.model.weightings import metrics_by_weights
from trainer.predict.fitted_model import FittedModel, RowScores
from trainer.predict.model_row import row_of
from trainer.text import arrow
from trainer.text.atomic import replacing
from trainer.text.csv_json import csv_header, csv_lines
from trainer.text.numbers import counted
from trainer.text.paths import named_file

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_CHUNK = 65_536  # rows


def row_scores(model: FittedModel, rows: Rows) -> Numbers:
    """Scores (N, C) of encoded rows, in the target's units; −inf of what may not be predicted."""
    with np.errstate(over="ignore", invalid="ignore"):  # rows far outside those of training
        parts = [
            rows.X[i : i + _CHUNK] @ model.weights + model.bias for i in range(0, len(rows), _CHUNK)
        ]
        z = _in_units(model, np.concatenate(parts).astype(np.float64))
    if rows.of_present:
        there = np.zeros(z.shape[1], dtype=bool)
        there[: len(rows.present)] = rows.present
        z[:, ~there] = -np.inf
    return z


def prediction_table(
    model: FittedModel,
    rows: Rows,
    place: Mapping[str, int | None] | None = None,
    z: Numbers | None = None,
) -> pa.Table:
    """The rows of predictions.parquet for one split.

    Columns: split, row, target, prediction, and p_<class> where there are classes. With several
    targets, target_<name> and prediction_<name> stand in their place. Behind them are weight and
    group, where the rows have them.

    Args:
        model: that predicts.
        rows: of the split.
        place: whole numbers that all rows have, or lack, in columns between `row` and `target`.
        z: (N, C) scores in the target's units that are not the model's own.
    """
    columns: dict[str, Any] = {
        "split": np.full(len(rows), rows.name),
        "row": rows.index,
        **{
            name: arrow.masked(np.full(len(rows), of or 0), np.full(len(rows), of is not None))
            for name, of in (place or {}).items()
        },
        **_named("target", model, _words(model, rows.y)),
        **predictions(model, row_scores(model, rows) if z is None else z),
    }
    if (rows.weight != 1).any():
        columns["weight"] = rows.weight
    if rows.group is not None:
        columns["group"] = rows.group
    return _table(columns)


def target_words(model: FittedModel, y: Array) -> dict[str, Array]:
    """The columns of encoded targets (N, T) that are problems of their own; see `table_of`."""
    target = model.encoder.target
    if target.kind == "numbers":
        return {
            f"target_{n}": v for n, v in zip(target.outputs, _in_units(model, y).T, strict=True)
        }
    words = model.decide(np.nan_to_num(y) - 0.5)  # of codes 0 and 1
    return {f"target_{n}": v for n, v in zip(target.outputs, words.T, strict=True)}


def table_of(columns: Mapping[str, Array], known: Array, model: FittedModel) -> pa.Table:
    """A table whose cells of a target are empty where that is not known.

    Args:
        columns: (N,) each; of a target those whose name ends in its own.
        known: (N, T) where targets are.
        model: of the targets.
    """
    place = {
        f"{of}_{name}": t
        for t, name in enumerate(model.encoder.outputs)
        for of in ("target", "prediction", "p")
    }
    if len(model.encoder.outputs) == 1:
        place |= {"prediction": 0}
    arrays = {}
    for name, values in columns.items():
        t = place.get(name)
        if t is None or known[:, t].all():
            arrays[name] = arrow.column(np.ascontiguousarray(values))
        else:
            arrays[name] = pa.array(values, mask=~known[:, t])
    return pa.table(arrays)


def _table(columns: Mapping[str, Any]) -> pa.Table:
    return pa.table(
        {
            name: of if isinstance(of, pa.Array) else arrow.column(np.asarray(of))
            for name, of in columns.items()
        }
    )


def predictions(model: FittedModel, z: Numbers) -> dict[str, Array]:
    """The columns `prediction` and `p_<class>` of scores z (N, C) in the target's units."""
    columns = _named("prediction", model, model.decide(z))
    if MODELS[model.model].has_classes:
        p = model.probabilities(z)  # (N, classes)
        columns |= {f"p_{name}": p[:, i] for i, name in enumerate(model.probability_names)}
    return columns


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of several splits; without any, one without rows."""
    if tables:
        return pa.concat_tables(tables, promote_options="default")
    names = {"split": pa.string(), "row": pa.int64(), "target": pa.null(), "prediction": pa.null()}
    return pa.table({name: pa.nulls(0, kind) for name, kind in names.items()})


@default_errstate
@one_thread_a_product()
def predict_file(
    run: str | os.PathLike[str],
    data: str,
    out: str | os.PathLike[str] | None = None,
    *,
    with_target: bool = True,
) -> tuple[str | None, str | None]:
    """Predict the rows of a file with the model of a run folder.

    Args:
        run: a run folder.
        data: a .csv, .csv.gz, .tsv, .parquet, .npy, .npz or .safetensors file, or LIBSVM text; a
            pattern of such files; `-` is standard input.
        out: a .csv or .parquet file to write; None for CSV text.
        with_target: whether to score the predictions where the file has the target.

    Returns:
        (the CSV text or None; lines of what is to be said: the metrics where the file has the
        target, and which rows are not scored or not predicted, or None).

    Raises:
        RunFolderError: no model there.
        DataError: a file that does not fit the model.
        UserError: `out` has another ending.
        DiskError: the disk refused.
    """
    target = None if out is None else named_file(out, "predictions.csv")
    if target is not None and target.suffix not in (".csv", ".parquet"):
        raise UserError(f"--out: {out}: expected a file that ends in .csv or .parquet")
    if target is not None and target.exists() and any(map(target.samefile, _present(data))):
        raise UserError(f"--out: {out}: is the file to predict; name another")
    model = FittedModel.load(run)
    with as_file(data, model.encoder) as path:
        frame, known, y = read_for_predict(
            path, model.encoder, model.model, with_target=with_target
        )
        scored = model.score_rows(frame)
    table = _row_table(model, scored)
    text = None
    if target is None:
        text = _csv(table).rstrip("\n")
    else:
        _write(table, target)
    return text, "\n".join(_told(model, frame, scored, known, y)) or None


def _present(data: str) -> list[str]:
    """The files of a path or a pattern that are there."""
    return [path for path in files_of(data) if os.path.exists(path)]


def _row_table(model: FittedModel, scored: RowScores) -> pa.Table:
    """A row for each row of a file; those that cannot be predicted are empty."""
    row, columns = {"row": np.arange(len(scored.z))}, predictions(model, scored.z)
    if scored.predicted.all():
        return _table({**row, **columns})
    filled = {name: pa.array(of, mask=~scored.predicted) for name, of in columns.items()}
    return pa.table({**row, **filled})


def _told(
    model: FittedModel, frame: Frame, scored: RowScores, known: IntArray, y: Array
) -> list[str]:
    """What is to be said of a file: its metrics, of how many rows, and what was passed over."""
    told = [*frame.remarks, *scored.cautions]
    if scored.filled:
        told.append(f"{counted(scored.filled, 'missing value')} filled in as in training")
    usable = scored.predicted[known]
    known, y = known[usable], y[usable]
    w = np.ones(len(known)) if frame.weight is None else frame.weight[known].astype(np.float64)
    if w.any():
        some = "" if len(known) == frame.rows else f" (of {len(known):,} of {frame.rows:,} rows)"
        if model.encoder.target.separate:
            told.insert(0, _means_line(model, scored.z[known], y, w) + some)
        else:
            told.insert(0, _metrics_line(score(model, scored.z[known], y, w)) + some)
    elif frame.target is not None:
        told.insert(0, "not scored")
    return told


def _means_line(model: FittedModel, z: Numbers, y: Array, w: Numbers) -> str:
    """Means over targets that are problems of their own, each by the rows that have its label."""
    found: dict[str, list[float]] = {}
    scored = 0
    for t in range(y.shape[1]):
        rows = ~np.isnan(y[:, t]) & (w > 0)
        if not rows.any():
            continue
        scored += 1
        values = score(model.of_target(t), z[rows][:, [t]], y[rows][:, [t]], w[rows])
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    means = {n: float(np.nanmean(v)) for n, v in found.items() if not np.isnan(v).all()}
    return f"means over {counted(scored, 'target')}: {_metrics_line(means)}"


def score(model: FittedModel, z: Numbers, y: Array, w: Numbers) -> dict[str, float]:
    """Loss and metrics of scores.

    Args:
        model: whose scores they are.
        z: (N, C) scores, in the target's units. A class that is −inf in all rows, and of
            none of them, is left out.
        y: (N, C) targets as `Target.encode` gives them, or (N,) class codes.
        w: (N,) row weights.
    """
    return {name: float(value) for name, value in scores_by_weights(model, z, y)(w).items()}


def scores_by_weights(
    model: FittedModel, z: Numbers, y: Array
) -> Callable[[Numbers], dict[str, Numbers]]:
    """Loss and metrics of scores as a function of the row weights (…, N), each (…).

    Args:
        model: as `score` takes it.
        z: the same.
        y: the same.
    """
    encoder = model.encoder
    z, labels = (z - encoder.target_mean) / encoder.target_scale, encoder.target.numbers
    row, scale = row_of(model), encoder.target_scale
    there = np.asarray(~np.isneginf(z).all(axis=0))  # (C,)
    if row.coupled and not there.all():  # classes that a test set has not
        there[np.unique(y) if y.ndim == 1 else y.any(axis=0)] = True
        y = np.cumsum(there)[y] - 1 if y.ndim == 1 else y[:, there]
        z, scale = z[:, there], scale[there]
        labels = None if labels is None else labels[there]
    return metrics_by_weights(row, {}, z, y, scale, labels)


def parts_of_means(model: FittedModel, y: Array, w: Numbers) -> dict[str, tuple[int, int]]:
    """{metric: (classes or outputs that it is the mean over, all)}, where rows lack some.

    Args:
        model: whose outputs they are.
        y: targets as `score` takes them.
        w: (N,) row weights.
    """
    return row_of(model).metrics.in_some(_targets(model, y, w))


def _targets(model: FittedModel, y: Array, w: Numbers) -> Targets:
    encoder = model.encoder
    return Targets(y, w, encoder.target_scale, len(encoder.outputs), encoder.target.numbers)


def _metrics_line(metrics: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} not defined"
        if np.isnan(value) and facts_of(name).may_be_undefined
        else f"{name} {value:.6g}"
        for name, value in metrics.items()
    )


def _in_units(model: FittedModel, z: Numbers) -> Numbers:
    return np.asarray(z * model.encoder.target_scale + model.encoder.target_mean)


def _words(model: FittedModel, y: Array) -> Array:
    """Encoded targets in the user's words and units: what `decide` gives for predictions."""
    if model.encoder.target.kind == "numbers":
        numbers = _in_units(model, y.astype(np.float64))
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers
    if model.encoder.target.kind == "labels":
        classes = model.classes_
        assert classes is not None
        return np.asarray(classes[y.reshape(-1).astype(np.int64)])
    return y


def _named(word: str, model: FittedModel, values: Array) -> dict[str, Array]:
    """`word` for one value a row, `word_<output>` for several."""
    if values.ndim == 1:
        return {word: values}
    return {f"{word}_{name}": values[:, i] for i, name in enumerate(model.encoder.outputs)}


def _csv(table: pa.Table) -> str:
    return csv_header(table.column_names) + csv_lines(table.to_pylist(), table.column_names)


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(path) as beside:
        if path.suffix == ".csv":
            beside.write_text(_csv(table), encoding="utf-8")
        else:
            pq.write_table(table, beside)
