"""A run without an end: what is said of it, and its trials as far as history.csv tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer.runs.liveness import CANNOT_TELL, DIED, process_text
from trainer.runs.names import CHECKPOINTS, RUNNING
from trainer.text import arrow
from trainer.text.program import PROGRAM

if TYPE_CHECKING:
    from trainer.report.run_data import RunData

NOT_ENDED = {
    RUNNING: "Drawn while the run was going on.",
    DIED: "Its process ended before the run did, so that this is what had been written by then.",
    CANNOT_TELL: "Drawn while the run was going on, or after it was killed.",
}
"""What is said of a run by its status, where its process has written no other."""


def resume_text(run_data: RunData) -> str:
    """What goes on with a run that has ended early, behind a space; empty where nothing does."""
    status, again = run_data.status, f"`{PROGRAM} run --resume DIR`, of this folder,"
    if status == CANNOT_TELL and "pid" in run_data.manifest:
        return f" It was {process_text(run_data.manifest)}; if that has ended {again} goes on."
    if status in (RUNNING, CANNOT_TELL):
        return ""
    if (run_data.folder / CHECKPOINTS).is_dir():
        return f" {again} goes on from its last checkpoint."
    return f" {again} starts it over." if status == DIED else ""


def last_values(history: pa.Table, name: str) -> dict[int, float]:
    """{trial: mean over its repeats of the last value that each has}; of finite values alone.

    A repeat in which no trial has a number is one whose rows do not define the metric.
    """
    if name not in history.column_names:
        return {}
    value = arrow.numbers(history[name]).astype(np.float64)
    trial, repeat = (arrow.numbers(history[key]).astype(np.int64) for key in ("trial", "repeat"))
    last = _last_of_each((trial << 32) | repeat)
    last = last[np.isin(repeat[last], repeat[last][np.isfinite(value[last])])]
    trials, which = np.unique(trial[last], return_inverse=True)
    with np.errstate(invalid="ignore"):
        means = np.bincount(which, value[last]) / np.bincount(which)
    kept = np.isfinite(means)
    return dict(zip(trials[kept].tolist(), means[kept].tolist(), strict=True))


def rows_so_far(
    history: pa.Table, status: str, ended: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """A row a trial, as trials.csv would have it, without its rank.

    Args:
        history: of all trials.
        status: of the run, and so of the trials that have not ended.
        ended: rows of trials that have.
    """
    known = {row["trial"]: row for row in ended}
    metrics = [n for n in history.column_names if n.startswith("val_") or n == "train_loss"]
    trial = arrow.numbers(history["trial"]).astype(np.int64)
    last = _last_of_each(trial)
    epochs = arrow.numbers(history["epoch"])[last].tolist()
    values = {name: last_values(history, name) for name in metrics}
    rows = [
        {
            "trial": number,
            "rank": None,
            "status": status,
            "reason": "",
            "epochs": epoch,
            **{name: of_trial.get(number) for name, of_trial in values.items()},
        }
        for number, epoch in zip(trial[last].tolist(), epochs, strict=True)
    ]
    for row in rows:
        row |= {name: v for name, v in known.get(row["trial"], {}).items() if name in row}
    return rows


def _last_of_each(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """The last row of each key, by ascending key."""
    _, first = np.unique(keys[::-1], return_index=True)
    return len(keys) - 1 - first
