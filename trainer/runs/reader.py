"""Reading a run folder at any time, while its run goes on as after its end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from trainer.errors import RunFolderError
from trainer.runs import liveness, step_log
from trainer.runs.location import why_no_run_folder
from trainer.runs.names import (
    CONFIG,
    GROUPS,
    HISTORY,
    HISTORY_KEYS,
    MANIFEST,
    PENALTY_COLUMNS,
    PREDICTIONS,
    REPEATS,
    RESULTS,
    STEPS,
    STEPS_STREAM,
    TEXT_COLUMNS,
    TRIALS,
    WEIGHTS,
)
from trainer.text.atomic import utf8
from trainer.text.csv_json import number, parse_csv

_HISTORY_TYPES = dict.fromkeys(HISTORY_KEYS, pa.int32()) | {"step": pa.int64()}


class RunReader:
    """Reader of one run folder: each method reads one file anew.

    Every method raises RunFolderError, in one line, if its file is not there or cannot be read.

    Attributes:
        path: of the folder, absolute.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Find a run folder.

        Raises:
            RunFolderError: there is no such folder, or it is not a run folder.
        """
        self.path = Path(os.path.abspath(folder))
        if not os.path.isfile(self.path / MANIFEST):
            raise RunFolderError(f"{self.path}: {why_no_run_folder(self.path)}")
        self.manifest()

    def manifest(self) -> dict[str, Any]:
        """Read manifest.json; it always has a `status`."""
        record = self._read_json(MANIFEST)
        self._check(isinstance(record.get("status"), str), MANIFEST, "it has no status")
        return record

    @property
    def status(self) -> str:
        """The manifest's status; of a run that is not over killed, or unknown, if it has died."""
        return liveness.status(self.path, self.manifest())

    def config(self) -> str:
        """Read config.yaml, the text of the resolved spec."""
        return self._read_text(CONFIG)

    def steps(self, trial: int | None = None) -> pa.Table:
        """Read the log of steps, with the columns of `step_log.SCHEMA`.

        It is steps.parquet of a run that is over, else the stream up to its last whole batch.

        Args:
            trial: the rows of this one alone; all by default.
        """
        if (self.path / STEPS).exists():
            return step_log.read_parquet(self._present(STEPS), trial)
        return step_log.read_stream(self._present(STEPS_STREAM), trial)

    def history(self) -> pa.Table:
        """Read history.csv; an empty cell is null.

        Returns:
            A table of trial, repeat, epoch (int32), step (int64) and metrics (float64).
        """
        from pyarrow import csv

        text = self._read_text(HISTORY)
        names = text.partition("\n")[0].split(",")
        self._check(len(set(names)) == len(names), HISTORY, "two columns have one name")
        types = {name: _HISTORY_TYPES.get(name, pa.float64()) for name in names}
        options = csv.ConvertOptions(column_types=types, null_values=[""])
        try:
            return csv.read_csv(pa.BufferReader(utf8(text)), convert_options=options)
        except pa.ArrowInvalid as error:
            raise self._unreadable(HISTORY, error) from error

    def trials(self) -> list[dict[str, Any]]:
        """Read trials.csv, a dict per trial; an empty cell is None."""
        return self._read_table(TRIALS)

    def repeats(self) -> list[dict[str, Any]]:
        """Read repeats.csv, a dict per column of the stacks; empty for a run without repeats."""
        return self._read_table(REPEATS) if (self.path / REPEATS).exists() else []

    def groups(self) -> list[dict[str, Any]]:
        """Read groups.csv, a dict per value of `select.per`; empty without them."""
        return self._read_table(GROUPS) if (self.path / GROUPS).exists() else []

    def results(self) -> dict[str, Any]:
        """Read results.json: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        record = self._read_json(RESULTS)
        best = record.get("best") or {"metrics": {}}
        whole = isinstance(best, dict) and isinstance(best.get("metrics"), dict)
        self._check(whole, RESULTS, "its best trial has no metrics")
        return record

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Read weights.safetensors: weights (D, C, K), bias (C, K), trial (K,), repeat (K,).

        Empty where `log.weights: all` was not asked for.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not (self.path / WEIGHTS).exists():
            return {}
        try:
            arrays: dict[str, npt.NDArray[Any]] = load_file(self.path / WEIGHTS)
        except (OSError, SafetensorError, ValueError) as error:
            raise self._unreadable(WEIGHTS, error) from error
        return arrays

    def predictions(self, *, coded: bool = False) -> pa.Table:
        """Read predictions.parquet, what the chosen model says of val and test.

        Args:
            coded: leave text as the codes into a dictionary that the file has.
        """
        return step_log.read_parquet(self._present(PREDICTIONS), coded=coded)

    def _read_table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table of trials; swept values, which may be text, as they were written."""
        text = self._read_text(name)
        dotted = {column for column in text.partition("\n")[0].split(",") if "." in column}
        swept = dotted - set(PENALTY_COLUMNS)
        try:
            rows = parse_csv(text, words=TEXT_COLUMNS | swept)
        except ValueError as error:
            raise self._unreadable(name, error) from error
        for row in rows:
            self._check(isinstance(row.get("trial"), int), name, "it does not number the trials")
        for column in swept & (rows[0].keys() if rows else set()):
            values = {cell: _value(cell) for cell in {row[column] for row in rows}}
            for row in rows:
                row[column] = values[row[column]]
        return rows

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads(self._read_text(name))
        except ValueError as error:
            raise self._unreadable(name, error) from error
        if not isinstance(record, dict):
            raise RunFolderError(f"{self.path / name}: cannot read: not a JSON object")
        return record

    def _read_text(self, name: str) -> str:
        try:
            return self._present(name).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(name, error) from error

    def _present(self, name: str) -> Path:
        path = self.path / name
        if path.is_file():
            return path
        if name == MANIFEST:
            raise RunFolderError(f"{path}: not there; a run folder has one")
        raise RunFolderError(f"{path}: not there; the run's status is {self.status}")

    def _check(self, holds: bool, name: str, fault: str) -> None:
        if not holds:
            raise RunFolderError(f"{self.path / name}: cannot read: {fault}")

    def _unreadable(self, name: str, error: Exception) -> RunFolderError:
        if isinstance(error, OSError) and error.errno is not None:
            reason = os.strerror(error.errno)
        else:
            reason = step_log.first_line(error)
        return RunFolderError(f"{self.path / name}: cannot read: {reason}")


def _value(cell: Any) -> Any:
    """A swept value: a number, true or false where that was written, else text; None stays."""
    if cell in ("true", "false"):
        return cell == "true"
    found = number(cell) if isinstance(cell, str) else None
    return cell if found is None else found
