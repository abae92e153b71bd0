"""Train one stack to the end of its columns' budgets, with an evaluation every so many steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from trainer.train.outcomes import EarlyStopping, Outcome
from trainer.train.stack import PARAMETERS, Records, Snapshot, Stack
from trainer.train.state import State

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Evaluate = Callable[[State], dict[str, Numbers]]


class Observer(Protocol):
    """Who hears what happens while a stack trains; every call is between two steps."""

    def on_records(self, records: Records, counts: Flags) -> None:
        """Take the log of a stretch of steps; counts (S, K) is False after a column's end."""

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Take the full arrays of one step."""

    def on_evaluation(self, step: int, metrics: dict[str, Numbers], columns: Flags) -> None:
        """Take one evaluation: each metric is (K,), of which `columns` (K,) take part."""

    def should_stop(self) -> bool:
        """Whether to end after the step that is running."""


@dataclass
class Fit:
    """What came of a stack of K columns.

    Attributes:
        state: after the last step, with the weights that count (the best ones where restored).
        outcomes: one a column; None while it trains.
        metrics: (K,) values of the evaluation that counts, by name.
        step: (K,) the step of that evaluation; 0 where there was none.
        grad_norm: (K,) ‖dJ/dW‖ of the last step.
        finite_loss: (K,) the last finite loss of a step.
    """

    state: State
    outcomes: list[Outcome | None]
    metrics: dict[str, Numbers] = field(default_factory=dict)
    step: Numbers = field(default_factory=lambda: np.zeros(0))
    grad_norm: Numbers = field(default_factory=lambda: np.zeros(0))
    finite_loss: Numbers = field(default_factory=lambda: np.zeros(0))


def fit(
    stack: Stack,
    state: State,
    evaluate: Evaluate,
    every: int,
    stopping: EarlyStopping | None,
    observer: Observer,
    gradients_every: int = 0,
) -> Fit:
    """Run a stack until each column has an outcome.

    A column is evaluated at every multiple of `every` steps and at the end of its own budget.

    Args:
        stack: the columns.
        state: where they start.
        evaluate: reads the metrics of a state; `train_loss` is added here.
        every: steps between evaluations.
        stopping: early stopping, or None.
        observer: is told what happens.
        gradients_every: steps between snapshots; 0 for none.
    """
    return _Run(stack, state, evaluate, every, stopping, observer, gradients_every).run()


class _Run:
    def __init__(
        self,
        stack: Stack,
        state: State,
        evaluate: Evaluate,
        every: int,
        stopping: EarlyStopping | None,
        observer: Observer,
        gradients_every: int,
    ) -> None:
        self.stack, self.state, self.evaluate, self.every = stack, state, evaluate, every
        self.stopping, self.observer, self.gradients_every = stopping, observer, gradients_every
        self.budget = stack.settings.schedule.steps
        columns = stack.columns
        self.result = Fit(
            state,
            [None] * columns,
            step=np.zeros(columns),
            grad_norm=np.full(columns, np.nan),
            finite_loss=np.full(columns, np.nan),
        )
        restore = stopping is not None and stopping.restore_best
        self.best = {name: state.arrays[name].copy() for name in PARAMETERS if restore}
        self.recent: list[Numbers] = []  # losses (S, K) of the last epoch's steps, and some more

    def run(self) -> Fit:
        while self.state.live.any():
            self._stretch()
            step = self.state.step
            due = self.state.live & ((step % self.every == 0) | (step == self.budget))
            if due.any():
                self._evaluate(due)
            if self.observer.should_stop() and self.state.live.any():
                late = self.state.live & ~due
                if late.any():  # so that the metrics belong to the weights that are kept
                    self._evaluate(late, may_stop=False)
                self._end(self.state.live.copy(), "interrupted", "interrupted after step {step}")
        self._restore()
        return self.result

    def _stretch(self) -> None:
        state, snapshots = self.state, []

        def snapshot(step: int) -> Snapshot | None:
            if not self.gradients_every or step % self.gradients_every:
                return None
            snapshots.append(Snapshot(step))
            return snapshots[-1]

        live = state.live.copy()
        until = self._next_pause()
        records = self.stack.advance(state, until, snapshot, self.observer.should_stop)
        loss = records.values["loss"]
        finite = np.isfinite(loss)
        unbroken = np.logical_and.accumulate(finite, axis=0)  # (S, K)
        # the step a column breaks at is still its own; what it computes afterwards is not
        counts = live & np.vstack([np.ones_like(live), unbroken[:-1]])
        self.recent.append(loss)
        self._note_last(records, counts & finite)
        for one in snapshots:
            self.observer.on_snapshot(one)
        self.observer.on_records(records, counts)
        for k in np.flatnonzero(live & ~unbroken[-1]).tolist():
            self._diverge(k, int(records.step[unbroken[:, k].sum()]))

    def _next_pause(self) -> int:
        """The next step with an evaluation, the end of a budget, or a snapshot to hand over."""
        step, budget = self.state.step, self.budget[self.state.live]
        pauses = [budget[budget > step].min(), (step // self.every + 1) * self.every]
        if self.gradients_every:
            pauses.append((step // self.gradients_every + 1) * self.gradients_every)
        return int(min(pauses))

    def _note_last(self, records: Records, counts: Flags) -> None:
        for k in np.flatnonzero(counts.any(axis=0)):
            last = np.flatnonzero(counts[:, k])[-1]
            self.result.finite_loss[k] = records.values["loss"][last, k]
            norms = records.values["grad_norm"][: last + 1, k]
            read = norms[~np.isnan(norms)]  # not every step has one
            if len(read):
                self.result.grad_norm[k] = read[-1]

    def _evaluate(self, due: Flags, may_stop: bool = True) -> None:
        state, step = self.state, self.state.step
        # an epoch's steps, whenever other columns were evaluated
        recent = np.concatenate(self.recent)[-self.stack.steps_per_epoch :]
        self.recent = [recent]
        metrics = {"train_loss": recent.mean(axis=0)} | self.evaluate(state)
        finite = self._finite_weights()
        for k in np.flatnonzero(due & ~finite).tolist():
            self._diverge(k, step)
        due = due & finite
        self.observer.on_evaluation(step, metrics, due)
        better, stop = due, np.zeros_like(due)
        if self.stopping:
            better, stop = self.stopping.update(metrics[self.stopping.metric], due)
            # while the metric has never been a number the latest evaluation counts
            better = better | (due & ~np.isfinite(self.stopping.best))
            if self.stopping.restore_best:
                self._keep(better)
            else:
                better = due
        self._note_metrics(metrics, better)
        ended = due & (step >= self.budget)
        self._end(ended, "finished", "trained for its {step} steps")
        for k in np.flatnonzero(stop & ~ended & may_stop).tolist():
            assert self.stopping is not None
            name, patience = self.stopping.metric, self.stopping.patience[k]
            happened = "did not improve" if np.isfinite(self.stopping.best[k]) else "was no number"
            reason = f"{name} {happened} in {patience:g} evaluations"
            self._end_one(k, "early_stopped", reason, step)

    def _note_metrics(self, metrics: dict[str, Numbers], columns: Flags) -> None:
        for name, value in metrics.items():
            kept = self.result.metrics.setdefault(name, np.full(self.stack.columns, np.nan))
            kept[columns] = value[columns]
        self.result.step[columns] = self.state.step

    def _keep(self, columns: Flags) -> None:
        where = self.stack.device.to_device(columns)
        for name, best in self.best.items():
            self.stack.device.xp.copyto(best, self.state.arrays[name], where=where)

    def _restore(self) -> None:
        kept = self.stack.device.to_device(self.result.step > 0)
        for name, best in self.best.items():
            self.stack.device.xp.copyto(self.state.arrays[name], best, where=kept)

    def _finite_weights(self) -> Flags:
        xp, state = self.stack.device.xp, self.state
        finite = xp.isfinite(state.weights).all(axis=(0, 1)) & xp.isfinite(state.bias).all(axis=0)
        return np.asarray(self.stack.device.to_host(finite))

    def _diverge(self, k: int, step: int) -> None:
        last = self.result.finite_loss[k]
        told = f"; its last finite loss was {last:.6g}" if np.isfinite(last) else ""
        self._end_one(k, "diverged", f"loss or weights not finite at step {step}{told}", step)

    def _end(self, columns: Flags, status: str, reason: str) -> None:
        for k in np.flatnonzero(columns).tolist():
            self._end_one(k, status, reason.format(step=self.state.step), self.state.step)

    def _end_one(self, k: int, status: str, reason: str, step: int) -> None:
        self.result.outcomes[k] = Outcome(status, reason, step)
        self.state.live[k] = False
