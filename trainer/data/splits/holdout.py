"""The plain run's split of the training source: what folds and draws are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.data.encode.positive import with_positive
from trainer.data.encode.targets import fit_target, several_targets
from trainer.data.frame import Frame, Labels
from trainer.data.rows import IntArray
from trainer.data.sources.source import HoldoutKey, Source, UsableKey
from trainer.data.splits.folds import fold_of_groups
from trainer.data.splits.missing import usable_rows
from trainer.data.splits.random import split
from trainer.data.splits.row_split import Holdout, RowSplit
from trainer.errors import DataError
from trainer.streams import SPLIT

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def hold_out(source: Source, spec: Spec) -> Holdout:
    """Split the training source; done once for all specs that ask for the same.

    Raises:
        DataError: a target that does not fit the model, rows that are missing or too few.
    """
    key = holdout_key(source, spec)
    if key not in source.holdouts:
        source.holdouts[key] = _set_apart(source, spec, key.val, key.test)
    return source.holdouts[key]


def holdout_key(source: Source, spec: Spec) -> HoldoutKey:
    """What decides how a source is split."""
    data = spec.data
    val, test = (
        0.0 if name in source.held or not isinstance(share, float) else share
        for name, share in (("val", data.val), ("test", data.test))
    )
    positive = repr(data.positive)  # 1 == True, and they may be two labels
    of_rows = spec.model, data.missing, data.stratify, data.seed, positive
    return HoldoutKey(*of_rows, val, test, spec.targets)


def no_val_beside(source: Source, spec: Spec, repeats: str) -> Holdout:
    """The plain run's split, which must have no val: repeats hold out rows of their own.

    Raises:
        DataError: it has one, or as `hold_out`.
    """
    holdout = hold_out(source, spec)
    if len(holdout.val) or "val" in source.held:
        key = "bootstrap" if spec.repeat and spec.repeat.bootstrap is not None else "folds"
        given = "data['val']" if source.passed else "data.val"
        raise DataError(
            f"repeat.{key}: {repeats} hold out their own rows, and {given} is given as well;"
            " leave one of them out"
        )
    return holdout


def plain_split(source: Source, spec: Spec) -> RowSplit:
    """The one part of a run without folds and draws.

    Raises:
        DataError: as `hold_out`.
    """
    return RowSplit("", hold_out(source, spec).train, None, ("plain",))


def usable(source: Source, frame: Frame, missing: str, targets: str = "joint") -> IntArray:
    """`usable_rows` of one of the source's frames, looked for once."""
    key = UsableKey(id(frame), missing)
    if key not in source.usable:
        source.usable[key] = usable_rows(frame, missing, separate=targets == "separate")
    return source.usable[key]


def _set_apart(source: Source, spec: Spec, val: float, test: float) -> Holdout:
    frame = source.frame
    rows = usable(source, frame, spec.data.missing, spec.targets)
    if spec.targets == "joint":
        target = fit_target(frame, spec.model, rows)
        target = with_positive(target, spec.data.positive, frame.target_where)
        codes = _stratify_codes(spec, frame, target.kind)
    else:  # their rows are split alike, whatever their classes
        target, codes = several_targets(frame, spec.model), None
    parts = (_split_groups if frame.group is not None else _split_rows)(
        frame, rows, codes, val, test, spec.data.seed
    )
    return Holdout(rows, *parts, target, codes)


def _stratify_codes(spec: Spec, frame: Frame, kind: str) -> NDArray[np.int32] | None:
    if spec.data.stratify is True and kind != "labels":
        raise DataError(
            f"{frame.target_where}: data.stratify: true needs one label a row; auto is right"
        )
    if spec.data.stratify is False or not isinstance(frame.target, Labels):
        return None
    return frame.target.codes


def _split_rows(
    frame: Frame,
    rows: IntArray,
    codes: NDArray[np.int32] | None,
    val: float,
    test: float,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray]:
    own = None if codes is None else codes[rows]
    parts = split(len(rows), val, test, seed=seed, codes=own, where=frame.where)
    return rows[parts[0]], rows[parts[1]], rows[parts[2]]


def _split_groups(
    frame: Frame,
    rows: IntArray,
    codes: NDArray[np.int32] | None,
    val: float,
    test: float,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Split by whole groups; the rows of test do not depend on val."""
    assert frame.group is not None
    parts, left, n = {}, rows, len(rows)
    for name, fraction in (("test", test), ("val", val)):
        if not fraction:
            parts[name] = left[:0]
            continue
        group = frame.group[left]
        found = len(np.unique(group))
        if found < 2:
            raise DataError(
                f"{frame.group_where}: data.{name}: {found} group: too few to set some apart; more"
                f" groups, or `{name}: none`"
            )
        share = min(fraction * n / len(left), 0.99)
        own = None if codes is None else codes[left]
        shares = (1 - share, share)
        is_apart = fold_of_groups(group, shares, seed=seed, stream=SPLIT, codes=own) == 1
        parts[name], left = left[is_apart], left[~is_apart]
    return left, parts["val"], parts["test"]
