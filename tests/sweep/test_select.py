"""Ranks, the choice and its rule, groups, margins and edges, on results made by hand."""

import numpy as np
import pytest

from trainer.results import best_yaml, refit_spec
from trainer.spec import load_spec
from trainer.sweep.select import ColumnResult, TrialResult, choose, rank, ranks

BASE = {"model": "softmax", "data": {"train": "digits"}}


def spec_of(parameters=None, **keys):
    block = {"sweep": {"parameters": parameters}} if parameters else {}
    return load_spec({**BASE, **block, **keys})


def trial(number, values, status="finished", settings=None, l2=0.0, l1=0.0, evaluations=9, **more):
    """A trial whose columns have these val losses."""
    columns = tuple(
        ColumnResult(
            trial=number,
            repeat=r,
            status=status if r == 0 else "finished",
            reason="a reason",
            l2=l2,
            l1=l1,
            C=None,
            epochs=9,
            step=90,
            best_epoch=7,
            best_step=70,
            grad_norm=1.0,
            metrics={} if value is None else {"val_loss": value, "val_accuracy": 1 - value},
        )
        for r, value in enumerate(values)
    )
    return TrialResult(number, settings or {}, more.get("spec", spec_of()), columns, evaluations)


def test_better_means_come_first_halved_ones_later_diverged_ones_last():
    trials = [
        trial(0, [0.5]),
        trial(1, [0.2], "halved", evaluations=3),
        trial(2, [0.9]),
        trial(3, [0.1], "diverged"),
        trial(4, [0.4], "halved", evaluations=9),
        trial(5, [0.3], "halved", evaluations=9),
        trial(6, [None], "interrupted"),
        trial(7, [0.5]),
    ]
    ranked = rank(trials, "val_loss")
    assert [t.number for t in ranked] == [0, 7, 2, 5, 4, 1, 6, 3]
    assert ranks(ranked) == {0: 1, 7: 2, 2: 3, 5: 4, 4: 5, 1: 6, 6: 7}
    assert rank(trials, "val_accuracy")[0].number == 0


def test_a_trial_is_as_its_worst_column():
    one = trial(0, [0.1, 0.2])
    columns = list(one.columns)
    diverged = TrialResult(0, {}, one.spec, (columns[1], trial(0, [1], "diverged").columns[0]), 1)
    assert diverged.status == "diverged"
    assert diverged.reason == "repeat 0: a reason"
    assert diverged.metrics == {}
    assert one.metrics["val_loss"] == pytest.approx(0.15)
    assert one.stds["val_loss"] == pytest.approx(np.std([0.1, 0.2], ddof=1))


def test_the_margin_is_in_paired_standard_errors():
    a, b = [0.10, 0.30, 0.20], [0.12, 0.33, 0.21]
    chosen = choose([trial(0, b), trial(1, a)], spec_of(), "val_loss")
    difference = np.array(b) - a
    assert chosen.best.number == 1
    assert chosen.runner_up.number == 0
    assert chosen.margin == pytest.approx(0.02)
    error = difference.std(ddof=1) / np.sqrt(3)
    assert chosen.standard_errors == pytest.approx(0.02 / error)
    alone = choose([trial(0, [0.2]), trial(1, [0.1])], spec_of(), "val_loss")
    assert alone.margin == pytest.approx(0.1)
    assert alone.standard_errors is None


def test_one_standard_error_takes_the_strongest_penalty():
    spec = spec_of(repeat={"folds": 4}, select={"rule": "one_std_err"})
    best = [0.1, 0.2, 0.1, 0.2]  # mean 0.15, standard error 0.0289
    trials = [
        trial(0, best, l2=1e-3),
        trial(1, [x + 0.02 for x in best], l2=1e-1, l1=0.0),
        trial(2, [x + 0.02 for x in best], l2=1e-1, l1=0.5),
        trial(3, [x + 0.04 for x in best], l2=1.0),
        trial(4, [x + 0.01 for x in best], "halved", l2=9.0),
    ]
    chosen = choose(trials, spec, "val_loss")
    assert chosen.best.number == 2
    assert chosen.within == 3
    assert chosen.runner_up.number == 0
    assert chosen.margin == pytest.approx(-0.02)
    assert choose(trials, spec_of(repeat={"folds": 4}), "val_loss").best.number == 0


def test_every_value_of_per_has_its_winner():
    spec = spec_of(
        {"vars.layer": [0, 1], "optimizer.lr": [0.1, 0.2]},
        vars={"layer": 0},
        notes="${layer}",
        select={"per": ["vars.layer"]},
    )
    settings = [{"vars.layer": i // 2, "optimizer.lr": 0.1 + 0.1 * (i % 2)} for i in range(4)]
    losses = [0.3, 0.2, 0.5, 0.6]
    trials = [trial(i, [loss], settings=settings[i]) for i, loss in enumerate(losses)]
    chosen = choose(trials, spec, "val_loss")
    assert [(dict(g.per), g.trial.number) for g in chosen.groups] == [
        ({"vars.layer": 0}, 1),
        ({"vars.layer": 1}, 2),
    ]


EDGES = [
    ([1e-3, 1e-2, 1e-1], 1e-3, "low"),
    ([1e-3, 1e-2, 1e-1], 1e-2, None),
    ([1e-3, 1e-2, 1e-1], 1e-1, "high"),
    ([0, 1e-3, 1e-2, 1e-1], 0, None),  # a 0 beside a range is no end of it
    ([0, 1e-3, 1e-2, 1e-1], 1e-3, "low"),
    ([1e-3, 1e-1], 1e-3, None),  # two values have no inside
]


@pytest.mark.parametrize(("values", "best", "side"), EDGES)
def test_a_winner_at_the_end_of_an_axis_is_told(values, best, side):
    spec = spec_of({"penalty.l2": values})
    trials = [
        trial(i, [0.1 if value == best else 0.5], settings={"penalty.l2": value})
        for i, value in enumerate(values)
    ]
    edges = choose(trials, spec, "val_loss").edges
    assert [edge.side for edge in edges] == ([side] if side else [])
    for edge in edges:
        way = {"low": "downward", "high": "upward"}[side]
        assert edge.advice == f"at the edge of the grid: widen penalty.l2 {way}"


def test_the_table_of_edges_is_whole():
    assert len(EDGES) == 6


def test_all_diverged_is_no_choice():
    chosen = choose([trial(0, [None], "diverged")], spec_of(), "val_loss")
    assert (chosen.best, chosen.runner_up, list(chosen.groups)) == (None, None, [])


def test_a_refit_is_a_plain_run_for_the_best_epochs():
    spec = spec_of(
        repeat={"folds": 3},
        optimizer={"epochs": 9, "schedule": {"name": "cosine"}},
        early_stopping={"patience": 2},
        penalty={"C": 2.0},
    )
    refit = refit_spec(trial(0, [0.1], spec=spec), "train")
    assert (refit.optimizer.epochs, refit.optimizer.schedule.length) == (7, 9)
    assert (refit.repeat, refit.early_stopping, refit.data.val) == (None, None, "none")
    assert refit.penalty.C == 2.0
    steps = spec_of(optimizer={"steps": 90, "schedule": {"name": "cosine"}})
    refit = refit_spec(trial(0, [0.1], spec=steps), "train+val")
    assert (refit.optimizer.steps, refit.optimizer.schedule.length) == (70, 90)
    assert refit.data.val == "none"


def test_best_yaml_of_a_val_of_its_own_says_what_to_add(tmp_path):
    data = {
        "train": {"npz": "a.npz", "features": "X", "target": "y"},
        "val": {"npz": "b.npz"},
    }
    spec = load_spec({"model": "softmax", "data": data, "select": {"refit": "train+val"}})
    file = tmp_path / "best.yaml"
    file.write_text(best_yaml(trial(0, [0.1], spec=spec), "train+val"))
    again = load_spec(file)
    assert again.select.refit == "train+val"
    assert again.data == spec.data
