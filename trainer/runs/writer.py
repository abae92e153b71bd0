"""The run folder: what a run leaves behind, and the only file that knows the names in it.

`RunFolder` writes while a run goes on and reads at any time; `trainer.workflow.loaded.Run`, which
Python users hold, and `trainer.report` read through it.
Each file appears whole (`trainer.text.atomic`), except `run.log` and the stream of steps, which
grow and can be read at every moment. Nothing in a folder refers to the folder's own place: it can
be copied.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.errors import DiskError, RunFolderError
from trainer.runs import step_log
from trainer.runs.location import default_folder, named_folder, why_no_run_folder
from trainer.runs.provenance import git_commit, versions
from trainer.text.atomic import disk_error, write_atomic
from trainer.text.csv_json import csv_header, csv_lines, json_text, number, parse_csv

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel

FORMAT_VERSION = 1

INPUT = "input.yaml"
CONFIG = "config.yaml"
MANIFEST = "manifest.json"
LOG = "run.log"
STEPS_STREAM = "steps.arrows"
STEPS = "steps.parquet"
HISTORY = "history.csv"
TRIALS = "trials.csv"
REPEATS = "repeats.csv"
GROUPS = "groups.csv"
RESULTS = "results.json"
BEST = "best.yaml"
PREDICTIONS = "predictions.parquet"
WEIGHTS = "weights.safetensors"
GRADIENTS = "gradients/step-{step}.safetensors"
GRADIENTS_OF_STACK = "gradients/step-{step}-stack-{stack}.safetensors"
REPORT = "report.html"

_RUNNING = "running"
_OVER = ("finished", "diverged")  # a run that has gone its way
_KILLED = "killed by a second signal before all was written"
_HISTORY_EVERY = 2.0  # seconds: history.csv is written anew each time, so not for every row
_HISTORY_TYPES = {
    "trial": pa.int32(),
    "repeat": pa.int32(),
    "epoch": pa.int32(),
    "step": pa.int64(),
}  # all else are metrics, float64
_TRIALS_WORDS = frozenset({"status", "reason"})
_PENALTIES = frozenset({"penalty.l2", "penalty.l1", "penalty.C"})


class RunFolder:
    """One run folder. `create` starts one that is written; `open` gives one that is read.

    Every method that writes raises DiskError when the disk refuses; what was written before stays
    readable. What a run can do without is written within `spared`.

    Attributes:
        tell: hears, in a line, what the run goes on without.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tell: Callable[[str], None] = lambda line: None
        self._lost: dict[str, DiskError] = {}  # what the run goes on without, by its part
        self._steps: step_log.StepLog | None = None
        self._manifest: dict[str, Any] = {}
        self._started = time.monotonic()
        self._history_columns: tuple[str, ...] = ()
        self._history_text: list[str] = []
        self._history_due = 0.0  # when history.csv may be written again
        self._history_pending = False

    @classmethod
    def create(cls, name: str, out: str | os.PathLike[str] | None = None) -> RunFolder:
        """Make the folder of a new run, and take it: no other run can.

        Args:
            name: the run's name, any string; the default folder is
                `runs/<name>/<YYYYmmdd-HHMMSS>` under the current folder, with `-2`, `-3`, …
                where that is taken, and with `_` for what is unsafe in a folder's name.
            out: exactly this folder instead; it may be there already if it is empty.

        Raises:
            RunFolderError: `out` is a file or not empty, or no folder can have that name.
            DiskError: the disk refused.
        """
        path = default_folder(name) if out is None else named_folder(out)
        folder = cls(path)
        try:
            (path / LOG).open("xb").close()  # whoever makes the log has the folder
        except FileExistsError as error:
            raise RunFolderError(f"{path}: another run has just taken it") from error
        except OSError as error:
            raise disk_error(path / LOG, error) from error
        try:
            folder.update_manifest(
                format_version=FORMAT_VERSION,
                status=_RUNNING,
                name=name,
                started=_now(),
                versions=versions(),
                **git_commit(),
            )
            folder._steps = step_log.StepLog(path / STEPS_STREAM)
        except DiskError:  # an empty folder can be named again, once there is room
            with contextlib.suppress(OSError):
                for made in (MANIFEST, LOG):
                    (path / made).unlink(missing_ok=True)
            raise
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The run folder at `path`, to be read.

        Raises:
            RunFolderError: there is no such folder, or it is not a run folder.
        """
        folder = cls(Path(os.path.abspath(path)))
        if not os.path.isfile(folder.path / MANIFEST):
            raise RunFolderError(f"{folder.path}: {why_no_run_folder(folder.path, MANIFEST)}")
        folder.manifest()
        return folder

    @property
    def log_path(self) -> Path:
        """Where `log` writes."""
        return self.path / LOG

    @contextlib.contextmanager
    def spared(self, part: str) -> Iterator[None]:
        """Go on where the disk refuses what is written within: `close` then says `failed`.

        Args:
            part: names it; of each part the first refusal is told.
        """
        try:
            yield
        except DiskError as error:
            if part not in self._lost:
                self._lost[part] = error
                self.tell(f"warning: {error}; the run goes on without it")

    # Writing, in the order of a run.

    def write_input(self, text: str | bytes) -> None:
        """The file as the user wrote it (a text is written as UTF-8)."""
        write_atomic(self.path / INPUT, _bytes(text))

    def write_config(self, text: str) -> None:
        """The resolved spec as YAML: running it again gives the same run."""
        write_atomic(self.path / CONFIG, _bytes(text))

    def update_manifest(self, **fields: Any) -> None:
        """Set these fields of the manifest and keep the others."""
        self._manifest.update(fields)
        write_atomic(self.path / MANIFEST, _bytes(json_text(self._manifest)))

    def log(self, text: str) -> None:
        """Append to run.log, with the time before each line."""
        stamp = datetime.now().isoformat(" ", "milliseconds")
        lines = [f"{stamp}  {line}\n" for line in text.splitlines() or [""]]
        try:
            with open(self.log_path, "ab") as file:
                file.write(_bytes("".join(lines)))
        except OSError as error:
            raise disk_error(self.log_path, error) from error

    def append_steps(
        self,
        step: npt.NDArray[np.integer],
        epoch: npt.NDArray[np.integer],
        values: Mapping[str, npt.NDArray[np.float32]],
        trial: npt.NDArray[np.integer],
        repeat: npt.NDArray[np.integer],
        counts: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Append n logged steps of K columns: see `StepLog.append`."""
        if self._steps is None:
            raise RuntimeError(f"{self.path} was opened to be read")
        self._steps.append(step, epoch, values, trial, repeat, counts)
        self._write_history_if_due()

    def finish_steps(self) -> None:
        """Put steps.parquet in the place of the stream, which stays where it lacks steps."""
        self._end_stream()
        if self._steps is None or self._steps.refusal is None:
            step_log.stream_to_parquet(self.path / STEPS_STREAM, self.path / STEPS)

    def start_history(self, metrics: Sequence[str]) -> None:
        """Write history.csv with its header: a run that diverges at once has no more of it."""
        self._history_columns = (*_HISTORY_TYPES, *metrics)
        self._history_text = [csv_header(self._history_columns)]
        self._history_pending = True
        self.flush()

    def append_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows (a column of the stack at an evaluation each) to history.csv.

        The file is written anew at most every two seconds; `flush` and `close` write what waits.
        A refusal on the way loses nothing, as they try again: they raise it.
        """
        if not rows:
            return
        if not self._history_columns:
            self._history_columns = tuple(rows[0])
            self._history_text.append(csv_header(self._history_columns))
        columns = self._history_columns
        if rows[0].keys() < set(columns):  # a trial on another target has not all metrics
            rows = [{column: row.get(column) for column in columns} for row in rows]
        self._history_text.append(csv_lines(rows, columns))
        self._history_pending = True
        self._write_history_if_due()

    def flush(self) -> None:
        """Write what waits."""
        if self._history_pending:
            started = time.monotonic()
            write_atomic(self.path / HISTORY, _bytes("".join(self._history_text)))
            self._history_pending = False
            now = time.monotonic()
            # a long table is written anew less often: at most a twentieth of the time goes there
            self._history_due = now + max(_HISTORY_EVERY, 20 * (now - started))

    def write_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The table of trials, in the order given; columns in the order of appearance."""
        self._write_table(TRIALS, rows, ("trial", "rank", "status", "reason"))

    def write_repeats(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The table of columns: those of a trial by repeat."""
        self._write_table(REPEATS, rows, ("trial", "repeat"))

    def write_groups(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The winners by the values of `select.per`."""
        self._write_table(GROUPS, rows, ("trial",))

    def _write_table(
        self, name: str, rows: Sequence[Mapping[str, Any]], least: Sequence[str]
    ) -> None:
        columns = tuple(dict.fromkeys(key for row in rows for key in row)) or tuple(least)
        whole = [{column: row.get(column) for column in columns} for row in rows]
        write_atomic(self.path / name, _bytes(csv_header(columns) + csv_lines(whole, columns)))

    def write_best(self, text: str) -> None:
        """The chosen trial as a config."""
        write_atomic(self.path / BEST, _bytes(text))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """The outcome: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        write_atomic(self.path / RESULTS, _bytes(json_text(results)))

    def write_predictions(self, table: pa.Table) -> None:
        """The chosen model on val and test: `split, row, target, prediction, p_<class>`."""
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        write_atomic(self.path / PREDICTIONS, sink.getvalue().to_pybytes())

    def write_weights(
        self,
        weights: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating],
        trial: npt.NDArray[np.integer],
        repeat: npt.NDArray[np.integer],
    ) -> None:
        """All columns: weights (D, C, K), bias (C, K), trial (K,), repeat (K,)."""
        arrays = {"weights": weights, "bias": bias, "trial": trial, "repeat": repeat}
        self._write_arrays(self.path / WEIGHTS, arrays)

    def write_gradients(
        self, step: int, arrays: Mapping[str, npt.NDArray[Any]], stack: int | None = None
    ) -> None:
        """One step in full: error, dz (B, C, K), grad_weights, weights (D, C, K), bias, rows.

        Args:
            step: from 1.
            arrays: by name.
            stack: from 0, where there are several.
        """
        name = GRADIENTS if stack is None else GRADIENTS_OF_STACK
        path = self.path / name.format(step=step, stack=stack)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise disk_error(path.parent, error) from error
        self._write_arrays(path, arrays)

    def write_report(self, page: bytes) -> Path:
        """The page drawn from this folder; its path. A folder opened to be read takes it too."""
        if os.path.isdir(self.path / REPORT):
            raise RunFolderError(f"{self.path / REPORT}: a folder is in the page's way; move it")
        write_atomic(self.path / REPORT, page)
        return self.path / REPORT

    def close(self, status: str, **fields: Any) -> None:
        """End the run: what waits is written, and last of all its status in the manifest.

        Each part is tried although the disk may have refused the one before. A run is `finished`
        only if all were written, also what was spared: else it is `failed`, with the first refusal
        as its `reason`. That is raised once all is done.

        Args:
            status: finished, diverged, interrupted or failed. The first two have gone their
                way: their steps become Parquet. The others leave the stream.
            fields: more for the manifest.
        """
        refusal = next(iter(self._lost.values()), None)
        over = status in _OVER
        for part in (self.flush, self.finish_steps if over else self._end_stream):
            try:
                part()
            except DiskError as error:
                refusal = refusal or error
        if refusal is not None and over:
            status, fields = "failed", {"reason": str(refusal), **fields}
        try:
            self.update_manifest(**self._ending(status), **fields)
        except DiskError as error:
            refusal = refusal or error
            self._fail_in_place()
        if refusal is not None:
            raise refusal

    def fail(self, refusal: DiskError) -> None:
        """Say `failed` of a run that had gone its way: the disk refused what came after `close`."""
        if self._manifest["status"] not in _OVER:
            return
        try:
            self.update_manifest(status="failed", reason=str(refusal))
        except DiskError:
            self._fail_in_place()

    def end_at_once(self) -> None:
        """Say `interrupted`, and no more, in a run that is being killed and has not ended yet."""
        killed = self._manifest.get("status") == _RUNNING
        if killed:
            self._manifest |= self._ending("interrupted") | {"reason": _KILLED}
        try:
            self.update_manifest()  # also the end that `close` was about to write
        except DiskError:
            self._fail_in_place()
            raise
        if killed:
            self.log(_KILLED)

    # Reading.

    def manifest(self) -> dict[str, Any]:
        """manifest.json; it always has a `status`."""
        record = self._read_json(MANIFEST)
        self._check(isinstance(record.get("status"), str), MANIFEST, "it has no status")
        return record

    def config(self) -> str:
        """config.yaml, the text of the resolved spec."""
        return self._read_text(CONFIG)

    def steps(self, trial: int | None = None) -> pa.Table:
        """The log of steps, `step_log.SCHEMA`: from Parquet, or the stream up to its last batch.

        Args:
            trial: the rows of this one alone; all by default.
        """
        if (self.path / STEPS).exists():
            return step_log.read_parquet(self._present(STEPS), trial)
        return step_log.read_stream(self._present(STEPS_STREAM), trial)

    def history(self) -> pa.Table:
        """history.csv: trial, repeat, epoch i32, step i64, metrics f64; an empty cell is null."""
        from pyarrow import csv

        text = self._read_text(HISTORY)
        names = text.partition("\n")[0].split(",")
        self._check(len(set(names)) == len(names), HISTORY, "two columns have one name")
        types = {name: _HISTORY_TYPES.get(name, pa.float64()) for name in names}
        options = csv.ConvertOptions(column_types=types, null_values=[""])
        try:
            return csv.read_csv(pa.BufferReader(_bytes(text)), convert_options=options)
        except pa.ArrowInvalid as error:
            raise self._unreadable(HISTORY, error) from error

    def trials(self) -> list[dict[str, Any]]:
        """trials.csv, a dict per trial; an empty cell is None."""
        return self._read_table(TRIALS)

    def repeats(self) -> list[dict[str, Any]]:
        """repeats.csv, a dict per column; empty for a run without repeats."""
        return self._read_table(REPEATS) if (self.path / REPEATS).exists() else []

    def groups(self) -> list[dict[str, Any]]:
        """groups.csv, a dict per value of `select.per`; empty without them."""
        return self._read_table(GROUPS) if (self.path / GROUPS).exists() else []

    def _read_table(self, name: str) -> list[dict[str, Any]]:
        text = self._read_text(name)
        swept = [c for c in text.partition("\n")[0].split(",") if "." in c]
        words = _TRIALS_WORDS | {column for column in swept if column not in _PENALTIES}
        try:
            rows = parse_csv(text, words=words)
        except ValueError as error:
            raise self._unreadable(name, error) from error
        for row in rows:
            self._check(isinstance(row.get("trial"), int), name, "it does not number the trials")
            for column in words & row.keys() - _TRIALS_WORDS:
                row[column] = _value(row[column])
        return rows

    def results(self) -> dict[str, Any]:
        """results.json."""
        record = self._read_json(RESULTS)
        best = record.get("best") or {"metrics": {}}
        whole = isinstance(best, dict) and isinstance(best.get("metrics"), dict)
        self._check(whole, RESULTS, "its best trial has no metrics")
        return record

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """weights.safetensors: weights (D, C, K), bias (C, K), trial (K,), repeat (K,).

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

    def predictions(self) -> pa.Table:
        """predictions.parquet."""
        return step_log.read_parquet(self._present(PREDICTIONS))

    def model(self) -> FittedModel:
        """The chosen model, ready to predict."""
        from trainer.predict.fitted_model import FittedModel

        return FittedModel.load(self.path)

    # How.

    def _write_history_if_due(self) -> None:
        if time.monotonic() < self._history_due:
            return
        try:
            self.flush()
        except DiskError:  # there may be room again by then
            self._history_due = time.monotonic() + _HISTORY_EVERY

    def _ending(self, status: str) -> dict[str, Any]:
        seconds = round(time.monotonic() - self._started, 3)
        return {"status": status, "ended": _now(), "seconds": seconds}

    def _fail_in_place(self) -> None:
        """On a full disk, where no file can be written beside, `failed` fits over the status."""
        with contextlib.suppress(OSError), (self.path / MANIFEST).open("r+b") as file:
            text = file.read()
            for status in (_RUNNING, *_OVER):
                old = f'"status": "{status}"'.encode()
                if old in text:
                    file.seek(text.index(old))
                    file.write(b'"status": "failed"'.ljust(len(old)))

    def _end_stream(self) -> None:
        if self._steps is not None:
            self._steps.close()

    @staticmethod
    def _write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        from safetensors.numpy import save

        write_atomic(path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))

    def _present(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            if name == MANIFEST:
                raise RunFolderError(f"{path}: not there; a run folder has one")
            status = self._manifest.get("status") or self.manifest()["status"]
            raise RunFolderError(f"{path}: not there; the run's status is {status}")
        return path

    def _read_text(self, name: str) -> str:
        try:
            return self._present(name).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(name, error) from error

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads(self._read_text(name))
        except ValueError as error:
            raise self._unreadable(name, error) from error
        if not isinstance(record, dict):
            raise RunFolderError(f"{self.path / name}: cannot read: not a JSON object")
        return record

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


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _bytes(text: str | bytes) -> bytes:
    """UTF-8; a lone surrogate, which has no UTF-8, as its escape (JSON reads it back)."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
