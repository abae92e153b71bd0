"""Which columns go into which stacks: of every trial, repeat by repeat, on the rows of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import FirstOrder, Sgd
from trainer.config.schema.spec import Spec, Trial
from trainer.data import Prepared, Source, held_targets, prepare_refit, prepare_split, read
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.repeats import row_splits
from trainer.data.splits.row_split import RowSplit
from trainer.errors import DataError
from trainer.model import MODELS
from trainer.model.lambda_max import lambda_max
from trainer.sweep.planned import Column, Fold, Planned, RowsOf
from trainer.sweep.stopping import EarlyStopper
from trainer.train.device_rows import DeviceRows, put_on_device, raw_weights, shares

if TYPE_CHECKING:
    from trainer.device import Device


@dataclass
class DeviceCache:
    """Rows on the device, those used last; what does not fit is prepared anew when it is needed.

    Attributes:
        device: where to.
        room: bytes that may be held beside what is in use.
    """

    device: Device
    room: float = np.inf
    _held: dict[tuple[Hashable, str], DeviceRows] = field(default_factory=dict)

    def of(self, rows: RowsOf, spec: Spec) -> DeviceRows:
        """The rows of one part, with the weights that a spec gives them."""
        key = rows.key, str(spec.class_weight)
        device_rows = self._held.pop(key, None)
        if device_rows is None:
            device_rows = self._lay(rows, spec)
        self._held[key] = device_rows  # the last used is the last to go
        while len(self._held) > 1 and sum(g.bytes for g in self._held.values()) > self.room:
            del self._held[next(iter(self._held))]
        return device_rows

    def prepared(self, rows: RowsOf) -> Prepared:
        """The rows of one part on the host; those that have left are prepared anew, not kept."""
        there = (held.prepared for (key, _), held in self._held.items() if key == rows.key)
        found = next(there, None)
        return rows.prepare() if found is None else found

    def _lay(self, rows: RowsOf, spec: Spec) -> DeviceRows:
        for (key, _), other in self._held.items():
            if key == rows.key:  # one copy of X for all class weights
                return other.weighted(spec.class_weight)
        return put_on_device(rows.prepare(), spec.class_weight, self.device)


@dataclass
class Sources:
    """The sources of all trials, each read once.

    Attributes:
        arrays: rows passed from Python in their place.
    """

    arrays: Mapping[str, Any] | None = None
    _read: dict[Hashable, Source] = field(default_factory=dict)

    def of(self, spec: Spec) -> Source:
        """What a spec's data come from."""
        key = spec.model, str(spec.data.train), str(spec.data.val), str(spec.data.test)
        if key not in self._read:
            self._read[key] = read(spec, self.arrays)
        return self._read[key]

    @property
    def digest(self) -> str:
        """sha256 (hex) over the bytes of all that was read."""
        digests = sorted({source.hashed.hexdigest() for source in self._read.values()})
        return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def block_key(spec: Spec) -> Hashable:
    """Equal for specs whose rows, encoding and scaling are the same."""
    return spec.model, spec.precision, spec.bias, spec.data.text  # a bias takes up what is centred


def lay_out(trials: Sequence[Trial], sources: Sources) -> list[tuple[RowsOf, Column]]:
    """Every column of every trial with its rows, trial by trial and repeat by repeat.

    The repeats of a trial are its parts (folds or draws), and those again for each further seed.

    Raises:
        DataError: anything wrong with the data, or with how many rows there are of it.
    """
    found: list[tuple[RowsOf, Column]] = []
    known: dict[Hashable, list[RowsOf]] = {}
    for number, trial in enumerate(trials):
        seeds = trial.spec.repeat.seeds if trial.spec.repeat else 1
        repeat = 0
        for seed in range(trial.spec.seed, trial.spec.seed + seeds):
            own = seed == trial.spec.seed
            spec = trial.spec if own else trial.spec.model_copy(update={"seed": seed})
            key = (block_key(spec), str(spec.repeat), _draw_seed(spec))
            if key not in known:
                known[key] = _rows_of(spec, sources)
            for rows in known[key]:
                found.append((rows, Column(number, repeat, spec)))
                repeat += 1
    return found


def _draw_seed(spec: Spec) -> int | None:
    return spec.seed if spec.repeat and spec.repeat.few_shot else None


def _rows_of(spec: Spec, sources: Sources) -> list[RowsOf]:
    source, block = sources.of(spec), block_key(spec)
    return [
        RowsOf(
            (block, part.key),
            partial(prepare_split, source, spec, part),
            partial(held_targets, source, spec, part),
            fold=_fold_of(spec, part),
        )
        for part in row_splits(source, spec)
    ]


def _fold_of(spec: Spec, part: RowSplit) -> Fold | None:
    if spec.repeat is None or spec.repeat.folds is None or part.val is None:
        return None
    return Fold(part.time, len(part.train), len(part.val))


def outputs_of(spec: Spec, sources: Sources) -> int:
    """C of a spec's target."""
    return len(hold_out(sources.of(spec), spec).target.outputs)


def refit_rows(spec: Spec, sources: Sources, rows: str) -> RowsOf:
    """The rows of a last fit: "train" or "train+val"."""
    return RowsOf(
        (block_key(spec), "refit", rows),
        lambda: prepare_refit(sources.of(spec), spec, rows),  # type: ignore[arg-type]
    )


def with_lambda_max(trials: Sequence[Trial], sources: Sources) -> list[Trial]:
    """Trials whose paths of penalties begin where the data say: where all weights become 0."""
    found: dict[Hashable, float] = {}
    resolved = []
    for trial in trials:
        if not trial.fractions:
            resolved.append(trial)
            continue
        spec = trial.spec
        key = block_key(spec), str(spec.class_weight), str(spec.loss), spec.bias
        if key not in found:
            found[key] = largest_l1(prepare_refit(sources.of(spec), spec, "train"), spec)
        resolved.append(trial.with_lambda_max(found[key]))
    return resolved


def largest_l1(prepared: Prepared, spec: Spec) -> float:
    """The least l1 at which all weights are 0.

    Raises:
        DataError: it is 0, but for rounding; or class weights that do not fit the labels.
    """
    train, encoder = prepared.train, prepared.encoder
    codes = train.y.ndim == 1
    y = np.eye(len(encoder.outputs))[train.y] if codes else train.y.astype(np.float64)  # (N, C)
    p = shares(raw_weights(prepared, spec.class_weight))
    far = np.abs(encoder.mean) / encoder.scale  # (D,)
    model = MODELS[spec.model, spec.loss_name].with_parameters(
        {name: np.array([value]) for name, value in spec.loss_parameters.items()}
    )
    found = lambda_max(model, train.X, y, p, spec.bias, far)
    if found == 0:
        raise DataError(
            "no feature says anything of the target, so that a path of penalties has no beginning;"
            " a list of penalties is right"
        )
    return found


def stack_key(spec: Spec) -> Hashable:
    """What columns of one stack have in common; all else of a spec is a number a column.

    Rows are not in it: a stack has one row set.
    """
    o = spec.optimizer
    shuffled = o.batch_size != "full"
    return (
        spec.loss_name,
        str(spec.class_weight),
        spec.bias,
        o.name,
        o.nesterov if isinstance(o, Sgd) else False,
        o.batch_size,
        spec.seed if shuffled else None,
        (o.schedule.name, o.schedule.milestones)
        if isinstance(o, FirstOrder)
        else has_l1(spec.penalty),
        o.steps is None,
    )


def stacks_of(columns: Sequence[tuple[RowsOf, Column]]) -> list[Planned]:
    """Columns on the same rows that differ only in numbers, together, in order of appearance."""
    groups: dict[Hashable, Planned] = {}
    for rows, column in columns:
        key = rows.key, stack_key(column.spec)
        if key not in groups:
            together: list[Column] = []
            groups[key] = Planned(rows, together, together)
        groups[key].columns.append(column)
    return list(groups.values())


def early_stopping(specs: Sequence[Spec]) -> EarlyStopper:
    """The early stopping of T trials, of which each may have its own rule, or none."""
    rules = [spec.early_stopping for spec in specs]
    return EarlyStopper(
        metric=[rule.metric if rule else "" for rule in rules],
        sign=np.array([1.0 if not rule or is_minimized(rule.metric) else -1.0 for rule in rules]),
        patience=np.array([rule.patience if rule else np.inf for rule in rules]),
        min_delta=np.array([rule.min_delta if rule else 0.0 for rule in rules]),
        restore_best=np.array([bool(rule and rule.restore_best) for rule in rules]),
    )
