"""Recorders: they write down and show what happens while stacks train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.console.progress import Progress, SweepProgress
from trainer.runs.names import MANIFEST
from trainer.wording.settings import settings_text
from trainer.workflow.checkpoints import REFIT, SWEEP, Checkpoints
from trainer.workflow.result_tables import history_rows

if TYPE_CHECKING:
    from trainer.runs.writer import RunWriter
    from trainer.sweep.jobs import StackFacts
    from trainer.sweep.scheduler import Scheduler
    from trainer.sweep.sweep import SweepRun
    from trainer.train.stretch import Evaluation, Indices, Stretch

_TOP = 5


class NullObserver:
    """An observer that writes and shows nothing, for a refit: it only ends the training."""

    def __init__(
        self,
        should_stop: Callable[[], int | None],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._asked, self._tell = should_stop, tell

    def on_stretch(self, stack: int, stretch: Stretch) -> None:
        """Nothing to do."""

    def on_evaluation(self, stack: int, columns: Indices, evaluation: Evaluation) -> None:
        """Nothing to do."""

    def on_shortage(self, told: str) -> None:
        """Say it."""
        self._tell(f"warning: {told}")

    def on_round(self, scheduler: Scheduler) -> None:
        """Nothing to do."""

    def should_stop(self) -> bool:
        """Whether a signal came."""
        return bool(self._asked())


class RefitRecorder(NullObserver):
    """Observer of a refit, of which checkpoints alone are kept."""

    def __init__(
        self,
        should_stop: Callable[[], int | None],
        tell: Callable[[str], None],
        checkpoints: Checkpoints,
    ) -> None:
        super().__init__(should_stop, tell)
        self._checkpoints = checkpoints

    def on_round(self, scheduler: Scheduler) -> None:
        """Keep what has been learned."""
        self._checkpoints.at_round(REFIT, scheduler, self.should_stop())


class Recorder(NullObserver):
    """Observer that writes steps, evaluations and checkpoints into the run folder.

    Attributes:
        targets: (T,) names of those that are problems of their own; None of a joint run.
    """

    targets: Any = None

    def __init__(
        self,
        sweep: SweepRun,
        folder: RunWriter,
        should_stop: Callable[[], int | None],
        checkpoints: Checkpoints,
    ) -> None:
        super().__init__(should_stop, folder.tell)
        self.checkpoints = checkpoints
        self.sweep, self.jobs, self.folder = sweep, sweep.jobs, folder
        self.every = sweep.log_every
        self.targets = None if sweep.targets is None else np.array(sweep.targets.names, object)

    def on_stretch(self, stack: int, stretch: Stretch) -> None:
        """Append to the log of steps; write steps in full, their rows numbered as in the source."""
        job, several = self.jobs[stack], len(self.jobs) > 1
        for snapshot in stretch.snapshots:
            arrays = snapshot.arrays
            arrays["rows"] = self._facts(stack).index[arrays["rows"]]
            with self.folder.spared("gradients"):
                self.folder.write_gradients(snapshot.step, arrays, stack if several else None)
        records = stretch.records
        due = records.step % self.every == 0
        logged = job.repeat[stretch.columns] < self.sweep.repeats  # without inner folds
        columns = np.asarray(stretch.columns)[logged]
        if not len(columns):
            return
        trial, repeat = job.trial[columns], job.repeat[columns]
        values = {name: value[due][:, logged] for name, value in records.values.items()}
        step, epoch = records.step[due], records.epoch[due]
        target = None if self.targets is None else job.target[columns]
        with self.folder.spared_steps():
            counts = stretch.counts[due][:, logged]
            self.folder.append_steps(step, epoch, values, trial, repeat, counts, target)

    def on_evaluation(self, stack: int, columns: Indices, evaluation: Evaluation) -> None:
        """Append to history.csv."""
        job, epoch = self.jobs[stack], self._facts(stack).epochs(evaluation.step)
        trial, repeat = job.trial[columns], job.repeat[columns]
        target = None if self.targets is None else self.targets[job.target[columns]]
        due, metrics = evaluation.due & (repeat < self.sweep.repeats), evaluation.metrics
        self.folder.append_history(
            history_rows(evaluation.step, epoch, metrics, due, trial, repeat, target)
        )

    def on_shortage(self, told: str) -> None:
        """Say it, and keep it for the page; stacks may be others now."""
        super().on_shortage(told)
        with self.folder.spared(MANIFEST):
            self.folder.add_warnings([told])
            self.folder.update_manifest(stacks=self.sweep.arrangement.facts())

    def on_round(self, scheduler: Scheduler) -> None:
        """Keep what has been learned."""
        self.checkpoints.at_round(SWEEP, scheduler, self.should_stop())

    def _facts(self, stack: int) -> StackFacts:
        facts = self.jobs[stack].facts
        assert facts is not None  # it is in training
        return facts


class RunRecorder(Recorder):
    """Recorder that shows the progress of one column, step by step."""

    def __init__(
        self,
        sweep: SweepRun,
        folder: RunWriter,
        should_stop: Callable[[], int | None],
        checkpoints: Checkpoints,
        progress: Progress,
    ) -> None:
        super().__init__(sweep, folder, should_stop, checkpoints)
        self.progress = progress
        self._at = 0, float("nan")

    def on_stretch(self, stack: int, stretch: Stretch) -> None:
        """Show the last step."""
        super().on_stretch(stack, stretch)
        training = self.jobs[stack].training
        taken = int(training.stack.taken(training.state)[0])
        self._at = taken, float(stretch.records.values["loss"][-1, 0])
        self._show(None, None)

    def on_evaluation(self, stack: int, columns: Indices, evaluation: Evaluation) -> None:
        """Show the evaluation."""
        super().on_evaluation(stack, columns, evaluation)
        losses = ("train_loss", "val_loss")
        known = (name for name, of in evaluation.metrics.items() if not np.isnan(of[0]))
        name = next((name for name in known if name not in losses), "train_loss")
        self._at = int(evaluation.step[0]), float(evaluation.metrics["train_loss"][0])
        self._show(name, float(evaluation.metrics[name][0]))

    def _show(self, name: str | None, value: float | None) -> None:
        (step, loss), training = self._at, self.jobs[0].training
        done = float(training.stack.done(training.state)[0])
        self.progress.update(step, self._facts(0).epochs(step), loss, name, value, done)


class SweepRecorder(Recorder):
    """Recorder that shows how far a sweep is, the statuses of its trials, and the best so far."""

    def __init__(
        self,
        sweep: SweepRun,
        folder: RunWriter,
        should_stop: Callable[[], int | None],
        checkpoints: Checkpoints,
        progress: SweepProgress,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            sweep: what trains.
            folder: of the run.
            should_stop: says whether a signal came.
            checkpoints: are written at the end of a round.
            progress: shows how far it is.
            keep: writes what is known by the end of a round.
        """
        super().__init__(sweep, folder, should_stop, checkpoints)
        self.progress, self._keep = progress, keep

    def on_round(self, scheduler: Scheduler) -> None:
        """Show how far it is; keep what is known by then."""
        super().on_round(scheduler)
        self._keep()
        self.progress.update(self._done, self._counts, lambda: self._top(scheduler))

    def _done(self) -> float:
        """Columns that are done, those in training by how far they are on their ways."""
        done = 0.0
        for job in self.jobs:
            training = job.training
            live = training.live
            done += len(live) - live.sum()
            if training.open:
                done += float(training.stack.done(training.state)[training.state.live].sum())
        return done

    def _counts(self) -> Counter[str]:
        """How many trials are alive, finished, …; of a trial's columns the worst off tells."""
        statuses: dict[int, str] = {}
        for job in self.jobs:
            outcomes = job.training.result.outcomes
            for trial, outcome in zip(job.trial.tolist(), outcomes, strict=True):
                status = outcome.status if outcome else "alive"
                if statuses.get(trial) not in ("diverged", "alive") or status == "diverged":
                    statuses[trial] = status
        return Counter(statuses.values())

    def _top(self, scheduler: Scheduler) -> list[tuple[str, float, float | None]]:
        """The best trials so far: settings, mean and standard deviation over repeats."""
        if self.targets is not None:  # of which each has another
            return []
        scores, sign = scheduler.scores[:, : self.sweep.repeats], scheduler.rules.sign
        read = ~np.isnan(scores)
        some = read.any(axis=1)
        count = read.sum(axis=1)
        mean = np.where(read, scores, 0).sum(axis=1) / np.maximum(count, 1)
        order = np.flatnonzero(some)[np.argsort(sign * mean[some], kind="stable")][:_TOP]
        found = []
        for t in order.tolist():
            values = scores[t][read[t]]
            with np.errstate(invalid="ignore"):  # of infinite losses
                std = float(values.std(ddof=1)) if len(values) > 1 else None
            text = settings_text(self.sweep.trials[t].settings)
            found.append((text, float(mean[t]), std))
        return found
