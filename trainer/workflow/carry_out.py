"""Carry out a run, from the rows to its page: new ones, and those that go on."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import Spec
from trainer.console.interrupt import Interrupt
from trainer.console.terminal import Terminal
from trainer.device import Device
from trainer.errors import DiskError, RunFolderError, TrainerError
from trainer.predict.fitted_model import FIELDS as MODEL_FIELDS
from trainer.runs.data_note import with_digest
from trainer.runs.names import CHECKPOINTS, LOG, REPORT
from trainer.runs.writer import RunWriter
from trainer.sweep.permutation import least_arrangements
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.sweep import SweepRun, set_up, train
from trainer.text.printable import Verbatim, first_line
from trainer.text.saved import Saved
from trainer.text.windows import quoted
from trainer.wording.caveats import coarse_texts
from trainer.wording.closing import resume_command
from trainer.wording.opening import DataFacts, opening
from trainer.workflow.checkpoints import FACTS, SWEEP, Checkpoints
from trainer.workflow.compiling import compile_for
from trainer.workflow.end_room import end_room
from trainer.workflow.facts import config_facts, data_facts, device_facts, training_facts
from trainer.workflow.loaded import Run
from trainer.workflow.outputs import write_outputs
from trainer.workflow.recorder import RunRecorder, SweepRecorder
from trainer.workflow.report import draw_report
from trainer.workflow.tables_so_far import TablesSoFar
from trainer.workflow.target_outputs import write_target_outputs

_MISFITS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
"""What comes of numbers of other shapes and types than the code knows."""


class Ready(NamedTuple):
    """What is there before the folder: the spec, its columns on their rows, what was read.

    `config` is the text of the spec, resolved.
    """

    spec: Spec
    sweep: SweepRun
    read: DataFacts
    config: str

    @property
    def device(self) -> Device:
        """Where it trains."""
        return self.sweep.first.device_rows.device


def announce(device: Device, spec: Spec, terminal: Terminal) -> None:
    """Say what was asked for, and compile what a GPU needs for it."""
    terminal.summary(opening({"config": config_facts(spec)}))
    compile_for(device, spec, terminal.line)


def get_ready(
    device: Device,
    spec: Spec,
    data: Mapping[str, Any] | None,
    terminal: Terminal,
    saved: Saved | None = None,
) -> Ready:
    """Read the rows, say what they are, and lay out the columns.

    Args:
        device: where it trains.
        spec: of the run.
        data: rows in place of its files.
        terminal: hears of it.
        saved: the scheduler's record, of a run that goes on.

    Raises:
        DataError, DeviceError: as `trainer.run`.
        ValueError: `saved` is of other columns.
    """
    with device.enough_memory():
        sweep = set_up(spec, data, device, saved and saved["arrangement"])
        if spec.permutation_test is not None:
            least_arrangements(sweep)  # before hours of training, if nothing can move
    read = data_facts(sweep.first.prepared.summary, spec, sweep.targets)
    terminal.summary(opening({"data": read}))
    return Ready(spec, sweep, read, spec.to_yaml())


def carry_out(
    ready: Ready,
    folder: RunWriter,
    terminal: Terminal,
    command: str | None,
    should_stop: Callable[[], int | None],
    begin: Callable[[], None] = lambda: None,
    saved: Saved | None = None,
) -> Run:
    """Train, write everything and draw the page.

    Args:
        ready: what is trained.
        folder: that it goes into.
        terminal: shows it.
        command: the command line, for the manifest.
        should_stop: says whether a signal came.
        begin: writes what a new folder begins with.
        saved: the checkpoint that the run goes on from.

    Raises:
        DiskError: the disk refused; all that it took is there.
    """
    spec, sweep, read, _ = ready
    folder.tell = terminal.error
    if isinstance(should_stop, Interrupt):
        should_stop.last_act = folder.end_at_once
    terminal.attach(_log(folder), folder.log_path)
    checkpoints = Checkpoints(folder, spec, (saved or {}).get(FACTS) or facts_of(ready), saved)
    with _closing(folder), ready.device.enough_memory():
        terminal.summary(opening(training_facts(sweep, folder.path)))
        if short := folder.reserve(*end_room(sweep)):
            terminal.error(f"warning: {short}")
        begin()
        folder.start_history(sweep.metrics, sweep.targets is not None)
        _write_facts(folder, ready, command)
        _write_warnings(folder, read)
        with _fitting(folder, saved):
            scheduler = _train(sweep, folder, terminal, should_stop, checkpoints)
            products = ready.device.products
            if products is not None and products.failed:
                terminal.line(f"steps were launched one by one: {products.failed}")
            write = write_outputs if sweep.targets is None else write_target_outputs
            status = write(folder, sweep, scheduler, terminal, should_stop, checkpoints)
        if status == "interrupted" and checkpoints.count:
            terminal.summary([("resume", Verbatim(resume_command(folder.path)))])
        refusal = _refusal(lambda: folder.close(status, **checkpoints.told()))
    # the page shows what there is, whatever the disk refused before
    refused = _refusal(lambda: _draw(folder, terminal))
    terminal.log_path = folder.log_path
    if (first := refusal or refused) is not None:
        raise first
    return Run(folder.path)


def facts_of(ready: Ready) -> Saved:
    """What a process that goes on with a run must have alike."""
    config = ready.config.encode("utf-8", "surrogatepass")
    return {
        "config": hashlib.sha256(config).hexdigest(),
        "data": ready.sweep.sources.digest,
        "init": _init_digest(ready.spec),
        "device": ready.device.kind,
    }


def _init_digest(spec: Spec) -> str | None:
    """sha256 (hex) of the models that `init` names, whose model.json has that of their weights."""
    starts = {trial.spec.init for trial in spec.trials if isinstance(trial.spec.init, str)}
    models = [Path(folder, MODEL_FIELDS) for folder in sorted(starts - {"zeros"})]
    found = hashlib.sha256()
    for path in models:
        with contextlib.suppress(OSError):  # a trial that cannot begin says so when it does
            found.update(path.read_bytes())
    return found.hexdigest() if models else None


def write_start(folder: RunWriter, ready: Ready) -> None:
    """Write what a new folder begins with: the config as it was written, and resolved."""
    spec, config = ready.spec, ready.config
    folder.write_input(spec.source_text if spec.source_text is not None else config)
    folder.write_config(with_digest(config, ready.sweep.sources.digest))


def _write_facts(folder: RunWriter, ready: Ready, command: str | None) -> None:
    """Put into the manifest what was asked for, and what was found."""
    summary = ready.sweep.first.prepared.summary
    folder.update_manifest(
        command=command,
        notes=ready.spec.notes,
        device=device_facts(ready.device, ready.sweep),
        stacks=ready.sweep.arrangement.facts(),
        data={
            "digest": ready.sweep.sources.digest,
            "source": summary.source,
            "rows": summary.rows,
            "columns": summary.columns,
            "features": summary.features,
            "outputs": ready.read["outputs"],
        },
    )


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
        folder.write_report(draw_report(folder.place))
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
        terminal.summary([("report", folder.path / REPORT)])


@contextlib.contextmanager
def _closing(folder: RunWriter) -> Iterator[None]:
    """Leave the right status in the manifest however the run ends, and lose nothing written."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(Exception):
            folder.close(status, reason=str(error) or type(error).__name__)
        folder.files.release()
        raise


@contextlib.contextmanager
def _fitting(folder: RunWriter, saved: Saved | None) -> Iterator[None]:
    """Let numbers of a checkpoint that do not fit the run be a line: anybody may have made them.

    Raises:
        RunFolderError: they do not; run.log has where.
    """
    try:
        yield
    except _MISFITS as error:
        if saved is None:
            raise
        with contextlib.suppress(DiskError):
            folder.log(traceback.format_exc())
        what = f"{type(error).__name__}: {first_line(error)}".removesuffix(": ")
        raise RunFolderError(
            f"{folder.path / CHECKPOINTS}: the run cannot go on from it ({what}); without that"
            f" folder it starts over; if this program wrote it, please report it with {LOG}"
        ) from error


def _write_warnings(folder: RunWriter, read: DataFacts) -> None:
    """Keep for the page what the opening warned of."""
    if told := coarse_texts(read["coarse"], read["model"]):
        folder.add_warnings(told)


def _train(
    sweep: SweepRun,
    folder: RunWriter,
    terminal: Terminal,
    should_stop: Callable[[], int | None],
    checkpoints: Checkpoints,
) -> Scheduler:
    """Train all stacks, with one column as a run shows itself, with more as a sweep does."""
    given, saved = (sweep, folder, should_stop, checkpoints), checkpoints.saved(SWEEP)
    if not sweep.is_sweep:
        steps, per_epoch = int(sweep.first.budget[0]), sweep.first.steps_per_epoch
        solves, goes_on = sweep.first.solver is not None, saved is not None
        epochs, unit = (None, "iteration") if solves else (-(-steps // per_epoch), "epoch")
        with terminal.progress(steps, epochs, unit, goes_on) as progress:
            return train(sweep, RunRecorder(*given, progress), saved)
    keep = TablesSoFar(folder, sweep).write_if_due
    with terminal.sweep_progress(sweep.columns, sweep.rules.metric, saved is not None) as progress:
        return train(sweep, SweepRecorder(*given, progress, keep), saved)
