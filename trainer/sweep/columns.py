"""Which columns go into which stacks: of every trial, repeat by repeat, on the rows of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import FirstOrder, Sgd
from trainer.config.schema.spec import Spec, Trial
from trainer.config.schema.sweep import too_many
from trainer.data import Prepared, Source, held_targets, prepare_refit, prepare_split, read
from trainer.data.separate import SeparateTargets, common_rows, separate_targets, splits_of
from trainer.data.splits.given_folds import always_trained
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.repeats import row_splits, why_left_out
from trainer.data.splits.row_split import RowSplit
from trainer.errors import DataError
from trainer.model import MODELS
from trainer.model.lambda_max import lambda_max
from trainer.sweep.lacking import fewer_of, lacking_of
from trainer.sweep.planned import Column, Fold, Planned, RowsOf, common_target
from trainer.sweep.stopping import EarlyStopper
from trainer.text.printable import quote
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
    _held: dict[tuple[Hashable, str, int | None], DeviceRows] = field(default_factory=dict)

    def of(self, rows: RowsOf, spec: Spec, target: int | None = None) -> DeviceRows:
        """The rows of one part with the weights that a spec gives them, for a target or for all."""
        key = rows.key, str(spec.class_weight), target
        device_rows = self._held.pop(key, None)
        if device_rows is None:
            device_rows = self._lay(rows, spec, target)
        self._held[key] = device_rows  # the last used is the last to go
        while len(self._held) > 1 and self._bytes > self.room:
            del self._held[next(iter(self._held))]
        return device_rows

    @property
    def _bytes(self) -> int:
        """Of all that is held; rows for several targets or class weights are there once."""
        return sum({key: rows.bytes for (key, *_), rows in self._held.items()}.values())

    def prepared(self, rows: RowsOf) -> Prepared:
        """The rows of one part on the host; those that have left are prepared anew, not kept."""
        there = (held.prepared for (key, *_), held in self._held.items() if key == rows.key)
        found = next(there, None)
        return rows.prepare() if found is None else found

    def _lay(self, rows: RowsOf, spec: Spec, target: int | None) -> DeviceRows:
        place = None if target is None else list(rows.targets).index(target)
        for (key, *_), other in self._held.items():
            if key == rows.key:  # one copy of X for all targets and class weights
                return other.weighted(spec.class_weight, place)
        return put_on_device(rows.prepare(), spec.class_weight, self.device, place)


@dataclass
class Sources:
    """The sources of all trials, each read once.

    Attributes:
        arrays: rows passed from Python in their place.
    """

    arrays: Mapping[str, Any] | None = None
    _read: dict[Hashable, Source] = field(default_factory=dict)
    _lambda_max: dict[Hashable, Mapping[int, float]] = field(default_factory=dict)

    def of(self, spec: Spec) -> Source:
        """What a spec's data come from."""
        folds = spec.repeat.folds if spec.repeat is not None else None
        of_data = str(spec.data.train), str(spec.data.val), str(spec.data.test)
        key = spec.model, *of_data, str(folds)  # which a column may name
        if key not in self._read:
            self._read[key] = read(spec, self.arrays)
        return self._read[key]

    def lambda_max(self, spec: Spec) -> Mapping[int, float]:
        """By target the least l1 at which all its weights are 0, of targets that are separate."""
        key = block_key(spec), str(spec.class_weight), str(spec.loss), spec.bias
        if key not in self._lambda_max:
            self._lambda_max[key] = {
                target: largest_l1(prepared.of_target(place), spec)
                for rows in refit_rows(spec, self, "train")
                for prepared in [rows.prepare()]
                for place, target in enumerate(rows.targets)
            }
        return self._lambda_max[key]

    @property
    def digest(self) -> str:
        """sha256 (hex) over the bytes of all that was read."""
        digests = sorted({source.hashed.hexdigest() for source in self._read.values()})
        return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def block_key(spec: Spec) -> Hashable:
    """Equal for specs whose rows, encoding and scaling are the same."""
    # a bias takes up what is centred
    return spec.model, spec.precision, spec.bias, spec.data.text, spec.targets


class Family(NamedTuple):
    """Trials on the same rows: the first one's place among all, and the rows of its repeats."""

    trial: int
    repeats: Sequence[RowsOf]


class Layout(NamedTuple):
    """The columns of a run, and what is to be said of their repeats.

    Attributes:
        columns: each with its rows, trial by trial and repeat by repeat.
        values: by repeat what the data call a fold: a group, a value of a column; None otherwise.
        left_out: {name of a repeat that no trial has: what its rows lack}.
        families: trials that have the same rows in all repeats, in the order of their first.
        always: training rows that no fold of a column holds out.
        lacking: {target: {what its rows lack: in how many repeats}} of separate targets that have
            fewer repeats than others, in every trial.
    """

    columns: list[tuple[RowsOf, Column]]
    values: list[str | None]
    left_out: dict[str, str]
    families: Sequence[Family]
    always: int = 0
    lacking: Mapping[int, Mapping[str, int]] = MappingProxyType({})

    def repeats_lacking(self, target: int) -> int:
        """How many of the repeats a target does not have."""
        return sum(self.lacking.get(target, {}).values())

    @property
    def first_repeats(self) -> dict[int, int]:
        """By target the first repeat that it has."""
        return {column.target: column.repeat for _, column in reversed(self.columns)}


def lay_out(trials: Sequence[Trial], sources: Sources) -> Layout:
    """Every column of every trial with its rows.

    The repeats of a trial are its parts (folds, draws, resamples), and those again for each further
    seed. A part whose rows lack something in one trial is left out of all, so that their means
    are over the same.

    Raises:
        DataError: anything wrong with the data, or with how many rows there are of it.
    """
    known: dict[Hashable, list[list[RowsOf]]] = {}
    found = [_repeats_of(trial.spec, sources, known) for trial in trials]
    for number, repeats in enumerate(found):
        if len(repeats) != len(found[0]):
            raise DataError(
                f"repeat.folds: trial {number} has {len(repeats)} folds, trial 0 has"
                f" {len(found[0])}; data of as many folds in every trial are right"
            )
    left_out, lacking = lacking_of([[groups for groups, _ in of] for of in found])
    kept = [i for i in range(len(found[0])) if i not in left_out]
    if not kept:
        name, lacks = next(iter(left_out.values()))
        raise DataError(
            f"repeat: {name} has no {lacks} to train on or to hold out, and so it is with"
            f" all {len(left_out)} repeats; more rows of it are right"
        )
    laid = Layout(
        [
            (rows, Column(number, repeat, _own_spec(trials[number], spec, sources, t), t))
            for number, repeats in enumerate(found)
            for repeat, i in enumerate(kept)
            for groups, spec in [repeats[i]]
            for rows in groups
            for t in rows.targets
            if (i, t) not in lacking
        ],
        [found[0][i][0][0].value for i in kept],
        {name: lacks for _, (name, lacks) in sorted(left_out.items())},
        _families(trials, [[repeats[i][0][0] for i in kept] for repeats in found]),
        always_trained(sources.of(trials[0].spec), trials[0].spec),
        fewer_of(lacking, left_out),
    )
    _check_each_has_one(laid, trials[0].spec, sources, len(kept))
    return laid


def _check_each_has_one(laid: Layout, spec: Spec, sources: Sources, repeats: int) -> None:
    """Refuse targets that have no repeat in all trials.

    Raises:
        DataError: there is one.
    """
    target = next((t for t in laid.lacking if laid.repeats_lacking(t) == repeats), None)
    if target is not None:
        name, what = targets_of(sources, spec).names[target], next(iter(laid.lacking[target]))
        raise DataError(
            f"targets: separate: {quote(name)} has no repeat that all trials have: the first lacks"
            f" {what}; more labels of it are right, or a config without it"
        )


def _families(trials: Sequence[Trial], repeats: Sequence[Sequence[RowsOf]]) -> list[Family]:
    families: dict[Hashable, Family] = {}
    for number, (trial, rows) in enumerate(zip(trials, repeats, strict=True)):
        spec = trial.spec
        key = block_key(spec), *((str(spec.repeat), spec.seed) if spec.repeat else ())
        families.setdefault(key, Family(number, rows))
    return list(families.values())


def _repeats_of(
    spec: Spec, sources: Sources, known: dict[Hashable, list[list[RowsOf]]]
) -> list[tuple[list[RowsOf], Spec]]:
    """The repeats of a trial, with the spec that each has."""
    found: list[tuple[list[RowsOf], Spec]] = []
    seeds = spec.repeat.seeds if spec.repeat else 1
    for seed in range(spec.seed, spec.seed + seeds):
        of_seed = spec if seed == spec.seed else spec.model_copy(update={"seed": seed})
        key = (block_key(of_seed), str(spec.repeat), _draw_seed(of_seed))
        if key not in known:
            known[key] = _rows_of(of_seed, sources)
        found += [(groups, of_seed) for groups in known[key]]
    return found


def _own_spec(trial: Trial, spec: Spec, sources: Sources, target: int) -> Spec:
    """The spec of a trial for one target, whose path of penalties begins where its data say."""
    if not trial.fractions:
        return spec
    penalty = trial.with_lambda_max(sources.lambda_max(spec)[target]).spec.penalty
    return spec.model_copy(update={"penalty": penalty})


def _draw_seed(spec: Spec) -> int | None:
    return spec.seed if spec.repeat and spec.repeat.draws_rows else None


def _rows_of(spec: Spec, sources: Sources) -> list[list[RowsOf]]:
    """By repeat the rows of all targets that are trained together, of those that have the same."""
    source, block = sources.of(spec), block_key(spec)
    if spec.targets == "separate":
        apart = splits_of(source, spec, row_splits)
        # of draws of each target's classes there is no row set of all
        own = spec.repeat is not None and spec.repeat.few_shot is not None
        common = [None] * len(apart) if own else [p.whole for p in row_splits(source, spec)]
        return [
            [
                replace(
                    _rows(group.source, spec, part, (block, part.key, at), group.numbers.tolist()),
                    split=split,
                    lacking=lacks,
                )
                for at, (group, part, lacks) in enumerate(groups)
            ]
            for groups, split in zip(apart, common, strict=True)
        ]
    parts = row_splits(source, spec)
    if (what := too_many(1, len(parts))) is not None:  # of folds that the data name
        raise DataError(f"repeat: {what}")
    return [[_rows(source, spec, part, (block, part.key))] for part in parts]


def _rows(
    source: Source, spec: Spec, part: RowSplit, key: Hashable, targets: Sequence[int] = (0,)
) -> RowsOf:
    given, repeat = (source, spec, part), spec.repeat
    of_seed = f", seed {spec.seed}" if repeat is not None and repeat.seeds > 1 else ""
    repeated = repeat is not None and (repeat.holds_out or repeat.draws_rows)
    return RowsOf(
        key,
        partial(prepare_split, *given),
        partial(held_targets, *given),
        targets,
        part.name + of_seed,
        part.value,
        why_left_out(*given) if repeated and spec.targets == "joint" else "",
        part.whole,
        _fold_of(spec, part),
    )


def targets_of(sources: Sources, spec: Spec) -> SeparateTargets:
    """The targets of a spec that are problems of their own."""
    return separate_targets(sources.of(spec), spec, row_splits)


def _fold_of(spec: Spec, part: RowSplit) -> Fold | None:
    if spec.repeat is None or spec.repeat.folds is None:
        return None
    rows = part.whole()
    return None if rows.val is None else Fold(part.time, len(rows.train), len(rows.val))


def outputs_of(spec: Spec, sources: Sources) -> int:
    """C of a spec's target; of each of several that are problems of their own."""
    if spec.targets == "separate":
        return 1
    return len(hold_out(sources.of(spec), spec).target.outputs)


def has_numbers(spec: Spec, sources: Sources) -> bool:
    """Whether a spec's classes are numbers."""
    return hold_out(sources.of(spec), spec).target.numbers is not None


def refit_rows(spec: Spec, sources: Sources, rows: str) -> list[RowsOf]:
    """The rows of a last fit: "train" or "train+val"; of several targets those that share them."""
    source, key = sources.of(spec), (block_key(spec), "refit", rows)
    if spec.targets == "joint":
        return [RowsOf(key, partial(prepare_refit, source, spec, rows))]  # type: ignore[arg-type]
    groups = separate_targets(source, spec, row_splits).groups
    common = common_rows(source, spec, rows) if len(groups) > 1 else None
    return [
        RowsOf(
            (*key, at),
            partial(prepare_refit, group.source, spec, rows, common),  # type: ignore[arg-type]
            targets=group.numbers.tolist(),
        )
        for at, group in enumerate(groups)
    ]


def with_lambda_max(trials: Sequence[Trial], sources: Sources) -> list[Trial]:
    """Trials whose paths of penalties begin where the data say: where all weights become 0."""
    found: dict[Hashable, float] = {}
    resolved = []
    for trial in trials:
        if not trial.fractions or trial.spec.targets == "separate":  # then each has its own
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
    specs = {id(column.spec): column.spec for _, column in columns}  # a trial's repeats have one
    keys = {number: stack_key(spec) for number, spec in specs.items()}
    for rows, column in columns:
        key = rows.key, common_target(column), keys[id(column.spec)]
        if key not in groups:
            together: list[Column] = []
            groups[key] = Planned(rows, together, together)
        groups[key].columns.append(column)
    return list(groups.values())


def early_stopping(specs: Sequence[Spec], targets: int = 1) -> EarlyStopper:
    """The early stopping of trials, of which each may have its own rule, or none.

    Args:
        specs: of the trials.
        targets: how many candidates each is, one a target that is a problem of its own.
    """
    rules = [spec.early_stopping for spec in specs for _ in range(targets)]
    return EarlyStopper(
        metric=[rule.metric if rule else "" for rule in rules],
        sign=np.array([1.0 if not rule or is_minimized(rule.metric) else -1.0 for rule in rules]),
        patience=np.array([rule.patience if rule else np.inf for rule in rules]),
        min_delta=np.array([rule.min_delta if rule else 0.0 for rule in rules]),
        restore_best=np.array([bool(rule and rule.restore_best) for rule in rules]),
    )
