"""Which row sets share a stack: X is laid once for all of them where that costs less than copies.

Where X streams, columns of all folds, draws and bootstraps are columns of one product, of which
each has weights of its own for the rows of all. With mini-batches a stack has one row set, whose
batches are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import NormalInit, Spec
from trainer.model import MODELS
from trainer.solvers.choose import can_share_row_sets
from trainer.sweep.planned import Planned, RowsOf, common_target

# Costs are in multiplications of a pass over the rows.
_STACK = 1 << 20  # of a stack, whatever is in it: what is not in the products
_READ = 8  # of a number of X, to read it
_PICK = 6  # of a score, whose weights are picked from those of the row sets
_MOST = 1 << 27  # weights in all: a GiB


def share_row_sets(
    planned: Sequence[Planned], stack_key: Callable[[Spec], Hashable]
) -> list[Planned]:
    """Stacks with those in one whose columns differ in rows, too, where that costs less.

    Args:
        planned: stacks of one row set each, in order.
        stack_key: equal for specs that go together.
    """
    groups: dict[Hashable, list[Planned]] = {}
    for number, one in enumerate(planned):
        pool = one.rows.pool
        key: Hashable = number
        if pool is not None and can_share(one.spec):
            common = common_target(one.columns[0])
            key = pool.key, tuple(one.rows.targets), common, stack_key(one.spec)
        groups.setdefault(key, []).append(one)
    return [found for group in groups.values() for found in _together(group)]


def can_share(spec: Spec) -> bool:
    """Whether columns like this one may have rows of their own on features that all share."""
    o = spec.optimizer
    starts = spec.init == "zeros" or isinstance(spec.init, NormalInit)
    weights = spec.class_weight if isinstance(spec.class_weight, dict) else {}
    if not starts or spec.precision == "tf32" or 0 in weights.values():
        return False
    if isinstance(o, Solver):
        return can_share_row_sets(o.name, MODELS[spec.model, spec.loss_name], has_l1(spec.penalty))
    streams = o.batch_size == "full" and o.base_batch_size == "none"
    return streams and spec.log.gradients == "none"


def _together(group: Sequence[Planned]) -> list[Planned]:
    """Stacks that may be one as one, or as they are where copies of their rows cost less."""
    if len(group) == 1 or not _pays(group):
        return list(group)
    first = group[0]
    sets = [one.rows for one in group]
    columns = [column for one in group for column in one.columns]
    set_of = {column.name: r for r, one in enumerate(group) for column in one.columns}
    key = "shared", *(rows.key for rows in sets)
    rows = RowsOf(
        key, first.rows.prepare, targets=first.rows.targets, pool=first.rows.pool, sets=sets
    )
    return [Planned(rows, columns, columns, set_of)]


def _pays(group: Sequence[Planned]) -> bool:
    """Whether a pass over all rows for all columns costs less than one for each row set."""
    there, apart, columns = np.zeros(0, bool), 0, 0
    for one in group:
        assert one.rows.pool is not None
        D, C = one.rows.pool.features, one.rows.pool.outputs
        rows, K = one.rows.pool.split().train, len(one.columns)
        if len(rows) and (last := int(rows[-1])) >= len(there):
            there = np.concatenate([there, np.zeros(last + 1 - len(there), bool)])
        there[rows] = True
        apart += _STACK + len(rows) * D * (_READ + C * K)
        columns += K
    N = int(there.sum())
    if N * len(group) > _MOST:
        return False
    shared = _STACK + N * D * (_READ + C * columns) + _PICK * N * C * columns
    return shared < apart
