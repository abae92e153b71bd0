"""Sweeps: axes to values, settings to trials, each fault at its place, and back to a file."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import load_spec
from trainer.config.sweep.grid import MOST_TRIALS
from trainer.errors import SpecError
from trainer.streams import RANDOM_SEARCH, uniform

BASE = {"model": "softmax", "data": {"train": "digits"}}


def sweep(parameters=None, **keys):
    """The spec of a sweep; keys of the sweep itself are method, metric, zip, …."""
    own = {k: keys.pop(k) for k in ("method", "metric", "zip", "num_trials") if k in keys}
    block = own if parameters is None else {"parameters": parameters, **own}
    return load_spec({**BASE, **keys, "sweep": block})


def told(spec):
    return [dict(trial.settings) for trial in spec.trials]


def test_a_plain_run_is_one_trial():
    spec = load_spec(BASE)
    (trial,) = spec.trials
    assert (trial.number, dict(trial.settings), trial.spec) == (0, {}, spec)
    assert spec.axes == {}


AXES = [
    ([0.01, 0.1], [0.01, 0.1]),
    ({"values": [0.01, 0.1]}, [0.01, 0.1]),
    ({"values": [0.1], "plus": [0.2]}, [0.1, 0.2]),
    ({"geomspace": {"start": 1e-6, "stop": 1e-1, "num": 6}}, np.geomspace(1e-6, 1e-1, 6)),
    ({"linspace": {"start": 0.1, "stop": 1, "num": 4}}, np.linspace(0.1, 1, 4)),
    ({"linspace": {"start": 1, "stop": 0.1, "num": 2}, "plus": [5]}, [1, 0.1, 5]),
    ({"geomspace": {"start": 2, "stop": 2, "num": 1}}, [2]),
]


@pytest.mark.parametrize(("axis", "values"), AXES)
def test_an_axis_has_its_values(axis, values):
    spec = sweep({"optimizer.lr": axis})
    found = [trial.spec.optimizer.lr for trial in spec.trials]
    np.testing.assert_allclose(found, values, rtol=1e-14)
    assert spec.axes == {"optimizer.lr": tuple(found)}


def test_the_table_of_axes_is_whole():
    assert len(AXES) == 7


def test_a_grid_is_a_product_the_first_key_slowest():
    spec = sweep({"optimizer.lr": [0.1, 0.2], "penalty.l2": [0, 1e-3, 1e-2]})
    expected = [
        {"optimizer.lr": lr, "penalty.l2": l2}
        for lr, l2 in itertools.product([0.1, 0.2], [0, 1e-3, 1e-2])
    ]
    assert told(spec) == expected
    assert [trial.number for trial in spec.trials] == list(range(6))
    for trial in spec.trials:
        own = {**BASE, "optimizer": {"lr": trial.settings["optimizer.lr"]}}
        own["penalty"] = {"l2": trial.settings["penalty.l2"]}
        assert trial.spec == load_spec(own)


def test_blocks_are_added_up():
    spec = sweep([{"optimizer.lr": [0.1, 0.2]}, {"penalty.l2": [0.5]}])
    assert told(spec) == [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}, {"penalty.l2": 0.5}]


def test_settings_that_go_together_are_crossed_with_the_rest():
    together = [
        {"optimizer.name": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.5},
        {"optimizer.name": "adam", "optimizer.lr": 1e-3},
    ]
    spec = sweep({"penalty.l2": [0, 1]}, zip=together)
    assert told(spec) == [{"penalty.l2": l2, **row} for l2 in (0, 1) for row in together]
    assert [trial.spec.optimizer.name for trial in spec.trials] == ["sgd", "adam"] * 2


def test_keys_that_another_optimizer_lacks_are_left_out_with_a_word():
    spec = sweep({"optimizer.name": ["sgd", "adam"]}, optimizer={"momentum": 0.3, "lr": 0.01})
    assert spec.trials[0].spec.optimizer.momentum == 0.3
    assert not hasattr(spec.trials[1].spec.optimizer, "momentum")
    assert [trial.spec.optimizer.lr for trial in spec.trials] == [0.01, 0.01]
    (note,) = spec.expansion_notes
    assert "adam" in note
    assert "optimizer.momentum" in note


def test_a_swept_solver_does_without_evaluations_by_epochs():
    together = [{"optimizer.name": "lbfgs"}, {"optimizer.name": "sgd", "optimizer.lr": 0.1}]
    spec = sweep(zip=together, log={"eval_every": 5})
    assert [trial.spec.log.eval_every for trial in spec.trials] == [1, 5]
    assert spec.expansion_notes == ("trials of lbfgs do without log.eval_every, which it has not",)


def test_the_same_trial_twice_is_one_with_a_word():
    spec = sweep({"optimizer.lr": [0.1, 0.1, 0.2]})
    assert [trial.settings["optimizer.lr"] for trial in spec.trials] == [0.1, 0.2]
    assert [trial.number for trial in spec.trials] == [0, 1]
    assert spec.expansion_notes == ("1 of 3 trials were there twice, and are left out",)


def test_shots_are_the_last_axis():
    keys = {"repeat": {"few_shot": {"k": [1, 4]}}, "optimizer": {"batch_size": "full"}}
    spec = sweep({"penalty.l2": [0, 1]}, **keys)
    assert told(spec) == [
        {"penalty.l2": l2, "repeat.few_shot.k": k} for l2 in (0, 1) for k in (1, 4)
    ]
    assert [trial.spec.repeat.few_shot.k for trial in spec.trials] == [1, 4, 1, 4]
    assert len(load_spec({**BASE, **keys}).trials) == 2  # without a sweep, too


def test_a_path_is_of_fractions_until_the_data_are_known():
    spec = sweep({"penalty.l1": {"path": {"num": 3, "ratio": 0.01}}})
    assert [trial.fractions["penalty.l1"] for trial in spec.trials] == pytest.approx([1, 0.1, 0.01])
    resolved = [trial.with_lambda_max(5.0) for trial in spec.trials]
    assert [trial.spec.penalty.l1 for trial in resolved] == pytest.approx([5, 0.5, 0.05])
    assert [trial.settings["penalty.l1"] for trial in resolved] == pytest.approx([5, 0.5, 0.05])
    mixed = sweep(
        {"penalty.alpha": {"path": {"num": 2, "ratio": 0.1}}},
        penalty={"alpha": 1, "l1_ratio": 0.25},
    )
    assert mixed.trials[0].with_lambda_max(5.0).spec.penalty.alpha == pytest.approx(20)


def test_penalties_beside_a_path_are_no_fractions():
    spec = sweep({"penalty.l1": {"path": {"num": 2}, "plus": [0.5, 1]}})
    settings = [trial.with_lambda_max(5.0).settings["penalty.l1"] for trial in spec.trials]
    assert settings == pytest.approx([5, 0.005, 0.5, 1])
    union = sweep([{"penalty.l1": {"path": {"num": 1}}}, {"penalty.l1": [1.0]}])
    assert [trial.fractions for trial in union.trials] == [{"penalty.l1": 1.0}, {}]


def test_a_path_may_end_at_no_penalty():
    alphas = {"penalty.alpha": {"path": {"num": 2}, "plus": [0]}}
    spec = sweep(alphas, penalty={"alpha": 1, "l1_ratio": 0.5})
    alphas = [trial.with_lambda_max(5.0).spec.penalty.alpha for trial in spec.trials]
    assert alphas == pytest.approx([10, 0.01, 0])


# --- variables ------------------------------------------------------------------------------------


def test_a_variable_is_put_into_every_text(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(
        "model: softmax\nnotes: layer ${layer}\n"
        "data: {train: {npz: 'f/${layer}.npz', features: 'X${n}', target: y}}\n"
        "vars: {layer: 7, n: 1}\nsweep: {parameters: {vars.layer: [0, 6]}}\n"
    )
    spec = load_spec(file)
    paths = [trial.spec.data.train.npz for trial in spec.trials]
    assert paths == [str(tmp_path / "f" / f"{layer}.npz") for layer in (0, 6)]
    assert {trial.spec.data.train.features for trial in spec.trials} == {"X1"}
    assert spec.trials[1].spec.notes == "layer 6"
    plain = load_spec(file, ["sweep=none"])
    assert plain.trials[0].spec.data.train.npz.endswith("f/7.npz")


def test_paths_of_an_axis_are_relative_to_the_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(
        "model: linear\ndata: {train: {table: a.csv, target: y}}\n"
        "sweep: {parameters: {data.train.table: [b.csv, sub/c.csv]}}\n"
    )
    spec = load_spec(file)
    found = [trial.spec.data.train.table for trial in spec.trials]
    assert found == [str(tmp_path / "b.csv"), str(tmp_path / "sub" / "c.csv")]
    again = tmp_path / "elsewhere" / "b.yaml"
    again.parent.mkdir()
    again.write_text(spec.to_yaml())
    assert [t.spec.data.train.table for t in load_spec(again).trials] == found


# --- random search --------------------------------------------------------------------------------

DISTRIBUTIONS = {
    "optimizer.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 1},
    "optimizer.momentum": {"distribution": "uniform", "min": 0.1, "max": 0.9},
    "optimizer.epochs": {"distribution": "int_uniform", "min": 2, "max": 4},
    "penalty.l2": {"distribution": "log_uniform", "min": 1e-6, "max": 1, "plus": [0]},
    "bias": [True, False],
}


def test_draws_are_of_the_seed_alone():
    first = sweep(DISTRIBUTIONS, method="random", num_trials=20, seed=3)
    u = uniform(3, RANDOM_SEARCH, 0, 20 * 5 * 2).reshape(20, 5, 2)
    for trial, draws in zip(first.trials, u, strict=True):
        lr = 10 ** (-4 + 4 * draws[0, 1])
        assert trial.settings["optimizer.lr"] == pytest.approx(lr, rel=1e-9)
        assert trial.settings["optimizer.momentum"] == pytest.approx(0.1 + 0.8 * draws[1, 1])
        assert trial.settings["optimizer.epochs"] == 2 + int(3 * draws[2, 1])
        assert trial.settings["bias"] is bool(draws[4, 1] < 0.5)
    again = sweep(DISTRIBUTIONS, method="random", num_trials=20, seed=3)
    assert told(again) == told(first)
    assert told(sweep(DISTRIBUTIONS, method="random", num_trials=20, seed=4)) != told(first)


def test_draws_keep_to_their_bounds_and_one_in_ten_is_plus():
    spec = sweep(DISTRIBUTIONS, method="random", num_trials=2000)
    values = {key: [t[key] for t in told(spec)] for key in DISTRIBUTIONS}
    assert min(values["optimizer.lr"]) >= 1e-4
    assert max(values["optimizer.lr"]) <= 1
    assert set(values["optimizer.epochs"]) == {2, 3, 4}
    share = np.mean(np.array(values["penalty.l2"]) == 0)
    assert 0.07 < share < 0.13
    assert 0.45 < np.mean(np.array(values["optimizer.lr"]) < 1e-2) < 0.55


# --- overrides ------------------------------------------------------------------------------------


def test_a_comma_makes_an_axis():
    spec = load_spec(BASE, ["optimizer.lr=0.1,1e-2", "penalty.l2=0,1"])
    assert told(spec) == [
        {"optimizer.lr": lr, "penalty.l2": l2} for lr in (0.1, 0.01) for l2 in (0, 1)
    ]


@pytest.mark.parametrize(
    "override", ["optimizer={name: adam, lr: 0.1}", "notes='a, b'", "data.train=digits"]
)
def test_a_comma_within_brackets_or_quotes_does_not(override):
    assert load_spec(BASE, [override]).axes == {}


def test_a_value_takes_the_axis_of_its_key_away():
    config = {**BASE, "sweep": {"parameters": {"optimizer.lr": [1, 2], "penalty.l2": [0, 1]}}}
    spec = load_spec(config, ["optimizer.lr=0.5"])
    assert told(spec) == [{"penalty.l2": 0}, {"penalty.l2": 1}]
    assert {trial.spec.optimizer.lr for trial in spec.trials} == {0.5}
    assert spec.expansion_notes == ("optimizer.lr is set, so its axis is gone",)
    spec = load_spec(config, ["optimizer.lr=0.5", "penalty.l2=0.1"])
    assert spec.sweep is None
    assert told(spec) == [{}]


def test_none_drops_the_sweep():
    config = {**BASE, "sweep": {"parameters": {"optimizer.lr": [1, 2]}}}
    assert told(load_spec(config, ["sweep=none"])) == [{}]


def test_an_axis_can_be_set_as_a_whole():
    config = {**BASE, "sweep": {"parameters": {"optimizer.lr": [1, 2]}}}
    override = "sweep.parameters.optimizer.lr={geomspace: {start: 0.01, stop: 1, num: 3}}"
    found = told(load_spec(config, [override]))
    assert [t["optimizer.lr"] for t in found] == pytest.approx([0.01, 0.1, 1])


# --- back to a file -------------------------------------------------------------------------------

KEYS = {
    "optimizer.lr": st.lists(st.floats(1e-5, 1), min_size=1, max_size=3),
    "penalty.l2": st.just({"geomspace": {"start": 1e-6, "stop": 0.1, "num": 3}, "plus": [0]}),
    "bias": st.just([True, False]),
    "data.scale": st.just(["none", "standard", "unit"]),
    "optimizer.batch_size": st.just([32, "full"]),
    "vars.v": st.lists(st.integers(0, 5), min_size=1, max_size=2),
    "class_weight": st.just(["none", "balanced"]),
}
ZIPS = st.sampled_from(
    [None, [{"optimizer.name": n, "data.max_categories": i} for i, n in ((1, "sgd"), (2, "adam"))]]
)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_resolved_file_has_the_same_trials(data):
    keys = data.draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3, unique=True))
    block = {key: data.draw(KEYS[key]) for key in keys}
    config = {
        **BASE,
        "vars": {"v": 0},
        "notes": "v is ${v}",
        "optimizer": {"momentum": 0.7},
        "sweep": {"parameters": block},
    }
    if rows := data.draw(ZIPS):
        config["sweep"]["zip"] = rows
    spec = load_spec(config)
    from trainer.config.yaml.read import read_yaml

    again = load_spec(read_yaml(spec.to_yaml(), "a", os.getcwd()).value)
    assert [trial.spec for trial in again.trials] == [trial.spec for trial in spec.trials]
    assert told(again) == told(spec)
    assert again.to_yaml() == spec.to_yaml()


# --- faults ---------------------------------------------------------------------------------------

SMALL = "model: softmax\ndata: {train: digits}\n"
FAULTS = [
    ("sweep: {parameters: {optimizer.lr: []}}", "3:36", "an axis without values"),
    ("sweep: {parameters: {optimizer.learning_rate: [1]}}", "3:22", "did you mean optimizer.lr?"),
    ("sweep: {parameters: {optimizr.lr: [1]}}", "3:22", "did you mean optimizer.lr?"),
    ("sweep: {parameters: {optimizer.schedule.milestones: [[1], [2]]}}", "3:54", "not a list"),
    ("sweep: {parameters: {optimizer.lr: [0.1, x]}}", "3:42", "a number above 0, got 'x'"),
    ("sweep: {parameters: {optimizer.lr: 5}}", "3:36", "expected a list of values, got 5"),
    ("sweep: {parameters: {optimizer.lr: {value: [1]}}}", "3:36", "did you mean values?"),
    ("sweep: {parameters: {optimizer.lr: {logspace: {}}}}", "3:36", "did you mean geomspace"),
    (
        "sweep: {parameters: {optimizer.lr: {geomspace: {start: 0, stop: 1, num: 2}}}}",
        "3:56",
        "above 0, got 0; plus: [0] adds a 0",
    ),
    (
        "sweep: {parameters: {optimizer.lr: {linspace: {start: 1, stop: 1, num: 2}}}}",
        "3:64",
        "both 1",
    ),
    (
        "sweep: {parameters: {optimizer.lr: {linspace: {start: 1, num: 2}}}}",
        "3:47",
        "stop is missing",
    ),
    (
        "sweep: {parameters: {penalty.l2: {path: {num: 3}}}}",
        "3:41",
        "of penalty.l1 or penalty.alpha, not penalty.l2",
    ),
    (
        "penalty: {alpha: 1, l1_ratio: 0}\nsweep: {parameters: {penalty.alpha: {path: {num: 3}}}}",
        "4:44",
        "l1_ratio is 0; write penalty.l1_ratio, or geomspace",
    ),
    (
        "penalty: {alpha: 1}\nsweep: {parameters: [{penalty.alpha: {path: {num: 3},"
        " plus: [0]}, penalty.l1_ratio: [0.5]}, {penalty.alpha: {path: {num: 3}}}]}",
        "4:116",
        "l1_ratio is 0; write penalty.l1_ratio, or geomspace",
    ),
    (
        "sweep: {parameters: {penalty.l1: {path: {ratio: 2}}}}",
        "3:49",
        "between 0 and 1, got 2; for example 1e-3",
    ),
    (
        "sweep: {parameters: {optimizer.lr: {distribution: uniform, min: 1, max: 2}}}",
        "3:51",
        "write method: random",
    ),
    (
        "sweep: {method: random, num_trials: 3, parameters: {optimizer.lr:"
        " {distribution: uniform, min: 2, max: 1}}}",
        "3:96",
        "min 2 is not below max 1",
    ),
    (
        "sweep: {method: random, num_trials: 3, parameters: {optimizer.lr:"
        " {distribution: log_uniform, min: 0, max: 1}}}",
        "3:100",
        "bounds are values, not exponents",
    ),
    ("sweep: {method: random, parameters: {optimizer.lr: [1]}}", "3:1", "needs it; for example 64"),
    ("sweep: {method: bayes, parameters: {optimizer.lr: [1]}}", "3:17", "none can learn from"),
    ("sweep: {num_trials: 3, parameters: {optimizer.lr: [1]}}", "3:21", "as many trials as it has"),
    ("sweep: {n_trials: 3, parameters: {optimizer.lr: [1]}}", "3:9", "sweep.num_trials?"),
    ("sweep: {parameters: {optimizer: {lr: [1]}}}", "3:22", "write optimizer.lr: […]"),
    ("sweep: {parameters: {device: [cpu, gpu]}}", "3:22", "belongs to the whole run"),
    ("sweep: {parameters: {repeat.folds: [2, 3]}}", "3:22", "few_shot.k takes a list"),
    ("sweep: {parameters: {vars.x: [2, 3]}}", "3:22", "vars has no 'x'"),
    ("sweep: {}", "3:8", "no axes"),
    ("sweep: [1]", "3:8", "expected a mapping of keys, got a list"),
    ("sweep: {zip: [{optimizer.lr: 1}], parameters: {optimizer.lr: [1]}}", "3:16", "keep one"),
    ("sweep: {zip: [{optimizer.lr: [1]}]}", "3:30", "axes go to parameters"),
    ("sweep: {metric: {name: val_r2}, parameters: {bias: [true]}}", "3:24", "no metric 'val_r2'"),
    (
        "sweep: {metric: {name: val_loss, goal: maximize}, parameters: {bias: [true]}}",
        "3:40",
        "better when small; write minimize",
    ),
    ("sweep: {early_terminate: {eta: 1}, parameters: {bias: [true]}}", "3:32", "from 2 to 1000"),
    ("select: {rule: one_std_err}", "3:16", "takes repeats"),
    ("select: {per: [optimizer.lr]}", "3:16", "is not swept"),
    ("select: {per: [repeat]}\nrepeat: {seeds: 2}", "3:15", "set data.test, which scores it"),
    ("repeat: {folds: 1}", "3:17", "a whole number from 2"),
    ("repeat: {times: 3}", "3:17", "write folds: 5 too"),
    ("repeat: {folds: 3, few_shot: {k: 2}}\noptimizer: {batch_size: full}", "3:30", "not both"),
    ("repeat: {few_shot: {k: 2}}", "3:1", "write batch_size: full"),
    ("repeat: {seeds: 2}\noptimizer: {batch_size: full}", "3:17", "the same for every seed"),
    ("repeat: {cv: 3}", "3:10", "repeat.folds?"),
    ("select: {refit: train+val}\nrepeat: {folds: 3}", "3:17", "train is all rows with folds"),
    ("notes: ${a}\nvars: {b: 1}", "3:8", "vars has no 'a'; vars has b"),
]


@pytest.mark.parametrize(("text", "place", "words"), FAULTS)
def test_a_fault_of_a_sweep_is_at_its_place(tmp_path, text, place, words):
    file = tmp_path / "a.yaml"
    file.write_text(SMALL + text + "\n")
    with pytest.raises(SpecError) as found:
        load_spec(file)
    lines = [str(fault) for fault in found.value.faults]
    assert len(lines) == 1, lines
    assert words in lines[0], lines
    if place != "3:1":
        assert f"a.yaml:{place}: " in lines[0], lines


def test_the_table_of_faults_is_whole():
    assert len(FAULTS) == 44


def test_a_choice_of_each_repeat_takes_repeats_and_a_test_set_and_no_rule_of_means():
    data = {"train": "digits", "val": "none", "test": 0.2}
    good = {"model": "softmax", "data": data, "repeat": {"folds": 3}, "select": {"per": ["repeat"]}}
    assert load_spec(good).select.per == ("repeat",)
    for change, key, words in [
        ({"repeat": "none"}, "select.per", "write repeat: {folds: 5} too"),
        ({"data": data | {"test": "none"}}, "select.per", "set data.test"),
        ({"select": {"per": ["repeat"], "rule": "one_std_err"}}, "select.rule", "write best"),
    ]:
        with pytest.raises(SpecError) as found:
            load_spec(good | change)
        lines = [str(fault) for fault in found.value.faults]
        assert len(lines) == 1, lines
        assert key in lines[0]
        assert words in lines[0]


def test_val_beside_folds_is_a_fault(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("model: softmax\ndata: {train: digits, val: 0.1}\nrepeat: {folds: 5}\n")
    with pytest.raises(SpecError, match=r"2:28: data.val: what a fold holds out is val"):
        load_spec(file)


def test_all_faults_are_told_at_once(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(SMALL + "sweep: {parameters: {optimizer.lr: [0.1, x, -1]}, metric: {nam: a}}\n")
    with pytest.raises(SpecError) as found:
        load_spec(file)
    assert len(found.value.faults) == 3


def test_too_many_trials_are_counted_and_not_expanded():
    many = {"linspace": {"start": 0.1, "stop": 1, "num": 401}}
    with pytest.raises(SpecError, match="160,801 trials; at most 100,000"):
        sweep({"optimizer.lr": many, "penalty.l2": many})
    assert MOST_TRIALS == 100_000


def test_trials_are_light():
    """A hundredth of a second for each hundred of them, or so."""
    values = {"linspace": {"start": 0.1, "stop": 1, "num": 45}}
    spec = sweep({"optimizer.lr": values, "penalty.l2": values})
    assert len(spec.trials) == 2025
    first, last = spec.trials[0].spec, spec.trials[-1].spec
    assert first.data is last.data  # checked once
