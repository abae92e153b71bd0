"""What a leave-one-out run writes of its training rows: influence.csv, and val's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.predict.tables import prediction_table
from trainer.runs.contents import csv_bytes
from trainer.runs.names import INFLUENCE, INFLUENCE_KEYS
from trainer.sweep.left_out import (
    MOST_CELLS,
    LeftOutRows,
    is_left_out,
    left_out_rows,
    tells_rows,
)
from trainer.text.numbers import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from trainer.console.terminal import Terminal
    from trainer.runs.writer import RunWriter
    from trainer.sweep.refit import TrialModel
    from trainer.sweep.sweep import SweepRun
    from trainer.sweep.trial_result import TrialResult

MOST_ROWS = 20_000  # of influence.csv
TOP_ROWS = 1_000  # that it has where there are more
Row = dict[str, Any]


def left_out_of(
    sweep: SweepRun, best: TrialResult, model: TrialModel, terminal: Terminal
) -> LeftOutRows | None:
    """The training rows of the model that is kept; None where val is other rows, or too many."""
    if not is_left_out(sweep):
        return None
    rows, target = model.prepared.train, model.fitted.encoder.target
    C = len(model.fitted.bias)
    if not tells_rows(sweep, len(rows) * C):
        counts = f"{counted(len(rows), 'row')} x {counted(C, 'output')}"
        told = f"{counts} are more than {MOST_CELLS:,}"
        terminal.line(f"predictions of val and {INFLUENCE} are left out: {told}")
        return None
    each = [best.spec] * C, [best.l2] * C, range(C)
    return left_out_rows(sweep, rows, *each, target.scale, target.mean)


def left_out_table(model: TrialModel, left_out: LeftOutRows) -> pa.Table:
    """The training rows as predictions.parquet has those of val."""
    rows = replace(model.prepared.train, name="val")
    return prediction_table(model.fitted, rows, z=left_out.z)


def write_influence(
    folder: RunWriter, parts: Sequence[tuple[Sequence[str], LeftOutRows]]
) -> dict[str, dict[str, int]]:
    """Write influence.csv, if there is something; `influence` of results.json.

    Args:
        folder: of the run.
        parts: (names of outputs, their training rows).
    """
    if not parts:
        return {}
    whole = sum(of.distance.size for _, of in parts)
    rows = influence_rows(parts)
    with folder.spared(INFLUENCE):
        folder.files.put_bytes(INFLUENCE, csv_bytes(rows, INFLUENCE_KEYS))
    return {"influence": {"rows": len(rows), "of": whole}}


def influence_rows(parts: Sequence[tuple[Sequence[str], LeftOutRows]]) -> list[Row]:
    """The rows of influence.csv: output by output all rows, or the most influential of very many.

    Args:
        parts: (names of outputs, their training rows).
    """
    least = -np.inf
    whole = np.concatenate([of.distance.ravel() for _, of in parts])
    if whole.size > MOST_ROWS:
        whole[np.isnan(whole)] = -1.0
        least = np.partition(whole, -TOP_ROWS)[-TOP_ROWS]
    return [
        {
            "row": int(of.row[i]),
            "output": names[c],
            "residual": _cell(of.residual[i, c]),
            "leverage": _cell(of.leverage[i, c]),
            "cooks_distance": _cell(of.distance[i, c]),
        }
        for names, of in parts
        for c in range(len(names))
        for i in _kept(of.distance[:, c], least)
    ][: TOP_ROWS if whole.size > MOST_ROWS else None]


def _kept(distance: Any, least: float) -> list[int]:
    """The rows whose distance is at least so much; all where it is −∞."""
    if least == -np.inf:
        return list(range(len(distance)))
    return [int(i) for i in np.flatnonzero(np.nan_to_num(distance, nan=-1.0) >= least)]


def _cell(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
