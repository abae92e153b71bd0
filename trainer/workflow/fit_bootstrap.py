"""Bootstrap of the fit: a trial's coefficients over resamples of the rows, its settings fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.catalog import is_minimized
from trainer.config.schema.intervals import Intervals
from trainer.sweep.select import per_paths

if TYPE_CHECKING:
    from trainer.predict.fitted_model import FittedModel
    from trainer.sweep.refit import RowsModels
    from trainer.sweep.select import Chosen
    from trainer.sweep.sweep import SweepRun
    from trainer.sweep.trial_result import TrialResult

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Row = dict[str, Any]
MOST_NUMBERS = 1 << 26  # coefficients of all resamples: half a GiB
_SHOWN = 20  # settings that win the most


class FitDraws:
    """The coefficients of one trial in each resample, as models come by.

    Attributes:
        trial: whose; None: of none.
        by_repeat: {resample: (names of its features, (D, C) coefficients on raw features)}.
    """

    def __init__(self, trial: int | None) -> None:
        self.trial = trial
        self.by_repeat: dict[int, tuple[tuple[str, ...], Numbers]] = {}

    def columns(self, repeats: int) -> Iterator[tuple[int, int]]:
        """The columns whose models are to come by."""
        if self.trial is not None:
            yield from ((self.trial, repeat) for repeat in range(repeats))

    def watch(self, found: Iterable[RowsModels]) -> Iterator[RowsModels]:
        """The same models, of which those of the trial are kept in mind."""
        for rows in found:
            for trial, repeat, fitted in rows.models:
                if trial == self.trial:
                    self.by_repeat[repeat] = fitted.features_, fitted.coef_.T
            yield rows
            del rows  # or else there were those of two repeats while the next are prepared


def fits_wanted(sweep: SweepRun, chosen: Chosen) -> int | None:
    """The trial whose coefficients are to have intervals; None without resamples, or of too many.

    Resamples of several seeds are resamples too.
    """
    block, best = sweep.repeat_block, chosen.best
    is_drawn = block is not None and bool(block.get("bootstrap"))
    if best is None or not is_drawn or not isinstance(sweep.spec.intervals, Intervals):
        return None
    D, C = len(sweep.first.prepared.encoder.features), sweep.first.outputs
    return best.number if D * C * sweep.repeats <= MOST_NUMBERS else None


def coefficient_rows(
    draws: FitDraws, model: FittedModel, level: float, *, selects: bool
) -> list[Row]:
    """The rows of coefficients.csv: a row a feature and output.

    A coefficient is how far the score moves when its feature grows by the model's `feature_scale`.

    Args:
        draws: of the resamples.
        model: that is kept, in whose units they are.
        level: the share of the resamples that lies between `low` and `high`.
        selects: whether an l1 penalty sets coefficients to 0: percentiles of such are no
            intervals, and `low` and `high` are empty.
    """
    names, outputs = model.features_, model.encoder.outputs
    scale = np.asarray(model.encoder.scale, np.float64)[:, None]  # (D, 1)
    own = model.weights.astype(np.float64) * model.encoder.target_scale  # (D, C)
    table = np.full((len(draws.by_repeat), *own.shape), np.nan)  # (R, D, C)
    place = {name: d for d, name in enumerate(names)}
    for r, (features, coefficients) in enumerate(draws.by_repeat.values()):
        there = [(place[name], i) for i, name in enumerate(features) if name in place]
        to, of = np.array(there, np.int64).reshape(-1, 2).T
        table[r, to] = coefficients[of] * scale[to]
    known = np.isfinite(table)
    count = known.sum(axis=0)  # (D, C): a category that a resample lacks has none there
    table[~known] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        nonzero = (known & (table != 0)).sum(axis=0) / count
    ends = np.full((2, *own.shape), np.nan)
    some = count.all(axis=1) & (not selects)  # (D,)
    if some.any():
        ends[:, some] = np.nanquantile(table[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [
        {
            "output": outputs[c],
            "feature": names[d],
            "coefficient": float(own[d, c]),
            "low": _cell(ends[0, d, c]),
            "high": _cell(ends[1, d, c]),
            "nonzero": _cell(nonzero[d, c]),
            "resamples": int(count[d, c]),
        }
        for c in range(own.shape[1])
        for d in range(own.shape[0])
    ]


def _cell(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def wins(trials: Sequence[TrialResult], chosen: Chosen, sweep: SweepRun) -> list[Row]:
    """How often each setting would win, by the metric that ranks: a share of the resamples.

    Settings of other values of `select.per` than the winner's are left out, and those that
    halving dropped; of equal ones the first wins. The most frequent come first.
    """
    best, metric = chosen.best, chosen.metric
    if best is None:
        return []
    paths = per_paths(sweep.spec)
    rivals = [
        trial
        for trial in trials
        if trial.status != "halved"  # of fewer epochs: ranks have it last, too
        and all(trial.settings.get(path) == best.settings.get(path) for path in paths)
    ]
    sign, repeats = (1.0 if is_minimized(metric) else -1.0), sweep.repeats
    table = np.full((len(rivals), repeats), np.inf)
    for i, trial in enumerate(rivals):
        for column in trial.columns:
            value = column.metrics.get(metric, np.nan)
            if column.status != "diverged" and metric not in column.undefined and value == value:
                table[i, column.repeat] = sign * value
    known = np.isfinite(table).any(axis=0)  # (R,)
    if len(rivals) < 2 or not known.any():
        return []
    counts = np.bincount(table[:, known].argmin(axis=0), minlength=len(rivals))
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    return [
        {
            "trial": rivals[i].number,
            "settings": dict(rivals[i].settings),
            "share": float(counts[i] / known.sum()),
        }
        for i in order
        if counts[i]
    ]


def bootstrap_record(
    draws: FitDraws, trials: Sequence[TrialResult], chosen: Chosen, sweep: SweepRun
) -> Row:
    """`bootstrap` of results.json: what the rows of coefficients.csv are of, and who would win."""
    wanted, best = sweep.spec.intervals, chosen.best
    assert best is not None
    assert isinstance(wanted, Intervals)
    return {
        "resamples": len(draws.by_repeat),
        "level": wanted.level,
        "penalised": best.l2 > 0 or best.l1 > 0,
        "selects": best.l1 > 0,
        "wins": wins(trials, chosen, sweep),
    }
