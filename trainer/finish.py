"""The end of a run: its tables, its model, its predictions and its last words."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from trainer.build import Columns
from trainer.data import Prepared
from trainer.describe import mend_divergence
from trainer.fitted import FittedModel
from trainer.folder import RunFolder
from trainer.predict import prediction_table, stacked
from trainer.results import results, trial_rows
from trainer.terminal import Terminal, Verbatim
from trainer.train.evaluate import Evaluator
from trainer.train.fit import Fit
from trainer.train.state import State

Numbers = np.ndarray[Any, np.dtype[np.float64]]
_BLOWN_UP = 10  # times the first batch's loss, which is one batch's and so may be far off by chance


def finish(
    folder: RunFolder, columns: Columns, done: Fit, first_loss: Numbers, terminal: Terminal
) -> str:
    """Write the tables, and the model if there is one; return the status of the run."""
    trials = trial_rows(columns, done)
    folder.write_trials(trials)
    if columns.spec.log.weights == "all":
        _write_all_weights(folder, columns, done)
    winner = next((row["trial"] for row in trials if row["rank"] == 1), None)
    test_metrics = {} if winner is None else _write_model(folder, columns, done, winner)
    folder.write_results(results(columns, trials, test_metrics))
    outcome = trials[0]
    status = outcome["status"]
    if winner is None:
        reason = f"{outcome['reason']}; {mend_divergence(columns)}"
        folder.update_manifest(reason=reason)
        terminal.summary([("diverged", reason)])
        return "diverged"
    if outcome["train_loss"] > _BLOWN_UP * first_loss[winner]:
        rose = f"the training loss went up, {first_loss[winner]:.4g} → {outcome['train_loss']:.4g}"
        warning = f"{rose}; {mend_divergence(columns)}"
        folder.update_manifest(warning=warning)
        terminal.summary([("warning", warning)])
    _say_end(terminal, folder, outcome, test_metrics)
    return "interrupted" if status == "interrupted" else "finished"


def _write_all_weights(folder: RunFolder, columns: Columns, done: Fit) -> None:
    count = len(columns.specs)
    to_host = columns.stack.device.to_host
    trial, repeat = np.arange(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    folder.write_weights(to_host(done.state.weights), to_host(done.state.bias), trial, repeat)


def _write_model(folder: RunFolder, columns: Columns, done: Fit, k: int) -> dict[str, float]:
    """Write the model of column k and its predictions on val and test; return its test metrics."""
    prepared, to_host = columns.prepared, columns.stack.device.to_host
    weights, bias = to_host(done.state.weights)[:, :, k], to_host(done.state.bias)[:, k]
    spec = columns.spec
    model = FittedModel(spec.model, weights, bias, prepared.encoder, spec.loss)
    model.save(folder.path)
    held = [rows for rows in (prepared.val, *prepared.tests) if rows is not None]
    folder.write_predictions(stacked([prediction_table(model, rows) for rows in held]))
    return _test_metrics(columns, prepared, done.state, k)


def _test_metrics(columns: Columns, prepared: Prepared, state: State, k: int) -> dict[str, float]:
    found = {}
    for rows in prepared.tests:
        prefix = "test" if rows.name == "test" else f"test_{rows.name}"
        evaluator = Evaluator(columns.stack, rows, prepared.encoder.target_scale)
        for name, value in evaluator.metrics(state).items():
            found[f"{prefix}_{name}"] = float(value[k])
    return found


def _say_end(
    terminal: Terminal, folder: RunFolder, outcome: dict[str, Any], test_metrics: dict[str, float]
) -> None:
    shown = {name: outcome[name] for name in outcome if f"{name}_std" in outcome} | test_metrics
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    status = outcome["status"].replace("_", " ")
    epoch = f"epoch {outcome['best_epoch']} of {outcome['epochs']}"
    quoted = shlex.quote(str(folder.path))
    terminal.summary(
        [
            ("outcome", f"{status}: {outcome['reason']}; {epoch} counts"),
            ("metrics", numbers),
            ("predict", Verbatim(f"python -m trainer predict {quoted} DATA")),
        ]
    )
