"""Means over repeats, of many trials in one array: to the bit those of one trial alone."""

import math

import numpy as np
import pytest

from trainer.sweep import trial_result
from trainer.sweep.trial_result import ColumnResult, TrialResult, means_of

NAMES = ("val_loss", "val_auc")


def column(number, repeat, draw, **more):
    values = draw.standard_normal(5) * 10.0 ** draw.integers(-3, 4)
    told = {
        "status": "finished",
        "C": float(values[4]),
        "metrics": dict(zip(NAMES, values[:2].tolist(), strict=True)),
    }
    return ColumnResult(
        trial=number,
        repeat=repeat,
        reason="",
        l2=float(values[2]),
        l1=float(values[3]),
        epochs=1,
        step=1,
        best_epoch=1,
        best_step=1,
        grad_norm=float(abs(values[0])),
        **(told | more),
    )


def trials(repeats, draw):
    """Ten plain ones, then one of each kind that differs."""
    kinds = [
        *[{}] * 10,
        {"undefined": frozenset({"val_auc"})},
        {"metrics": {}},
        {"C": None},
        {"status": "diverged"},
        {"metrics": {"val_loss": math.inf, "val_auc": math.nan}},
        {"metrics": {"val_loss": 1.0}},
    ]
    found = []
    for number, kind in enumerate(kinds):
        columns = [column(number, r, draw) for r in range(repeats)]
        columns[-1] = column(number, repeats - 1, draw, **kind)
        if kind.get("metrics") == {"val_loss": 1.0}:
            columns = [column(number, r, draw, **kind) for r in range(repeats)]
        found.append(columns)
    return found


def mean_one_by_one(columns):
    """The means as one trial alone has them, a NumPy call a number."""
    metrics, stds = {}, {}
    lost = len(columns) > 1 and any(c.status == "diverged" for c in columns)
    if not lost and all(c.metrics for c in columns):
        for name in columns[0].metrics:
            known = np.array([c.metrics[name] for c in columns if name not in c.undefined])
            metrics[name] = float(np.mean(known)) if len(known) else math.nan
            if len(known) > 1:
                with np.errstate(invalid="ignore"):
                    stds[name] = float(np.std(known, ddof=1))
    Cs = [c.C for c in columns]
    return (
        float(np.mean([c.l2 for c in columns])),
        float(np.mean([c.l1 for c in columns])),
        None if None in Cs else float(np.mean(Cs)),
        float(np.mean([c.grad_norm for c in columns])),
        metrics,
        stds,
    )


@pytest.mark.parametrize("repeats", [1, 2, 3, 5, 9, 10, 130])
def test_means_are_those_of_a_trial_alone_to_the_bit(repeats):
    every = trials(repeats, np.random.default_rng(repeats))
    assert len(every) == 16
    for found, columns in zip(means_of(every), every, strict=True):
        assert repr(tuple(found)) == repr(mean_one_by_one(columns))
        alone = TrialResult(0, {}, None, columns, 1)
        assert repr(alone.metrics) == repr(found.metrics)
        assert (alone.l2, alone.l1, alone.C, alone.grad_norm) == found[:4]


def test_trials_that_are_alike_take_one_pass(monkeypatch):
    passes = []
    whole = trial_result._means_of_alike
    monkeypatch.setattr(
        trial_result, "_means_of_alike", lambda *given: passes.append(0) or whole(*given)
    )
    draw = np.random.default_rng(0)
    means_of([[column(number, 0, draw)] for number in range(500)])
    assert len(passes) == 1
