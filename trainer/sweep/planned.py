"""What a stack is to be: its rows and its columns, before anything of it is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from trainer.config.schema.spec import Spec
from trainer.data.prepared import Prepared
from trainer.data.rows import Array, FloatArray


class Column(NamedTuple):
    """One (trial, repeat), with the spec that a plain run of it would have."""

    trial: int
    repeat: int
    spec: Spec


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


@dataclass(frozen=True, eq=False)
class RowsOf:
    """The rows of one repeat: a key that equal rows share, and what encodes and scales them.

    `held` reads the targets of its validation rows alone, and their weights. `fold` is what they
    are of a cross-validation, None without one.
    """

    key: Hashable
    prepare: Callable[[], Prepared]
    held: Callable[[], tuple[Array, FloatArray] | None] = lambda: None
    fold: Fold | None = None


@dataclass(frozen=True)
class Planned:
    """One stack to be: its rows, and its columns, which differ only in numbers.

    `every` is all columns that go together, those in other stacks, too: what is made of the rows
    once for all of them is the same wherever stacks are cut.
    """

    rows: RowsOf
    columns: list[Column]
    every: list[Column]

    @property
    def spec(self) -> Spec:
        """The first column's, for what all have in common."""
        return self.columns[0].spec


def cut(planned: Planned, pieces: int) -> list[Planned]:
    """A stack in so many pieces, as equal as can be: neighbours take about as long, so by turns."""
    parts = [planned.columns[first::pieces] for first in range(pieces)]
    return [replace(planned, columns=columns) for columns in parts if columns]


def rebuilt(planned: Sequence[Planned], stacks: Sequence[Sequence[Sequence[int]]]) -> list[Planned]:
    """Stacks of the columns that a record names, by trial and repeat.

    Args:
        planned: all columns, those together that may be in one stack.
        stacks: of each its columns.

    Raises:
        ValueError: these are not the columns that there are, or not ones that fit together.
    """
    known = {(one.trial, one.repeat): (of, one) for of in planned for one in of.columns}
    named = [(int(trial), int(repeat)) for stack in stacks for trial, repeat in stack]
    if sorted(named) != sorted(known):
        raise ValueError("the stacks are of other columns than the config's")
    found = []
    for stack in stacks:
        parts, columns = zip(*[known[trial, repeat] for trial, repeat in stack], strict=True)
        if any(part is not parts[0] for part in parts):
            raise ValueError("a stack has columns that do not go together")
        found.append(replace(parts[0], columns=list(columns)))
    return found
