"""How columns end, and with what: values and a sentence a person reads, never exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from trainer.text.saved import Saved
from trainer.train.step_record import Records

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Outcome(NamedTuple):
    """How a column ended.

    Attributes:
        status: "finished", "early_stopped", "halved", "diverged" or "interrupted"; of solvers
            "converged" or "not_converged" in place of the first two.
        reason: a sentence.
        step: the last step that counts; for a diverged column the step it diverged at.
    """

    status: str
    reason: str
    step: int


@dataclass
class StackResult:
    """What came of the K columns that a stack began with.

    Attributes:
        outcomes: one a column; None while it trains.
        weights, bias: (D, C, K) and (C, K) on the host, of columns that have left the device: the
            ones of the evaluation that counts, or of the last step; None before any has.
        metrics: (K,) values of the evaluation that counts, by name.
        step: (K,) the step of that evaluation.
        read: (K,) whether there was one.
        facts: (K,) by name, what a solver knows of that point.
        grad_norm: (K,) ‖dJ/dW‖ of the last step.
        first_loss, finite_loss: (K,) the first loss, and the last finite one.
    """

    outcomes: list[Outcome | None]
    weights: Numbers | None = None
    bias: Numbers | None = None
    metrics: dict[str, Numbers] = field(default_factory=dict)
    step: Numbers = field(default_factory=lambda: np.zeros(0))
    read: Flags = field(default_factory=lambda: np.zeros(0, bool))
    facts: dict[str, Numbers] = field(default_factory=dict)
    grad_norm: Numbers = field(default_factory=lambda: np.zeros(0))
    first_loss: Numbers = field(default_factory=lambda: np.zeros(0))
    finite_loss: Numbers = field(default_factory=lambda: np.zeros(0))

    def note(self, columns: Indices, records: Records, counts: Flags) -> None:
        """Keep the first, the last finite loss and the last gradient norm of each column.

        Args:
            columns: (K,) which of them the records are of.
            records: of S steps.
            counts: (S, K) steps that were taken, and whose losses are finite.
        """
        loss, norms = records.values["loss"], records.values["grad_norm"]
        if len(loss) == 0:  # a stop came within the first round
            return
        if records.step[0] == 1:
            self.first_loss[columns] = loss[0]
        some = counts.any(axis=0)
        last = len(loss) - 1 - counts[::-1].argmax(axis=0)  # (K,)
        self.finite_loss[columns[some]] = loss[last[some], np.flatnonzero(some)]
        read = counts & ~np.isnan(norms)  # not every step has one
        some = read.any(axis=0)
        last = len(loss) - 1 - read[::-1].argmax(axis=0)
        self.grad_norm[columns[some]] = norms[last[some], np.flatnonzero(some)]

    def saved(self, gone: Flags) -> Saved:
        """A record of it, for `restored`: weights are those of the columns (K,) that are `gone`."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["outcomes"] = [None if one is None else list(one) for one in self.outcomes]
        for name in ("weights", "bias"):
            if found[name] is not None:
                found[name] = np.compress(gone, found[name], axis=-1)
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def restored(cls, saved: Saved, gone: Flags) -> StackResult:
        """The results that a record is of."""
        outcomes = [None if one is None else Outcome(*one) for one in saved["outcomes"]]
        found = cls(**{**saved, "outcomes": outcomes})
        for name in ("weights", "bias"):
            if (some := saved.get(name)) is not None:
                whole = np.zeros((*some.shape[:-1], len(gone)), some.dtype)
                whole[..., gone] = some
                setattr(found, name, whole)
        return found
