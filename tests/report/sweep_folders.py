"""Run folders of sweeps that never ran: every number is known beforehand, and there may be many."""

import json

import numpy as np

from trainer.runs.step_log import SCHEMA
from trainer.runs.writer import RunWriter

VALUES = SCHEMA.names[4:]


def write_sweep(out, rows, axes, *, name="val_loss", history=(), steps=0, config=None, **results):
    """A finished sweep.

    Args:
        out: its folder.
        rows: (settings, value, more columns of trials.csv) of each trial, best first.
        axes: {swept path: its values}.
        name: the metric that ranks.
        history: rows of history.csv.
        steps: how many each trial has in the log of steps.
        config: more of config.yaml.
        results: more of results.json.
    """
    folder = RunWriter.create(out.name, out)
    spec = {"model": "softmax", "data": {"train": "digits"}, **(config or {})}
    folder.write_config(json.dumps(spec))
    folder.update_manifest(data={"rows": {"train": 80, "val": 20}, "features": 2, "digest": "0"})
    table = [
        {
            "trial": more.get("trial", i),
            "rank": None if more.get("status") == "diverged" else i + 1,
            "status": "finished",
            "reason": "trained for its 3 steps",
            **settings,
            "epochs": 3,
            "best_epoch": 3,
            name: value,
            **more,
        }
        for i, (settings, value, more) in enumerate(rows)
    ]
    folder.write_trials(table)
    folder.start_history([name])
    folder.append_history(history)
    if steps:
        _write_steps(folder, len(rows), steps)
    best, more = table[0], rows[0][2]
    folder.write_results(
        {
            "metric": {
                "name": name,
                "goal": "minimize" if name in ("val_loss", "val_rmse") else "maximize",
            },
            "counts": {"finished": len(rows)},
            "trials": len(rows),
            "repeats": 1,
            "axes": axes,
            "rule": "best",
            "best": {
                "trial": best["trial"],
                "settings": rows[0][0],
                "metrics": {name: rows[0][1]},
                "std": {name: more[f"{name}_std"]} if f"{name}_std" in more else {},
                "epochs": 3,
                "best_epoch": 3,
                "refit": None,
            },
            "runner_up": None,
            "groups": [],
            "edges": [],
            "halving": [],
            **results,
        }
    )
    folder.close("finished")
    return out


def write_large(out, trials=2000, evaluations=30, steps=100):
    """A grid of 50 by 40 with a smooth valley, evaluated many times, its steps logged."""
    lr, l2 = np.geomspace(1e-3, 1, 50), np.geomspace(1e-6, 1, trials // 50)
    grid = [(float(a), float(b)) for a in lr for b in l2]
    value = [0.1 + (np.log10(a) + 1) ** 2 + (np.log10(b) + 3) ** 2 / 9 for a, b in grid]
    order = np.argsort(value).tolist()
    rows = [
        ({"optimizer.lr": grid[t][0], "penalty.l2": grid[t][1]}, value[t], {"trial": t})
        for t in order
    ]
    history = [
        {"trial": t, "repeat": 0, "epoch": e, "step": 10 * e, "val_loss": value[t] + 1 / e}
        for e in range(1, evaluations + 1)
        for t in range(len(grid))
    ]
    axes = {"optimizer.lr": lr.tolist(), "penalty.l2": l2.tolist()}
    return write_sweep(out, rows, axes, history=history, steps=steps)


def _write_steps(folder, trials, steps):
    rng = np.random.default_rng(0)
    trial = np.arange(trials)
    for first in range(1, steps + 1, 100):
        step = np.arange(first, min(first + 100, steps + 1))
        values = {name: rng.random((len(step), trials)).astype("f4") for name in VALUES}
        folder.append_steps(step, step // 10, values, trial, np.zeros_like(trial))
