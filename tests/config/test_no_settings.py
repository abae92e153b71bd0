"""A seed is no setting: its luckiest value would win."""

import pytest
from config_helpers import faults, load

from trainer.config import load_spec

HEAD = "model: softmax\ndata: {train: digits}\n"
# (the file, its overrides, the fault)
SEEDS = [
    (
        HEAD + "sweep: {parameters: {seed: [0, 1, 2]}}",
        (),
        "a.yaml:3:22: sweep.parameters.seed: a seed is no setting: the luckiest of 3 would win;"
        " repeat: {seeds: 3} averages over them, select: {per: [seed]} chooses for each",
    ),
    (
        HEAD + "sweep: {parameters: {optimizer.lr: [0.1, 1], data.seed: {values: [4, 5]}}}",
        (),
        "a.yaml:3:46: sweep.parameters.'data.seed': a seed is no setting: the luckiest of 2 would"
        " win; repeat: {folds: 5, times: 2} averages over splits, select: {per: [data.seed]}"
        " chooses for each",
    ),
    (HEAD, ("seed=1,2,3,4",), "repeat: {seeds: 4} averages over them"),
    (HEAD, ("data.seed=1,2",), "repeat: {folds: 5, times: 2}"),
    (
        HEAD + "sweep:\n  zip:\n  - {seed: 0, optimizer.lr: 0.1}\n  - {seed: 1, optimizer.lr: 1}",
        (),
        "a.yaml:5:6: sweep.zip.0.seed: a seed is no setting: the luckiest of 2 would win",
    ),
    (
        HEAD + "sweep: {method: random, num_trials: 9, parameters:"
        " {seed: {distribution: int_uniform, min: 0, max: 99}}}",
        (),
        "the luckiest of 9 would win",
    ),
    (HEAD + "sweep: {parameters: [{seed: [7]}, {optimizer.lr: [1]}]}", (), "set seed outside of"),
    (
        "model: softmax\ndata: {train: {synthetic: {rows: 99}}}\n"
        "sweep: {parameters: {data.train.synthetic.seed: [0, 1]}}",
        (),
        "a run each shows how far they differ",
    ),
    (
        HEAD + "sweep: {parameters: {seed: [0, 1]}}\nselect: {per: [optimizer.lr]}",
        (),
        "a seed is no setting",
    ),
    (
        "model: logistic\ndata: {train: breast_cancer}\n"
        "sweep: {parameters: {data.positive: [0, 1]}}",
        (),
        "metrics of one class do not rank against those of the other; select:"
        " {per: [data.positive]} chooses for each",
    ),
]


@pytest.mark.parametrize(("text", "overrides", "words"), SEEDS)
def test_a_swept_seed_is_refused_with_what_averages(tmp_path, text, overrides, words):
    lines = faults(tmp_path, text, *overrides)
    assert any(words in line for line in lines), lines
    assert all("no setting" in line or "do not rank" in line for line in lines)


def test_the_table_of_seeds_is_whole():
    assert len(SEEDS) == 10


@pytest.mark.parametrize("key", ["seed", "data.seed"])
def test_each_may_have_a_winner_of_its_own(tmp_path, key):
    text = HEAD + f"sweep: {{parameters: {{{key}: [0, 1], optimizer.lr: [0.1, 1]}}}}\n"
    spec = load(tmp_path, text + f"select: {{per: [{key}]}}")
    assert spec.axes[key] == (0, 1)
    assert len(spec.trials) == 4


@pytest.mark.parametrize("cure", [{"seeds": 3}, {"folds": 5, "times": 3}])
def test_the_cures_are_taken(cure):
    spec = load_spec({"model": "softmax", "data": {"train": "digits"}, "repeat": cure})
    assert spec.repeat is not None
