"""The end of a run: its tables, the choice and its refit, the model, its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.catalog import METRICS, is_minimized, metrics_of
from trainer.config.schema.optimizer import Solver
from trainer.console.terminal import Terminal
from trainer.machine.interrupted import Interrupted
from trainer.predict.label_table import label_table
from trainer.predict.tables import parts_of_means, prediction_table, row_scores, stacked
from trainer.predict.training_fit import training_metrics
from trainer.runs.names import BEST, COEFFICIENTS, GROUPS, MANIFEST, PREDICTIONS, RESULTS
from trainer.runs.writer import RunWriter
from trainer.sweep.divergence import divergence
from trainer.sweep.left_out import LeftOutRows
from trainer.sweep.permutation import Again
from trainer.sweep.refit import (
    TrialModel,
    first_models,
    models_by_rows,
    refit_models,
    refit_of,
)
from trainer.sweep.results import trial_results
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.select import Chosen, choose, rank
from trainer.sweep.sweep import SweepRun, train_again, word_for_repeats
from trainer.sweep.trial_result import TrialResult
from trainer.text.printable import Sentence
from trainer.text.saved import Saved
from trainer.wording.bootstrap import coefficients_text, wins_text
from trainer.wording.caveats import few_negatives_text, worse_than_mean_text
from trainer.wording.closing import SHOWN, commands, run_closing, sweep_closing
from trainer.wording.divergence import mend_divergence
from trainer.wording.repeats import by_value_text, repeats_texts, value_column
from trainer.wording.undefined import undefined_texts, unranked_text
from trainer.workflow.checkpoints import REFIT, Checkpoints
from trainer.workflow.column_tables import write_columns, write_solvers, write_trials
from trainer.workflow.end_room import model_bytes
from trainer.workflow.fit_bootstrap import (
    FitDraws,
    bootstrap_record,
    coefficient_rows,
    fits_wanted,
)
from trainer.workflow.influence import left_out_of, left_out_table, write_influence
from trainer.workflow.permutations import add_permutation_test
from trainer.workflow.recorder import RefitRecorder
from trainer.workflow.result_tables import (
    best_yaml,
    group_rows,
    ranking,
    refit_spec,
    results,
    winner_tests,
)
from trainer.workflow.row_sets import write_rows
from trainer.workflow.uncertainty import Uncertainty, uncertainty
from trainer.workflow.winner_scores import prefix_of, score_winners, to_be_scored

_BLOWN_UP = 10  # times the first batch's loss, which is one batch's and so may be far off by chance


def write_outputs(
    folder: RunWriter,
    sweep: SweepRun,
    scheduler: Scheduler,
    terminal: Terminal,
    should_stop: Callable[[], int | None],
    checkpoints: Checkpoints,
) -> str:
    """Write the tables, and the models if there are any; return the status of the run.

    What the disk refuses keeps nothing else from being written, and is tried again at the close.
    """
    folder.files.begin_end()
    trials, spec, metric = trial_results(sweep), sweep.spec, sweep.rules.metric
    ranked = rank(trials, metric)
    rows = write_columns(folder, sweep, ranked, sweep.jobs)
    with folder.spared(MANIFEST):
        write_solvers(folder, sweep)
    write_rows(folder, sweep, terminal)
    chosen = choose(trials, spec, metric)
    cut_short = any(trial.cut_short for trial in trials)
    if refit_of(spec) and not cut_short:
        checkpoints.before_refit(scheduler, bool(should_stop()))
    observer = RefitRecorder(should_stop, folder.tell, checkpoints)
    models, all_there = _models(sweep, chosen, observer, checkpoints.saved(REFIT), terminal)
    draws = FitDraws(fits_wanted(sweep, chosen))
    columns = {*to_be_scored(sweep, chosen), *draws.columns(sweep.repeats)}
    tests, held_out = score_winners(draws.watch(models_by_rows(sweep, columns)), chosen, models)
    if tests:
        rows = write_trials(folder, sweep, ranked, winner_tests(chosen, tests))
    if chosen.groups:
        with folder.spared(GROUPS):
            folder.write_groups(group_rows(chosen, sweep.metrics, tests))
    model = models.get(chosen.best.number) if chosen.best else None
    refit = _refit(chosen, model)
    parts = _parts(chosen.best, model) if chosen.best and model else None
    uncertain, all_there = _uncertainty(sweep, chosen, model, should_stop, all_there)
    lacking = sweep.layout.left_out, sweep.layout.inner_lacking
    told = scheduler.rungs, parts, uncertain, *lacking
    record = results(chosen, ranked, spec, sweep.repeats, tests, refit, *told)
    if model is not None and record["best"] is not None and (labels := _labels(model)):
        record["best"]["labels"] = labels
    if model is not None and draws.by_repeat:
        record["bootstrap"] = bootstrap_record(draws, trials, chosen, sweep)
        _write_coefficients(folder, draws, model, record["bootstrap"])
    left_out = None
    if model is not None and chosen.best is not None:
        left_out = left_out_of(sweep, chosen.best, model, terminal)
    if model is not None and left_out is not None:
        record |= write_influence(folder, [(model.fitted.encoder.outputs, left_out)])
    again = Again(train_again, trial_results)
    begun = folder, scheduler, checkpoints, should_stop, terminal, again
    if all_there and not cut_short:  # else there is more to do before
        all_there = add_permutation_test(record, sweep, trials, *begun)
    with folder.spared(RESULTS):
        folder.write_results(record)
    if chosen.best is None or model is None:
        return _end_without_model(folder, sweep, ranked, terminal)
    _write_model(folder, model, held_out, left_out)
    _warn(folder, sweep, chosen.best, model, terminal)
    _tell(folder, sweep, ranked, chosen, model, record, rows[0], terminal)
    return "interrupted" if cut_short or not all_there else "finished"


def _tell(
    folder: RunWriter,
    sweep: SweepRun,
    ranked: Sequence[TrialResult],
    chosen: Chosen,
    model: TrialModel,
    record: Mapping[str, Any],
    row: Mapping[str, Any],
    terminal: Terminal,
) -> None:
    """Say what a run came to; of a sweep write best.yaml."""
    assert chosen.best is not None
    if sweep.is_sweep:
        with folder.spared(BEST):
            folder.write_best(best_yaml(chosen.best, model.refit))
        first, length = ranking(ranked[:SHOWN], chosen.metric), _refit_length(chosen.best)
        within, word = chosen.within, word_for_repeats(sweep.spec)
        lines = sweep_closing(record, first, within=within, length=length, word=word)
        notes = [*_of_resamples(record), *_of_repeats(sweep, chosen.best)]
        terminal.summary([*lines, *notes, *commands(folder.path)])
    else:
        best = record["best"]
        undefined = undefined_texts(best, 1, "repeat")
        again = (best["refit"] or {}).get("metrics", {})
        told = repeats_texts(sweep.repeat_block, sweep.repeats, sweep.layout.left_out)
        lines = run_closing(folder.path, row, best["metrics"], undefined, record, again)
        terminal.summary([*(("note", note) for note in told), *lines])


def _write_coefficients(
    folder: RunWriter, draws: FitDraws, model: TrialModel, facts: Mapping[str, Any]
) -> None:
    """Write the intervals of coefficients over resamples."""
    rows = coefficient_rows(draws, model.fitted, facts["level"], selects=facts["selects"])
    with folder.spared(COEFFICIENTS):
        folder.write_coefficients(rows)


def _of_resamples(record: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What the end says of a bootstrap of the fit."""
    told = {"coefficients": coefficients_text(record), "would win": wins_text(record)}
    return [(label, text) for label, text in told.items() if text is not None]


def _of_repeats(sweep: SweepRun, best: TrialResult) -> list[tuple[str, object]]:
    """What the end says of a sweep's repeats: the winner on each fold that the data name."""
    block, metric = sweep.repeat_block, sweep.rules.metric
    lines: list[tuple[str, object]] = []
    if (called := value_column(block)) is not None and metric.startswith("val_"):
        named = [
            (sweep.layout.values[column.repeat] or "", column.metrics[metric])
            for column in best.columns
            if metric in column.metrics and metric not in column.undefined
        ]
        told = by_value_text(called, metric, named, is_minimized(metric))
        lines.append(("held out", Sentence(told, [name for name, _ in named])))
    lacking = sweep.layout.inner_lacking
    notes = repeats_texts(block, sweep.repeats, sweep.layout.left_out, inner=lacking)
    return lines + [("note", note) for note in notes]


def _models(
    sweep: SweepRun,
    chosen: Chosen,
    observer: RefitRecorder,
    saved: Saved | None,
    terminal: Terminal,
) -> tuple[dict[int, TrialModel], bool]:
    """The model of the chosen trial, and refits of the groups' winners, by trial.

    And whether they are the last word: False where a stop came before their refit was done. What a
    repeat has chosen for itself is not trained again.
    """
    winners = {group.trial.number: group.trial for group in chosen.groups if group.repeat is None}
    if chosen.best is not None:
        winners[chosen.best.number] = chosen.best
    models = first_models(sweep, [chosen.best.number] if chosen.best else [])
    rows = refit_of(sweep.spec)
    again = {
        n: refit_spec(trial, rows)
        for n, trial in winners.items()
        if rows and trial.best_step is not None
    }
    if rows is None or not again:
        return models, True
    if observer.should_stop():
        return models, False
    refitted = refit_models(sweep, again, rows, observer, saved)
    if observer.should_stop() and again.keys() - refitted.keys():
        return models | refitted, False
    if lost := sorted(again.keys() - refitted.keys()):
        which = ", ".join(map(str, lost))
        terminal.summary([("warning", f"the refit of trial {which} came to no model; see its own")])
    return models | refitted, True


def _uncertainty(
    sweep: SweepRun,
    chosen: Chosen,
    model: TrialModel | None,
    should_stop: Callable[[], int | None],
    all_there: bool,
) -> tuple[Uncertainty | None, bool]:
    """The intervals, and whether all is there: a stop leaves them to who goes on with the run."""
    try:
        found = uncertainty(sweep, chosen, model, first_models, lambda: bool(should_stop()))
        return found, all_there
    except Interrupted:
        return None, False


def _refit(chosen: Chosen, model: TrialModel | None) -> dict[str, Any] | None:
    if model is None or model.refit is None or chosen.best is None:
        return None
    return {"rows": model.refit, "epochs": chosen.best.best_epoch}


def _refit_length(best: TrialResult) -> tuple[int, str] | None:
    """How long a refit trains, in the unit of the config; None for a solver."""
    o = best.spec.optimizer
    if isinstance(o, Solver):
        return None
    return (best.best_step or 0, "step") if o.steps else (best.best_epoch or 0, "epoch")


def _end_without_model(
    folder: RunWriter, sweep: SweepRun, ranked: Sequence[TrialResult], terminal: Terminal
) -> str:
    """Say why no trial has a model; return the status of the run."""
    diverged = sum(trial.status == "diverged" for trial in ranked)
    if any(trial.cut_short for trial in ranked):
        status = "interrupted"
        reason = "no trial has all its columns trained, so there is no model; trials.csv is there"
    elif diverged < len(ranked):
        status, reason = "unranked", unranked_text(sweep.rules.metric, len(ranked), diverged)
    else:
        status, first = "diverged", ranked[0]
        reason = f"{first.reason}; {mend_divergence(divergence(sweep.first))}"
        if len(ranked) > 1:
            reason = f"all {len(ranked):,} trials; trial {first.number}: {reason}"
    with folder.spared(MANIFEST):
        folder.update_manifest(reason=reason)
    terminal.summary([(status, reason)])
    return status


def _write_model(
    folder: RunWriter,
    model: TrialModel,
    held_out: Sequence[pa.Table],
    left_out: LeftOutRows | None,
) -> None:
    """Write a model and its predictions on val and test.

    Val of folds is each one's on its own, of leave-one-out each row's by the model of all others.
    """
    fitted = model.fitted
    with folder.spared("model"):
        folder.write_model(fitted.save, model_bytes(fitted.weights, fitted.encoder.features))
    prepared = model.prepared
    val = () if held_out or prepared.val is None else (prepared.val,)
    place = {"repeat": None, "time": None} if held_out else None  # a refit is of no repeat
    own = [prediction_table(model.fitted, rows, place) for rows in (*val, *prepared.tests)]
    others = [] if left_out is None else [left_out_table(model, left_out)]
    with folder.spared(PREDICTIONS):
        folder.write_predictions(stacked([*held_out, *others, *own]))


def _parts(best: TrialResult, model: TrialModel) -> dict[str, tuple[int, int]]:
    """{metric: (classes or outputs that it is the mean over, all)}, where rows lack some."""
    found = dict(best.parts)
    for rows in model.prepared.tests:
        some = parts_of_means(model.fitted, rows.y, rows.weight)
        found |= {f"{prefix_of(rows)}_{name}": n for name, n in some.items()}
    return found


def _labels(model: TrialModel) -> dict[str, list[dict[str, Any]]]:
    """{split: what is measured of each label there}; empty but of several labels a row."""
    held = [rows for rows in (model.prepared.val, *model.prepared.tests) if rows is not None]
    fitted = model.fitted
    return {
        rows.name: label_table(fitted, row_scores(fitted, rows), rows.y, rows.weight)
        for rows in held
        if fitted.encoder.target.kind == "multilabel"
    }


def _warn(
    folder: RunWriter, sweep: SweepRun, best: TrialResult, model: TrialModel, terminal: Terminal
) -> None:
    """Say where the chosen trial's training loss went up, or where its fit is worse than none."""
    rose = _blown_up(sweep, best)
    found = [rose, _worse_than_mean(best, model, rose is not None), *_few_negatives(sweep, model)]
    if told := [warning for warning in found if warning is not None]:
        with folder.spared(MANIFEST):
            folder.add_warnings(told)
        terminal.summary([("warning", warning) for warning in told])


def _few_negatives(sweep: SweepRun, model: TrialModel) -> Iterator[str]:
    """Where there are too few negative rows for a metric that has been named to tell much."""
    spec = sweep.trials[0].spec
    for name in spec.named_metrics:
        least = METRICS[name].negatives if name in METRICS else 0
        if not least:
            continue
        held = {rows.key: rows.held for job in sweep.jobs for rows in job.planned.row_sets}
        targets = {"val": [rows for read in held.values() if (rows := read()) is not None]}
        targets |= {prefix_of(rows): [(rows.y, rows.weight)] for rows in model.prepared.tests}
        for prefix, splits in targets.items():
            counts = [int(((y[:, 0] == 0) & (w > 0)).sum()) for y, w in splits]
            if counts and min(counts) < least:
                yield few_negatives_text(f"{prefix}_{name}", min(counts), least)


def _blown_up(sweep: SweepRun, best: TrialResult) -> str | None:
    first, last = _first_losses(sweep, best.number), best.metrics.get("train_loss", np.nan)
    start = max(first, default=np.inf)
    if not last - start > (_BLOWN_UP - 1) * abs(start):  # losses of counts may be below 0
        return None
    rose = f"the training loss went up, {max(first):.4g} → {last:.4g}"
    return rose if sweep.is_sweep else f"{rose}; {mend_divergence(divergence(sweep.first))}"


def _worse_than_mean(best: TrialResult, model: TrialModel, rose: bool) -> str | None:
    """Of the first metric that the mean of the targets has a value of, if the model has one."""
    spec = best.spec
    known = [name for name in metrics_of(spec.model) if METRICS[name].baseline is not None]
    val = best.metrics.get(f"val_{known[0]}") if known else None
    if not known or (val is not None and not val < (METRICS[known[0]].baseline or 0)):
        return None
    train = training_metrics(model.fitted, model.prepared.train)[known[0]]
    return worse_than_mean_text(
        {
            "metric": known[0],
            "train": train,
            "val": val,
            "model": spec.model,
            "scale_target": spec.data.scale_target,
            "rose": rose,
            "bias": spec.bias,
            "solves": isinstance(spec.optimizer, Solver),
        }
    )


def _first_losses(sweep: SweepRun, trial: int) -> list[float]:
    return [
        loss
        for member in sweep.jobs
        for loss in member.training.result.first_loss[member.trial == trial].tolist()
    ]
