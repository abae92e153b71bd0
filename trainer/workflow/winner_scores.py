"""What the winners' own models say of rows that they were not trained on, repeat by repeat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.predict.tables import prediction_table, row_scores, score
from trainer.sweep.refit import TrialModel, models_by_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from trainer.data import Rows
    from trainer.data.prepared import Prepared
    from trainer.predict.fitted_model import FittedModel
    from trainer.sweep.select import Chosen
    from trainer.sweep.sweep import SweepRun

Metrics = Mapping[str, float]


class TestScores(NamedTuple):
    """Test metrics of a winner, by their names with the split's before.

    Attributes:
        of_repeats: {repeat: those of its own model}.
        of_refit: those of the model that was trained again; empty without one.
    """

    __test__ = False  # no test of pytest's

    of_repeats: Mapping[int, Metrics] = {}
    of_refit: Metrics = {}

    @property
    def means(self) -> dict[str, float]:
        """Over the repeats."""
        return means_and_stds(list(self.of_repeats.values()))[0]

    @property
    def stds(self) -> dict[str, float]:
        """Standard deviations over the repeats (ddof 1), no errors of a mean."""
        return means_and_stds(list(self.of_repeats.values()))[1]


class WinnerScores(NamedTuple):
    """What the winners were scored on.

    Attributes:
        tests: by trial.
        held_out: the chosen trial's predictions of the rows that each fold held out, with the
            columns `repeat` and `time`, by repeat; empty without folds.
    """

    tests: dict[int, TestScores]
    held_out: list[pa.Table]


def means_and_stds(of_repeats: Sequence[Metrics]) -> tuple[dict[str, float], dict[str, float]]:
    """Means of metrics over repeats, and standard deviations (ddof 1) where there are several.

    NaN where a metric is no number in a repeat; without a deviation there.
    """
    names = dict.fromkeys(name for metrics in of_repeats for name in metrics)
    values = {name: np.array([of.get(name, np.nan) for of in of_repeats]) for name in names}
    with np.errstate(invalid="ignore"):  # of infinite losses
        means = {name: float(of.mean()) for name, of in values.items()}
        stds = {n: float(of.std(ddof=1)) for n, of in values.items() if len(of_repeats) > 1}
    return means, {name: std for name, std in stds.items() if math.isfinite(std)}


def score_winners(
    sweep: SweepRun, chosen: Chosen, models: Mapping[int, TrialModel]
) -> WinnerScores:
    """Score the winners' models: of every repeat, each on rows scaled as its own, and refits.

    Args:
        sweep: that they are of; rows that have left the device are prepared anew.
        chosen: the choice.
        models: by trial; refits among them are scored too.
    """
    of_repeats: dict[int, dict[int, Metrics]] = {}
    held_out: dict[int, pa.Table] = {}
    for rows in models_by_rows(sweep, set(_wanted(sweep, chosen))):
        for trial, repeat, fitted in rows.models:
            if rows.prepared.tests:
                of_repeats.setdefault(trial, {})[repeat] = test_metrics(fitted, rows.prepared)
            is_best = chosen.best is not None and trial == chosen.best.number
            if is_best and rows.fold is not None and rows.prepared.val is not None:
                place = {"repeat": repeat, "time": rows.fold.time}
                held_out[repeat] = prediction_table(fitted, rows.prepared.val, place)
    tests = {
        trial: TestScores(dict(sorted(of.items())), _of_refit(models.get(trial)))
        for trial, of in of_repeats.items()
    }
    return WinnerScores(tests, [table for _, table in sorted(held_out.items())])


def _wanted(sweep: SweepRun, chosen: Chosen) -> Iterator[tuple[int, int]]:
    """The columns whose models are needed: (trial, repeat)."""
    every, best = range(sweep.repeats), chosen.best
    tested = any(trial.spec.data.test != "none" for trial in sweep.trials)
    if best is not None and (tested or best.columns[0].held_ratio is not None):
        yield from ((best.number, repeat) for repeat in every)
    for group in chosen.groups if tested else ():
        repeats = every if group.repeat is None else (group.repeat,)
        yield from ((group.trial.number, repeat) for repeat in repeats)


def _of_refit(model: TrialModel | None) -> dict[str, float]:
    if model is None or model.refit is None:
        return {}
    return test_metrics(model.fitted, model.prepared)


def test_metrics(fitted: FittedModel, prepared: Prepared) -> dict[str, float]:
    """Loss and metrics of a model on each of its test splits."""
    found: dict[str, float] = {}
    for rows in prepared.tests:
        read = score(fitted, row_scores(fitted, rows), rows.y, rows.weight)
        found |= {f"{test_prefix(rows)}_{name}": value for name, value in read.items()}
    return found


def test_prefix(rows: Rows) -> str:
    """What the names of a test split's metrics begin with."""
    return "test" if rows.name == "test" else f"test_{rows.name}"
