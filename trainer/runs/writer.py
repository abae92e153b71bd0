"""Writing a run folder while its run goes on.

Each file appears whole (`trainer.text.atomic`), except `run.log` and the stream of steps, which
grow and can be read at every moment. No file names the folder's own place: a folder can be copied.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.errors import DiskError, RunFolderError
from trainer.model import compiled
from trainer.runs import checkpoint
from trainer.runs.checkpoint import Saved
from trainer.runs.history_log import HistoryLog
from trainer.runs.liveness import hold_new
from trainer.runs.location import default_folder, named_folder
from trainer.runs.manifest import KILLED, Manifest
from trainer.runs.names import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    GRADIENTS,
    GRADIENTS_OF_STACK,
    GROUP_KEYS,
    GROUPS,
    HISTORY,
    INPUT,
    LOG,
    MANIFEST,
    OVER,
    PREDICTIONS,
    REPEAT_KEYS,
    REPEATS,
    REPORT,
    RESULTS,
    STEPS,
    STEPS_STREAM,
    TRIAL_KEYS,
    TRIALS,
    WEIGHTS,
)
from trainer.runs.provenance import git_commit, machine_facts, versions
from trainer.runs.resuming import (
    FOLDER,
    Earlier,
    end_line,
    files_of_an_end,
    remove_unchanged,
    resume,
)
from trainer.runs.step_log import StepLog, stream_to_parquet
from trainer.text.atomic import disk_error, utf8, write_atomic
from trainer.text.csv_json import csv_header, csv_lines, json_text
from trainer.text.system import Lock


class RunWriter:
    """Writer of one run folder, made by `create`; `RunReader` reads the folder at any time.

    Every method that writes raises DiskError when the disk refuses; what was written before stays
    readable. A file that the run can do without is written in a `with folder.spared(...)` block:
    its refusal is a warning then, and the run goes on.

    Attributes:
        path: of the folder, absolute.
        tell: function that takes a warning as a line of text; it is called once for each part
            that the disk refused in a `spared` block. It does nothing until it is set.
        found: sentences on what `reopen` found, such as a damaged checkpoint; no full stops.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        steps: StepLog,
        lock: Lock,
        history: HistoryLog | None = None,
    ) -> None:
        self.path = path
        self.tell: Callable[[str], None] = lambda line: None
        self._manifest, self._steps = manifest, steps
        self._lock = lock
        self._history = history or HistoryLog(path / HISTORY)
        self._earlier: Earlier = {}  # what an earlier end of this run has left
        self.found: tuple[str, ...] = ()
        self._lost: dict[str, DiskError] = {}  # what the run goes on without, by its part

    @classmethod
    def create(cls, name: str, out: str | os.PathLike[str] | None = None) -> RunWriter:
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
        manifest = Manifest(path / MANIFEST)
        lock = hold_new(path)  # whoever holds the log has the folder
        try:
            told = versions() | {"compiled_step": compiled.version()}
            manifest.start(name, versions=told, machine=machine_facts(), **git_commit())
            steps = StepLog(path / STEPS_STREAM)
        except DiskError:  # an empty folder can be named again, once there is room
            lock.release()  # Windows removes no open file
            with contextlib.suppress(OSError):
                for made in (MANIFEST, LOG):
                    (path / made).unlink(missing_ok=True)
            raise
        return cls(path, manifest, steps, lock)

    @classmethod
    def reopen(cls, folder: str | os.PathLike[str]) -> tuple[RunWriter, Saved | None]:
        """Take up a run whose process has ended, at its last whole checkpoint.

        Steps and rows of history.csv that came after the checkpoint are cut off. Without a whole
        checkpoint both begin anew. What an earlier end has written stays until the run is over.

        Args:
            folder: the run folder.

        Returns:
            Its writer, and what the checkpoint has; None where the run starts over in its folder.

        Raises:
            RunFolderError: it is no run folder, its run goes on or is over, or nothing was
                trained there.
            DiskError: the disk refused.
        """
        path = Path(os.path.abspath(folder))
        again = resume(path)
        writer = cls(path, again.manifest, again.steps, again.held, again.history)
        writer.found, writer._earlier = again.told, files_of_an_end(path)
        how = "starts over" if again.saved is None else "goes on from its last checkpoint"
        with contextlib.suppress(DiskError):
            end_line(path / LOG)  # a kill may have torn it
            writer.log(f"the run {how}")
        return writer, again.saved

    def checkpoint(self, saved: Saved) -> None:
        """Write what the run can go on from, with all steps and rows of history.csv before it.

        Args:
            saved: nested dicts of arrays and numbers, see `trainer.runs.checkpoint`; without the
                key `folder`, which is the writer's own.

        Raises:
            DiskError: the disk refused, now or before: a run that goes on from here would lack
                the file for good, and one that goes on from before writes it again.
        """
        self._steps.commit()
        self._forget_steps()
        if lacking := [self._lost[part] for part in self._lost if part not in (LOG, CHECKPOINTS)]:
            raise lacking[0]
        self._history.flush()
        own = {
            "steps": self._steps.offset,
            "history": self._history.offset,
            "seconds": self._manifest.seconds,
        }
        checkpoint.write(self.path, {**saved, FOLDER: own})

    @property
    def log_path(self) -> Path:
        """Where `log` writes."""
        return self.path / LOG

    @contextlib.contextmanager
    def spared(self, part: str) -> Iterator[None]:
        """Turn a DiskError of the block into a warning, and the run's end into `failed`.

        The run goes on after the block. The first refusal of each part goes to `tell`, and `close`
        raises the first of all.

        Args:
            part: name of what the block writes.
        """
        try:
            yield
        except DiskError as error:
            if part not in self._lost:
                self._lost[part] = error
                self.tell(f"warning: {error}; the run goes on without it")

    # In the order of a run.

    def write_input(self, text: str | bytes) -> None:
        """Write input.yaml, the file as the user wrote it; a text becomes UTF-8."""
        write_atomic(self.path / INPUT, utf8(text))

    def write_config(self, text: str) -> None:
        """Write config.yaml, the resolved spec: running it again gives the same run."""
        write_atomic(self.path / CONFIG, utf8(text))

    def update_manifest(self, **fields: Any) -> None:
        """Set these fields of manifest.json and keep the others."""
        self._manifest.update(**fields)

    def add_warnings(self, sentences: Sequence[str]) -> None:
        """Put sentences behind those that manifest.json warns of already."""
        self._manifest.warn(sentences)

    def log(self, text: str) -> None:
        """Append to run.log, with the time before each line."""
        stamp = datetime.now().isoformat(" ", "milliseconds")
        lines = [f"{stamp}  {line}\n" for line in text.splitlines() or [""]]
        try:
            with open(self.log_path, "ab") as file:
                file.write(utf8("".join(lines)))
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
        self._steps.append(step, epoch, values, trial, repeat, counts)
        self._history.flush_if_due()

    def finish_steps(self) -> None:
        """Write steps.parquet, unless the stream lacks steps; `close` removes the stream."""
        self._steps.close()
        if self._steps.refusal is None:
            stream_to_parquet(self.path / STEPS_STREAM, self.path / STEPS)

    def start_history(self, metrics: Sequence[str]) -> None:
        """Write history.csv with its header: a run that diverges at once has no more of it."""
        self._history.start(metrics)

    def append_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, a column of the stack at an evaluation each: see `HistoryLog.append`."""
        self._history.append(rows)

    def flush(self) -> None:
        """Write the rows that wait for history.csv."""
        self._history.flush()

    def write_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write trials.csv, rows in the order given, columns in the order of appearance."""
        self._write_table(TRIALS, rows, TRIAL_KEYS)

    def write_repeats(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write repeats.csv, a row a column of the stacks, by trial and repeat."""
        self._write_table(REPEATS, rows, REPEAT_KEYS)

    def write_groups(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write groups.csv, a row a winner by the values of `select.per`."""
        self._write_table(GROUPS, rows, GROUP_KEYS)

    def write_best(self, text: str) -> None:
        """Write best.yaml, the chosen trial as a config."""
        write_atomic(self.path / BEST, utf8(text))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        write_atomic(self.path / RESULTS, utf8(json_text(results)))

    def write_predictions(self, table: pa.Table) -> None:
        """Write predictions.parquet: `split, row, target, prediction, p_<class>`."""
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
        """Write weights.safetensors: weights (D, C, K), bias (C, K), trial (K,), repeat (K,)."""
        arrays = {"weights": weights, "bias": bias, "trial": trial, "repeat": repeat}
        _write_arrays(self.path / WEIGHTS, arrays)

    def write_gradients(
        self, step: int, arrays: Mapping[str, npt.NDArray[Any]], stack: int | None = None
    ) -> None:
        """Write one step in full, a file of its own in gradients/.

        Args:
            step: from 1.
            arrays: error, dz (B, C, K), grad_weights, weights (D, C, K), bias (C, K), rows (B,).
            stack: from 0, where there are several.
        """
        name = GRADIENTS if stack is None else GRADIENTS_OF_STACK
        path = self.path / name.format(step=step, stack=stack)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise disk_error(path.parent, error) from error
        _write_arrays(path, arrays)

    def close(self, status: str, **fields: Any) -> None:
        """End the run: write the rest of history.csv and of the steps, then the status.

        Each file is tried although the disk may have refused the one before. A run is `finished`
        only if every file was written, those of `spared` blocks too: else it is `failed`, with the
        first refusal as its `reason`, and that is raised once all files have been tried.

        Args:
            status: finished, diverged, unranked, interrupted or failed. After the first three the
                steps are Parquet and the checkpoints gone; the others leave what `reopen` takes up.
            fields: more for the manifest.
        """
        over, found = status in OVER, []
        for part in (self._steps.close, self.flush):
            try:
                part()
            except DiskError as error:
                found.append(error)
        self._forget_steps()
        refusal = next(iter([*self._lost.values(), *found]), None)
        if over and refusal is None:
            try:
                self.finish_steps()
            except DiskError as error:
                refusal = error
        if refusal is not None and over:
            status, fields = "failed", {"reason": str(refusal), **fields}
        try:
            self._manifest.end(status, **fields)
        except DiskError as error:
            refusal = refusal or error
        if over and refusal is None:  # nothing goes on from here
            (self.path / STEPS_STREAM).unlink(missing_ok=True)
            checkpoint.remove(self.path)
            remove_unchanged(self._earlier)
        self._lock.release()
        if refusal is not None:
            raise refusal

    def _forget_steps(self) -> None:
        """Forget that the disk refused steps, if it has them by now."""
        if self._steps.refusal is None:
            self._lost.pop("steps", None)

    def fail(self, refusal: DiskError) -> None:
        """Set `failed` in place of finished or diverged: the disk refused a file after `close`."""
        self._manifest.fail(str(refusal))

    def end_at_once(self) -> None:
        """Set `interrupted` in a run that is being killed and has not ended; write nothing else."""
        if self._manifest.end_at_once():
            self.log(KILLED)

    def _write_table(
        self, name: str, rows: Sequence[Mapping[str, Any]], least: Sequence[str]
    ) -> None:
        alike = dict.fromkeys(map(tuple, rows))  # most rows have the same keys in the same order
        columns = tuple(dict.fromkeys(chain.from_iterable(alike))) or tuple(least)
        whole = rows if len(alike) == 1 else [{c: row.get(c) for c in columns} for row in rows]
        write_atomic(self.path / name, utf8(csv_header(columns) + csv_lines(whole, columns)))


def write_page(folder: Path, page: bytes) -> Path:
    """Write report.html into a run folder, of whatever status; its path.

    Raises:
        RunFolderError: a folder is in the page's way.
        DiskError: the disk refused.
    """
    path = folder / REPORT
    if os.path.isdir(path):
        raise RunFolderError(f"{path}: a folder is in the page's way; move it")
    write_atomic(path, page)
    return path


def _write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    from safetensors.numpy import save

    write_atomic(path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
