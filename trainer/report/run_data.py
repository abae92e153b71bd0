"""What a run folder holds for a page, as `read_run` has read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import LOSSES, METRICS, OWN_LOSS, SOLVERS, Apart, is_minimized
from trainer.text import arrow
from trainer.text.numbers import text

if TYPE_CHECKING:
    import pyarrow as pa

    from trainer.predict.fitted_model import FittedModel


Row = dict[str, Any]
SweptSettings = tuple[dict[str, list[Any]], dict[int, Row]]


class ConfigReader(NamedTuple):
    """What reads config.yaml. Whoever wants a page hands it in: the report knows no config.

    Attributes:
        values: (text, folder) to plain values; empty if the text holds none.
        settings: the file to (swept path -> its values, trial -> its settings), for a sweep that
            has no tables yet; empty if it is broken.
    """

    values: Callable[[str, Path], Mapping[str, Any]]
    settings: Callable[[Path], SweptSettings]


@dataclass(frozen=True)
class RunData:
    """The parts of one run. A part is None where its file is missing or cannot be read.

    Attributes:
        folder: the run folder.
        manifest: manifest.json.
        config_text: config.yaml as it is.
        config: the same as plain values; empty if it holds none.
        steps: of the chosen trial alone, in a sweep.
        history, predictions: tables with rows in them.
        trials: rows of trials.csv, best first; of an unfinished sweep what history.csv tells.
        swept: {swept path: its values} of a sweep without tables; else empty.
        chosen: the trial whose training is drawn: the best; without one the best so far.
        repeats, groups, permutations: rows of repeats.csv, groups.csv and permutations.csv.
        results: results.json.
        model: the chosen model.
        weights: of all columns, by name, or empty.
        coefficients, influence: rows of coefficients.csv and influence.csv.
        unread: a sentence for each file that is there and cannot be read, or that a finished run
            should have.
    """

    folder: Path
    manifest: Mapping[str, Any]
    config_text: str
    config: Mapping[str, Any]
    steps: pa.Table | None
    history: pa.Table | None
    trials: list[Row]
    swept: Mapping[str, Sequence[Any]]
    chosen: int | None
    repeats: list[Row]
    groups: list[Row]
    permutations: list[Row]
    results: Mapping[str, Any]
    predictions: pa.Table | None
    model: FittedModel | None
    weights: Mapping[str, Any]
    unread: tuple[str, ...]
    coefficients: list[Row] = field(default_factory=list)
    influence: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The run's name, else its folder's."""
        return text(self.manifest.get("name") or self.folder.name)

    @property
    def status(self) -> str:
        """As `trainer.Run.status` has it."""
        return str(self.manifest.get("status", "unknown"))

    @property
    def kind(self) -> str:
        """The model; empty if nothing says which."""
        return str(self.config.get("model") or (self.model.model if self.model else ""))

    @property
    def splits(self) -> dict[str, int]:
        """{split: rows}, in the order train, val, tests.

        The manifest has those of the first trial; where a sweep changes the rows, what the chosen
        model predicted says how many were held out of its own.
        """
        rows = self.data.get("rows")
        found = dict(rows) if isinstance(rows, Mapping) else {}
        if self.leaves_out and "train" in found:
            train = {"train": found["train"]}
            found = train | {"val": found["train"]} | found
        if self.predictions is not None and self.is_sweep:
            table = self.predictions
            if "time" in table.column_names:  # each time holds out the same rows
                first = np.asarray(arrow.numbers(table["time"], null=0) == 0, bool)
                table = table.filter(arrow.column(first))
            counts = table["split"].value_counts().to_pylist()
            held = {entry["values"]: entry["counts"] for entry in counts}
            found |= {split: held[split] for split in found if split in held}
        return found

    @property
    def data(self) -> Mapping[str, Any]:
        """What the manifest says of the data."""
        data = self.manifest.get("data")
        return data if isinstance(data, Mapping) else {}

    @property
    def labels(self) -> int:
        """How many a row has: more than one in a multilabel run alone."""
        several = self.model is not None and self.model.encoder.target.kind == "multilabel"
        return len(self.model.encoder.outputs) if self.model is not None and several else 1

    def metric_label(self, name: str) -> str:
        """What a metric is called on this run's page."""
        facts = METRICS[name]
        return facts.label_of_labels or facts.label if self.labels > 1 else facts.label

    @property
    def best(self) -> Mapping[str, Any]:
        """The best trial as results.json has it; empty without one."""
        return self.results.get("best") or {}

    @property
    def scored(self) -> Mapping[str, Any]:
        """Whose `metrics` and `std` are the run's result: of the best trial.

        Where each repeat chose for itself, of the repeats' own winners with the best trial's value
        of all else.
        """
        settings = self.best.get("settings", {})
        own = self.results.get("per_repeat") or ()
        return next((of for of in own if of.get("per", {}).items() <= settings.items()), self.best)

    @property
    def is_nested(self) -> bool:
        """Whether repeats chose by inner folds, so that their val has no part in it."""
        return any(of.get("nested") for of in self.results.get("per_repeat") or ())

    @property
    def best_row(self) -> Mapping[str, Any]:
        """The chosen trial's row of trials.csv, else the first; empty without trials."""
        first = self.trials[0] if self.trials else {}
        return next((row for row in self.trials if row["trial"] == self.chosen), first)

    @property
    def solved(self) -> bool:
        """Whether the chosen trial goes to its optimum: its steps are evaluations of a solver.

        A folder without tables yet has its config alone to tell.
        """
        if self.best_row.get("iterations") is not None:
            return True
        optimizer = self.config.get("optimizer")
        written = optimizer.get("name") if isinstance(optimizer, Mapping) else optimizer
        return self.best_row.get("optimizer.name", written) in SOLVERS

    def diverged(self, trial: int, repeat: int) -> bool:
        """Whether a column ran away."""
        row = {"trial": trial, "repeat": repeat}
        found = [*self.repeats, *({**of, "repeat": repeat} for of in self.trials)]
        status = next((of.get("status") for of in found if row.items() <= of.items()), None)
        return status == "diverged"

    @property
    def is_separate(self) -> bool:
        """Whether every target is a problem of its own, with a winner of its own."""
        return self.config.get("targets") == "separate"

    @property
    def best_first(self) -> list[Row]:
        """Rows of trials.csv, the chosen trial's first."""
        best = self.best_row
        return [dict(best), *(row for row in self.trials if row is not best)] if best else []

    @property
    def leaves_out(self) -> bool:
        """Whether val is the training rows, each by the model of all others."""
        repeat = self.config.get("repeat")
        return isinstance(repeat, Mapping) and repeat.get("leave_one_out") is True

    @property
    def is_sweep(self) -> bool:
        """Whether there is more than one column."""
        return len(self.trials) > 1 or len(self.repeats) > 1

    @property
    def ranked_by(self) -> tuple[str, bool]:
        """(the metric that trials are ranked by, whether less is better)."""
        return ranked_by(self.results, self.config, self.history)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """{split: {metric: value}} of the run's result, by the names of the catalog."""
        return self._by_split(self.scored.get("metrics", {}))

    @property
    def refit_metrics(self) -> dict[str, dict[str, float]]:
        """{test split: {metric: value}} of the model that was trained again; empty without one."""
        return self._by_split((self.best.get("refit") or {}).get("metrics", {}))

    def _by_split(self, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for split in self.splits:
            of_split = {
                name: values[self.column(split, name)]
                for name in METRICS
                if isinstance(values.get(self.column(split, name)), int | float)
            }
            if of_split:
                found[split] = of_split
        return found

    @staticmethod
    def column(split: str, name: str) -> str:
        """What results.json calls a metric of a split."""
        return f"{split if split in ('train', 'val', 'test') else f'test_{split}'}_{name}"

    @property
    def apart(self) -> Apart | None:
        """How dL/dz differs from ŷ − y, where the loss is not the activation's own."""
        loss = self.config.get("loss", OWN_LOSS)
        name = loss.get("name") if isinstance(loss, Mapping) else loss
        facts = LOSSES.get((self.kind, str(name)))
        return facts.apart if facts is not None else None


def ranked_by(
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
