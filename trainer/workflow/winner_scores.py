"""What the winners' own models say of rows that they were not trained on, repeat by repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from trainer.predict.tables import prediction_table, row_scores, score
from trainer.sweep.winner_tests import Metrics, WinnerTests

if TYPE_CHECKING:
    import pyarrow as pa

    from trainer.data import Rows
    from trainer.data.prepared import Prepared
    from trainer.predict.fitted_model import FittedModel
    from trainer.sweep.refit import RowsModels, TrialModel
    from trainer.sweep.select import Chosen
    from trainer.sweep.sweep import SweepRun


class WinnerScores(NamedTuple):
    """What the winners were scored on.

    Attributes:
        tests: by trial.
        held_out: the chosen trial's predictions of the rows that each fold held out, with the
            columns `repeat` and `time`, by repeat; empty without folds.
    """

    tests: dict[int, WinnerTests]
    held_out: list[pa.Table]


def score_winners(
    found: Iterable[RowsModels], chosen: Chosen, models: Mapping[int, TrialModel]
) -> WinnerScores:
    """Score the winners' models: of every repeat, each on rows scaled as its own, and refits.

    Args:
        found: models of the columns that `to_be_scored` names.
        chosen: the choice.
        models: by trial; refits among them are scored too.
    """
    kept, best = chosen.nested, None if chosen.best is None else chosen.best.number
    of_repeats: dict[int, dict[int, Metrics]] = {}
    held_out: dict[int, pa.Table] = {}
    for rows in found:
        for trial, repeat, fitted in rows.models:
            if rows.prepared.tests:
                of_repeats.setdefault(trial, {})[repeat] = metrics_on_tests(fitted, rows.prepared)
            if (
                kept.get(repeat, best) == trial
                and rows.fold is not None
                and rows.prepared.val is not None
            ):
                place = {"repeat": repeat, "time": rows.fold.time}
                held_out[repeat] = prediction_table(fitted, rows.prepared.val, place)
        del rows  # or else there were those of two repeats while the next are prepared
    tests = {
        trial: WinnerTests(dict(sorted(of.items())), _of_refit(models.get(trial)))
        for trial, of in of_repeats.items()
    }
    return WinnerScores(tests, [table for _, table in sorted(held_out.items())])


def to_be_scored(sweep: SweepRun, chosen: Chosen) -> Iterator[tuple[int, int]]:
    """The columns whose models have rows to be scored on: (trial, repeat)."""
    every, best = range(sweep.repeats), chosen.best
    tested = any(trial.spec.data.test != "none" for trial in sweep.trials)
    if best is not None and (tested or best.columns[0].held_ratio is not None):
        yield from ((best.number, repeat) for repeat in every)
    if best is not None and best.columns[0].held_ratio is not None:
        yield from ((trial, repeat) for repeat, trial in chosen.nested.items())
    for group in chosen.groups if tested else ():
        repeats = every if group.repeat is None else (group.repeat,)
        yield from ((group.trial.number, repeat) for repeat in repeats)


def _of_refit(model: TrialModel | None) -> dict[str, float]:
    if model is None or model.refit is None:
        return {}
    return metrics_on_tests(model.fitted, model.prepared)


def metrics_on_tests(fitted: FittedModel, prepared: Prepared) -> dict[str, float]:
    """Loss and metrics of a model on each of its test splits."""
    found: dict[str, float] = {}
    for rows in prepared.tests:
        read = score(fitted, row_scores(fitted, rows), rows.y, rows.weight)
        if rows.metric in read:  # first where all are listed
            read = {rows.metric: read[rows.metric], **read}
        found |= {f"{prefix_of(rows)}_{name}": value for name, value in read.items()}
    return found


def prefix_of(rows: Rows) -> str:
    """What the names of a test split's metrics begin with."""
    return "test" if rows.name == "test" else f"test_{rows.name}"
