"""Which columns go into which stacks: of every trial, repeat by repeat, on the rows of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import FirstOrder, Sgd
from trainer.config.schema.spec import Spec, Trial
from trainer.config.schema.sweep import too_many
from trainer.data import Source, held_targets, prepare_refit, prepare_split, read
from trainer.data.separate import SeparateTargets, common_rows, separate_targets, splits_of
from trainer.data.splits.given_folds import always_trained
from trainer.data.splits.holdout import hold_out
from trainer.data.splits.inner import inner_splits
from trainer.data.splits.repeats import row_splits, why_left_out
from trainer.data.splits.row_split import RowSplit
from trainer.data.united import unite, why_not_united
from trainer.errors import DataError
from trainer.sweep.inner import FINAL, Inner
from trainer.sweep.inner_columns import inner_columns, inner_lacking, inner_of
from trainer.sweep.lacking import (
    fewer_of,
    in_no_repeat,
    kept_of,
    lacking_of,
    same_folds,
    same_targets,
)
from trainer.sweep.path_begins import largest_l1, own_spec
from trainer.sweep.planned import Column, Planned, Pool, RowsOf, common_target, fold_of
from trainer.sweep.share_rows import share_row_sets
from trainer.sweep.stopping import EarlyStopper


@dataclass
class Sources:
    """The sources of all trials, each read once.

    Attributes:
        arrays: rows passed from Python in their place.
    """

    arrays: Mapping[str, Any] | None = None
    _read: dict[Hashable, Source] = field(default_factory=dict)
    _lambda_max: dict[Hashable, Mapping[int, float]] = field(default_factory=dict)
    _without: dict[str, str] = field(default_factory=dict)

    def of(self, spec: Spec) -> Source:
        """What a spec's data come from."""
        folds = spec.repeat.folds if spec.repeat is not None else None
        of_data = str(spec.data.train), str(spec.data.val), str(spec.data.test)
        key = spec.model, *of_data, str(folds)  # which a column may name
        if key not in self._read:
            self._read[key] = read(spec, self.arrays)
            self._read[key].without.update(self._without)
        return self._read[key]

    def leave_out(self, targets: Mapping[str, str]) -> None:
        """Train no trial for some targets, {name: why}, of those that are separate."""
        self._without |= targets
        self._lambda_max.clear()  # by the numbers of the targets
        for source in self._read.values():
            source.without.update(targets)

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

    def lambda_max_of(self, rows: RowsOf, spec: Spec) -> Mapping[int, float]:
        """The same of the training rows of one repeat, for the targets that have them."""
        key = rows.key, str(spec.class_weight), str(spec.loss), spec.bias
        if key not in self._lambda_max:
            prepared, joint = rows.prepare(), spec.targets == "joint"
            self._lambda_max[key] = {
                target: largest_l1(prepared if joint else prepared.of_target(place), spec)
                for place, target in enumerate(rows.targets)
            }
        return self._lambda_max[key]

    def changed(self, specs: Sequence[Spec], change: Callable[[Source, Spec], Source]) -> Sources:
        """The sources of some specs with each changed, by the first spec that reads it."""
        found: dict[Hashable, Source] = {}
        for spec in specs:
            source = self.of(spec)
            key = next(key for key, one in self._read.items() if one is source)
            if key not in found:
                found[key] = change(source, spec)
        return Sources(self.arrays, found)

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
    """Trials on the same rows: the first one's place, the rows of its repeats and inner folds."""

    trial: int
    repeats: Sequence[RowsOf]
    inner: Sequence[RowsOf] = ()


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
        inner: {number of a column's repeat: the inner fold that it is}.
        inner_lacking: {what the rows of an inner fold lack: how many do}, which do not train.
    """

    columns: list[tuple[RowsOf, Column]]
    values: list[str | None]
    left_out: dict[str, str]
    families: Sequence[Family]
    always: int = 0
    lacking: Mapping[int, Mapping[str, int]] = MappingProxyType({})
    inner: Mapping[int, Inner] = MappingProxyType({})
    inner_lacking: Mapping[str, int] = MappingProxyType({})

    def repeats_lacking(self, target: int) -> int:
        """How many of the repeats a target does not have."""
        return sum(self.lacking.get(target, {}).values())

    @property
    def first_repeats(self) -> dict[int, int]:
        """By target the first repeat that it has."""
        return {column.target: column.repeat for _, column in reversed(self.columns)}


def lay_out(
    trials: Sequence[Trial],
    sources: Sources,
    beyond: Mapping[tuple[int, int], str] = MappingProxyType({}),
) -> Layout:
    """Every column of every trial with its rows.

    The repeats of a trial are its parts (folds, draws, resamples), and those again for each further
    seed. A part whose rows lack something in one trial is left out of all, so that their means
    are over the same; so is a separate target that some trial cannot train.

    Args:
        trials: all.
        sources: of their rows.
        beyond: {(part, target): what its inner folds lack}, as was found when they were laid out.

    Raises:
        DataError: anything wrong with the data, or with how many rows there are of it.
    """
    _same_targets(trials, sources)
    known: dict[Hashable, list[list[RowsOf]]] = {}
    found = [_repeats_of(trial.spec, sources, known) for trial in trials]
    same_folds([len(repeats) for repeats in found])
    left_out, lacking = lacking_of([[groups for groups, _ in of] for of in found], beyond)
    kept = kept_of(left_out, len(found[0]))
    fewer = fewer_of(lacking, left_out)
    if nowhere := in_no_repeat(fewer, len(kept)):
        return _lay_out_without(nowhere, trials, sources)
    within = partial(_inner_parts, sources=sources, known=known)
    inner = [inner_of(trial.spec, within, kept, len(found[0])) for trial in trials]
    short = {(kept.index(i), t) for i, t in lacking if i in kept}
    lacks = inner_lacking(inner, short)
    if final := {t: f"it has no {of}" for (r, t), of in lacks.all_of.items() if r == FINAL}:
        return _lay_out_without(final, trials, sources)
    if lacks.all_of:
        more = {(kept[repeat], t): what for (repeat, t), what in lacks.all_of.items()}
        return lay_out(trials, sources, {**beyond, **more})
    outer = [
        (rows, Column(number, repeat, own_spec(sources, trials[number], spec, t, own), t))
        for number, repeats in enumerate(found)
        for repeat, i in enumerate(kept)
        for groups, spec in [repeats[i]]
        for own in [groups if inner[number] else None]
        for rows in groups
        for t in rows.targets
        if (i, t) not in lacking
    ]
    own_of = partial(own_spec, sources)
    return Layout(
        [*outer, *inner_columns(trials, own_of, inner, found, kept, short, lacks.folds)],
        [found[0][i][0][0].value for i in kept],
        {name: lacks for _, (name, lacks) in sorted(left_out.items())},
        _families(
            trials,
            [[repeats[i][0][0] for i in kept] for repeats in found],
            [[rows.groups[0] for rows in of] for of in inner],
        ),
        always_trained(sources.of(trials[0].spec), trials[0].spec),
        fewer,
        {rows.number: rows.of for rows in inner[0]},
        lacks.counts,
    )


def _lay_out_without(
    targets: Mapping[int, str], trials: Sequence[Trial], sources: Sources
) -> Layout:
    """The same without some separate targets, {target: why}."""
    names = targets_of(sources, trials[0].spec).names
    sources.leave_out({names[target]: why for target, why in targets.items()})
    return lay_out(trials, sources)


def _same_targets(trials: Sequence[Trial], sources: Sources) -> None:
    """Leave out of all trials the separate targets that one of them cannot train."""
    if trials[0].spec.targets == "joint":
        return
    first: dict[Hashable, int] = {}
    for number, trial in enumerate(trials):
        first.setdefault((block_key(trial.spec), str(trial.spec.repeat)), number)

    same_targets(
        lambda: {number: targets_of(sources, trials[number].spec) for number in first.values()},
        sources.leave_out,
    )


def _families(
    trials: Sequence[Trial],
    repeats: Sequence[Sequence[RowsOf]],
    inner: Sequence[Sequence[RowsOf]],
) -> list[Family]:
    families: dict[Hashable, Family] = {}
    for number, (trial, rows, within) in enumerate(zip(trials, repeats, inner, strict=True)):
        spec = trial.spec
        key = block_key(spec), *((str(spec.repeat), spec.seed) if spec.repeat else ())
        families.setdefault(key, Family(number, rows, within))
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


def _inner_parts(
    spec: Spec, sources: Sources, known: dict[Hashable, list[list[RowsOf]]]
) -> list[list[RowsOf]]:
    """The inner folds of a trial for one seed."""
    key = ("inner", block_key(spec), str(spec.repeat), _draw_seed(spec))
    if key not in known:
        known[key] = _rows_of(spec, sources, lambda s, of: inner_splits(s, of, row_splits(s, of)))
    return known[key]


def _draw_seed(spec: Spec) -> int | None:
    return spec.seed if spec.repeat and spec.repeat.draws_rows else None


def _rows_of(
    spec: Spec, sources: Sources, splits: Callable[[Source, Spec], Sequence[RowSplit]] = row_splits
) -> list[list[RowsOf]]:
    """By repeat the rows of all targets that are trained together, of those that have the same."""
    source, block = sources.of(spec), block_key(spec)
    if spec.targets == "separate":
        apart = splits_of(source, spec, row_splits, splits)
        # of draws of each target's classes there is no row set of all
        own = spec.repeat is not None and spec.repeat.few_shot is not None
        common = [None] * len(apart) if own else [p.whole for p in splits(source, spec)]
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
    parts = splits(source, spec)
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
        fold_of(spec, part),
        pool=_pool(source, spec, part) if repeated else None,
    )


def _pool(source: Source, spec: Spec, part: RowSplit) -> Pool | None:
    """What the row sets of a source may share a stack by."""
    if why_not_united(source, spec):
        return None
    target = hold_out(source, spec).target
    outputs = 1 if target.separate else len(target.outputs)
    key = id(source), block_key(spec)
    size = source.frame.rows, len(source.frame.names), outputs
    return Pool(key, part.whole, partial(unite, source, spec), *size)


def targets_of(sources: Sources, spec: Spec) -> SeparateTargets:
    """The targets of a spec that are problems of their own."""
    return separate_targets(sources.of(spec), spec, row_splits)


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


def stack_key(spec: Spec) -> Hashable:
    """What columns of one stack have in common; all else of a spec is a number a column.

    Rows are not in it: see `share_row_sets`.
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
    return share_row_sets(list(groups.values()), keys)


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
