"""Carry out one spec, from rows to a run folder; `sweep.build` makes objects of its words."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trainer import device as devices
from trainer.config import Spec, load_spec
from trainer.config.schema.optimizer import Solver
from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.errors import DataError, DiskError, TrainerError
from trainer.machine.threads import one_thread_a_product
from trainer.model.arithmetic import default_errstate
from trainer.runs.data_note import noted_digest, with_digest
from trainer.runs.location import check_free
from trainer.runs.names import LOG
from trainer.runs.writer import RunWriter
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.sweep import SweepRun, set_up, train
from trainer.text.windows import quoted
from trainer.wording.caveats import coarse_texts
from trainer.wording.opening import DataFacts, opening
from trainer.workflow.compiling import compile_kernels
from trainer.workflow.facts import config_facts, data_facts, device_facts, training_facts
from trainer.workflow.loaded import Run
from trainer.workflow.outputs import write_outputs
from trainer.workflow.recorder import RunRecorder, SweepRecorder
from trainer.workflow.report import write_report

SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]


@default_errstate
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
        The run; its `status` is "finished", "diverged", "unranked" (no trial has a number to be
        ranked by) or "interrupted".

    Raises:
        SpecError: the spec is wrong.
        DataError: the data are wrong, or do not fit the model.
        DeviceError: `device: gpu` where none can be used, or a device that is full.
        RunFolderError: `out` is a file or not empty.
        DiskError: the disk refused; what was written before stays. It goes on without what it can
            do without (all but trials.csv, once it trains), and this comes at the end.
    """
    spec = as_spec(spec, data)
    terminal = terminal or Terminal(quiet=True)
    terminal.detach()  # from a run before, or from one that came to no folder
    if should_stop is not None:
        with one_thread_a_product():
            return _carry_out(spec, out, data, terminal, command, should_stop)
    with Interrupt() as interrupt, one_thread_a_product():
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
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise DataError(f"data: is a {kind}; a mapping is right, {{'train': (X, y)}} the least")
    text = None
    if not isinstance(spec, Mapping):
        spec = as_spec(spec)
        text, spec = spec.source_text, spec.tree()
    block = spec.get("data", {})
    if not isinstance(block, Mapping):
        return load_spec(spec)  # which says what is wrong with it
    held = {name: "arrays" if name in data else "none" for name in ("val", "test")}
    named = load_spec({**spec, "data": {**block, "train": "arrays", **held}})
    return named.with_source_text(text)


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
    terminal.summary(opening({"config": config_facts(spec)}))
    solves = isinstance(spec.optimizer, Solver)
    compile_kernels(device, "float64" if solves else spec.dtype, terminal.line, solves)
    with device.enough_memory():
        sweep = set_up(spec, data, device)
    prepared = sweep.first.prepared
    read = data_facts(prepared.summary, spec)
    terminal.summary(opening({"data": read}))
    noted = noted_digest(spec.source_text)
    if noted is not None and noted != prepared.digest:
        terminal.summary(opening({"noted_data": {"noted": noted, "read": prepared.digest}}))
    should_stop()  # from here on a signal is noted, and what the folder holds is whole
    folder = RunWriter.create(spec.name, out)
    folder.tell = terminal.error
    if isinstance(should_stop, Interrupt):
        should_stop.last_act = folder.end_at_once
    terminal.attach(_log(folder), folder.log_path)
    with _closing(folder), device.enough_memory():
        terminal.summary(opening(training_facts(sweep, folder.path)))
        _write_start(folder, spec, sweep, command)
        _write_warnings(folder, read)
        scheduler = _train(sweep, folder, terminal, should_stop)
        if device.products is not None and device.products.failed:
            terminal.line(f"steps were launched one by one: {device.products.failed}")
        status = write_outputs(folder, sweep, scheduler, terminal, should_stop)
        refusal = _refusal(lambda: folder.close(status))
    # the page shows what there is, whatever the disk refused before
    if (refused := _refusal(lambda: _draw(folder, terminal))) is not None:
        folder.fail(refused)
    if (first := refusal or refused) is not None:
        raise first
    return Run(folder.path)


def _log(folder: RunWriter) -> Callable[[str], None]:
    """What writes to run.log; without one a run goes on."""

    def log(text: str) -> None:
        with folder.spared(LOG):
            folder.log(text)

    return log


def _refusal(write: Callable[[], None]) -> DiskError | None:
    """What the disk says against it, if it does."""
    try:
        write()
    except DiskError as error:
        return error
    return None


def _draw(folder: RunWriter, terminal: Terminal) -> None:
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
        again = f"stacked-trainer report {quoted(str(folder.path))}"
        terminal.error(f"report.html is not drawn: {what}; `{again}` tries again")
        if not isinstance(error, TrainerError):
            with contextlib.suppress(DiskError):
                terminal.log(traceback.format_exc())
        return
    with contextlib.suppress(DiskError):
        terminal.summary([("report", page)])


@contextlib.contextmanager
def _closing(folder: RunWriter) -> Iterator[None]:
    """Leave the right status in the manifest however the run ends, and lose nothing written."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(Exception):
            folder.close(status, reason=str(error) or type(error).__name__)
        raise


def _write_start(folder: RunWriter, spec: Spec, sweep: SweepRun, command: str | None) -> None:
    prepared, device = sweep.first.prepared, sweep.first.device_rows.device
    config = spec.to_yaml()
    folder.write_input(spec.source_text if spec.source_text is not None else config)
    folder.write_config(with_digest(config, prepared.digest))
    folder.start_history(sweep.metrics)
    folder.update_manifest(
        command=command,
        notes=spec.notes,
        device=device_facts(device, sweep),
        data={
            "digest": prepared.digest,
            "source": prepared.summary.source,
            "rows": prepared.summary.rows,
            "columns": prepared.summary.columns,
            "features": prepared.summary.features,
            "outputs": prepared.summary.outputs,
        },
    )


def _write_warnings(folder: RunWriter, read: DataFacts) -> None:
    """Keep for the page what the opening warned of."""
    if told := coarse_texts(read["coarse"], read["model"]):
        folder.add_warnings(told)


def _train(
    sweep: SweepRun, folder: RunWriter, terminal: Terminal, should_stop: Callable[[], int | None]
) -> Scheduler:
    """Train all stacks, with one column as a run shows itself, with more as a sweep does."""
    if not sweep.is_sweep:
        steps, per_epoch = int(sweep.first.budget[0]), sweep.first.steps_per_epoch
        with terminal.progress(steps, -(-steps // per_epoch)) as progress:
            return train(sweep, RunRecorder(sweep, folder, should_stop, progress))
    columns = len(sweep.trials) * sweep.repeats
    with terminal.sweep_progress(columns, sweep.rules.metric) as progress:
        return train(sweep, SweepRecorder(sweep, folder, should_stop, progress))
