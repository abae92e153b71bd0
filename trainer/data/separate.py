"""Targets that are problems of their own: which there are, and the rows that each has.

A row whose label is missing has weight 0 for that target: it is not there. Targets with the same
known rows share them, with one scaling; splits of the rows are the same for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.catalog import MODELS
from trainer.data.encode.label_pairs import LabelPairs, label_pairs
from trainer.data.encode.targets import Target
from trainer.data.frame import Frame, Labels
from trainer.data.rows import Array, IntArray
from trainer.data.sources.source import Source, UsableKey
from trainer.data.splits.holdout import hold_out, holdout_key, usable
from trainer.data.splits.row_split import Holdout, RowSplit
from trainer.errors import DataError
from trainer.text.printable import quote

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


class TargetGroup(NamedTuple):
    """Targets with the same known rows.

    Attributes:
        numbers: (T_g,) of the targets, ascending.
        source: of these alone, whose splits are those of all without the rows that they lack.
        known: (rows of the training source,) where they have labels.
    """

    numbers: IntArray
    source: Source
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeparateTargets:
    """The targets of a source that are trained, in order.

    Attributes:
        names: T of them.
        left_out: {target: why it is not trained}.
        groups: those with the same known rows together.
    """

    names: tuple[str, ...]
    left_out: Mapping[str, str]
    groups: tuple[TargetGroup, ...]


class TargetRows(NamedTuple):
    """The rows of one repeat for one group of targets.

    Attributes:
        group: of the targets.
        part: their rows.
        lacks: {number of a target: what its rows do not have and need}; it has no such repeat.
    """

    group: TargetGroup
    part: RowSplit
    lacks: Mapping[int, str]


class _Values(NamedTuple):
    """Encoded targets of one source: (rows, T) numbers, NaN where missing; and where not."""

    numbers: Array
    known: NDArray[np.bool_]


Splits = Callable[[Source, "Spec"], Sequence[RowSplit]]
"""The repeats of a source, as `row_splits` makes them."""

_REASONS = {
    "training rows with a label": "no training row has a label",
    "training rows of both classes": "its training rows have one class; two are needed",
    "held-out rows with a label": "no validation row has a label",
}
"""What a repeat may lack for a target, and that in a sentence."""
_UNLABELLED, _ONE_CLASS, _UNHELD = _REASONS


def separate_targets(source: Source, spec: Spec, row_splits: Splits) -> SeparateTargets:
    """The targets of a source, made once for all specs that split it alike.

    Args:
        source: what `read` returned.
        spec: of a trial.
        row_splits: makes its repeats.

    Raises:
        DataError: no target is left, or one that does not fit the model.
    """
    of_spec = repr(spec.data.positive), str(spec.repeat)
    key = holdout_key(source, spec), *of_spec, tuple(source.without)
    if key not in source.by_target:
        source.by_target[key] = _made(source, spec, row_splits)
    found: SeparateTargets = source.by_target[key]
    return found


def splits_of(
    source: Source, spec: Spec, row_splits: Splits, splits: Splits | None = None
) -> list[list[TargetRows]]:
    """By repeat the rows of each group of targets.

    Args:
        source: what `read` returned.
        spec: of a trial.
        row_splits: makes its repeats.
        splits: makes the ones that are meant, where these are others.

    Raises:
        DataError: as both.
    """
    splits = splits or row_splits
    groups = separate_targets(source, spec, row_splits).groups
    if _draws(spec):  # rows of each class, and so of each target
        by_group = [[_told(g, part, spec) for part in splits(g.source, spec)] for g in groups]
        return [list(of) for of in zip(*by_group, strict=True)]
    return [_by_group(part, groups, spec) for part in splits(source, spec)]


def common_rows(source: Source, spec: Spec, rows: str) -> IntArray:
    """The rows of a refit that some target has, "train" or "train+val", as `RowSplit.common`."""
    whole = hold_out(source, spec)
    if rows == "train+val" and "val" in source.held:
        own = usable(source, source.held["val"], spec.data.missing, spec.targets)
        return np.concatenate([whole.train, source.frame.rows + own])
    return np.union1d(whole.train, whole.val) if rows == "train+val" else whole.train


def _draws(spec: Spec) -> bool:
    return spec.repeat is not None and spec.repeat.few_shot is not None


def _by_group(part: RowSplit, groups: Sequence[TargetGroup], spec: Spec) -> list[TargetRows]:
    """A repeat of all rows, for each group those that it has; drawn again where the repeat is."""
    several, whole = len(groups) > 1, part.whole()
    found = []
    for group in groups:
        own = partial(_known_rows, part, group.known, several)
        told = _told(group, _known_rows(whole, group.known, several), spec)
        if part.redraw is not None:  # too many to hold, and groups times as many
            none = whole.train[:0]
            told = told._replace(part=replace(part, train=none, val=none, redraw=own))
        found.append(told)
    return found


def _known_rows(part: RowSplit, known: NDArray[np.bool_], several: bool) -> RowSplit:
    """The rows of a repeat that have a label."""
    part = part.whole()
    counts = None if part.counts is None else part.counts[known[part.train]]
    val = None if part.val is None else part.val[known[part.val]]
    common = part.train if several else None
    drawn = part.counts if several else None
    train = part.train[known[part.train]]
    return replace(part, train=train, val=val, common=common, common_counts=drawn, counts=counts)


def _told(group: TargetGroup, part: RowSplit, spec: Spec) -> TargetRows:
    """The rows of a repeat with what they lack.

    Without the rows of a class a model has no finite optimum, as its bias is not penalised.
    """
    numbers = group.numbers.tolist()
    if not len(part.train):
        return TargetRows(group, part, dict.fromkeys(numbers, _UNLABELLED))
    if part.val is not None and not len(part.val):
        return TargetRows(group, part, dict.fromkeys(numbers, _UNHELD))
    if not MODELS[spec.model].has_classes:
        return TargetRows(group, part, {})
    target = group.source.frame.target
    assert target is not None
    codes = target.codes[:, None] if isinstance(target, Labels) else target  # (rows, T_g)
    of_train = codes[part.train]
    both = (of_train == 1).any(axis=0) & (of_train == 0).any(axis=0)  # (T_g,)
    return TargetRows(group, part, dict.fromkeys(group.numbers[~both].tolist(), _ONE_CLASS))


def _made(source: Source, spec: Spec, row_splits: Splits) -> SeparateTargets:
    whole, frame = hold_out(source, spec).target, source.frame
    pairs, values = _encoded(source, spec)
    names = whole.columns
    told = {t: source.without[name] for t, name in enumerate(names) if name in source.without}
    why = told | _why_not(source, spec, values, pairs)

    def groups_of(kept: Sequence[int]) -> list[TargetGroup]:
        numbers = {t: number for number, t in enumerate(kept)}
        return [
            _group(source, spec, columns, numbers, values, pairs)
            for columns in _alike(values, kept, apart=_draws(spec))
        ]

    some = [t for t in range(len(names)) if t not in why]
    groups = groups_of(some) if some else []
    nowhere = _in_no_repeat(source, spec, groups, row_splits)
    why = dict(sorted((why | {some[number]: told for number, told in nowhere.items()}).items()))
    kept = [t for t in some if t not in why]
    if not kept:
        name, reason = names[0], why[0]
        more = f"; {len(why) - 1:,} more cannot be trained either" if len(why) > 1 else ""
        raise DataError(f"{frame.target_where}: target {quote(name)}: {reason}{more}")
    if nowhere:
        groups = groups_of(kept)
    left_out = {names[t]: reason for t, reason in why.items()}
    return SeparateTargets(tuple(names[t] for t in kept), left_out, tuple(groups))


def _in_no_repeat(
    source: Source, spec: Spec, groups: Sequence[TargetGroup], row_splits: Splits
) -> dict[int, str]:
    """{number of a target: why} of those that no repeat can train."""
    found: dict[int, str] = {}
    first: dict[int, tuple[str, str]] = {}
    counts: Counter[int] = Counter()
    repeats = 0
    if _draws(spec):
        for group in groups:
            try:
                parts = row_splits(group.source, spec)
            except DataError as error:  # of this target alone: the others are drawn
                found |= dict.fromkeys(group.numbers.tolist(), str(error))
                continue
            repeats = len(parts)
            for part in parts:
                _count_lacks(_told(group, part, spec), first, counts)
    elif groups:
        parts = row_splits(source, spec)
        repeats = len(parts)
        for part in parts:
            for rows in _by_group(part, groups, spec):
                _count_lacks(rows, first, counts)
    more = f", and none of {repeats} has all that it needs" if repeats > 1 else ""
    for number, n in counts.items():
        if n == repeats:
            what, name = first[number]
            found[number] = _REASONS[what] + (f" (in {name}{more})" if name else "")
    return found


def _count_lacks(rows: TargetRows, first: dict[int, tuple[str, str]], counts: Counter[int]) -> None:
    for number, what in rows.lacks.items():
        first.setdefault(number, (what, rows.part.name))
        counts[number] += 1


def _encoded(source: Source, spec: Spec) -> tuple[LabelPairs | None, dict[str, _Values]]:
    """Of labels the classes; and by source, "" for that of training, its encoded targets."""
    frames = {"": source.frame, **source.held}
    T = len(source.frame.target_names)
    for frame in source.held.values():
        if len(frame.target_names) != T:
            raise DataError(
                f"{frame.target_where or frame.where}: has {len(frame.target_names)} targets, the"
                f" training source has {T}; both must have the same"
            )
        odd = [
            (own, name)
            for own, name in zip(source.frame.target_names, frame.target_names, strict=True)
            if own != name
        ]
        if odd and frame.target_named and source.frame.target_named:
            own, name = map(quote, odd[0])
            raise DataError(
                f"{frame.target_where}: has the target {name} where the training source has {own};"
                " the same, in the same order, are right"
            )
    if not MODELS[spec.model].has_classes:
        return None, {name: _numbers(frame) for name, frame in frames.items()}
    rows = hold_out(source, spec).usable
    pairs = label_pairs(source.frame, rows, spec.data.positive)
    coded = {name: pairs.encode(frame) for name, frame in frames.items()}
    return pairs, {name: _Values(codes, ~np.isnan(codes)) for name, codes in coded.items()}


def _numbers(frame: Frame) -> _Values:
    target = frame.target
    if not isinstance(target, np.ndarray):
        raise DataError(f"{frame.target_where}: holds labels; numbers are right")
    if target.dtype.kind != "f":
        return _Values(target, np.ones(target.shape, bool))
    return _Values(target, ~np.isnan(target))


def _why_not(
    source: Source, spec: Spec, values: Mapping[str, _Values], pairs: LabelPairs | None
) -> dict[int, str]:
    """{target: why it cannot be trained} of those without labels, or without two classes."""
    whole, known = hold_out(source, spec), values[""].known
    found: dict[int, str] = {}
    held = None
    if "val" in source.held:
        rows = usable(source, source.held["val"], spec.data.missing, spec.targets)
        held = values["val"].known[rows]
    elif len(whole.val):
        held = known[whole.val]
    if held is not None:
        none = np.flatnonzero(~held.any(axis=0))
        found = dict.fromkeys(none.tolist(), _REASONS[_UNHELD])
    none = np.flatnonzero(~known[whole.usable].any(axis=0))
    found |= dict.fromkeys(none.tolist(), "no row has a label")
    return found | dict(pairs.faults) if pairs else found


def _alike(
    values: Mapping[str, _Values], kept: Sequence[int], *, apart: bool
) -> list[NDArray[np.int64]]:
    """The targets with the same known rows in every source, together; or each alone."""
    if apart:
        return [np.array([t]) for t in kept]
    masks = [of.known for of in values.values()]
    if all(mask.all() for mask in masks):
        return [np.array(kept)]
    bits = np.concatenate([np.packbits(mask[:, kept], axis=0) for mask in masks])  # (bytes, T)
    alike: dict[bytes, list[int]] = {}
    for t, column in zip(kept, np.ascontiguousarray(bits.T), strict=True):
        alike.setdefault(column.tobytes(), []).append(t)
    return [np.array(columns) for columns in alike.values()]


def _group(
    source: Source,
    spec: Spec,
    columns: NDArray[np.int64],
    numbers: Mapping[int, int],
    values: Mapping[str, _Values],
    pairs: LabelPairs | None,
) -> TargetGroup:
    """The source of some columns of the targets, with the splits of all."""
    whole, missing = hold_out(source, spec), spec.data.missing
    target = _target(whole.target, columns, pairs, alone=_draws(spec))
    frames = {name: _frame(f, columns, values[name], target) for name, f in _frames(source).items()}
    known = {name: values[name].known[:, columns[0]] for name in frames}
    held = {name: frame for name, frame in frames.items() if name}
    kept = {
        f.where: len(usable(source, f, missing, spec.targets)) for f in _frames(source).values()
    }
    found = Source(
        frames[""], held, source.keys, source.hashed, source.copies, source.passed, kept=kept
    )
    own = known[""]
    train, val, test = (rows[own[rows]] for rows in (whole.train, whole.val, whole.test))
    parts = whole.usable[own[whole.usable]], train, val, test
    found.holdouts[holdout_key(source, spec)] = Holdout(*parts, target, None)
    for name, frame in _frames(source).items():
        rows = usable(source, frame, missing, spec.targets)
        found.usable[UsableKey(id(frames[name]), missing)] = rows[known[name][rows]]
    return TargetGroup(np.array([numbers[t] for t in columns.tolist()]), found, own)


def _frames(source: Source) -> dict[str, Frame]:
    return {"": source.frame, **source.held}


def _target(
    whole: Target, columns: NDArray[np.int64], pairs: LabelPairs | None, *, alone: bool
) -> Target:
    names = tuple(whole.columns[t] for t in columns.tolist())
    ends = np.zeros(len(names)), np.ones(len(names))
    of = None if pairs is None else tuple(pairs.classes[t] for t in columns.tolist())
    target = Target(whole.kind, whole.model, names, names, None, *ends, of, separate=True)
    return target.alone(0) if alone else target


def _frame(frame: Frame, columns: NDArray[np.int64], values: _Values, target: Target) -> Frame:
    """A source with some of its targets alone, encoded."""
    numbers: Array | Labels = values.numbers
    if len(columns) < values.numbers.shape[1]:
        numbers = values.numbers[:, columns]
    if target.kind == "labels":  # as few-shot draws want them
        assert target.classes is not None
        codes = np.nan_to_num(values.numbers[:, columns[0]], nan=-1.0).astype(np.int32)
        numbers = Labels(target.classes, codes)
    return replace(frame, target=numbers, target_names=target.columns, target_values=())
