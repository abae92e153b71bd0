"""What is written down and shown while a stack trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.build import Columns, log_every
from trainer.folder import RunFolder
from trainer.results import history_rows
from trainer.terminal import Progress
from trainer.train.stack import Records, Snapshot

Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Watch:
    """Writes down what happens while a stack trains, and shows how far it is."""

    def __init__(
        self,
        columns: Columns,
        folder: RunFolder,
        progress: Progress,
        should_stop: Callable[[], int | None],
    ) -> None:
        self.columns, self.folder, self.progress = columns, folder, progress
        self._asked = should_stop
        self.trial = np.arange(len(columns.specs))
        self.repeat = np.zeros(len(columns.specs), dtype=np.int64)
        self.every = log_every(columns.spec)
        self._metric: tuple[str | None, float | None] = (None, None)
        self.first_loss = np.full(len(columns.specs), np.nan)

    def on_records(self, records: Records, counts: Any) -> None:
        """Append to the log of steps."""
        if records.step[0] == 1:
            self.first_loss = records.values["loss"][0]
        due = records.step % self.every == 0
        values = {name: value[due] for name, value in records.values.items()}
        self.folder.append_steps(
            records.step[due], records.epoch[due], values, self.trial, self.repeat, counts[due]
        )
        self._show(int(records.step[-1]), float(records.values["loss"][-1, 0]))

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Write one step in full, its rows numbered as in the source."""
        arrays = snapshot.arrays
        arrays["rows"] = self.columns.prepared.train.index[arrays["rows"]]
        self.folder.write_gradients(snapshot.step, arrays)

    def on_evaluation(self, step: int, metrics: dict[str, Numbers], columns: Any) -> None:
        """Append to history.csv."""
        epoch = -(-step // self.columns.stack.steps_per_epoch)
        rows = history_rows(step, epoch, metrics, columns, self.trial, self.repeat)
        self.folder.append_history(rows)
        name = next((n for n in metrics if n not in ("train_loss", "val_loss")), "train_loss")
        self._metric = (name, float(metrics[name][0]))
        self._show(step, float(metrics["train_loss"][0]))

    def _show(self, step: int, loss: float) -> None:
        epoch = -(-step // self.columns.stack.steps_per_epoch)
        self.progress.update(step, epoch, loss, *self._metric)

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return self._asked() is not None
