"""What a stack did between two pauses, as it is handed to whoever listens."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer.text.saved import Saved
from trainer.train.step_record import Records, Snapshot

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Evaluation(NamedTuple):
    """One evaluation of a stack.

    Attributes:
        number: of the evaluation, from 1, as each column counts its own.
        step: (K,) after how many of each column's steps.
        metrics: by name, each (K,).
        due: (K,) the columns it is for.
    """

    number: int
    step: Indices
    metrics: dict[str, Numbers]
    due: Flags


class Stretch(NamedTuple):
    """What a stack did between two pauses.

    Attributes:
        columns: (K,) which of the columns the stack began with are in it still.
        records: the log of its steps.
        counts: (S, K), False after a column's end.
        snapshots: the full arrays of some steps.
        evaluation: the evaluation at its end, or None.
    """

    columns: Indices
    records: Records
    counts: Flags
    snapshots: list[Snapshot]
    evaluation: Evaluation | None

    def saved(self) -> Saved:
        """A record of it, for `restored`."""
        found = {"columns": self.columns, "counts": self.counts, "records": self.records.saved()}
        found["snapshots"] = {
            str(i): {"step": one.step, **one.arrays} for i, one in enumerate(self.snapshots)
        }
        if self.evaluation is not None:
            found["evaluation"] = self.evaluation._asdict()
        return found

    @classmethod
    def restored(cls, saved: Saved) -> Stretch:
        """The stretch that a record is of."""
        snapshots = []
        for _, arrays in sorted(saved.get("snapshots", {}).items(), key=lambda one: int(one[0])):
            snapshots.append(Snapshot(arrays["step"]))
            snapshots[-1].add(**{name: of for name, of in arrays.items() if name != "step"})
        evaluation = saved.get("evaluation")
        return cls(
            saved["columns"],
            Records(**saved["records"]),
            saved["counts"],
            snapshots,
            None if evaluation is None else Evaluation(**evaluation),
        )
