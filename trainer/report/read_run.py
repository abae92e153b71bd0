"""Read a run folder for a page: each part that is there, and a word on those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from trainer.errors import RunFolderError
from trainer.predict.fitted_model import FittedModel
from trainer.report.run_data import ConfigReader, Row, RunData, ranked_by
from trainer.report.unfinished import last_values, rows_so_far
from trainer.runs.names import CONFIG, HISTORY, PREDICTIONS, STEPS
from trainer.runs.reader import RunReader
from trainer.runs.step_log import SCHEMA
from trainer.text.numbers import text

T = TypeVar("T")


@dataclass
class _Parts:
    """Reads parts of a folder, and keeps a sentence on each that should be there and is not."""

    finished: bool
    unread: list[str] = field(default_factory=list)

    def read(self, part: Callable[[], T], nothing: T) -> T:
        try:
            return part()
        except RunFolderError as error:
            if self.finished or "cannot read" in str(error):
                self.unread.append(text(str(error)))
            return nothing

    def table(
        self, part: Callable[[], pa.Table], names: Sequence[str], file: str
    ) -> pa.Table | None:
        """A table with these columns, if it has rows."""
        table = self.read(lambda: _having(part(), names, file), None)
        return table if table is not None and table.num_rows else None


def read_run_data(folder: str | os.PathLike[str], configs: ConfigReader) -> RunData:
    """Read what is there.

    Args:
        folder: the run folder.
        configs: reads its config.yaml.

    Raises:
        RunFolderError: there is no such folder, or it is no run folder.
    """
    files = RunReader(folder)
    manifest = files.manifest() | {"status": files.status}
    parts = _Parts(manifest.get("status") == "finished")
    trials: list[Row] = parts.read(files.trials, [])
    results: dict[str, Any] = parts.read(files.results, {})
    config_text = parts.read(files.config, "")
    history = parts.table(files.history, ("trial", "repeat", "epoch", "step"), HISTORY)
    swept: dict[str, list[Any]] = {}
    unranked = not results and not any(row.get("rank") for row in trials)
    if unranked and history is not None:  # of a sweep that goes on, or went no further
        rows = rows_so_far(history, str(manifest.get("status")), trials)
        if len(rows) > 1:
            swept, settings = configs.settings(files.path / CONFIG)
            trials = [row | settings.get(row["trial"], {}) for row in rows]
    chosen = _chosen(results, trials, history)
    # of all trials of a sweep they may be more than the memory holds
    of_trial = chosen if len(trials) > 1 else None
    config = configs.values(config_text, files.path)
    whole = config.get("targets") != "separate"  # a page of many targets draws none alone
    steps = None
    if whole:
        steps = parts.table(lambda: files.steps(of_trial), SCHEMA.names, STEPS)
    return RunData(
        folder=files.path,
        manifest=manifest,
        config_text=config_text,
        config=config,
        steps=steps,
        history=history,
        trials=trials,
        swept=swept,
        chosen=chosen,
        repeats=[] if swept else parts.read(files.repeats, []),
        groups=parts.read(files.groups, []),
        permutations=parts.read(files.permutations, []) if whole else [],
        results=results,
        predictions=_predictions(parts, files) if whole else None,
        model=parts.read(lambda: FittedModel.load(files.path), None) if whole else None,
        weights=parts.read(files.weights, {}) if whole else {},
        coefficients=parts.read(files.coefficients, []) if whole else [],
        influence=parts.read(files.influence, []),
        unread=tuple(parts.unread),
    )


def _predictions(parts: _Parts, files: RunReader) -> pa.Table | None:
    return parts.table(lambda: files.predictions(coded=True), ("split", "row"), PREDICTIONS)


def _chosen(
    results: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], history: pa.Table | None
) -> int | None:
    """The best trial; without one that which history.csv has ahead, else the first."""
    if best := results.get("best"):
        return int(best["trial"]) if isinstance(best.get("trial"), int) else None
    if len(trials) < 2:
        return None
    diverged = {row["trial"] for row in trials if row.get("status") == "diverged"}
    name, minimize = ranked_by(results, {}, history)
    last = last_values(history, name) if history is not None else {}
    alive = {trial: value for trial, value in last.items() if trial not in diverged}
    first: int = trials[0]["trial"]
    return (min if minimize else max)(alive, key=alive.__getitem__) if alive else first


def _having(table: pa.Table, names: Sequence[str], file: str) -> pa.Table:
    """The table, if it has these columns."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise RunFolderError(f"{file}: cannot read: it has no column {missing[0]}")
    return table
