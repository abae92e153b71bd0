"""What a run folder holds for a page: each part that is there, and a word on those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from trainer.errors import RunFolderError
from trainer.fitted import FittedModel
from trainer.folder import HISTORY, PREDICTIONS, STEPS, RunFolder
from trainer.report.words import METRICS, text
from trainer.spec.read import read_yaml
from trainer.step_log import SCHEMA

T = TypeVar("T")


@dataclass(frozen=True)
class Material:
    """The parts of one run. A part is None where its file is missing or cannot be read.

    Attributes:
        folder: the run folder.
        manifest: manifest.json.
        config_text: config.yaml as it is.
        steps: of the best trial, where there is one; else of all.
        history, predictions: tables with rows in them.
        trials: rows of trials.csv, best first.
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
        """The best trial's row of trials.csv, else the first; empty without trials."""
        chosen = self.best.get("trial")
        first = self.trials[0] if self.trials else {}
        return next((row for row in self.trials if row["trial"] == chosen), first)

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
    def metrics(self) -> dict[str, dict[str, float]]:
        """{split: {metric: value}} of the best trial, by the names of `words.METRICS`."""
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
    def other_loss(self) -> bool:
        """Whether the loss is not the activation's own, so that dL/dz is not ŷ − y."""
        return self.kind == "logistic" and self.config.get("loss") == "squared_error"


def read_material(folder: str | os.PathLike[str]) -> Material:
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
        of = best.get("trial") if len(trials) > 1 and isinstance(best, Mapping) else None
        return _having(files.steps(of), SCHEMA.names, STEPS)

    def history() -> pa.Table:
        return _having(files.history(), ("trial", "repeat", "epoch", "step"), HISTORY)

    def predictions() -> pa.Table:
        return _having(files.predictions(), ("split", "row"), PREDICTIONS)

    trials: list[dict[str, Any]] = read(files.trials, [])
    results: dict[str, Any] = read(files.results, {})
    best = results.get("best") or {}
    return Material(
        folder=files.path,
        manifest=manifest,
        config_text=read(files.config, ""),
        steps=_with_rows(read(steps, None)),
        history=_with_rows(read(history, None)),
        trials=trials,
        repeats=read(files.repeats, []),
        groups=read(files.groups, []),
        results=results,
        predictions=_with_rows(read(predictions, None)),
        model=read(files.model, None),
        weights=read(files.weights, {}),
        unread=tuple(unread),
    )


def _having(table: pa.Table, names: Sequence[str], file: str) -> pa.Table:
    """The table, if it has these columns."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise RunFolderError(f"{file}: cannot read: it has no column {missing[0]}")
    return table


def _with_rows(table: pa.Table | None) -> pa.Table | None:
    return table if table is not None and table.num_rows else None
