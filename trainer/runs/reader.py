"""Reading a run folder at any time, while its run goes on as after its end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from trainer.catalog.records import ManifestRecord, Record, ResultsRecord, read_record
from trainer.errors import RunFolderError
from trainer.machine.memory import memory_limit
from trainer.runs import liveness, step_log
from trainer.runs.location import why_no_run_folder
from trainer.runs.names import (
    COEFFICIENT_KEYS,
    COEFFICIENTS,
    CONFIG,
    FORMAT_VERSION,
    GROUPS,
    HISTORY,
    HISTORY_KEYS,
    INFLUENCE,
    INFLUENCE_KEYS,
    MANIFEST,
    PERMUTATIONS,
    PREDICTIONS,
    REPEAT_KEYS,
    REPEATS,
    RESULTS,
    STEPS,
    STEPS_STREAM,
    TARGET,
    TRIALS,
    WEIGHTS,
)
from trainer.runs.parquet import read_words
from trainer.runs.tables import read_rows
from trainer.text import arrow
from trainer.text.atomic import utf8
from trainer.text.csv_json import parse_csv
from trainer.text.printable import first_line
from trainer.text.regular_file import read_regular
from trainer.text.tensors import arrays_of

_HISTORY_TYPES = dict.fromkeys(HISTORY_KEYS, pa.int32()) | {
    "step": pa.int64(),
    TARGET: pa.string(),
}
_TEXT_SHARE = 32  # bytes that an object of Python may take for one of its text


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
        found = self._read_json(MANIFEST, Record)
        version = found.get("format_version", FORMAT_VERSION)
        if isinstance(version, int) and version != FORMAT_VERSION:
            what = f"it has format version {version}; this release reads {FORMAT_VERSION}"
            self._check(False, MANIFEST, f"{what}: use the release that wrote it")
        return self._read_json(MANIFEST, ManifestRecord)

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
        if self._has(STEPS):
            return step_log.read_steps(self._present(STEPS), trial)
        return step_log.read_stream(self._present(STEPS_STREAM), trial)

    def history(self) -> pa.Table:
        """Read history.csv; an empty cell is null.

        Returns:
            A table of trial, repeat, epoch (int32), step (int64) and metrics (float64); behind
            repeat the name of the target, where several are problems of their own.
        """
        from pyarrow import csv

        text = self._read_text(HISTORY, share=4)
        names = text.partition("\n")[0].split(",")
        self._check(len(set(names)) == len(names), HISTORY, "two columns have one name")
        types = {name: _HISTORY_TYPES.get(name, pa.float64()) for name in names}
        options = csv.ConvertOptions(column_types=types, null_values=[""])
        try:
            table = csv.read_csv(pa.BufferReader(utf8(text)), convert_options=options)
        except (pa.ArrowException, MemoryError) as error:
            raise self._unreadable(HISTORY, error) from error
        for field in table.schema:
            right = types.get(field.name)  # a name between quotes may hold commas
            self._check(field.type == right, HISTORY, f"its column {field.name!r:.80} is not whole")
        for name in set(HISTORY_KEYS) & set(names):
            column = table[name]
            whole = not column.null_count and bool((arrow.numbers(column) >= 0).all())
            self._check(whole, HISTORY, f"its column {name} has a cell that is no number from 0")
        return table

    def trials(self) -> list[dict[str, Any]]:
        """Read trials.csv, a dict per trial; an empty cell is None."""
        return self._read_table(TRIALS, ("trial",))

    def repeats(self) -> list[dict[str, Any]]:
        """Read repeats.csv, a dict per column of the stacks; empty for a run without repeats."""
        return self._read_table(REPEATS, REPEAT_KEYS) if self._has(REPEATS) else []

    def groups(self) -> list[dict[str, Any]]:
        """Read groups.csv, a dict per value of `select.per`; empty without them."""
        rows = self._read_table(GROUPS, ()) if self._has(GROUPS) else []
        self._check(all("trial" in row for row in rows), GROUPS, "it has no column trial")
        return rows

    def permutations(self) -> list[dict[str, Any]]:
        """Read permutations.csv, a dict per permutation and target; empty without a test."""
        rows = self._read_table(PERMUTATIONS, ()) if self._has(PERMUTATIONS) else []
        whole = all(isinstance(row.get("score"), int | float | None) for row in rows)
        self._check(whole, PERMUTATIONS, "its column score has a cell that is no number")
        return rows

    def coefficients(self) -> list[dict[str, Any]]:
        """Read coefficients.csv, a dict per output and feature; empty without resamples."""
        return self._read_numbers(COEFFICIENTS, COEFFICIENT_KEYS, ("output", "feature"))

    def influence(self) -> list[dict[str, Any]]:
        """Read influence.csv, a dict per training row and output; empty but of leave-one-out."""
        rows = self._read_numbers(INFLUENCE, INFLUENCE_KEYS, ("output",))
        whole = all(type(row["row"]) is int and row["row"] >= 0 for row in rows)
        self._check(whole, INFLUENCE, "its column row has a cell that is no number from 0")
        return rows

    def results(self) -> dict[str, Any]:
        """Read results.json: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        return self._read_json(RESULTS, ResultsRecord)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Read weights.safetensors: weights (D, C, K), bias (C, K), trial (K,), repeat (K,).

        Also target (K,) where targets are problems of their own.
        Empty where `log.weights: all` was not asked for.
        """
        if not self._has(WEIGHTS):
            return {}
        try:
            arrays = arrays_of(read_regular(self._present(WEIGHTS), memory_limit() // 2))
            _check_columns(arrays)
        except (OSError, ValueError) as error:
            raise self._unreadable(WEIGHTS, error) from error
        return arrays

    def predictions(self, *, coded: bool = False) -> pa.Table:
        """Read predictions.parquet, what the chosen model says of val and test.

        Args:
            coded: leave text as the codes into a dictionary that the file has.
        """
        return read_words(self._present(PREDICTIONS), coded=coded)

    def _read_table(self, name: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of a table of trials."""
        text = self._read_text(name)
        try:
            return read_rows(text, keys)
        except ValueError as error:
            raise self._unreadable(name, error) from error

    def _read_numbers(
        self, name: str, keys: Sequence[str], words: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The rows of a table of words and numbers, where there is one."""
        if not self._has(name):
            return []
        try:
            rows = parse_csv(self._read_text(name), frozenset(words))
        except ValueError as error:
            raise self._unreadable(name, error) from error
        for key in words:
            self._check(all(key in row for row in rows), name, f"it has no column {key}")
        for key in (key for key in keys if key not in words):
            cells = [row.get(key, "") for row in rows]
            right = all(cell is None or type(cell) in (int, float) for cell in cells)
            self._check(right, name, f"its column {key} has a cell that is no number")
        return rows

    def _read_json(self, name: str, kind: type[Record]) -> dict[str, Any]:
        try:
            return read_record(kind, self._read_bytes(name))
        except ValueError as error:
            raise self._unreadable(name, error) from error

    def _read_text(self, name: str, share: int = _TEXT_SHARE) -> str:
        try:
            return self._read_bytes(name, share).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._unreadable(name, error) from error

    def _read_bytes(self, name: str, share: int = _TEXT_SHARE) -> bytes:
        path = self._present(name)
        try:
            return read_regular(path, memory_limit() // share)
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _has(self, name: str) -> bool:
        """Whether a file is there, or what stands in its place."""
        return os.path.lexists(self.path / name)

    def _present(self, name: str) -> Path:
        if self._has(name):
            return self.path / name
        if name == MANIFEST:
            raise RunFolderError(f"{self.path / name}: not there; a run folder has one")
        raise RunFolderError(f"{self.path / name}: not there; the run's status is {self.status}")

    def _check(self, holds: bool, name: str, fault: str) -> None:
        if not holds:
            raise RunFolderError(f"{self.path / name}: cannot read: {fault}")

    def _unreadable(self, name: str, error: Exception) -> RunFolderError:
        return RunFolderError(f"{self.path / name}: cannot read: {first_line(error)}")


def _check_columns(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse arrays that are not those of all columns.

    Raises:
        ValueError: one is missing, or of another shape than the others.
    """
    if missing := {"weights", "bias", "trial", "repeat"} - arrays.keys():
        raise ValueError(f"it has no {min(missing)}")
    weights = arrays["weights"]
    if weights.ndim != 3 or weights.dtype.kind != "f":
        raise ValueError(f"weights of shape {weights.shape}, which has not three axes of numbers")
    _, C, K = weights.shape
    numbers = ["trial", "repeat", *([TARGET] if TARGET in arrays else [])]
    for name, shape, kind in (("bias", (C, K), "f"), *((name, (K,), "i") for name in numbers)):
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != kind:
            raise ValueError(f"{name} of shape {array.shape} where {shape} is right")
