"""What a stack is to be: its rows and its columns, before anything of it is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.config.schema.spec import Spec
from trainer.data.prepared import Prepared
from trainer.data.rows import Array, FloatArray
from trainer.data.splits.row_split import RowSplit

if TYPE_CHECKING:
    from trainer.data.united import United

Indices = np.ndarray[Any, np.dtype[np.int64]]


class Column(NamedTuple):
    """One (trial, repeat, target), with the spec that a plain run of it would have.

    The target is one of several that are problems of their own; 0 of a run whose target is one.
    """

    trial: int
    repeat: int
    spec: Spec
    target: int = 0

    @property
    def name(self) -> tuple[int, int, int]:
        """What tells it from all others."""
        return self.trial, self.repeat, self.target


class Fold(NamedTuple):
    """One fold of a cross-validation.

    Attributes:
        time: which of `repeat.times`, from 0.
        trained: how many rows it trains on.
        held_out: how many it holds out.
    """

    time: int
    trained: int
    held_out: int


def fold_of(spec: Spec, part: RowSplit) -> Fold | None:
    """The fold that a repeat is; None where it is something else."""
    if spec.repeat is None or spec.repeat.folds is None:
        return None
    rows = part.whole()
    return None if rows.val is None else Fold(part.time, len(rows.train), len(rows.val))


class Pool(NamedTuple):
    """What row sets are taken from that may have their rows in one stack.

    Attributes:
        key: equal for row sets that may.
        split: draws the row numbers of this one.
        unite: encodes the rows of some of them at once.
        rows: how many there are, of any.
        features: D.
        outputs: C.
    """

    key: Hashable
    split: Callable[[], RowSplit]
    unite: Callable[[Sequence[RowSplit]], United]
    rows: int
    features: int
    outputs: int


@dataclass(frozen=True, eq=False)
class RowsOf:
    """The rows of one repeat: a key that equal rows share, and what encodes and scales them.

    `held` reads the targets of its validation rows alone, and their weights. `targets` are those
    that are problems of their own, in the order of the columns of y. `name` is the repeat's,
    `value` what the data call its fold, `lacks` what its rows do not have and need; `split` draws
    its row numbers; `fold` is what they are of a cross-validation, None without one.
    `lacking` says for targets that do not have this repeat what its rows do not have. `pool` is
    what the rows may be united with, None for nothing. Of several row sets that share a stack
    `sets` are these, in the order of their weights, and all else is the first one's.
    """

    key: Hashable
    prepare: Callable[[], Prepared]
    held: Callable[[], tuple[Array, FloatArray] | None] = lambda: None
    targets: Sequence[int] = (0,)
    name: str = ""
    value: str | None = None
    lacks: str = ""
    split: Callable[[], RowSplit] | None = None
    fold: Fold | None = None
    lacking: Mapping[int, str] = field(default_factory=dict)
    pool: Pool | None = None
    sets: Sequence[RowsOf] = ()

    def unite(self) -> United:
        """The rows of all `sets`, each once."""
        assert self.pool is not None
        return self.pool.unite([one.pool.split() for one in self.sets if one.pool is not None])


@dataclass(frozen=True)
class Planned:
    """One stack to be: its rows, and its columns, which differ only in numbers.

    `every` is all columns that go together, those in other stacks, too: what is made of the rows
    once for all of them is the same wherever stacks are cut. `set_of` says by a column's name which
    of the row sets it has, where these share the stack.
    """

    rows: RowsOf
    columns: list[Column]
    every: list[Column]
    set_of: Mapping[tuple[int, int, int], int] = field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """The first column's, for what all have in common."""
        return self.columns[0].spec

    @property
    def target(self) -> int | None:
        """The target that the columns have in common; None where each says its own."""
        return common_target(self.columns[0])

    @property
    def places(self) -> list[int]:
        """(K,) the place of each column's target among those that have the rows."""
        place = {target: i for i, target in enumerate(self.rows.targets)}
        return [place[column.target] for column in self.columns]

    @property
    def row_set(self) -> Indices | None:
        """(K,) which of the row sets each column has; None where there is one."""
        if not self.rows.sets:
            return None
        return np.array([self.set_of[column.name] for column in self.columns])

    def rows_of(self, k: int) -> RowsOf:
        """The rows of one column, as it would have them alone."""
        return self.rows.sets[self.set_of[self.columns[k].name]] if self.rows.sets else self.rows

    @property
    def row_sets(self) -> Sequence[RowsOf]:
        """The row sets that there are."""
        return self.rows.sets or (self.rows,)


def common_target(column: Column) -> int | None:
    """The target that all columns of its stack have; None: any that has the same rows.

    Class weights are a target's own, and so are the weights of its rows.
    """
    return None if column.spec.class_weight == "none" else column.target


def cut(planned: Planned, pieces: int) -> list[Planned]:
    """A stack in so many pieces, as equal as can be: neighbours take about as long, so by turns."""
    parts = [planned.columns[first::pieces] for first in range(pieces)]
    return [replace(planned, columns=columns) for columns in parts if columns]


def rebuilt(planned: Sequence[Planned], stacks: Sequence[Sequence[Sequence[int]]]) -> list[Planned]:
    """Stacks of the columns that a record names, by trial, repeat and target.

    Args:
        planned: all columns, those together that may be in one stack.
        stacks: of each its columns' names.

    Raises:
        ValueError: these are not the columns that there are, or not ones that fit together.
    """
    known = {one.name: (of, one) for of in planned for one in of.columns}
    named = [tuple(map(int, name)) for stack in stacks for name in stack]
    if sorted(named) != sorted(known):
        raise ValueError("the stacks are of other columns than the config's")
    found = []
    for stack in stacks:
        parts, columns = zip(*[known[tuple(name)] for name in stack], strict=True)  # type: ignore[index]
        if any(part is not parts[0] for part in parts):
            raise ValueError("a stack has columns that do not go together")
        found.append(replace(parts[0], columns=list(columns)))
    return found
