"""A run before it trains: its trials, their columns in stacks, the rules they are judged by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import facts_of, is_minimized, metrics_of
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import Spec, Trial
from trainer.config.schema.sweep import SHOTS
from trainer.data.separate import SeparateTargets
from trainer.errors import DataError
from trainer.machine.interrupted import ShouldStop, ask
from trainer.model.metrics import Targets
from trainer.predict.init_weights import check_init
from trainer.sweep.build import (
    Columns,
    build,
    metric_names,
    steps_per_unit,
)
from trainer.sweep.columns import (
    Layout,
    Sources,
    block_key,
    early_stopping,
    has_numbers,
    lay_out,
    outputs_of,
    stacks_of,
    targets_of,
    with_lambda_max,
)
from trainer.sweep.device_cache import DeviceCache
from trainer.sweep.fit_memory import Arrangement, arrange, rows_share
from trainer.sweep.jobs import Job, make_jobs, run
from trainer.sweep.model_of import model_of
from trainer.sweep.planned import Column, RowsOf
from trainer.sweep.scheduler import Observer, Scheduler
from trainer.sweep.stopping import Halving, Rules
from trainer.sweep.unheard import Unheard
from trainer.text.numbers import counted
from trainer.wording.repeats import repeat_word
from trainer.wording.undefined import nowhere_text

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.text.saved import Saved

_MOST_RECORDS = 10_000_000  # of a sweep's step log


@dataclass
class SweepRun:
    """All that a run needs to train. A plain run is a sweep of one trial and one repeat.

    Attributes:
        spec: as it was loaded.
        trials: each with its own spec.
        repeats: R, columns a trial.
        sources: of the rows.
        cache: rows on the device.
        first: the first stack's columns, for what all share.
        rules: how trials are judged.
        arrangement: the stacks.
        jobs: the same in training, in the same order.
        log_every: steps between records of the step log.
        metrics: the names of an evaluation's metrics; trials on other targets may have a few each.
        layout: the columns as they were laid out.
        targets: those that are problems of their own; None where the target is one.
    """

    spec: Spec
    trials: Sequence[Trial]
    repeats: int
    sources: Sources
    cache: DeviceCache
    first: Columns
    rules: Rules
    arrangement: Arrangement
    jobs: list[Job]
    log_every: int
    metrics: Sequence[str]
    layout: Layout
    targets: SeparateTargets | None = None

    @property
    def repeat_block(self) -> Mapping[str, Any] | None:
        """The config's `repeat`, as plain values."""
        return self.spec.repeat.tree() if self.spec.repeat is not None else None

    @property
    def is_sweep(self) -> bool:
        """Whether there is more than one column, or targets each with a winner."""
        return len(self.trials) * self.repeats > 1 or self.targets is not None

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.layout.columns)

    @property
    def inner_columns(self) -> int:
        """How many of them are of inner folds."""
        return sum(column.repeat >= self.repeats for _, column in self.layout.columns)

    def repeats_of(self, target: int) -> int:
        """How many repeats a target has; one of which the rows lack something has fewer."""
        return self.repeats - self.layout.repeats_lacking(target)

    def trial(self, number: int, target: int = 0) -> Trial:
        """A trial, with the path of penalties that it has for a target."""
        trial = self.trials[number]
        if self.targets is None or not trial.fractions:
            return trial
        return trial.with_lambda_max(self.sources.lambda_max(trial.spec)[target])

    @property
    def takes_steps(self) -> bool:
        """Whether a stack takes steps of an optimizer, rather than going to the optimum."""
        return any(not isinstance(one.spec.optimizer, Solver) for one in self.arrangement.stacks)

    @property
    def shared_row_sets(self) -> int:
        """How many row sets have their rows in a stack with others'."""
        return len({rows.key for one in self.arrangement.stacks for rows in one.rows.sets})

    @property
    def in_step(self) -> bool:
        """Whether stacks wait for each other at evaluations."""
        stops = bool(self.rules.stopping.watched.any()) and self.repeats > 1
        return self.rules.halving is not None or stops


def set_up(
    spec: Spec,
    arrays: Mapping[str, Any] | None,
    device: Device,
    arranged: Saved | None = None,
) -> SweepRun:
    """Read the data and arrange the columns of every trial.

    Args:
        spec: of the run.
        arrays: rows passed from Python in the place of files.
        device: where to train.
        arranged: the record of an arrangement, to have its stacks and threads again.

    Raises:
        ValueError: `arranged` is of other columns.
        DataError: anything wrong with the data, or a metric that the targets do not have.
        DeviceError: a GPU that is full, or a device without the precision that a trial asks for.
    """
    if any(trial.spec.precision == "tf32" for trial in spec.trials):
        device.check_tf32()
    return set_up_on(spec, spec.trials, Sources(arrays), device, arranged)


def set_up_on(
    spec: Spec,
    trials: Sequence[Trial],
    sources: Sources,
    device: Device,
    arranged: Saved | None = None,
) -> SweepRun:
    """Arrange the columns of trials on sources that may have been read.

    Args:
        spec: says the rules.
        trials: of it, or the same with other targets.
        sources: of their rows.
        device: where to train.
        arranged: as `set_up`.

    Raises:
        ValueError, DataError, DeviceError: as `set_up`.
    """
    trials = with_lambda_max(trials, sources)
    layout = lay_out(trials, sources)
    columns = layout.columns
    planned = stacks_of(columns)
    cache = DeviceCache(device)
    device_rows = cache.of(planned[0].rows, planned[0].spec, planned[0].target)
    log_every = _log_every(spec, columns, len(device_rows.rows))
    repeats = len(layout.values)
    device_rows = cache.laid(planned[0])
    first = build([column.spec for column in planned[0].columns], device_rows, log_every)
    separate = spec.targets == "separate"
    targets = targets_of(sources, trials[0].spec) if separate else None
    held = device_rows.prepared.val is not None or _leaves_out(spec)
    rules = _rules(spec, trials, held, len(targets.names) if targets else 1)
    metrics = _metrics(spec, trials, rules.metric, sources)
    _check_defined(columns, rules, sources)
    block = block_key(trials[0].spec)
    same = [trial.spec for trial in trials if block_key(trial.spec) == block]
    for one in {str(one.init): one for one in same}.values():
        check_init(one, device_rows.prepared.encoder)
    restores = bool(rules.stopping.restore_best.any())
    arrangement = arrange(planned, device_rows, restores, arranged)
    if rules.halving is None and not (rules.stopping.watched.any() and repeats > 1):
        # stacks go one after another, and rows that no stack is on need not wait for others
        cache.room = arrangement.threads * device_rows.bytes
    else:
        cache.room = rows_share(device)
    whole = arrangement.stacks[0].columns == planned[0].columns  # not so where it was cut
    jobs = make_jobs(arrangement, cache, rules, log_every, first if whole else None)
    laid_out = first, rules, arrangement, jobs, log_every, metrics, layout, targets
    return SweepRun(spec, trials, repeats, sources, cache, *laid_out)


def _leaves_out(spec: Spec) -> bool:
    """Whether each row is val for the model of all others."""
    return spec.repeat is not None and spec.repeat.leave_one_out


def train(sweep: SweepRun, observer: Observer, saved: Saved | None = None) -> Scheduler:
    """Train all stacks of a sweep to their ends.

    Args:
        sweep: as it was set up, with the arrangement of the record if there is one.
        observer: hears what happens; its `should_stop` ends the training.
        saved: the record of a scheduler of the same sweep, to go on from.

    Raises:
        ValueError: `saved` is of other stacks.
    """
    return run(sweep.jobs, sweep.rules, observer, sweep.arrangement, saved)


def train_again(
    sweep: SweepRun, trials: Sequence[Trial], sources: Sources, should_stop: ShouldStop
) -> SweepRun | None:
    """The same trials by the same rules on other labels, at their ends.

    Args:
        sweep: of the run.
        trials: its own, or these with targets that are problems of their own.
        sources: of their rows.
        should_stop: ends it.

    Returns:
        A run that no log has heard of; None where these labels cannot be split as the run's were.

    Raises:
        Interrupted: `should_stop()`.
    """
    device = sweep.first.device_rows.device
    spec = sweep.spec.model_copy(update={"targets": trials[0].spec.targets})
    try:
        found = set_up_on(spec, trials, sources, device)
    except DataError:
        return None
    train(found, Unheard(should_stop))
    ask(should_stop)  # else what was cut short would count
    return found


def _rules(spec: Spec, trials: Sequence[Trial], held: bool, targets: int) -> Rules:
    wanted = spec.sweep.metric if spec.sweep else None
    metric = wanted.name if wanted else "val_loss" if held else "train_loss"
    stopping = early_stopping([trial.spec for trial in trials], targets)
    halving = None
    if spec.sweep is not None and spec.sweep.early_terminate is not None:
        rule = spec.sweep.early_terminate
        group = _groups(spec, trials)[:, None] * targets + np.arange(targets)  # (trials, targets)
        halving = Halving(rule.min_iter, rule.eta, group.reshape(-1))
    return Rules(metric, 1.0 if is_minimized(metric) else -1.0, stopping, halving, targets)


def _groups(spec: Spec, trials: Sequence[Trial]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which trials compete: those with the same values of `select.per`, and of few_shot's k."""
    paths = [*spec.select.per, *SHOTS]
    keys = [tuple(str(trial.settings.get(path)) for path in paths) for trial in trials]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys])


def _metrics(whole: Spec, trials: Sequence[Trial], ranking: str, sources: Sources) -> list[str]:
    """The metrics of all trials.

    Raises:
        DataError: one is asked for that a target does not have, such as top5 of three classes.
    """
    found: dict[str, None] = {}
    outputs: dict[Hashable, int] = {}
    checked: set[Hashable] = set()
    for trial in trials:
        spec, block = trial.spec, block_key(trial.spec)
        folds = spec.repeat is not None and spec.repeat.brings_val
        stopping = spec.early_stopping.metric if spec.early_stopping else ranking
        if (block, folds, stopping) in checked:
            continue
        checked.add((block, folds, stopping))
        if block not in outputs:
            outputs[block] = outputs_of(spec, sources)
        known = metric_names(spec, outputs[block], held=spec.data.val != "none" or folds)
        found |= dict.fromkeys(known)
        watched = {stopping: "early_stopping.metric", ranking: "sweep.metric.name"}
        for name, key in watched.items():
            if name not in known:
                raise _not_measured(key, name, outputs[block], known)
        able = metrics_of(spec.model, outputs[block])
        for name in () if isinstance(whole.metrics, str) else whole.metrics:
            if name not in able:
                raise _not_measured("metrics", name, outputs[block], able)
        _check_numbers(spec, watched, sources)
    return list(found)


def _not_measured(key: str, name: str, outputs: int, known: Sequence[str]) -> DataError:
    return DataError(
        f"{key}: {name} is not measured for this target with {counted(outputs, 'output')};"
        f" {', '.join(known)} are"
    )


def _check_numbers(spec: Spec, watched: Mapping[str, str], sources: Sources) -> None:
    """Refuse a metric of labels that are numbers where they are words.

    Raises:
        DataError: there is one; of those that are `watched` {metric: key} at their key.
    """
    asked = [name for name in spec.named_metrics if facts_of(name).of_numbers]
    if asked and not has_numbers(spec, sources):
        name = asked[0]
        key = watched.get(f"val_{name}", "metrics")
        raise DataError(
            f"{key}: {name} is of labels that are numbers, and this target's are words; numbers in"
            " their order are right, or another metric"
        )


def _check_defined(
    columns: Sequence[tuple[RowsOf, Column]], rules: Rules, sources: Sources
) -> None:
    """Refuse a metric that decides and that the validation rows of no column define.

    Raises:
        DataError: there is one.
    """
    stopping = rules.stopping.metric
    watched = [("early_stopping.metric", name) for name in dict.fromkeys(stopping) if name]
    for key, name in [("sweep.metric.name", rules.metric), *watched]:
        stops = key.startswith("early")
        rows = {
            r.key: (r, c.spec)
            for r, c in columns
            if not stops or stopping[rules.candidate(c.trial, c.target)] == name
        }
        if facts_of(name).needs and not any(_defines(*one, name, sources) for one in rows.values()):
            word = word_for_repeats(columns[0][1].spec)
            raise DataError(f"{key}: {nowhere_text(name, len(rows), word)}")


def word_for_repeats(spec: Spec) -> str:
    """What a repeat of a spec is called: a fold, a draw, a repeat."""
    return repeat_word(spec.repeat.model_dump() if spec.repeat else None)


def _defines(rows: RowsOf, spec: Spec, name: str, sources: Sources) -> bool:
    """Whether the validation rows of one repeat define a metric, whatever is predicted for them."""
    held = rows.held()
    if held is None:
        return True
    y, weight = held
    metrics, w = model_of(spec).metrics, np.asarray(weight, np.float64)
    # of targets that are problems of their own one is enough
    separate = spec.targets == "separate"
    parts = np.split(y, y.shape[1], axis=1) if separate else [y]
    outputs = 1 if separate else outputs_of(spec, sources)
    told = (Targets(part, w, np.ones(outputs), outputs) for part in parts)
    return any(name.removeprefix("val_") not in metrics.undefined(of) for of in told)


def _log_every(spec: Spec, columns: Sequence[tuple[RowsOf, Column]], rows: int) -> int:
    """Steps between records: 1, or what keeps the log of a sweep under ten million rows."""
    if spec.log.every != "auto":
        return spec.log.every
    steps = sum(
        (o.steps or (o.epochs or 0) * steps_per_unit(column.spec, rows))
        for _, column in columns
        for o in [column.spec.optimizer]
    )
    every = 1
    while steps / every > _MOST_RECORDS and len(columns) > 1:
        every = _rounder(every)
    return every


def _rounder(every: int) -> int:
    """1, 2, 5, 10, 20, …: the next."""
    digits = str(every)
    return {"1": 2, "2": 5, "5": 10}[digits[0]] * int(10 ** (len(digits) - 1))
