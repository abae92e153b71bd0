"""A sweep that has no tables yet: its trials as far as history.csv tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trainer.errors import UserError
from trainer.runs.names import CONFIG


def last_values(history: pa.Table, name: str) -> dict[int, float]:
    """{trial: mean over its repeats of the last value that each has}; of finite values alone."""
    if name not in history.column_names:
        return {}
    value = history[name].to_numpy(zero_copy_only=False).astype(np.float64)
    trial, repeat = (history[key].to_numpy().astype(np.int64) for key in ("trial", "repeat"))
    last = _last_of_each((trial << 32) | repeat)
    trials, which = np.unique(trial[last], return_inverse=True)
    with np.errstate(invalid="ignore"):
        means = np.bincount(which, value[last]) / np.bincount(which)
    kept = np.isfinite(means)
    return dict(zip(trials[kept].tolist(), means[kept].tolist(), strict=True))


def rows_so_far(history: pa.Table, metrics: list[str], status: str) -> list[dict[str, Any]]:
    """A row a trial, as trials.csv would have it, without its rank."""
    trial = history["trial"].to_numpy().astype(np.int64)
    last = _last_of_each(trial)
    epochs = history["epoch"].to_numpy()[last].tolist()
    values = {name: last_values(history, name) for name in metrics}
    return [
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


def settings_of(folder: Path) -> tuple[dict[str, list[Any]], dict[int, dict[str, Any]]]:
    """(swept path -> its values, trial -> its settings), from config.yaml; empty if that is broken.

    A penalty along a path has no value before the data are read: it is left out.
    """
    from trainer.config import load_spec

    try:
        spec = load_spec(folder / CONFIG)
    except UserError:
        return {}, {}
    unknown = {path for trial in spec.trials for path in trial.fractions}
    swept = {path: list(values) for path, values in spec.axes.items() if path not in unknown}
    return swept, {
        trial.number: {path: v for path, v in trial.settings.items() if path in swept}
        for trial in spec.trials
    }


def _last_of_each(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """The last row of each key, by ascending key."""
    _, first = np.unique(keys[::-1], return_index=True)
    return len(keys) - 1 - first
