"""Sources with their labels permuted: rows keep features, weight and group, labels move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from trainer.data.frame import Frame, Labels
from trainer.data.rows import Array, IntArray
from trainer.data.sources.source import Source
from trainer.data.splits.holdout import hold_out, usable
from trainer.errors import DataError
from trainer.streams import PERMUTATIONS, VAL_PERMUTATIONS, shuffle

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec

_MOST_ARRANGEMENTS = 10**9  # past which nobody needs their number


def permuted_order(
    codes: NDArray[np.integer], group: NDArray[np.integer] | None, seed: int, stream: int
) -> IntArray:
    """Whose label each row gets: (n,) row numbers.

    Labels that are constant within groups move between groups, each group to the label of another;
    others move within their groups (Winkler et al. 2015, "Multi-level block permutation").

    Args:
        codes: (n,) what label a row has; equal codes, equal labels.
        group: (n,) codes of the rows' groups, or None.
        seed: of the run.
        stream: of the permutation.
    """
    n = len(codes)
    if group is None:
        return shuffle(seed, stream, n)
    _, first, of_row = np.unique(group, return_index=True, return_inverse=True)
    if np.array_equal(codes, codes[first][of_row]):
        order: IntArray = first[shuffle(seed, stream, len(first))][of_row]
        return order
    random = shuffle(seed, stream, n)
    order = np.empty(n, np.int64)
    order[np.argsort(of_row, kind="stable")] = random[np.argsort(of_row[random], kind="stable")]
    return order


def arrangements(codes: NDArray[np.integer], group: NDArray[np.integer] | None) -> int:
    """How many different labellings permutations lead to, at most a billion; 1: nothing moves."""
    blocks = [codes]
    if group is not None:
        _, first, of_row = np.unique(group, return_index=True, return_inverse=True)
        constant = np.array_equal(codes, codes[first][of_row])
        order, starts = np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row))[:-1]
        blocks = [codes[first]] if constant else np.split(codes[order], starts)
    log = sum(
        math.lgamma(len(block) + 1) - sum(math.lgamma(n + 1) for n in _counts(block))
        for block in blocks
    )
    return _MOST_ARRANGEMENTS if log > math.log(_MOST_ARRANGEMENTS) else round(math.exp(log))


def _counts(codes: NDArray[np.integer]) -> list[int]:
    counts: list[int] = np.unique(codes, return_counts=True)[1].tolist()
    return counts


def source_arrangements(source: Source, spec: Spec) -> int:
    """The same of a source, of the target that has most.

    Raises:
        DataError: nothing can move: all labels are the same.
    """
    frame = source.frame
    found = [
        arrangements(codes, None if frame.group is None else frame.group[rows])
        for rows, codes, _ in _parts(source, frame, spec)
    ]
    if max(found, default=1) < 2:
        raise DataError(
            f"permutation_test: {frame.target_where or frame.where}: all rows have the same label,"
            " so that nothing can move; labels that differ, or permutation_test: none, are right"
        )
    return max(found)


def permuted_source(source: Source, spec: Spec, number: int) -> Source:
    """A source with the labels of one permutation, its tests left out.

    Labels of the training source move among its rows, before it is split; those of a val of its
    own among that one's.

    Args:
        source: what `read` returned.
        spec: of a trial.
        number: of the permutation, from 0.
    """
    return _with_frames(
        source, lambda frame, stream: _permuted(source, frame, spec, stream), number
    )


def permuted_targets(source: Source, spec: Spec, numbers: Sequence[int]) -> Source:
    """A source whose targets are the permutations of its one target, side by side.

    Args:
        source: with one target, of numbers or of two classes, whose splits do not depend on it.
        spec: of a trial.
        numbers: of the permutations.
    """
    target = hold_out(source, spec).target
    names = tuple(str(number) for number in numbers)

    def side_by_side(frame: Frame, stream: int) -> Frame:
        ((rows, codes, _),) = _parts(source, frame, spec)
        y = target.encode(frame, rows, np.dtype(np.float64)).reshape(-1)
        group = None if frame.group is None else frame.group[rows]
        found = np.full((frame.rows, len(numbers)), np.nan)
        for place, number in enumerate(numbers):
            found[rows, place] = y[permuted_order(codes, group, spec.seed, stream + number)]
        return replace(frame, target=found, target_names=names, target_values=())

    return _with_frames(source, side_by_side, 0)


def splits_ignore_labels(source: Source, spec: Spec) -> bool:
    """Whether `permuted_targets` has the very rows of each permutation in every split."""
    holdout, repeat = hold_out(source, spec), spec.repeat
    drawn = repeat is not None and repeat.few_shot is not None
    two = holdout.target.classes is None or len(holdout.target.classes) == 2
    one = len(holdout.target.outputs) == 1 and two
    weighs_by_name = not isinstance(spec.class_weight, str)
    return (
        one and spec.targets == "joint" and holdout.codes is None and not (drawn or weighs_by_name)
    )


def _with_frames(source: Source, change: Callable[[Frame, int], Frame], number: int) -> Source:
    held = {
        name: change(frame, VAL_PERMUTATIONS + number)
        for name, frame in source.held.items()
        if name == "val"
    }
    frame = change(source.frame, PERMUTATIONS + number)
    return replace(
        source, frame=frame, held=held, holdouts={}, usable={}, by_target={},
        without=dict(source.without),
        encoded=WeakValueDictionary(),
    )  # fmt: skip


def _permuted(source: Source, frame: Frame, spec: Spec, stream: int) -> Frame:
    target = frame.target
    assert target is not None
    moved = target.codes.copy() if isinstance(target, Labels) else np.array(target)
    for rows, codes, column in _parts(source, frame, spec):
        group = None if frame.group is None else frame.group[rows]
        other = rows[permuted_order(codes, group, spec.seed, stream)]
        place = slice(None) if column is None else column
        if moved.ndim == 1:
            moved[rows] = moved[other]
        else:
            moved[rows, place] = moved[other, place]
    labels = Labels(target.values, moved) if isinstance(target, Labels) else moved
    return replace(frame, target=labels)


def _parts(
    source: Source, frame: Frame, spec: Spec
) -> list[tuple[IntArray, NDArray[np.integer], int | None]]:
    """Of each target that moves by itself its rows, their codes, its column; None: all columns."""
    rows, target = usable(source, frame, spec.data.missing, spec.targets), frame.target
    assert target is not None
    if isinstance(target, Labels):
        rows = rows[target.codes[rows] >= 0]
        return [(rows, target.codes[rows], None)]
    if spec.targets == "joint":
        return [(rows, _codes_of_rows(target[rows]), None)]
    missing = np.isnan(target) if target.dtype.kind == "f" else np.zeros(target.shape, bool)
    if frame.target_values:  # positions of labels
        missing |= target < 0
    known = [rows[~missing[rows, column]] for column in range(target.shape[1])]
    return [(of, _codes_of_rows(target[of, c : c + 1]), c) for c, of in enumerate(known)]


def _codes_of_rows(values: Array) -> NDArray[np.integer]:
    """(n,) equal numbers for equal rows."""
    if values.shape[1] == 1:
        return np.unique(values[:, 0], return_inverse=True)[1].reshape(-1)
    return np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)
