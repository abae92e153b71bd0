"""What others write, answered with what is right here: and what is proposed is taken."""

import re

import pytest

from trainer.config import load_spec
from trainer.config.yaml.read import read_yaml
from trainer.errors import SpecError

HEAD = "model: softmax\ndata: {train: digits}\n"
RANDOM = "method: random, num_trials: 4, "


def load(text):
    return load_spec(read_yaml(text, "a.yaml", ".").value)


def fault(text):
    with pytest.raises(SpecError) as caught:
        load(text)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0].what


# A key in another spelling; the path it is.
KEYS = [
    ("batchsize: 64", "optimizer.batch_size"),
    ("batchSize: 64", "optimizer.batch_size"),
    ("batch-size: 64", "optimizer.batch_size"),
    ("optimizer: {batchsize: 64}", "optimizer.batch_size"),
    ("learningRate: 0.1", "optimizer.lr"),
    ("weightDecay: 0.1", "penalty.l2"),
    ("maxEpochs: 3", "optimizer.epochs"),
    ("nEpochs: 3", "optimizer.epochs"),
    ("earlystopping: {patience: 3}", "early_stopping"),
    ("MaxCategories: 3", "data.max_categories"),
    ("sweep: {parameters: {batchSize: [32, 64]}}", "optimizer.batch_size"),
    ("sweep: {parameters: {learningrate: [0.1, 1]}}", "optimizer.lr"),
    ("sweep: {parameters: {L2: [0.1, 1]}}", "penalty.l2"),
    ("optimizer: {type: adam}", "optimizer.name"),
    ("optimizer: {schedule: {kind: cosine}}", "optimizer.schedule.name"),
    ("penalty: {reg_alpha: 0.1}", "penalty.l1"),
    ("penalty: {lambda_l2: 0.1}", "penalty.l2"),
    ("early_stopping_rounds: 5", "early_stopping.patience"),
    ("early_stopping: {rounds: 5}", "early_stopping.patience"),
]


# pandas' words for what `table` takes.
OF_PANDAS = [
    ("sep: ';'", "separator"),
    ("delimiter: ';'", "separator"),
    ("quotechar: x", "quote"),
    ("usecols: [a]", "columns"),
    ("index_col: id", "drop"),
    ("label: z", "target"),
]


@pytest.mark.parametrize(("text", "key"), OF_PANDAS)
def test_a_word_of_pandas(text, key):
    what = fault("model: softmax\ndata: {train: {table: a.csv, target: y, " + text + "}}")
    assert what == f"unknown key; did you mean data.train.{key}?"


def test_a_penalty_has_no_type():
    assert fault(HEAD + "penalty: {type: l2}").endswith("the keys here are l2 and l1")


VALUES = [
    ("0", "first"),
    ("true", "first"),
    ("infer", "first"),
    ("null", "none"),
    ("false", "none"),
]


@pytest.mark.parametrize(("value", "right"), VALUES)
def test_a_header_as_pandas_has_it(value, right):
    text = "model: softmax\ndata: {train: {table: a.csv, target: y, header: %s}}"
    assert fault(text % value).endswith(f"; write {right}")


@pytest.mark.parametrize(
    ("text", "right"),
    [("precision: double", "float64"), ("device: 'cuda:0'", "gpu"), ("precision: fp64", "float64")],
)
def test_a_value_in_another_word(text, right):
    assert fault(HEAD + text).endswith(f"; did you mean {right}?")


def test_a_model_in_another_word():
    what = fault("model: multinomial\ndata: {train: digits}")
    assert what.endswith("; did you mean softmax?")


@pytest.mark.parametrize(("text", "path"), KEYS)
def test_a_key_is_found_however_it_is_spelled(text, path):
    assert f"did you mean {path}?" in fault(HEAD + text)


# A word or a number for a block; what to write.
BLOCKS = [
    ("penalty", "none", "{l2: 0}"),
    ("penalty", "None", "{l2: 0}"),
    ("penalty", "false", "{l2: 0}"),
    ("penalty", "0", "{l2: 0}"),
    ("penalty", "0.5", "{l2: 0.5}"),
    ("penalty", "l2", "{l2: 1e-4}"),
    ("penalty", "lasso", "{l2: 0, l1: 1e-4}"),
    ("penalty", "elasticnet", "{alpha: 1e-4, l1_ratio: 0.5}"),
    ("penalty", "elastic_net", "{alpha: 1e-4, l1_ratio: 0.5}"),
    ("penalty", "null", "{l2: 0}"),
    ("optimizer", "adam", "{name: adam}"),
    ("optimizer", "lbfgs", "{name: lbfgs}"),
    ("optimizer", "AdamW", "{name: adamw}"),
    ("select", "one_std_err", "{rule: one_std_err}"),
]


@pytest.mark.parametrize(("key", "value", "right"), BLOCKS)
def test_a_word_for_a_block_is_answered_with_the_block(key, value, right):
    assert fault(HEAD + f"{key}: {value}").endswith(f"; write {right}")
    more = "repeat: {folds: 5}\n" if key == "select" else ""
    load(HEAD + more + f"{key}: {right}")


NUMBERS = [
    ("penalty: {l2: none}", "write 0"),
    ("penalty: {alpha: none}", "write 0"),
    ("penalty: {C: none}", "write l2: 0 in its place"),
    ("penalty: {C: .inf}", "write l2: 0 in its place"),
    ("optimizer: {schedule: none}", "write {name: constant}"),
    ("optimizer: {schedule: cosine}", "write {name: cosine}"),
]


@pytest.mark.parametrize(("text", "right"), NUMBERS)
def test_none_for_a_number_or_a_schedule(text, right):
    assert fault(HEAD + text).endswith(right)


# An axis; what to write in a grid, and in a random search.
AXES = [
    ("{min: 0, max: 1}", "{linspace: {start: 0, stop: 1, num: 9}}",
     "{distribution: uniform, min: 0, max: 1}"),
    ("{min: 1e-4, max: 1}", "{geomspace: {start: 0.0001, stop: 1, num: 9}}",
     "{distribution: log_uniform, min: 0.0001, max: 1}"),
    ("{min: 1, max: 2, log: true}", "{geomspace: {start: 1, stop: 2, num: 9}}",
     "{distribution: log_uniform, min: 1, max: 2}"),
    ("{low: 1, high: 2, num: 3}", "{linspace: {start: 1, stop: 2, num: 3}}",
     "{distribution: uniform, min: 1, max: 2}"),
    ("{start: 1, stop: 2, num: 3}", "{linspace: {start: 1, stop: 2, num: 3}}",
     "{distribution: uniform, min: 1, max: 2}"),
    ("{loguniform: [1, 2]}", "{geomspace: {start: 1, stop: 2, num: 9}}",
     "{distribution: log_uniform, min: 1, max: 2}"),
    ("0.1", "[0.1]", "[0.1]"),
    ("'0.1, 1'", "[0.1, 1]", "[0.1, 1]"),
    ("{value: 0.1}", "[0.1]", "[0.1]"),
    ("{distribution: constant, value: 0.1}", "[0.1]", "[0.1]"),
    ("{max: 0, min: 1}", "{linspace: {start: 0, stop: 1, num: 9}}",
     "{distribution: uniform, min: 0, max: 1}"),
    ("{choices: [0.1, 1]}", "[0.1, 1]", "[0.1, 1]"),
    ("{distribution: categorical, values: [0.1, 1]}", "[0.1, 1]", "[0.1, 1]"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "grid", "drawn"), AXES)
def test_an_axis_in_other_words(written, grid, drawn):
    for method, right in (("", grid), (RANDOM, drawn)):
        what = fault(HEAD + f"sweep: {{{method}parameters: {{penalty.l2: {written}}}}}")
        assert f"write {right}" in what
        spec = load(HEAD + f"sweep: {{{method}parameters: {{penalty.l2: {right}}}}}")
        assert "penalty.l2" in spec.axes


def test_bounds_alone_lack_their_distribution_and_a_constant_is_no_axis():
    what = fault(HEAD + "sweep: {parameters: {optimizer.lr: {min: 0, max: 1}}}")
    assert what.startswith("distribution is missing; ")
    assert "or method: random, num_trials and {distribution: uniform, min: 0, max: 1}" in what
    what = fault(HEAD + "sweep: {parameters: {optimizer.lr: 0.1, penalty.l2: [0, 1]}}")
    assert what.endswith("write [0.1], or set optimizer.lr outside of the sweep")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("{optimizer: {parameters: {lr: {values: [0.1, 1]}}}}", "write optimizer.lr: […]"),
        ("{optimizer: {lr: [0.1, 1]}}", "write optimizer.lr: […]"),
        (
            "{penalty: [{l2: 0}, {l2: 1}]}",
            "a trial, not a mapping; write penalty.l2: […]",
        ),
        ("{data: [{train: digits, seed: 0}, {train: digits, seed: 1}]}", "not a mapping"),
        ("{optimizer.lr: 'loguniform(1e-4, 1)'}", "; for example [0.01, 0.1] or {geomspace:"),
    ],
)
def test_an_axis_that_is_a_block(parameters, words):
    assert words in fault(HEAD + f"sweep: {{parameters: {parameters}}}")


def test_axes_beside_the_parameters():
    with pytest.raises(SpecError) as caught:
        load(HEAD + "sweep: {optimizer.lr: [0.1, 1]}")
    assert "axes stand in parameters: {optimizer.lr: […]}" in str(caught.value)


@pytest.mark.parametrize(
    ("train", "right"),
    [
        ("[a.csv, b.csv]", "{table: [a.csv, b.csv], target: y}"),
        ("[a-0.npz]", "{npz: [a-0.npz], features: X, target: y}"),
        ("a-*.parquet", '{table: "a-*.parquet", target: y}'),
        ("a.safetensors", "{safetensors: a.safetensors, features: X, target: y}"),
    ],
)
def test_files_in_place_of_a_source(train, right):
    text = "model: softmax\ndata: {train: %s}"
    assert fault(text % train).endswith(f"; write {right}")
    load(text % right)


def test_a_long_list_is_not_repeated():
    what = fault(
        HEAD + f"sweep: {{parameters: {{optimizer.lr: {{choices: {list(range(1, 99))}}}}}}}"
    )
    assert len(what) < 200
    assert re.search("an axis is a list", what)


def test_the_tables_are_whole():
    assert (len(KEYS), len(BLOCKS), len(NUMBERS), len(AXES)) == (19, 14, 6, 13)
