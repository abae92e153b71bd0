"""A pass over the rows, or over a part of them, in float64: their scores, errors and sums.

Rows go by in chunks, so (N, C, K) never exists.

Letters: N rows, n of a part, b of a chunk, D features, r directions, P parameters an output,
C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.model import kernels
from trainer.model.compiled_errors import RULES, CompiledErrors, errors_of, is_narrow, rule_of
from trainer.model.kernel_errors import KernelErrors, kernel_errors_of
from trainer.model.row_sums import weighted_sums
from trainer.model.step import errors, flat
from trainer.solvers.problem import Problem
from trainer.train.batches import Chunk, FullBatch, RowSet
from trainer.train.buffers import Buffers
from trainer.train.step_record import StepRecorder

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
_CACHED = 3 << 18  # bytes of a chunk's rows and scores: both products find them in the cache
_FEWEST_ROWS = 256  # rows of a chunk, or products are all overhead
_WORK = 1 << 29  # multiplications between two questions whether to stop, a fifth of a second
_FEW_SCORES = 16  # features a score of a row: from then on scores are kept, for next to nothing
NAMES = ("mean", *StepRecorder.names)  # of the sums of one evaluation


def chunk_rows(device: Device, rows: int, width: int, scores: int) -> int:
    """How many of so many rows go by at once, of so many numbers and scores each."""
    return min(rows, max(_FEWEST_ROWS, device.at_once(_CACHED) // (8 * (width + scores))))


class _Step(NamedTuple):
    """A chunk of the rows: which, X (b, D), and room for its scores (b, C·K)."""

    part: slice
    X: Array
    z: Array


class Pass:
    """A pass over some of the rows, in buffers of its own: parts of the rows go side by side.

    Attributes:
        found: (6, K) sums of the rows by `NAMES`; sum: (P, C, K) of dJ/dw. Both of the last pass.
        kept: (n, C, K) X·W of the last pass, where scores are few beside the rows; else None.
    """

    def __init__(self, problem: Problem, rows: RowSet, part: slice, chunk_rows: int) -> None:
        self.problem, self.device, self.model = problem, problem.device, problem.model
        _, outputs, columns = problem.shape
        xp, width = self.device.xp, int(rows.X.shape[1])  # r, or D
        own = rows.part(part)
        chunk_rows = min(chunk_rows, len(own))
        few = _FEW_SCORES * outputs * columns <= width
        room = self.device.at_once(_CACHED) // (8 * outputs * columns)  # rows, without X
        most = max(chunk_rows, min(len(own), room)) if few else chunk_rows
        self._buffers = Buffers(xp, most, outputs, columns, np.float64)
        self._batches = FullBatch(self.device, own, chunk_rows)
        self._errors = self._twin(own, columns)
        # columns with means of their own ask for the sum of errors, bias or not
        self._biased = problem.bias or problem.basis.is_own
        self.sum = xp.empty((width + self._biased, outputs, columns))
        self._part = xp.zeros((width + self._biased, outputs, columns))
        self._bias = xp.empty((outputs, columns))
        self._narrow = is_narrow(outputs, columns, own.X)
        self.kept = xp.empty((len(own), outputs, columns)) if few else None
        work = 2 * chunk_rows * (width + _FEW_SCORES) * outputs * columns
        self._asks = max(1, _WORK // max(1, work))  # chunks between two questions

    def _twin(self, rows: RowSet, columns: int) -> CompiledErrors | KernelErrors | None:
        """Errors as they are compiled for the device and the model; None: by their text."""
        xp, placed = self.device.xp, self._batches.placed()
        if self.device.twin == "cuda" and kernels.wanted():
            rule, most = RULES.get(rule_of(self.model)), self._batches.chunk_rows
            return kernel_errors_of(xp, rule, rows.y, placed, most, columns)
        return errors_of(xp, self.model, rows.y, placed, columns)

    @property
    def compiled(self) -> bool:
        """Whether errors are."""
        return self._errors is not None

    def chunks(
        self, batches: FullBatch | None = None, should_stop: ShouldStop = never
    ) -> Iterator[tuple[Chunk, Buffers]]:
        """The rows by `batches`, or `chunk_rows` at a time, and buffers for as many."""
        for number, chunk in enumerate((batches or self._batches).chunks(1), start=1):
            if number % self._asks == 0:
                ask(should_stop)
            yield chunk, self._buffers.first(chunk.rows.stop - chunk.rows.start)

    def scored(self, offset: Array, should_stop: ShouldStop) -> Iterator[tuple[Chunk, Buffers]]:
        """The rows, as many as buffers hold at a time, and their scores by what was kept."""
        assert self.kept is not None
        batches = FullBatch(self.device, self._batches.rows, len(self._buffers.z))
        for chunk, b in self.chunks(batches, should_stop):
            self.device.xp.add(self.kept[chunk.rows], offset, out=b.z)
            yield chunk, b

    def run(
        self,
        weights: Array,
        offset: Array,
        full: bool,
        at_zeros: bool,
        should_stop: ShouldStop = never,
    ) -> None:
        """Sum up at weights (r or D, C, K) and bias (C, K) of the rows as they are.

        `at_zeros` says that all the weights are 0, whose products need not be made.

        Raises:
            Interrupted: `should_stop()`, asked between chunks, now and then.
        """
        device, problem, into = self.device, self.problem, self.sum
        xp, width = device.xp, len(self.sum) - self._biased
        offset = xp.ascontiguousarray(offset)
        in_parts = isinstance(self._errors, KernelErrors)  # whose sums come when the pass ends
        self.found = (xp.empty if in_parts else xp.zeros)((len(NAMES), problem.shape[2]))
        if self._errors is not None:
            self._errors.begin(offset, self.found)
        given = None if at_zeros else flat(weights)
        if isinstance(self._errors, CompiledErrors) and self._narrow:
            of_bias = into[width] if self._biased else self._bias
            X, sums = self._batches.rows.X, (into[:width], of_bias)
            self._errors.of_all(X, given, self.kept, *sums, should_stop)
            return
        for step in self._products(given, should_stop):
            row = into[width] if self._biased else self._bias
            if self._errors is None:
                dz = flat(self._numpy_errors(step.part, offset, row, full))
            else:
                dz = self._errors.run(step.part, step.z, row)
            device.matmul(step.X.T, dz, out=flat(into[:width]))
            if into is not self.sum:
                self.sum += into
            into = self._part
        if isinstance(self._errors, KernelErrors):
            self._errors.end(self.sum[width] if self._biased else self._bias)

    def keep(self, weights: Array, offset: Array, should_stop: ShouldStop) -> None:
        """Have `kept` as a `run` at these weights leaves it, to the bit."""
        if isinstance(self._errors, CompiledErrors) and self._narrow:
            self.run(weights, offset, False, False, should_stop)
            return
        for _ in self._products(flat(weights), should_stop):
            pass

    def _products(self, weights: Array | None, should_stop: ShouldStop) -> Iterator[_Step]:
        """The chunks, each once X·W is in z, and kept where it is to be; None stands for zeros."""
        for number, step in enumerate(self._steps, start=1):
            if number % self._asks == 0:
                ask(should_stop)
            if weights is None:
                step.z.fill(0)
            else:
                self.device.matmul(step.X, weights, out=step.z)
            if self.kept is not None:
                self.device.xp.copyto(flat(self.kept[step.part]), step.z)
            yield step

    @cached_property
    def _steps(self) -> list[_Step]:
        """The chunks of a pass, which are those of every pass."""
        parts, batches = self._batches.parts(1), self._batches
        return [
            _Step(part, batches.gather(part), flat(self._buffers.z[: part.stop - part.start]))
            for part in parts
        ]

    def _numpy_errors(self, part: slice, offset: Array, into: Array, full: bool) -> Array:
        """Errors of a part of the rows: returns dL/dz ⊙ q; into (C, K) ← dJ/db."""
        device, rows = self.device, self._batches.targets(part)
        b = self._buffers.first(part.stop - part.start)
        log = StepRecorder(self.found[1:], full)
        dz = errors(device, self.model, b.z, offset, rows, into, log, b, lambda *shown: None)
        weighted_sums(device, rows.q[:, 0].T, b.loss, b.ones, b.total)
        self.found[0] += b.total[0]
        return dz

    def add(self, other: Pass) -> None:
        """Take the sums of other rows to these."""
        xp, largest = self.device.xp, NAMES.index("error_max")
        most = xp.maximum(self.found[largest], other.found[largest])
        self.found += other.found
        self.found[largest] = most
        self.sum += other.sum
