"""What any stack can do, whether it takes steps of an optimizer or goes to the optimum.

`trainer.train.stack.Stack` and `trainer.solvers.solver.SolverStack` both do. Whoever trains,
evaluates or plans a stack knows it by this alone.

Shapes: N rows, D features, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from trainer.machine.interrupted import ShouldStop
from trainer.model import Model
from trainer.train.batches import RowSet
from trainer.train.buffers import Buffers
from trainer.train.outcomes import Outcome
from trainer.train.state import AnyState
from trainer.train.step_record import Records, Snapshot

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


# of weights (D, C, K) and biases (C, K) -> Σ_rows w·(ŷ − y)² (C, K)
HeldSums = Callable[[Array, Array], Array]


class HessianWork(NamedTuple):
    """What the second derivatives of a stack's columns take, told without making any.

    Attributes:
        start: iterations of a column that go without.
        operations: multiplications and additions of one iteration of all columns.
        parameters: P, the width of the products that most of them are in.
        bytes: held at once.
    """

    start: int
    operations: float
    parameters: int
    bytes: int


class AnyStack(Protocol):
    """K columns over one set of training rows."""

    @property
    def device(self) -> Device:
        """Where the columns are."""

    @property
    def model(self) -> Model:
        """The row of the model table."""

    @property
    def rows(self) -> RowSet:
        """The N training rows."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """D, C, K."""

    @property
    def dtype(self) -> Any:
        """Of the rows, and of the scores at evaluations."""

    @property
    def batch_rows(self) -> int:
        """Rows of one step."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""

    @property
    def budget(self) -> Numbers:
        """(K,) most steps."""

    def take(self, columns: Any) -> AnyStack:
        """A stack of some of the columns, on the same rows."""

    # --- training ---

    def start(self, weights: Array, bias: Array) -> AnyState:
        """State before the first step, at weights (D, C, K) and bias (C, K) of the host."""

    def advance(
        self,
        state: AnyState,
        until: int,
        snapshots: Callable[[int], Snapshot | None] = ...,
        should_stop: ShouldStop = ...,
    ) -> Records:
        """Take steps, to step `until` at most, or to a pause of the stack's own.

        One at least, but for a solver where `should_stop()` comes before its end, or where columns
        are due.
        """

    def settled(self, state: AnyState) -> Flags:
        """(K,) columns that have come to an end of their own."""

    def due(self, state: AnyState) -> Flags:
        """(K,) settled columns whose evaluation is due, by the state alone: wherever it pauses."""

    def done(self, state: AnyState) -> Numbers:
        """(K,) how far each column is on its way, from 0 to 1."""

    def taken(self, state: AnyState) -> Numbers:
        """(K,) steps of each column."""

    def ending(self, state: AnyState, at: int) -> Outcome:
        """How column `at`, which has settled, has ended."""

    def facts(
        self, state: AnyState, due: Flags, should_stop: ShouldStop = ...
    ) -> dict[str, Numbers]:
        """What is known of the columns that are due at an evaluation, each (K,).

        Raises:
            Interrupted: `should_stop()`, where it takes long.
        """

    # --- evaluation ---

    @property
    def chunk_rows(self) -> int:
        """Most rows that `buffers` are for."""

    def buffers(self, rows: int) -> Buffers:
        """Buffers for a chunk of so many rows."""

    def held_sums(self, X: Array, y: Array, w: Array) -> HeldSums | None:
        """What sums squares of ŷ − y over held rows without a pass; None where they are needed.

        X is (N, D), y (N, C), w (N,), on the device.
        """

    # --- planning ---

    def rehearse(self, state: AnyState) -> None:
        """Do the work of a step but for second derivatives, and wait for the device."""

    def hessian_work(self) -> HessianWork | None:
        """What second derivatives take; None of a stack that makes none."""
