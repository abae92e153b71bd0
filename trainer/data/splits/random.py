"""Random splits into training, validation and test rows, stratified by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.data.rows import IntArray
from trainer.errors import DataError
from trainer.streams import SPLIT, shuffle


def split(
    n: int,
    val: float,
    test: float,
    *,
    seed: int,
    codes: NDArray[np.integer] | None,
    where: str,
) -> tuple[IntArray, IntArray, IntArray]:
    """Part n rows at random: round(val · n) for validation, round(test · n) for test, at least 1.

    With class codes the parts are stratified: each class gives its share, by largest remainders,
    and always keeps a row for training.

    Args:
        n: rows of the source.
        val: fraction, 0 for none.
        test: fraction of the same n rows, 0 for none.
        seed: `data.seed`.
        codes: (n,) class codes from 0, or None.
        where: for messages.

    Returns:
        Ascending row numbers (n_train,), (n_val,), (n_test,): together each row once.

    Raises:
        DataError: too few rows to give each part one.
    """
    if not (val or test):
        return np.arange(n), np.arange(0), np.arange(0)
    order = shuffle(seed, SPLIT, n)
    wanted = {"test": _share(test, n), "val": _share(val, n)}
    counts = np.ones(1, dtype=np.int64) * n if codes is None else np.bincount(codes)
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    free = np.maximum(counts - 1, 0)  # rows a class can give and keep one
    given = np.zeros_like(counts)
    parts: dict[str, IntArray] = {}
    for name, total in wanted.items():
        share = _shares(counts, total, free)
        if total and not share.sum():
            classes = f" in {np.count_nonzero(counts)} classes" if codes is not None else ""
            raise DataError(
                f"{where}: data.{name}: {n} row{'s' * (n != 1)}{classes}: too few to set some"
                f" apart; more rows, or `{name}: none`"
            )
        taken = [
            order[start : start + size] for start, size in zip(starts + given, share, strict=True)
        ]
        parts[name] = np.sort(np.concatenate(taken))
        given += share
        free -= share
    is_train = np.ones(n, dtype=bool)
    is_train[parts["val"]] = False
    is_train[parts["test"]] = False
    return np.flatnonzero(is_train), parts["val"], parts["test"]


def _share(fraction: float, n: int) -> int:
    return max(1, round(fraction * n)) if fraction else 0


def _shares(counts: IntArray, total: int, free: IntArray) -> IntArray:
    """Part `total` over the classes in proportion, none giving more than it has free."""
    quota = total * counts / max(int(counts.sum()), 1)
    share = np.minimum(np.floor(quota).astype(np.int64), free)
    # Stable, so equal remainders go to the lower class: the same on every machine.
    for code in np.argsort(-(quota - np.floor(quota)), kind="stable"):
        if share.sum() >= total:
            break
        if share[code] < free[code]:
            share[code] += 1
    return share
