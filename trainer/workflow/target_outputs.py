"""The end of a run of targets that are problems of their own: each has a winner and a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from trainer.config.schema.spec import Spec
from trainer.predict.fitted_model import FittedModel
from trainer.predict.tables import predictions, stacked, table_of, target_words
from trainer.runs.names import GROUPS, MANIFEST, PREDICTIONS, RESULTS
from trainer.sweep.permutation import Again
from trainer.sweep.refit import refit_of
from trainer.sweep.results import trial_results
from trainer.sweep.select import Chosen, choose
from trainer.sweep.sweep import train_again, word_for_repeats
from trainer.sweep.target_models import (
    Candidate,
    HeldScores,
    TargetFit,
    first_fits,
    refit_fits,
    tests_of_repeats,
    together,
)
from trainer.sweep.trial_result import TrialResult
from trainer.sweep.winner_tests import WinnerTests
from trainer.wording.closing import commands
from trainer.wording.targets import targets_closing, unranked_targets_text
from trainer.workflow.checkpoints import REFIT, Checkpoints
from trainer.workflow.column_tables import write_columns, write_solvers
from trainer.workflow.end_room import MOST_CELLS, model_bytes
from trainer.workflow.influence import write_influence
from trainer.workflow.permutations import add_permutation_test
from trainer.workflow.recorder import RefitRecorder
from trainer.workflow.result_tables import refit_spec
from trainer.workflow.row_sets import write_rows
from trainer.workflow.target_tables import by_target, target_results, winner_rows, winners

if TYPE_CHECKING:
    from trainer.console.terminal import Terminal
    from trainer.runs.writer import RunWriter
    from trainer.sweep.scheduler import Scheduler
    from trainer.sweep.sweep import SweepRun
    from trainer.text.saved import Saved


def write_target_outputs(
    folder: RunWriter,
    sweep: SweepRun,
    scheduler: Scheduler,
    terminal: Terminal,
    should_stop: Callable[[], int | None],
    checkpoints: Checkpoints,
) -> str:
    """Write the tables, each target's winner and its model; return the status of the run.

    What the disk refuses keeps nothing else from being written, and is tried again at the close.
    """
    assert sweep.targets is not None
    folder.files.begin_end()
    spec, names, metric = sweep.spec, sweep.targets.names, sweep.rules.metric
    trials = trial_results(sweep)
    write_columns(folder, sweep, trials, sweep.jobs)
    with folder.spared(MANIFEST):
        write_solvers(folder, sweep)
    write_rows(folder, sweep, terminal)
    chosen = [choose(of, spec, metric) for of in by_target(trials, len(names))]
    cut_short = any(trial.cut_short for trial in trials)
    if refit_of(spec) and not cut_short:
        checkpoints.before_refit(scheduler, bool(should_stop()))
    observer = RefitRecorder(should_stop, folder.tell, checkpoints)
    fits, tests, all_there = _fits(sweep, chosen, observer, checkpoints.saved(REFIT), terminal)
    with folder.spared(GROUPS):
        folder.write_groups(winner_rows(chosen, names, sweep.metrics, tests))
    told = sweep.targets.left_out, sweep.layout.lacking, sweep.layout.inner_lacking
    record = target_results(chosen, trials, spec, sweep.repeats, names, *told, tests)
    best = {t: fits.get((one.best.number, t)) for t, one in enumerate(chosen) if one.best}
    there = {t: fit for t, fit in best.items() if fit is not None}
    left_out = {t: fit.left_out for t, fit in there.items() if fit.left_out is not None}
    record |= write_influence(folder, [((names[t],), of) for t, of in left_out.items()])
    again = Again(train_again, trial_results)
    begun = folder, scheduler, checkpoints, should_stop, terminal, again
    if all_there and not cut_short:  # else there is more to do before
        all_there = add_permutation_test(record, sweep, trials, *begun)
    with folder.spared(RESULTS):
        folder.write_results(record)
    if not record["groups"]:
        return _end_without_winners(folder, trials, metric, terminal)
    notes = _write_model(folder, there, names)
    rows = next((fit.refit for fit in there.values() if fit.refit), None)
    word = word_for_repeats(spec)
    lines = targets_closing(record, refit=rows, notes=notes, word=word)
    terminal.summary([*lines, *commands(folder.path)])
    return "interrupted" if cut_short or not all_there else "finished"


def _fits(
    sweep: SweepRun,
    chosen: Sequence[Chosen],
    observer: RefitRecorder,
    saved: Saved | None,
    terminal: Terminal,
) -> tuple[dict[Candidate, TargetFit], dict[Candidate, WinnerTests], bool]:
    """The models of all winners, their test metrics, and whether these are the last word."""
    won = {
        (trial.number, target): trial
        for target, one in enumerate(chosen)
        for trial in [*([one.best] if one.best else []), *(of for _, of in winners(one))]
    }
    fits = first_fits(sweep, won)
    of_repeats = tests_of_repeats(sweep, won.keys(), fits)
    tests = {name: WinnerTests(of) for name, of in of_repeats.items()}
    rows = refit_of(sweep.spec)
    again = _refits(won, rows)
    if rows is None or not again:
        return fits, tests, True
    if observer.should_stop():
        return fits, tests, False
    refitted = refit_fits(sweep, again, rows, observer, saved)
    for name, fit in refitted.items():
        tests[name] = WinnerTests(of_repeats.get(name, {}), fit.tests)
    lost = sorted(again.keys() - refitted.keys())
    if observer.should_stop() and lost:
        return fits | refitted, tests, False
    if lost:
        what = f"the refits of {len(lost):,} winners came to no model; see their own"
        terminal.summary([("warning", what)])
    return fits | refitted, tests, True


def _refits(won: Mapping[Candidate, TrialResult], rows: str | None) -> dict[Candidate, Spec]:
    if rows is None:
        return {}
    there = {name: trial for name, trial in won.items() if trial.best_step is not None}
    return {name: refit_spec(trial, rows) for name, trial in there.items()}


def _end_without_winners(
    folder: RunWriter, trials: Sequence[TrialResult], metric: str, terminal: Terminal
) -> str:
    """Say why no target has a winner; return the status of the run."""
    statuses = {trial.status for trial in trials}
    if any(trial.cut_short for trial in trials):
        status, reason = "interrupted", "no target has all its columns trained"
    elif statuses == {"diverged"}:
        status, reason = "diverged", f"all targets; of the first: {trials[0].reason}"
    else:
        status, reason = "unranked", unranked_targets_text(metric)
    with folder.spared(MANIFEST):
        folder.update_manifest(reason=reason)
    terminal.summary([(status, reason)])
    return status


# ---------------------------------------------------------------- models


def _write_model(
    folder: RunWriter, fits: Mapping[int, TargetFit], names: Sequence[str]
) -> list[str]:
    """Write the model of all targets that have one, and its predictions; what is to be said."""
    if not fits:
        return []
    known = [names[t] for t in fits]
    model = together(list(fits.values()), known)
    if model is None:
        return ["winners have other features or losses, so that there is no model of all targets"]
    with folder.spared("model"):
        size = model_bytes(model.weights, (*model.encoder.features, *known))
        folder.write_model(model.save, size)
    table = _prediction_table(model, list(fits.values()))
    if table is None:
        most = f"{MOST_CELLS:,} numbers"
        return [f"predictions of all targets are more than {most} and not kept; predict makes them"]
    with folder.spared(PREDICTIONS):
        folder.write_predictions(table)
    return []


def _prediction_table(model: FittedModel, fits: Sequence[TargetFit]) -> pa.Table | None:
    """The rows of predictions.parquet: a row a held-out row, columns of each target.

    Of a target whose label is missing both cells are empty. None where it would be too large.
    """
    splits: dict[str, list[tuple[int, HeldScores]]] = {}
    for t, fit in enumerate(fits):
        for held in fit.held:
            splits.setdefault(held.split, []).append((t, held))
    index = {name: _union([held.rows for _, held in of]) for name, of in splits.items()}
    if sum(map(len, index.values())) * len(fits) > MOST_CELLS:
        return None
    return stacked([_split_table(model, name, index[name], of) for name, of in splits.items()])


def _union(parts: Sequence[Any]) -> Any:
    """Ascending row numbers of all; most targets have the very same."""
    distinct = {id(part): part for part in parts}
    return np.unique(np.concatenate(list(distinct.values())))


def _split_table(
    model: FittedModel, name: str, index: Any, of: Sequence[tuple[int, HeldScores]]
) -> pa.Table:
    z, y = np.full((2, len(index), len(model.bias)), np.nan)
    place: dict[int, Any] = {}
    for t, held in of:
        at = place.get(id(held.rows))
        if at is None:
            at = place[id(held.rows)] = np.searchsorted(index, held.rows)
        z[at, t], y[at, t] = held.z, held.y
    target = model.encoder.target
    z = z * target.scale + target.mean
    columns = {
        "split": np.full(len(index), name),
        "row": index,
        **target_words(model, y),
        **predictions(model, z),
    }
    return table_of(columns, ~np.isnan(z), model)
