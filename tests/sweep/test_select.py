"""Ranks, the choice and its rule, groups, margins and edges, on results made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from trainer.config import load_spec
from trainer.sweep.select import choose, rank, ranks, score_of_choice
from trainer.sweep.trial_result import ColumnResult, TrialResult
from trainer.workflow.result_tables import best_yaml, refit_spec

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


def test_shots_are_not_ranked_against_each_other():
    """Fewer may score better by chance, which is no reason to keep a model of fewer rows."""
    few, many = {"repeat.few_shot.k": 2}, {"repeat.few_shot.k": 16}
    spec = spec_of(
        repeat={"few_shot": {"k": [2, 16]}},
        optimizer={"batch_size": "full"},
        select={"rule": "one_std_err"},
    )
    trials = [
        trial(0, [0.1, 0.2], settings=few, l2=9.0),
        trial(1, [0.3, 0.4], settings=many, l2=1.0),
        trial(2, [0.6, 0.5], settings=many, l2=0.1),
        trial(3, [0.3, 0.3], settings=few, l2=0.1),
        trial(4, [0.1, 0.1], "diverged", settings=many),
    ]
    ranked = rank(trials, "val_loss")
    assert [t.number for t in ranked] == [1, 2, 0, 3, 4]
    assert ranks(ranked, "val_loss") == {1: 1, 2: 2, 0: 1, 3: 2}
    chosen = choose(trials, spec, "val_loss")
    assert (chosen.best.number, chosen.runner_up.number, chosen.within) == (1, 2, 1)
    assert score_of_choice(trials, spec, "val_loss") == pytest.approx(0.35)
    alone = choose(trials[-1:] + trials[:1], spec, "val_loss")
    assert alone.best.number == 0  # the most shots of which a trial has a rank


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
    assert ranks(ranked, "val_loss") == {0: 1, 7: 2, 2: 3, 5: 4, 4: 5, 1: 6}
    assert rank(trials, "val_accuracy")[0].number == 0


def lacking(one, *repeats, name="val_loss"):
    """The trial on rows that do not define a metric in these repeats."""
    columns = [
        replace(c, undefined={name}, metrics={**c.metrics, name: math.nan})
        if c.repeat in repeats
        else c
        for c in one.columns
    ]
    return replace(one, columns=tuple(columns))


def test_a_repeat_whose_rows_do_not_define_the_metric_is_left_out():
    one = lacking(trial(0, [0.1, 0.2, 0.6]), 1)
    assert one.metrics["val_loss"] == pytest.approx(0.35)
    assert one.stds["val_loss"] == pytest.approx(np.std([0.1, 0.6], ddof=1))
    assert one.metrics["val_accuracy"] == pytest.approx(0.7)
    assert one.fewer == {"val_loss": 2}
    alone = lacking(trial(0, [0.1, 0.2, 0.6]), 0, 1)
    assert alone.metrics["val_loss"] == pytest.approx(0.6)
    assert set(alone.stds) == {"val_accuracy"}
    nowhere = lacking(trial(0, [0.1, 0.2, 0.6]), 0, 1, 2)
    assert math.isnan(nowhere.metrics["val_loss"])
    assert nowhere.fewer == {"val_loss": 0}


def test_a_trial_whose_own_value_is_no_number_has_no_rank():
    """Where its rows define the metric, leaving it out would be a reward."""
    inf = math.inf
    trials = [
        trial(0, [math.nan, 0.1]),
        trial(1, [0.5, 0.6]),
        trial(2, [inf, 0.1]),  # of a loss infinite is the worst number
        lacking(trial(3, [0.1, 0.2]), 0, 1),
    ]
    ranked = rank(trials, "val_loss")
    assert [t.number for t in ranked] == [1, 2, 0, 3]
    assert ranks(ranked, "val_loss") == {1: 1, 2: 2}
    assert choose(trials, spec_of(), "val_loss").best.number == 1
    assert choose([trials[0], trials[3]], spec_of(), "val_loss").best is None
    worst = rank([trial(0, [inf]), trial(1, [0.5])], "val_accuracy")  # 1 − inf
    assert ranks(worst, "val_accuracy") == {1: 1}


def test_the_lead_over_resamples_is_the_share_that_it_is_ahead_in():
    trials = [trial(0, [0.1, 0.2, 0.3, 0.4]), trial(1, [0.2, 0.1, 0.6, 0.4])]
    chosen = choose(trials, spec_of(repeat={"bootstrap": 4}), "val_loss")
    assert (chosen.best.number, chosen.ahead_in, chosen.standard_errors) == (0, 0.5, None)
    chosen = choose(trials, spec_of(), "val_loss")
    assert chosen.ahead_in is None
    assert chosen.standard_errors > 0


def test_means_over_other_repeats_are_not_paired():
    best, other = [0.1, 0.2, 0.3], [0.2, 0.4, 0.4]
    same = [lacking(trial(0, best), 1), lacking(trial(1, other), 1)]
    chosen = choose(same, spec_of(), "val_loss")
    difference = np.array([0.1, 0.1 + 1e-17])
    assert chosen.margin == pytest.approx(difference.mean())
    assert chosen.paired
    differ = [lacking(trial(0, best), 1), lacking(trial(1, other), 2)]
    chosen = choose(differ, spec_of(), "val_loss")
    assert (chosen.best.number, chosen.paired, chosen.standard_errors) == (0, False, None)
    assert chosen.margin == pytest.approx(0.1)


def test_one_standard_error_is_over_the_repeats_that_have_the_metric():
    spec = spec_of(repeat={"folds": 3}, select={"rule": "one_std_err"})
    best, near, far = [0.1, 9.0, 0.2], [0.14, 0.0, 0.25], [0.16, 0.0, 0.26]
    trials = [
        lacking(trial(i, values, l2=l2), 1)
        for i, (values, l2) in enumerate([(best, 1e-3), (near, 1e-2), (far, 1e-1)])
    ]  # mean 0.15 and error 0.05; 0.195 is near and 0.21 is not
    chosen = choose(trials, spec, "val_loss")
    assert (chosen.best.number, chosen.within) == (1, 2)
    one = [lacking(trial(i, [0.1 + i, 0.1, 0.1], l2=i), 1, 2) for i in range(2)]
    assert (choose(one, spec, "val_loss").best.number, choose(one, spec, "val_loss").within) == (
        0,
        None,
    )


def test_a_value_of_per_whose_trials_have_no_rank_has_no_winner():
    keys = {"vars": {"layer": 0}, "notes": "${layer}", "select": {"per": ["vars.layer"]}}
    spec = spec_of({"vars.layer": [0, 1]}, **keys)
    trials = [
        trial(0, [0.3], settings={"vars.layer": 0}),
        lacking(trial(1, [0.1], settings={"vars.layer": 1}), 0),
    ]
    chosen = choose(trials, spec, "val_loss")
    assert [dict(group.per) for group in chosen.groups] == [{"vars.layer": 0}]
    assert list(chosen.without) == [{"vars.layer": 1}]


def test_a_trial_is_as_its_worst_column():
    one = trial(0, [0.1, 0.2])
    columns = list(one.columns)
    diverged = TrialResult(0, {}, one.spec, (columns[1], trial(0, [1], "diverged").columns[0]), 1)
    assert diverged.status == "diverged"
    assert diverged.reason == "repeat 0: a reason"
    assert diverged.metrics == {}
    assert one.metrics["val_loss"] == pytest.approx(0.15)
    assert one.stds["val_loss"] == pytest.approx(np.std([0.1, 0.2], ddof=1))


def test_an_unknown_bound_of_a_column_is_not_hidden_by_the_others():
    one = trial(0, [0.1, 0.2, 0.3], "converged")
    gaps = (1e-9, math.nan, 1e-3)
    columns = [
        replace(column, facts={"gap": gap}, reason=f"a gap of {gap}")
        for column, gap in zip(one.columns, gaps, strict=True)
    ]
    of = replace(one, columns=tuple(columns))
    assert math.isnan(of.facts["gap"])
    assert of.reason == "repeat 1: a gap of nan"
    known = replace(one, columns=(columns[0], columns[2]))
    assert known.facts["gap"] == 1e-3
    assert known.reason == "repeat 2: a gap of 0.001"
    stopped = replace(one, columns=(columns[0], replace(columns[2], status="not_converged")))
    assert stopped.status == "not_converged"


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


def folded(one, held_ratio):
    """The same trial with columns of folds."""
    return replace(one, columns=tuple(replace(c, held_ratio=held_ratio) for c in one.columns))


def test_of_folds_the_standard_errors_count_the_rows_that_they_share():
    a, b = [0.10, 0.30, 0.20, 0.40], [0.12, 0.33, 0.21, 0.46]
    trials = [folded(trial(0, b), 0.5), folded(trial(1, a), 0.5)]
    chosen = choose(trials, spec_of(), "val_loss")
    variance = (np.array(b) - a).var(ddof=1)
    assert chosen.held_ratio == 0.5
    # Nadeau and Bengio 2003: (1/J + n_test/n_train)·s²
    assert chosen.standard_errors == pytest.approx(0.03 / math.sqrt((1 / 4 + 0.5) * variance))
    apart = choose([trial(0, b), trial(1, a)], spec_of(), "val_loss")
    assert apart.held_ratio is None
    assert apart.standard_errors > 1.5 * chosen.standard_errors


def test_each_repeat_may_choose_for_itself():
    shots = {"repeat.few_shot.k": 1}, {"repeat.few_shot.k": 2}
    spec = spec_of(
        {"penalty.l2": [0, 1]},
        data={"train": "digits", "test": 0.2},
        repeat={"few_shot": {"k": [1, 2]}},
        optimizer={"batch_size": "full"},
        select={"per": ["repeat"]},
    )
    trials = [
        trial(0, [0.1, 0.9, 0.3], settings=shots[0]),
        trial(1, [0.2, 0.1, 0.4], settings=shots[0]),
        trial(2, [0.5, 0.6, math.nan], settings=shots[1]),
        trial(3, [0.6, 0.5, math.nan], settings=shots[1]),
    ]
    chosen = choose(trials, spec, "val_loss")
    found = {(g.per["repeat.few_shot.k"], g.repeat): g.trial for g in chosen.groups}
    assert {key: of.number for key, of in found.items()} == {
        (1, 0): 0, (1, 1): 1, (1, 2): 0, (2, 0): 2, (2, 1): 3,
    }  # fmt: skip
    assert all(group.per["repeat"] == group.repeat for group in chosen.groups)
    assert found[1, 1].metrics["val_loss"] == 0.1
    assert found[1, 1].stds == {}
    assert list(chosen.without) == [{"repeat.few_shot.k": 2, "repeat": 2}]
    assert chosen.best.number == 1
    assert chosen.runner_up.number == 0


def test_a_runner_up_is_one_that_competes():
    shots = {"repeat.few_shot.k": 1}, {"repeat.few_shot.k": 2}
    spec = spec_of(repeat={"few_shot": {"k": [1, 2]}}, optimizer={"batch_size": "full"})
    trials = [trial(0, [0.3], settings=shots[0]), trial(1, [0.1], settings=shots[1])]
    assert choose(trials, spec, "val_loss").runner_up is None
    trials.append(trial(2, [0.9], settings=shots[1]))
    assert choose(trials, spec, "val_loss").runner_up.number == 2


def test_numbers_past_the_largest_are_no_fault():
    inf = float("inf")
    chosen = choose([trial(0, [inf, 1.0]), trial(1, [0.1, 0.2])], spec_of(), "val_loss")
    assert (chosen.best.number, chosen.margin, chosen.standard_errors) == (1, inf, None)


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
    ("penalty.l2", [1e-3, 1e-2, 1e-1], 1e-3, "low"),
    ("penalty.l2", [1e-3, 1e-2, 1e-1], 1e-2, None),
    ("penalty.l2", [1e-3, 1e-2, 1e-1], 1e-1, "high"),
    ("penalty.l2", [0, 1e-3, 1e-2, 1e-1], 0, None),  # a 0 beside a range is no end of it
    ("penalty.l2", [0, 1e-3, 1e-2, 1e-1], 1e-3, "low"),
    ("penalty.l2", [1e-3, 1e-1], 1e-3, None),  # two values have no inside
    ("optimizer.schedule.final", [0, 0.1, 0.2, 0.3], 0.1, None),  # even steps: 0 is one of them,
    ("optimizer.schedule.final", [0, 0.1, 0.2, 0.3], 0, None),  # and nothing is below it
    ("optimizer.momentum", [0.5, 0.9, 0.99], 0.5, "low"),
    ("optimizer.momentum", [0.5, 0.9, 0.99], 0.99, None),  # 1 is no momentum
    ("optimizer.batch_size", ["full", 64, 128, 256], 64, None),
]


@pytest.mark.parametrize(("path", "values", "best", "side"), EDGES)
def test_a_winner_at_the_end_of_an_axis_is_told(path, values, best, side):
    schedule = {"schedule": {"name": "cosine"}}
    edges = edges_of(spec_of({path: values}, optimizer=schedule), values.index(best))
    assert [(edge.side, edge.value) for edge in edges] == ([(side, best)] if side else [])
    for edge in edges:
        way = {"low": "downward", "high": "upward"}[side]
        assert edge.advice == f"at the edge of the grid: widen {path} {way}"


def test_the_table_of_edges_is_whole():
    assert len(EDGES) == 11


def edges_of(spec, winner, lambda_max=None):
    """The edges of a grid where the trial of this number is the best."""
    known = [t.with_lambda_max(lambda_max) if lambda_max else t for t in spec.trials]
    assert winner < len(known)
    trials = [
        trial(t.number, [0.1 if t.number == winner else 0.5], settings=t.settings, spec=t.spec)
        for t in known
    ]
    return choose(trials, spec, "val_loss").edges


def test_a_path_of_penalties_may_end_too_early_but_begins_where_all_weights_are_0():
    spec = spec_of({"penalty.l1": {"path": {"num": 5, "ratio": 1e-3}}})
    found = [[edge.side for edge in edges_of(spec, i, lambda_max=0.37)] for i in range(5)]
    assert found == [[], [], [], [], ["low"]]
    assert edges_of(spec, 4, lambda_max=0.37)[0].value == pytest.approx(0.37e-3)


def test_an_end_of_the_grid_is_no_advice_where_the_axis_makes_no_difference():
    spec = spec_of({"penalty.l2": [1e-3, 1e-2, 1e-1]})

    def sides(losses):
        trials = [trial(t.number, losses[t.number], settings=t.settings) for t in spec.trials]
        return [edge.side for edge in choose(trials, spec, "val_loss").edges]

    assert sides([[0.1, 0.2], [0.1, 0.3], [0.5, 0.5]]) == ["low"]
    assert sides([[0.1, 0.2], [0.1, 0.2], [0.5, 0.5]]) == ["low"]
    assert sides([[0.1, 0.2], [0.2, 0.1], [0.1, 0.2]]) == ["low"]  # as good on the whole alone
    assert sides([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2]]) == []


def test_each_block_of_a_union_has_its_own_ends():
    blocks = [
        {"optimizer.name": ["sgd"], "optimizer.lr": [0.01, 0.1, 1]},
        {"optimizer.name": ["adam"], "optimizer.lr": [1e-4, 1e-3, 1e-2]},
    ]
    found = [[edge.side for edge in edges_of(spec_of(blocks), i)] for i in range(6)]
    assert found == [["low"], [], ["high"], ["low"], [], ["high"]]


def test_settings_that_go_together_are_no_axis():
    zipped = [{"optimizer.name": "sgd", "optimizer.lr": lr} for lr in (0.1, 0.5)]
    zipped.append({"optimizer.name": "adam", "optimizer.lr": 1e-3})
    sweep = {"parameters": {"penalty.l2": [1e-3, 1e-2, 1e-1]}, "zip": zipped}
    spec = load_spec({**BASE, "sweep": sweep})
    found = {edge.path for i in range(9) for edge in edges_of(spec, i)}
    assert found == {"penalty.l2"}


def test_a_random_search_has_no_edges():
    drawn = {"optimizer.lr": {"distribution": "log_uniform", "min": 1e-3, "max": 1}}
    spec = load_spec({**BASE, "sweep": {"method": "random", "num_trials": 5, "parameters": drawn}})
    assert [edges_of(spec, i) for i in range(5)] == [[]] * 5


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


@pytest.mark.parametrize("stopping", ["none", {"metric": "val_loss", "patience": 2}], ids=str)
def test_best_yaml_of_folds_without_a_refit_can_be_run(stopping, tmp_path):
    select = {"refit": "none"}
    spec = spec_of(repeat={"folds": 3}, select=select, early_stopping=stopping)
    file = tmp_path / "best.yaml"
    file.write_text(best_yaml(trial(0, [0.1, 0.2, 0.3], spec=spec), None))
    again = load_spec(file)
    assert (again.repeat, again.early_stopping, again.data.val) == (None, None, "none")
    assert again.optimizer.epochs == 7


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
