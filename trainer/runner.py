"""Carry out one spec: the only place where a spec becomes objects, from rows to a run folder."""

from __future__ import annotations

import contextlib
import os
import shlex
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from trainer import device as devices
from trainer.build import (
    Columns,
    build,
    early_stopping,
    initial_state,
    steps_per_unit,
)
from trainer.data import prepare
from trainer.describe import data_line, objective_line, spec_line
from trainer.errors import DiskError, TrainerError
from trainer.finish import finish
from trainer.folder import RunFolder
from trainer.interrupt import Interrupt
from trainer.location import check_free
from trainer.report import write_report
from trainer.results import metric_names
from trainer.runs import Run
from trainer.spec import Spec, load_spec
from trainer.terminal import Terminal
from trainer.train.evaluate import Evaluator
from trainer.train.fit import Fit, fit
from trainer.train.outcomes import EarlyStopping
from trainer.train.state import State
from trainer.watch import Watch

Numbers = np.ndarray[Any, np.dtype[np.float64]]
SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]


def run(
    spec: SpecLike,
    out: str | os.PathLike[str] | None = None,
    data: Mapping[str, Any] | None = None,
    *,
    terminal: Terminal | None = None,
    command: str | None = None,
    should_stop: Callable[[], int | None] | None = None,
) -> Run:
    """Train what a spec says and leave a run folder.

    Args:
        spec: a spec, or what `load_spec` takes.
        out: exactly this run folder, new or empty; by default `runs/<name>/<date>-<time>`.
        data: rows in place of the spec's files: {"train": (X, y), "val": (X, y), "test": (X, y) or
            {name: (X, y)}, "weight": w (N,)}; NumPy, CuPy or any DLPack arrays, or tables for X.
            Without "val" there is no validation.
        terminal: where to say what happens; silent by default.
        command: the command line, for the manifest.
        should_stop: asked after each step; a signal's number ends the run. By default Ctrl-C and
            SIGTERM do: the step is finished, everything is written, and then the interruption is
            raised.

    Returns:
        The run; its `status` is "finished", "diverged" or "interrupted".

    Raises:
        SpecError: the spec is wrong.
        DataError: the data are wrong, or do not fit the model.
        DeviceError: `device: gpu` where none can be used, or a GPU that is full.
        RunFolderError: `out` is a file or not empty.
        DiskError: the disk refused; what was written before stays.
    """
    spec = as_spec(spec, data)
    terminal = terminal or Terminal(quiet=True)
    if should_stop is not None:
        return _carry_out(spec, out, data, terminal, command, should_stop)
    with Interrupt() as interrupt:
        done = _carry_out(spec, out, data, terminal, command, interrupt)
    interrupt.reraise()
    return done


def as_spec(spec: SpecLike, data: Mapping[str, Any] | None = None) -> Spec:
    """A spec as `run` takes it; with `data`, its sources are named `arrays`.

    Raises:
        SpecError: the spec is wrong, or asks for validation rows that `data` does not have.
    """
    if data is None:
        return spec if isinstance(spec, Spec) else load_spec(spec)
    text = None
    if not isinstance(spec, Mapping):
        spec = as_spec(spec)
        text, spec = spec.source_text, spec.tree()
    block = spec.get("data", {})
    if not isinstance(block, Mapping):
        return load_spec(spec)  # which says what is wrong with it
    held = {name: "arrays" if name in data else "none" for name in ("val", "test")}
    named = load_spec({**spec, "data": {**block, "train": "arrays", **held}})
    named._source_text = text
    return named


def _carry_out(
    spec: Spec,
    out: str | os.PathLike[str] | None,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    command: str | None,
    should_stop: Callable[[], int | None],
) -> Run:
    if out is not None:
        check_free(out)  # before the data are read, which may take minutes
    device = devices.choose(spec.device)
    terminal.summary([("config", spec_line(spec))])
    prepared = prepare(spec, data)
    terminal.summary([("data", data_line(prepared.summary, spec))])
    with device.enough_memory():
        columns = build([spec], prepared, device)
        state, stopping = initial_state(columns), early_stopping(columns)
    should_stop()  # from here on a signal is noted, and what the folder holds is whole
    folder = RunFolder.create(spec.name, out)
    terminal.attach(folder.log, folder.log_path)
    with _closing(folder), device.enough_memory():
        told = [
            ("device", f"{device.kind}: {device.name} ({device.reason})"),
            ("objective", objective_line(columns)),
            ("folder", folder.path),
        ]
        terminal.summary(told)
        _write_start(folder, spec, columns, device, command)
        total = int(columns.stack.settings.schedule.steps.max())
        with terminal.progress(total, -(-total // columns.stack.steps_per_epoch)) as progress:
            watch = Watch(columns, folder, progress, should_stop)
            done = _train(columns, state, stopping, watch)
        status = finish(folder, columns, done, watch.first_loss, terminal)
        folder.close(status)
    _draw(folder, terminal)
    return Run(folder.path)


def _draw(folder: RunFolder, terminal: Terminal) -> None:
    """Draw report.html; the run is whole without it, so that a fault of ours is a line, no more.

    Raises:
        DiskError: the disk refused the page; all else is written.
    """
    try:
        page = write_report(folder.path)
    except DiskError:
        raise
    except Exception as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        again = f"python -m trainer report {shlex.quote(str(folder.path))}"
        terminal.error(f"report.html is not drawn: {what}; `{again}` tries again")
        if not isinstance(error, TrainerError):
            with contextlib.suppress(DiskError):
                terminal.log(traceback.format_exc())
        return
    with contextlib.suppress(DiskError):
        terminal.summary([("report", page)])


@contextlib.contextmanager
def _closing(folder: RunFolder) -> Iterator[None]:
    """Leave the right status in the manifest however the run ends, and lose nothing written."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(Exception):
            folder.close(status, reason=str(error) or type(error).__name__)
        raise


def _write_start(
    folder: RunFolder,
    spec: Spec,
    columns: Columns,
    device: devices.Device,
    command: str | None,
) -> None:
    prepared = columns.prepared
    config = spec.to_yaml()
    folder.write_input(spec.source_text if spec.source_text is not None else config)
    folder.write_config(config)
    folder.start_history(metric_names(columns))
    folder.update_manifest(
        command=command,
        notes=spec.notes,
        device={"kind": device.kind, "name": device.name, "reason": device.reason},
        data={
            "digest": prepared.digest,
            "source": prepared.summary.source,
            "rows": prepared.summary.rows,
            "columns": prepared.summary.columns,
            "features": prepared.summary.features,
            "outputs": prepared.summary.outputs,
        },
    )


def _train(columns: Columns, state: State, stopping: EarlyStopping | None, watch: Watch) -> Fit:
    spec, stack = columns.spec, columns.stack
    scale = columns.prepared.encoder.target_scale
    val = columns.prepared.val
    evaluator = Evaluator(stack, val, scale) if val is not None else None

    def evaluate(at: State) -> dict[str, Numbers]:
        read = evaluator.metrics(at) if evaluator else {}
        return {f"val_{name}": value for name, value in read.items()}

    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    gradients = 0 if spec.log.gradients == "none" else spec.log.gradients
    return fit(stack, state, evaluate, every, stopping, watch, gradients)
