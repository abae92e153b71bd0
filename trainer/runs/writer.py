"""Writing a run folder while its run goes on.

Each file appears whole (`trainer.text.atomic`), except `run.log` and the stream of steps, which
grow and can be read at every moment. No file names the folder's own place: a folder can be copied,
and moved while its run goes on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainer.errors import DiskError
from trainer.runs import checkpoint, resuming
from trainer.runs.beginning import begin
from trainer.runs.contents import csv_bytes, parquet_bytes, rows_bytes, safetensors_bytes
from trainer.runs.folder_files import FolderFiles
from trainer.runs.history_log import HistoryLog
from trainer.runs.manifest import KILLED, Manifest
from trainer.runs.names import (
    BEST,
    COEFFICIENT_KEYS,
    COEFFICIENTS,
    CONFIG,
    GRADIENTS,
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
    ROWS,
    STEPS,
    STEPS_STREAM,
    TRIAL_KEYS,
    TRIALS,
    WEIGHTS,
    gradients_name,
)
from trainer.runs.page import write_page
from trainer.runs.refusals import Write
from trainer.runs.resuming import FOLDER, Earlier, Held
from trainer.runs.run_log import RunLog
from trainer.runs.spared_steps import LOST_STEPS, WAITING_STEPS, SparedSteps
from trainer.runs.step_log import StepLog, stream_to_parquet
from trainer.text.atomic import utf8, write_atomic
from trainer.text.csv_json import json_text
from trainer.text.regular_file import read_regular
from trainer.text.saved import Saved
from trainer.text.system import Lock

_LARGEST = 1 << 24  # bytes of a config
_SPARE = 1 << 20  # bytes of the disk that the log of steps leaves where room is kept for the end


class RunWriter:
    """Writer of one run folder, made by `create`; `RunReader` reads the folder at any time.

    Every method that writes raises DiskError when the disk refuses; what was written before stays
    readable. A file that the run can do without is written in a `with folder.spared(...)` block:
    its refusal is a warning then, and the run goes on. `close` tries again what was refused, and
    puts into another folder what this one refuses still.

    Attributes:
        files: of the end, and what the folder refused of them.
        tell: takes a warning as a line of text: once for each part that the disk refused in a
            `spared` block. It does nothing until it is set.
        found: sentences on what `reopen` found, such as a damaged checkpoint; no full stops.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        steps: StepLog,
        lock: Lock,
        history: HistoryLog | None = None,
        earlier: Earlier | None = None,
        found: Sequence[str] = (),
    ) -> None:
        self.files = FolderFiles(path)
        self._manifest, self._steps = manifest, SparedSteps(steps, self.files.refusals)
        self._lock, self._log = lock, RunLog()
        self._history = history or HistoryLog(path / HISTORY)
        self._texts: dict[str, bytes] = {}  # what says which run it is, for another folder
        self._earlier = earlier or {}  # what an earlier end of this run has left
        self.found = found

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
        return cls(*begin(name, out))

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
        with resuming.hold(Path(os.path.abspath(folder))) as run:
            return cls.go_on(run)

    @classmethod
    def go_on(cls, run: Held) -> tuple[RunWriter, Saved | None]:
        """Take up a run that is held, as `reopen` does.

        Raises:
            DiskError: the disk refused.
        """
        again, path = resuming.take_up(run), run.path
        logs = again.manifest, again.steps, again.held, again.history
        writer = cls(path, *logs, resuming.files_of_an_end(path), again.told)
        for name in (INPUT, CONFIG):
            with contextlib.suppress(OSError):
                writer._texts[name] = read_regular(path / name, _LARGEST)
        how = "starts over" if again.saved is None else "goes on from its last checkpoint"
        with contextlib.suppress(DiskError):
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
        self._steps.commit(self.path / STEPS_STREAM)
        self.files.refusals.retry(self.path)
        # what a run does not write again
        grown = WAITING_STEPS, LOST_STEPS, os.path.dirname(GRADIENTS)
        if (lacking := self.files.refusals.first_of(grown)) is not None:
            raise lacking
        self.flush()
        offsets = self._steps.log.offset, self._history.offset
        own = resuming.own_record(self.path, self._manifest, *offsets)
        checkpoint.write(self.path, {**saved, FOLDER: own})

    @property
    def path(self) -> Path:
        """The folder's absolute path: where it is now, if it was moved."""
        return self._follow()

    def _follow(self) -> Path:
        """Let what has a path of its own know where the folder is now."""
        before, now = self._manifest.path.parent, self.files.path
        if now != before:
            self._manifest.path, self._history.path = now / MANIFEST, now / HISTORY
            self.tell(f"warning: {before} was moved while its run goes on; it is {now} now")
        return now

    @property
    def log_path(self) -> Path:
        """Where `log` writes."""
        return self.path / LOG

    @property
    def place(self) -> Path:
        """The folder that has the tables: the run's own, or that of what it refused."""
        other = self.files.refusals.place
        return other if other and TRIALS in self.files.refusals.elsewhere else self.path

    @property
    def tell(self) -> Callable[[str], None]:
        """Function that takes a warning as a line of text."""
        return self.files.refusals.tell

    @tell.setter
    def tell(self, function: Callable[[str], None]) -> None:
        self.files.refusals.tell = function

    def spared(self, part: str, then: str | None = None) -> contextlib.AbstractContextManager[None]:
        """Turn a DiskError of the block into a warning, and the run's end into `failed`.

        The run goes on after the block. The first refusal of each part goes to `tell`; `close`
        raises the first of all whose file the folder has not taken by then.

        Args:
            part: name of what the block writes.
            then: what comes of it, for the warning, where that is not plain.
        """
        return self.files.spared(part, then)

    def spared_steps(self) -> contextlib.AbstractContextManager[None]:
        """Turn a DiskError of the log of steps into a warning, as `spared` does."""
        return self._steps.spared()

    def reserve(self, size: int, on_the_way: int = 0) -> str | None:
        """Keep room of the disk for the end of the run; see `FolderFiles.reserve`.

        The log of steps need not leave as much then.
        """
        short = self.files.reserve(size, on_the_way)
        if self.files.has_room:
            self._steps.log.left = _SPARE
        return short

    # In the order of a run.

    def write_input(self, text: str | bytes) -> None:
        """Write input.yaml, the file as the user wrote it; a text becomes UTF-8."""
        self._write_text(INPUT, text)

    def write_config(self, text: str) -> None:
        """Write config.yaml, the resolved spec: running it again gives the same run."""
        self._write_text(CONFIG, text)

    def _write_text(self, name: str, text: str | bytes) -> None:
        self._texts[name] = utf8(text)
        write_atomic(self.path / name, self._texts[name])

    def update_manifest(self, **fields: Any) -> None:
        """Set these fields of manifest.json and keep the others."""
        self._follow()
        self._manifest.update(**fields)

    def add_warnings(self, sentences: Sequence[str]) -> None:
        """Put sentences behind those that manifest.json warns of already."""
        self._follow()
        self._manifest.warn(sentences)

    def log(self, text: str) -> None:
        """Append to run.log, with the time before each line; see `RunLog.append`."""
        self._log.append(self.log_path, text)

    def append_steps(
        self,
        step: npt.NDArray[np.integer],
        epoch: npt.NDArray[np.integer],
        values: Mapping[str, npt.NDArray[np.float32]],
        trial: npt.NDArray[np.integer],
        repeat: npt.NDArray[np.integer],
        counts: npt.NDArray[np.bool_] | None = None,
        target: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Append n logged steps of K columns: see `StepLog.append`."""
        self._flush_if_due()
        path = self.path / STEPS_STREAM
        self._steps.append(path, step, epoch, values, trial, repeat, counts, target)

    def finish_steps(self) -> None:
        """Write steps.parquet, unless the stream lacks steps; `close` removes the stream."""
        self._steps.log.close()
        if self._steps.log.refusal is None:
            self.files.put(
                STEPS,
                lambda folder: stream_to_parquet(folder / STEPS_STREAM, folder / STEPS),
                movable=False,
            )

    def start_history(self, metrics: Sequence[str], separate: bool = False) -> None:
        """Write history.csv with its header: a run that diverges at once has no more of it."""
        self._history.start(metrics, separate)

    def append_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, a column of the stack at an evaluation each; see `HistoryLog`."""
        self._history.append(rows)
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        if self._history.due:  # a refusal keeps nobody from going on: it is tried again soon
            with self.spared(HISTORY):
                self.flush()

    def flush(self) -> None:
        """Write the rows that wait for history.csv."""
        if self._history.waits:
            size = self._history.offset
            self.files.put(HISTORY, lambda folder: self._history.flush(folder / HISTORY), size)

    def write_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write trials.csv, rows in the order given, columns in the order of appearance."""
        self.files.put_bytes(TRIALS, csv_bytes(rows, TRIAL_KEYS))

    def write_repeats(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write repeats.csv, a row a column of the stacks, by trial and repeat."""
        self.files.put_bytes(REPEATS, csv_bytes(rows, REPEAT_KEYS))

    def write_groups(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write groups.csv, a row a winner by the values of `select.per`."""
        self.files.put_bytes(GROUPS, csv_bytes(rows, GROUP_KEYS))

    def write_coefficients(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write coefficients.csv, a row an output and feature, with intervals over resamples."""
        self.files.put_bytes(COEFFICIENTS, csv_bytes(rows, COEFFICIENT_KEYS))

    def write_best(self, text: str) -> None:
        """Write best.yaml, the chosen trial as a config."""
        self.files.put_bytes(BEST, utf8(text))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json: `metric`, `counts`, `best`, `runner_up`, `groups`."""
        self.files.put_bytes(RESULTS, utf8(json_text(results)))

    def write_predictions(self, table: pa.Table) -> None:
        """Write predictions.parquet: `split, row, target, prediction, p_<class>`."""
        self.files.put_bytes(PREDICTIONS, parquet_bytes(table))

    def write_rows(self, table: pa.Table) -> None:
        """Write rows.parquet: `trial, source, row, split`, and a column a repeat."""
        self.files.put_bytes(ROWS, rows_bytes(table))

    def write_weights(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write weights.safetensors: weights (D, C, K), bias (C, K), trial (K,), repeat (K,).

        Also target (K,), from 0, where targets are problems of their own.
        """
        self.files.put_bytes(WEIGHTS, safetensors_bytes(arrays))

    def write_model(self, save: Write, size: int) -> None:
        """Write the model's files, about `size` bytes, which `save` writes into a folder."""
        self.files.put("model", save, size)

    def write_gradients(
        self, step: int, arrays: Mapping[str, npt.NDArray[Any]], stack: int | None = None
    ) -> None:
        """Write one step in full, a file of its own in gradients/.

        Args:
            step: from 1.
            arrays: error, dz (B, C, K), grad_weights, weights (D, C, K), bias (C, K), rows (B,).
            stack: from 0, where there are several.
        """
        self.files.put_on_the_way(gradients_name(step, stack), safetensors_bytes(arrays))

    def write_report(self, page: bytes) -> None:
        """Write report.html, the last of all; a folder that refuses it gets it elsewhere."""
        try:
            with contextlib.suppress(DiskError):
                self.files.put(REPORT, lambda folder: write_page(folder, page), len(page))
                return
            self.files.put(REPORT, lambda folder: write_page(folder, page))
        except DiskError as error:
            self.files.refusals.put_elsewhere(self.path)
            self.fail(error)
            raise
        finally:
            self.files.release()

    def close(self, status: str, **fields: Any) -> None:
        """End the run: write the rest of history.csv and of the steps, then the status.

        Each file is tried although the disk may have refused the one before, and those it refused
        are tried again; those that are refused still go to another folder, which `tell` hears of.
        A run is `finished` only if the folder has every file, those of `spared` blocks too: else
        it is `failed`, with the first refusal as its `reason`, which is raised at the end.

        Args:
            status: finished, diverged, unranked, interrupted or failed. After the first three the
                steps are Parquet and the checkpoints gone; the others leave what `reopen` takes up.
            fields: more for the manifest.
        """
        self.files.begin_end()
        over = status in OVER
        with self.spared(HISTORY):
            self.flush()
        self._steps.end()
        self.files.try_again(lambda: self._log.flush(self.log_path))
        if over and self.files.refusals.first is None:
            with self.spared(STEPS, f"{STEPS_STREAM} stays"):
                self.finish_steps()
            self.files.refusals.retry(self.path)
        refusal, place = self.files.refusals.first, self.files.refusals.place
        if refusal is not None and over:
            status, fields = "failed", {"reason": str(refusal), **fields}
        if place is not None:
            fields["elsewhere"] = str(place)
        try:
            self._end(status, **fields)
        except DiskError as error:
            refusal = refusal or error
        self._accompany()
        if over and refusal is None:  # nothing goes on from here
            (self.path / STEPS_STREAM).unlink(missing_ok=True)
            checkpoint.remove(self.path)
            resuming.remove_unchanged(self._earlier)
        self._lock.release()
        if refusal is not None:
            raise refusal

    def _end(self, status: str, **fields: Any) -> None:
        self._follow()
        try:
            self._manifest.end(status, **fields)
        except DiskError:
            self._manifest.end(status, **fields)

    def _accompany(self) -> None:
        """Put beside the files that this folder refused what says which run they are of."""
        if (place := self.files.refusals.place) is None:
            return
        with contextlib.suppress(DiskError):
            for name, text in self._texts.items():
                write_atomic(place / name, text)
            self._manifest.copy_to(place / MANIFEST)
            if self._log.waits:
                self._log.flush(place / LOG)

    def fail(self, refusal: DiskError) -> None:
        """Set `failed` where the run was over: the disk refused a file after `close`."""
        self._follow()
        self._manifest.fail(str(refusal))

    def end_at_once(self) -> None:
        """Set `interrupted` in a run that is being killed and has not ended; write nothing else."""
        self._follow()
        if self._manifest.end_at_once():
            self.log(KILLED)
