"""What a run folder holds for a page: each part that is there, and a word on those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from trainer.catalog import LOSSES, METRICS, OWN_LOSS, Apart, is_minimized
from trainer.config.yaml.read import read_yaml
from trainer.errors import RunFolderError
from trainer.predict.fitted_model import FittedModel
from trainer.report.unfinished import last_values, rows_so_far, settings_of
from trainer.runs.step_log import SCHEMA
from trainer.runs.writer import HISTORY, PREDICTIONS, STEPS, RunFolder
from trainer.text.numbers import text

T = TypeVar("T")


@dataclass(frozen=True)
class RunData:
    """The parts of one run. A part is None where its file is missing or cannot be read.

    Attributes:
        folder: the run folder.
        manifest: manifest.json.
        config_text: config.yaml as it is.
        steps: of the chosen trial alone, in a sweep.
        history, predictions: tables with rows in them.
        trials: rows of trials.csv, best first; of a sweep without it what history.csv tells.
        swept: {swept path: its values} of a sweep without tables; else empty.
        chosen: the trial whose training is drawn: the best; without one the best so far.
        repeats, groups: rows of repeats.csv and groups.csv.
        results: results.json.
        model: the chosen model.
        weights: of all columns, by name, or empty.
        unread: a sentence for each file that is there and cannot be read, or that a finished run
            should have.
    """

    folder: Path
    manifest: Mapping[str, Any]
    config_text: str
    steps: pa.Table | None
    history: pa.Table | None
    trials: list[dict[str, Any]]
    swept: Mapping[str, Sequence[Any]]
    chosen: int | None
    repeats: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    results: Mapping[str, Any]
    predictions: pa.Table | None
    model: FittedModel | None
    weights: Mapping[str, Any]
    unread: tuple[str, ...]

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.yaml as plain values; empty if it is none."""
        value = read_yaml(self.config_text, "config.yaml", str(self.folder)).value
        return value if isinstance(value, Mapping) else {}

    @property
    def name(self) -> str:
        """The run's name, else its folder's."""
        return text(self.manifest.get("name") or self.folder.name)

    @property
    def status(self) -> str:
        """running, finished, interrupted, failed or diverged."""
        return str(self.manifest.get("status", "unknown"))

    @property
    def kind(self) -> str:
        """linear, logistic or softmax; empty if nothing says which."""
        return str(self.config.get("model") or (self.model.model if self.model else ""))

    @property
    def splits(self) -> dict[str, int]:
        """{split: rows}, in the order train, val, tests."""
        rows = self.data.get("rows")
        return dict(rows) if isinstance(rows, Mapping) else {}

    @property
    def data(self) -> Mapping[str, Any]:
        """What the manifest says of the data."""
        data = self.manifest.get("data")
        return data if isinstance(data, Mapping) else {}

    @property
    def best(self) -> Mapping[str, Any]:
        """The best trial as results.json has it; empty without one."""
        return self.results.get("best") or {}

    @property
    def best_row(self) -> Mapping[str, Any]:
        """The chosen trial's row of trials.csv, else the first; empty without trials."""
        first = self.trials[0] if self.trials else {}
        return next((row for row in self.trials if row["trial"] == self.chosen), first)

    @property
    def solved(self) -> bool:
        """Whether the chosen trial went to its optimum: its steps are iterations of a solver."""
        return self.best_row.get("iterations") is not None

    @property
    def best_first(self) -> list[dict[str, Any]]:
        """Rows of trials.csv, the chosen trial's first."""
        best = self.best_row
        return [dict(best), *(row for row in self.trials if row is not best)] if best else []

    @property
    def is_sweep(self) -> bool:
        """Whether there is more than one column."""
        return len(self.trials) > 1 or len(self.repeats) > 1

    @property
    def ranked_by(self) -> tuple[str, bool]:
        """(the metric that trials are ranked by, whether less is better)."""
        return _ranked_by(self.results, self.config, self.history)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """{split: {metric: value}} of the best trial, by the names of the catalog."""
        found: dict[str, dict[str, float]] = {}
        values = self.best.get("metrics", {})
        for split in self.splits:
            prefix = f"test_{split}_" if split not in ("train", "val", "test") else f"{split}_"
            of_split = {
                name: values[prefix + name]
                for name in METRICS
                if isinstance(values.get(prefix + name), int | float)
            }
            if of_split:
                found[split] = of_split
        return found

    @property
    def apart(self) -> Apart | None:
        """How dL/dz differs from ŷ − y, where the loss is not the activation's own."""
        loss = self.config.get("loss", OWN_LOSS)
        name = loss.get("name") if isinstance(loss, Mapping) else loss
        facts = LOSSES.get((self.kind, str(name)))
        return facts.apart if facts is not None else None


def read_run_data(folder: str | os.PathLike[str]) -> RunData:
    """Read what is there.

    Raises:
        RunFolderError: there is no such folder, or it is no run folder.
    """
    files = RunFolder.open(folder)
    manifest = files.manifest()
    unread: list[str] = []

    def read(part: Callable[[], T], nothing: T) -> T:
        try:
            return part()
        except RunFolderError as error:
            if manifest.get("status") == "finished" or "cannot read" in str(error):
                unread.append(text(str(error)))
            return nothing

    def steps() -> pa.Table:
        # of all trials of a sweep they may be more than the memory holds
        return _having(files.steps(chosen if len(trials) > 1 else None), SCHEMA.names, STEPS)

    def history() -> pa.Table:
        return _having(files.history(), ("trial", "repeat", "epoch", "step"), HISTORY)

    def predictions() -> pa.Table:
        return _having(files.predictions(), ("split", "row"), PREDICTIONS)

    trials: list[dict[str, Any]] = read(files.trials, [])
    results: dict[str, Any] = read(files.results, {})
    config_text = read(files.config, "")
    evaluations = _with_rows(read(history, None))
    swept: dict[str, list[Any]] = {}
    if not trials and evaluations is not None:
        swept, trials = _so_far(files.path, evaluations, str(manifest.get("status")))
    chosen = _chosen(results, trials, evaluations)
    return RunData(
        folder=files.path,
        manifest=manifest,
        config_text=config_text,
        steps=_with_rows(read(steps, None)),
        history=evaluations,
        trials=trials,
        swept=swept,
        chosen=chosen,
        repeats=read(files.repeats, []),
        groups=read(files.groups, []),
        results=results,
        predictions=_with_rows(read(predictions, None)),
        model=read(files.model, None),
        weights=read(files.weights, {}),
        unread=tuple(unread),
    )


def _so_far(
    folder: Path, history: pa.Table, status: str
) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """(swept values, rows of trials) of a sweep that has not written its tables."""
    names = [n for n in history.column_names if n.startswith("val_") or n == "train_loss"]
    rows = rows_so_far(history, names, status)
    if len(rows) < 2:
        return {}, []
    swept, settings = settings_of(folder)
    return swept, [row | settings.get(row["trial"], {}) for row in rows]


def _chosen(
    results: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], history: pa.Table | None
) -> int | None:
    """The best trial; without one that which history.csv has ahead, else the first."""
    if best := results.get("best"):
        return int(best["trial"]) if isinstance(best.get("trial"), int) else None
    if len(trials) < 2:
        return None
    diverged = {row["trial"] for row in trials if row.get("status") == "diverged"}
    name, minimize = _ranked_by(results, {}, history)
    last = last_values(history, name) if history is not None else {}
    alive = {trial: value for trial, value in last.items() if trial not in diverged}
    first: int = trials[0]["trial"]
    return (min if minimize else max)(alive, key=alive.__getitem__) if alive else first


def _ranked_by(
    results: Mapping[str, Any], config: Mapping[str, Any], history: pa.Table | None
) -> tuple[str, bool]:
    """(metric, whether less is better), from the first of these that says it."""
    sweep = config.get("sweep")
    written = sweep.get("metric") if isinstance(sweep, Mapping) else None
    for found in (results.get("metric"), written):
        if isinstance(found, Mapping) and found.get("name"):
            name = str(found["name"])
            break
    else:
        known = history.column_names if history is not None else []
        name = "val_loss" if "val_loss" in known or not known else "train_loss"
    return name, is_minimized(name)


def _having(table: pa.Table, names: Sequence[str], file: str) -> pa.Table:
    """The table, if it has these columns."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise RunFolderError(f"{file}: cannot read: it has no column {missing[0]}")
    return table


def _with_rows(table: pa.Table | None) -> pa.Table | None:
    return table if table is not None and table.num_rows else None
