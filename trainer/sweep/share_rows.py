"""Which row sets share a stack: X is laid once for all of them where that costs less than copies.

Where X streams, columns of all folds, draws and bootstraps are columns of one product, of which
each has weights of its own for the rows of all. With mini-batches a stack has one row set, whose
batches are its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from trainer.config.checks.rules import has_l1
from trainer.config.schema.optimizer import Solver
from trainer.config.schema.spec import NormalInit, Spec
from trainer.model import MODELS
from trainer.solvers.choose import can_share_row_sets
from trainer.sweep.planned import Planned, RowsOf, common_target

# Costs are in multiplications of a pass over the rows.
_STACK = 1 << 21  # of a stack, whatever is in it: what is not in the products
_READ = 8  # of a number of X, to read it
_PICK = 6, 150  # of a score, whose weights are picked from those of the row sets: of solvers, steps
_DRAWN = 16  # row sets that are drawn to tell what all have
_MOST = 1 << 27  # weights in all: a GiB


def share_row_sets(planned: Sequence[Planned], stack_keys: Mapping[int, Hashable]) -> list[Planned]:
    """Stacks with those in one whose columns differ in rows, too, where that costs less.

    Args:
        planned: stacks of one row set each, in order.
        stack_keys: by `id` of a spec what is equal for those that go together.
    """
    groups: dict[Hashable, list[Planned]] = {}
    for number, one in enumerate(planned):
        pool = one.rows.pool
        key: Hashable = number
        if pool is not None and can_share(one.spec):
            common = common_target(one.columns[0])
            key = pool.key, tuple(one.rows.targets), common, stack_keys[id(one.spec)]
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
    pools = [one.rows.pool for one in group[:: -(-len(group) // _DRAWN)]]  # others are as these
    drawn = [pool.split().train for pool in pools if pool is not None]
    assert group[0].rows.pool is not None
    _, _, _, most, D, C = group[0].rows.pool
    columns, scale = sum(len(one.columns) for one in group), len(group) / len(drawn)
    there = np.zeros(1 + max(int(rows.max(initial=0)) for rows in drawn), bool)
    for rows in drawn:
        there[rows] = True
    N = min(int(there.sum() * scale), max(most, len(there)))
    if N * len(group) > _MOST:
        return False
    each = sum(map(len, drawn)) / len(drawn)
    apart = _STACK * len(group) + each * D * (_READ * len(group) + C * columns)
    pick = _PICK[not isinstance(group[0].spec.optimizer, Solver)]
    shared = _STACK + N * D * (_READ + C * columns) + pick * N * C * columns
    return shared < apart
