"""Carry out one spec: the only place where a spec becomes objects, from rows to a run folder."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import time
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
    log_every,
    steps_per_unit,
)
from trainer.data import Prepared, prepare
from trainer.describe import data_line, mend_divergence, objective_line, spec_line
from trainer.errors import DiskError, TrainerError
from trainer.fitted import FittedModel
from trainer.folder import RunFolder
from trainer.interrupt import Interrupt
from trainer.location import check_free
from trainer.predict import prediction_table, stacked
from trainer.report import write_report
from trainer.results import history_rows, results, trial_rows
from trainer.runs import Run
from trainer.spec import Spec, load_spec
from trainer.terminal import Progress, Terminal, Verbatim
from trainer.train.evaluate import Evaluator
from trainer.train.fit import Fit, fit
from trainer.train.outcomes import EarlyStopping
from trainer.train.stack import Records, Snapshot
from trainer.train.state import State

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
        DeviceError: `device: gpu` where none can be used.
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
    if not isinstance(spec, Mapping):
        spec = as_spec(spec).tree()
    held = {name: "arrays" if name in data else "none" for name in ("val", "test")}
    return load_spec({**spec, "data": {**spec.get("data", {}), "train": "arrays", **held}})


def _carry_out(
    spec: Spec,
    out: str | os.PathLike[str] | None,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    command: str | None,
    should_stop: Callable[[], int | None],
) -> Run:
    terminal.summary([("config", spec_line(spec))])
    if out is not None:
        check_free(out)  # before the data are read, which may take minutes
    device = devices.choose(spec.device)
    prepared = prepare(spec, data)
    terminal.summary([("data", data_line(prepared.summary))])
    columns = build([spec], prepared, device)
    state, stopping = initial_state(columns), early_stopping(columns)
    folder = RunFolder.create(spec.name, out)
    terminal.attach(folder.log, folder.log_path)
    with _closing(folder):
        told = [
            ("device", f"{device.kind}: {device.name} ({device.reason})"),
            ("objective", objective_line(columns)),
            ("folder", folder.path),
        ]
        terminal.summary(told)
        _write_start(folder, spec, columns, device, command)
        total = int(columns.stack.settings.schedule.steps.max())
        with terminal.progress(total, -(-total // columns.stack.steps_per_epoch)) as progress:
            watch = _Watch(columns, folder, progress, should_stop)
            done = _train(columns, state, stopping, watch)
        status = _write_end(folder, columns, done, watch.first_loss, terminal)
        folder.close(status)
    _draw(folder, terminal)
    return Run(folder.path)


def _draw(folder: RunFolder, terminal: Terminal) -> None:
    """Draw report.html; the run is whole without it, so that a failure is a line and no more."""
    try:
        page = write_report(folder.path)
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


def _train(columns: Columns, state: State, stopping: EarlyStopping | None, watch: _Watch) -> Fit:
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


class _Watch:
    """Writes down what happens while a stack trains, and shows how far it is."""

    def __init__(
        self,
        columns: Columns,
        folder: RunFolder,
        progress: Progress,
        should_stop: Callable[[], int | None],
    ) -> None:
        self.columns, self.folder, self.progress = columns, folder, progress
        self._asked = should_stop
        self.trial = np.arange(len(columns.specs))
        self.repeat = np.zeros(len(columns.specs), dtype=np.int64)
        self.every = log_every(columns.spec)
        self._metric: tuple[str | None, float | None] = (None, None)
        self.first_loss = np.full(len(columns.specs), np.nan)

    def on_records(self, records: Records, counts: Any) -> None:
        """Append to the log of steps."""
        if records.step[0] == 1:
            self.first_loss = records.values["loss"][0]
        due = records.step % self.every == 0
        values = {name: value[due] for name, value in records.values.items()}
        self.folder.append_steps(
            records.step[due], records.epoch[due], values, self.trial, self.repeat, counts[due]
        )
        self._show(int(records.step[-1]), float(records.values["loss"][-1, 0]))

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Write one step in full, its rows numbered as in the source."""
        arrays = snapshot.arrays
        arrays["rows"] = self.columns.prepared.train.index[arrays["rows"]]
        self.folder.write_gradients(snapshot.step, arrays)

    def on_evaluation(self, step: int, metrics: dict[str, Numbers], columns: Any) -> None:
        """Append to history.csv."""
        epoch = -(-step // self.columns.stack.steps_per_epoch)
        rows = history_rows(step, epoch, metrics, columns, self.trial, self.repeat)
        self.folder.append_history(rows)
        name = next((n for n in metrics if n not in ("train_loss", "val_loss")), "train_loss")
        self._metric = (name, float(metrics[name][0]))
        self._show(step, float(metrics["train_loss"][0]))

    def _show(self, step: int, loss: float) -> None:
        epoch = -(-step // self.columns.stack.steps_per_epoch)
        self.progress.update(step, epoch, loss, *self._metric)

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._asked() is not None


def _write_end(
    folder: RunFolder, columns: Columns, done: Fit, first_loss: Numbers, terminal: Terminal
) -> str:
    """Write the tables, and the model if there is one; return the status of the run."""
    trials = trial_rows(columns, done)
    folder.write_trials(trials)
    if columns.spec.log.weights == "all":
        _write_all_weights(folder, columns, done)
    winner = next((row["trial"] for row in trials if row["rank"] == 1), None)
    test_metrics = {} if winner is None else _write_model(folder, columns, done, winner)
    folder.write_results(results(columns, trials, test_metrics))
    outcome = trials[0]
    status = outcome["status"]
    if winner is None:
        reason = f"{outcome['reason']}; {mend_divergence(columns)}"
        folder.update_manifest(reason=reason)
        terminal.summary([("diverged", reason)])
        return "diverged"
    if outcome["train_loss"] > first_loss[winner]:
        rose = f"the training loss went up, {first_loss[winner]:.4g} → {outcome['train_loss']:.4g}"
        warning = f"{rose}; {mend_divergence(columns)}"
        folder.update_manifest(warning=warning)
        terminal.summary([("warning", warning)])
    _say_end(terminal, folder, outcome, test_metrics)
    return "interrupted" if status == "interrupted" else "finished"


def _write_all_weights(folder: RunFolder, columns: Columns, done: Fit) -> None:
    count = len(columns.specs)
    to_host = columns.stack.device.to_host
    trial, repeat = np.arange(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    folder.write_weights(to_host(done.state.weights), to_host(done.state.bias), trial, repeat)


def _write_model(folder: RunFolder, columns: Columns, done: Fit, k: int) -> dict[str, float]:
    """Write the model of column k and its predictions on val and test; return its test metrics."""
    prepared, to_host = columns.prepared, columns.stack.device.to_host
    weights, bias = to_host(done.state.weights)[:, :, k], to_host(done.state.bias)[:, k]
    model = FittedModel(columns.spec.model, weights, bias, prepared.encoder)
    model.save(folder.path)
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    folder.write_predictions(stacked([prediction_table(model, rows) for rows in held]))
    return _test_metrics(columns, prepared, done.state, k)


def _test_metrics(columns: Columns, prepared: Prepared, state: State, k: int) -> dict[str, float]:
    found = {}
    for rows in prepared.tests:
        prefix = "test" if rows.name == "test" else f"test_{rows.name}"
        evaluator = Evaluator(columns.stack, rows, prepared.encoder.target_scale)
        for name, value in evaluator.metrics(state).items():
            found[f"{prefix}_{name}"] = float(value[k])
    return found


def _say_end(
    terminal: Terminal, folder: RunFolder, outcome: dict[str, Any], test_metrics: dict[str, float]
) -> None:
    shown = {name: outcome[name] for name in outcome if f"{name}_std" in outcome} | test_metrics
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    epoch = f"epoch {outcome['best_epoch']} of {outcome['epochs']}"
    quoted = shlex.quote(str(folder.path))
    terminal.summary(
        [
            (outcome["status"].replace("_", " "), f"{outcome['reason']}; {epoch} counts"),
            ("metrics", numbers),
            ("predict", Verbatim(f"python -m trainer predict {quoted} DATA")),
        ]
    )


def check(spec: SpecLike) -> str:
    """The resolved spec as YAML."""
    return as_spec(spec).to_yaml()


def plan(spec: SpecLike, data: Mapping[str, Any] | None = None) -> str:
    """What a run would take: its size, and its time from one timed step."""
    spec = as_spec(spec, data)
    prepared = prepare(spec, data)
    columns = build([spec], prepared, devices.choose(spec.device))
    stack, state = columns.stack, initial_state(columns)
    val = prepared.val
    evaluator = Evaluator(stack, val, prepared.encoder.target_scale) if val is not None else None
    steps = int(stack.settings.schedule.steps.max())
    every = spec.log.eval_every * steps_per_unit(spec, len(stack.rows))
    stack.advance(state, 1)  # warms up: first calls pay for caches and threads
    step_seconds = _seconds(lambda: stack.advance(state, state.step + 1))
    evaluation = _seconds(lambda: evaluator.metrics(state)) if evaluator else 0.0
    seconds = steps * step_seconds + -(-steps // every) * evaluation
    records = steps // log_every(spec)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + _written_later(prepared)
    lines = {
        "trials": "1 x 1 repeat",
        "stacks": f"1 of {stack.columns} column",
        "steps": f"{steps:,} in {-(-steps // stack.steps_per_epoch):,} epochs",
        "peak memory": f"{-(-peak // 2**20):.0f} MiB",
        "log": f"{records * 44:,} bytes",
        "time": f"{seconds:.1f} seconds",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _written_later(prepared: Prepared) -> int:
    """Bytes of the predictions that the end of a run makes: scores, probabilities and the table."""
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    return sum(len(rows) for rows in held) * (len(prepared.encoder.outputs) + 2) * 8 * 3
