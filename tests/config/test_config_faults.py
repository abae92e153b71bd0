"""The exact line of every kind of fault, other tools' words, and all faults at once."""

import re

import pytest
from config_helpers import SMALLEST, faults, load

from trainer.config import load_spec
from trainer.errors import SpecError

# (what stands after the smallest file, the whole fault)
LINES = [
    ("optimizer: {lr: fast}",
     "a.yaml:3:17: optimizer.lr: expected a number above 0, got 'fast'; for example 0.1"),
    ("optimizer: {lr: '0.5'}",
     "a.yaml:3:17: optimizer.lr: expected a number above 0, got '0.5'; write it without quotes"),
    ("optimizer:\n  lr: -1e-3",
     "a.yaml:4:7: optimizer.lr: expected a number above 0, got -1e-3; for example 0.1"),
    ("optimizer: {lr: true}",
     "a.yaml:3:17: optimizer.lr: expected a number above 0, got true; for example 0.1"),
    ("optimizer: {lr: [1]}",
     "a.yaml:3:17: optimizer.lr: expected a number above 0, got a list; for example 0.1"),
    ("optimizer: {lr: }",
     "a.yaml:3:16: optimizer.lr: expected a number above 0, got nothing; for example 0.1"),
    ("optimizer: {epochs: 1e1}",
     "a.yaml:3:21: optimizer.epochs: expected a whole number from 1, got 1e1; write 10"),
    ("optimizer: {batch_size: Ful}",
     "a.yaml:3:25: optimizer.batch_size: expected a whole number from 1, or full, got 'Ful';"
     " did you mean full?"),
    ("optimizer: {base_batch_size: ~}",
     "a.yaml:3:30: optimizer.base_batch_size: expected a whole number from 1, or none, got ~;"
     " write none"),
    ("repeat: {few_shot: {k: 0}}",
     "a.yaml:3:24: repeat.few_shot.k: expected a whole number from 1, got 0; for example [1, 2,"
     " 4]"),
    ("repeat: {few_shot: {rows: [5, 0]}}\noptimizer: {name: lbfgs}",
     "a.yaml:3:31: repeat.few_shot.rows: expected a whole number from 1, got 0; for example [50,"
     " 100, 200]"),
    ("repeat: {few_shot: {fraction: 0}}",
     "a.yaml:3:31: repeat.few_shot.fraction: expected a number above 0, up to 1, got 0; for example"
     " [0.1, 0.5, 1]"),
    ("repeat: {few_shot: {k: 1, val_k: 0}}",
     "a.yaml:3:34: repeat.few_shot.val_k: expected a whole number from 1, or none, got 0; write"
     " none"),
    ("optimizer: sgd",
     "a.yaml:3:12: optimizer: expected a mapping of keys, got 'sgd'; write {name: sgd}"),
    ("optimizer: {name: adm}",
     "a.yaml:3:19: optimizer.name: expected sgd, adam, adamw, lars, lbfgs, newton, exact or"
     " auto, got 'adm'; did you mean adam?"),
    ("optimizer: {name: liblinear, beta1: 0.5}",
     "a.yaml:3:19: optimizer.name: expected sgd, adam, adamw, lars, lbfgs, newton, exact or auto,"
     " got 'liblinear'; for example sgd"),
    ("optimizer: {name: lbfgs, beta1: 0.5}",
     "a.yaml:3:26: optimizer.beta1: beta1 belongs to adam and adamw, not lbfgs; remove it"),
    ("optimizer: {name: newton, lr: 0.1}",
     "a.yaml:3:27: optimizer.lr: lr belongs to sgd, adam, adamw and lars, not newton; remove it"),
    ("optimizer: {name: adam, tol: 0.1}",
     "a.yaml:3:25: optimizer.tol: tol belongs to lbfgs, newton, exact and auto, not adam; remove"
     " it"),
    ("optimizer: {name: adam, momentum: 0.9}",
     "a.yaml:3:25: optimizer.momentum: momentum belongs to sgd and lars, not adam; remove it"),
    ("optimizer: {beta1: 0.9}",
     "a.yaml:3:13: optimizer.beta1: beta1 belongs to adam and adamw, not sgd; remove it"),
    ("optimizer: {schedule: {milestones: 3}}",
     "a.yaml:3:36: optimizer.schedule.milestones: expected a list, got 3; for example [3]"),
    ("optimizer: {schedule: {milestones: [3, x]}}",
     "a.yaml:3:40: optimizer.schedule.milestones.1: expected a number above 0, got 'x';"
     " for example 1"),
    ("optimiser: {lr: 1}", "a.yaml:3:1: optimiser: unknown key; did you mean optimizer?"),
    ("log: {evry: 1}", "a.yaml:3:7: log.evry: unknown key; did you mean log.every?"),
    ("momentum: 0.9", "a.yaml:3:1: momentum: unknown key; did you mean optimizer.momentum?"),
    ("log: {zzz: 1}",
     "a.yaml:3:7: log.zzz: unknown key;"
     " the keys here are every, gradients, eval_every and weights"),
    ("log: {weights: all of them}",
     "a.yaml:3:16: log.weights: expected best or all, got 'all of them'; for example best"),
    ("bias: yes", "a.yaml:3:7: bias: expected true or false, got 'yes'; write true"),
    ("bias: 1", "a.yaml:3:7: bias: expected true or false, got 1; for example true"),
    ("notes: 12", "a.yaml:3:8: notes: expected text, got 12; quotes make it text"),
    ("early_stopping: ~",
     "a.yaml:3:17: early_stopping: expected a mapping of keys, got ~; write none"),
    ("early_stopping:",
     "a.yaml:3:16: early_stopping: expected a mapping of keys, got nothing; write none"),
    ("penalty: {C: 1, l2: 0}",
     "a.yaml:3:17: penalty.l2: l2 belongs to {l2, l1}, not {C, l1_ratio}; remove it"),
    ("penalty: {l1_ratio: 0.5}",
     "a.yaml:3:11: penalty.l1_ratio: l1_ratio belongs to {C, l1_ratio} and {alpha, l1_ratio},"
     " not {l2, l1}; remove it"),
    ("class_weight: balance",
     "a.yaml:3:15: class_weight: expected none, balanced or {label: weight}, got 'balance';"
     " did you mean balanced?"),
    ("class_weight: {0: 1, 1: heavy, a: 2}",
     "a.yaml:3:25: class_weight.1: expected a number from 0, got 'heavy'; for example 1"),
    ("init: {normal: 0}", "a.yaml:3:16: init.normal: expected a number above 0, got 0;"
     " for example 0.01"),
    ("init: 0", "a.yaml:3:7: init: expected zeros, {normal: 0.01} or a run folder, got 0;"
     " for example zeros"),
    ("device: cuda", "a.yaml:3:9: device: expected auto, gpu or cpu, got 'cuda';"
     " did you mean gpu?"),
    ("seed: -1", "a.yaml:3:7: seed: expected a whole number from 0, got -1; for example 0"),
    ("name: a/b", "a.yaml:3:7: name: expected a name that a folder can have, of at most 100"
     " characters, without / or \\, got 'a/b'; for example run"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), LINES)
def test_a_fault_says_where_what_and_what_would_be_right(tmp_path, text, line):
    assert faults(tmp_path, SMALLEST + text) == [line]


# (what stands under data:, the whole fault)
DATA_LINES = [
    ("{val: 0.2}",
     "a.yaml:2:1: data.train: missing; write diamonds, breast_cancer, digits, or a source such as"
     " {table: a.csv, target: y}, for example train: digits"),
    ("{train: digts}",
     "a.yaml:2:15: data.train: expected diamonds, breast_cancer, digits, or a source such as"
     " {table: a.csv, target: y}, got 'digts'; did you mean digits?"),
    ("{train: my/a.csv}",
     "a.yaml:2:15: data.train: expected diamonds, breast_cancer, digits, or a source such as"
     " {table: a.csv, target: y}, got 'my/a.csv'; write {table: my/a.csv, target: y}"),
    ("{train: {tabel: a.csv, target: y}}",
     "a.yaml:2:15: data.train: expected one of the keys table, npy, npz,"
     " safetensors, libsvm, synthetic or features,"
     " got tabel and target; for example {table: a.csv, target: y}"),
    ("{train: {svmlight: a9a.txt}}",
     "a.yaml:2:15: data.train: expected one of the keys table, npy, npz,"
     " safetensors, libsvm, synthetic or features,"
     " got svmlight; for example {table: a.csv, target: y}"),
    ("{train: my/a9a.txt}",
     "a.yaml:2:15: data.train: expected diamonds, breast_cancer, digits, or a source such as"
     " {table: a.csv, target: y}, got 'my/a9a.txt'; write {libsvm: my/a9a.txt}"),
    ("{train: {libsvm: a9a.txt, target: y}}",
     "a.yaml:2:33: data.train.target: target belongs to table, npy, npz, safetensors"
     " and features, not libsvm;"
     " remove it"),
    ("{train: {table: a.csv}}",
     "a.yaml:2:8: data.train.target: missing; write a name, for example target: \"y\""),
    ("{train: {table: a.csv, target: []}}",
     "a.yaml:2:38: data.train.target: expected at least one item, got none; for example \"y\""),
    ("{train: {table: a.csv, target: y, quux: g}}",
     "a.yaml:2:41: data.train.quux: unknown key; the keys here are table, target, columns, drop,"
     " categorical, weight, group, separator, decimal, thousands, header, na_values, encoding and"
     " quote"),
    ("{train: {table: a.csv, target: y, features: X}}",
     "a.yaml:2:41: data.train.features: features belongs to npz, safetensors and features,"
     " not table; remove it"),
    ("{train: digits, val: 1.5}",
     "a.yaml:2:28: data.val: expected a fraction between 0 and 1, none, or a source such as"
     " {table: a.csv, target: y}, got 1.5; for example 0.2"),
    ("{train: digits, val: ~}",
     "a.yaml:2:28: data.val: expected a fraction between 0 and 1, none, or a source such as"
     " {table: a.csv, target: y}, got ~; write none"),
    ("{train: digits, test: [{table: b.csv, target: y}]}",
     "a.yaml:2:30: data.test.0.name: missing; write a name, for example name: shifted"),
    ("{train: digits, scale: standardize}",
     "a.yaml:2:30: data.scale: expected none, standard or unit, got 'standardize';"
     " did you mean standard?"),
    ("digits", "a.yaml:2:7: data: expected a mapping of keys, got 'digits';"
     " write {train: digits}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), DATA_LINES)
def test_a_fault_of_data_says_where_what_and_what_would_be_right(tmp_path, text, line):
    assert faults(tmp_path, f"model: softmax\ndata: {text}\n") == [line]


def test_the_tables_of_lines_are_whole():
    assert (len(LINES), len(DATA_LINES)) == (42, 16)


# Other tools' words: (the block, the word, its value, what is proposed).
KEY_WORDS = [
    ("", "n_trials", "3", "sweep.num_trials"),
    ("", "num_samples", "3", "sweep.num_trials"),
    ("", "run_cap", "3", "sweep.num_trials"),
    ("early_stopping", "monitor", "val_loss", "early_stopping.metric"),
    ("early_stopping", "restore_best_weights", "true", "early_stopping.restore_best"),
    ("optimizer", "weight_decay", "0.1", "penalty.l2"),
    ("", "weight_decay", "0.1", "penalty.l2"),
    ("", "solver", "sgd", "optimizer.name"),
    ("optimizer", "solver", "sgd", "optimizer.name"),
    ("optimizer", "scheduler", "cosine", "optimizer.schedule"),
    ("optimizer", "betas", "[0.9, 0.99]", "optimizer.beta1 and optimizer.beta2"),
    ("", "cv", "5", "repeat.folds"),
    ("", "random_state", "0", "seed"),
    ("data", "random_state", "0", "data.seed"),
    ("data", "normalize", "true", "data.scale"),
    ("data", "standardize", "true", "data.scale"),
    ("optimizer", "max_epochs", "3", "optimizer.epochs"),
    ("", "num_epochs", "3", "optimizer.epochs"),
    ("optimizer", "max_steps", "3", "optimizer.steps"),
    ("", "fit_intercept", "true", "bias"),
    ("data", "sample_weight", "w", "data.train.weight"),
    ("data", "sep", "'|'", "data.train.separator"),
    ("data", "delimiter", "'|'", "data.train.separator"),
    ("data", "usecols", "[a]", "data.train.columns"),
    ("data", "pos_label", "1", "data.positive"),
    ("data", "positive_class", "1", "data.positive"),
    ("data", "source", "digits", "data.train"),
    ("data", "validation", "0.1", "data.val"),
    ("", "logspace", "[1]", "geomspace (numpy's logspace takes exponents)"),
    ("optimizer", "learning_rate", "0.1", "optimizer.lr"),
    ("", "learning_rate", "0.1", "optimizer.lr"),
    ("penalty", "lambda", "0.1", "penalty.l2"),
]


@pytest.mark.parametrize(("block", "word", "value", "ours"), KEY_WORDS)
def test_another_tools_key_is_answered_with_ours(tmp_path, block, word, value, ours):
    entry = f"{word}: {value}"
    text = SMALLEST + (f"{block}: {{{entry}}}" if block else entry)
    if block == "data":
        text = f"model: softmax\ndata: {{train: digits, {entry}}}"
    (line,) = faults(tmp_path, text)
    assert re.search(rf"; did you mean {re.escape(ours)}(\?|,)", line)
    assert ("does not have yet" in line) == ours.startswith("geomspace")  # here: no key of a sweep


def test_the_table_of_keys_is_whole():
    assert len(KEY_WORDS) == 32
    assert len({word for _, word, _, _ in KEY_WORDS}) == 28


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("device: cuda", "gpu?"),
        ("precision: fp32", "float32?"),
        ("precision: bf16", "bfloat16, which this version does not have yet?"),
        ("early_stopping: {metric: val_acc}", "val_accuracy?"),
        ("early_stopping: {metric: acc1}", "val_accuracy?"),
        ("early_stopping: {metric: top1}", "val_accuracy?"),
        ("early_stopping: {metric: acc5}", "val_top5?"),
        ("early_stopping: {metric: val_acuracy}", "val_accuracy?"),
    ],
)
def test_another_tools_value_is_answered_with_ours(tmp_path, text, ours):
    (line,) = faults(tmp_path, SMALLEST + text)
    assert line.endswith(f"; did you mean {ours}")


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path):
    text = """\
model: softmx
data:
  train: {table: a.csv, wieght: w}
  val: 2
optimizer:
  name: adam
  lr: fast
  momentum: 0.9
  schedule: {name: cosin, warmup: -1}
  steps: 10
  epochs: 10
early_stopping: {metric: acc1}
seed: 1
seed: 2
"""
    lines = faults(tmp_path, text, "log.every=0", "colour=red")
    assert [re.sub(r": .*", "", line) for line in lines] == [
        "a.yaml:1:8", "a.yaml:3:3", "a.yaml:3:25", "a.yaml:4:8", "a.yaml:7:7", "a.yaml:8:3",
        "a.yaml:9:20", "a.yaml:9:35", "a.yaml:10:10", "a.yaml:12:26", "a.yaml:14:1",
        "colour=red", "log.every=0",
    ]  # fmt: skip


def test_every_fault_has_the_form_of_the_contract(tmp_path):
    for text in [line for line, _ in LINES]:
        for line in faults(tmp_path, SMALLEST + text):
            assert re.fullmatch(r"a\.yaml:\d+:\d+: [\w.]+: [^;]+(; [^;]+)+", line)


def test_a_mapping_is_reported_by_key_alone():
    with pytest.raises(SpecError) as caught:
        load_spec({"model": "softmax", "data": {"train": "digits"}, "optimizer": {"lr": "x"}})
    assert str(caught.value) == (
        "optimizer.lr: expected a number above 0, got 'x'; for example 0.1"
    )


def test_control_characters_of_keys_and_values_do_not_reach_the_terminal(tmp_path):
    text = SMALLEST + '"\\e[31mred": 1\ndevice: "\\e[2J\\n"\n'
    lines = faults(tmp_path, text)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_a_leftover_key_of_another_optimizer_says_how_to_drop_it(tmp_path):
    text = SMALLEST + "optimizer: {lr: 0.1, momentum: 0.9}"
    assert faults(tmp_path, text, "optimizer.name=adam") == [
        "a.yaml:3:22: optimizer.momentum: momentum belongs to sgd and lars, not adam; remove it,"
        " or set the block whole: 'optimizer={name: adam}'"
    ]
    assert load(tmp_path, text, "optimizer={name: adam}").optimizer.name == "adam"


def test_keys_that_look_like_pydantics_tags_are_keys(tmp_path):
    text = (
        SMALLEST
        + """\
<sgd>: 1
log: {<word>: 1}
optimizer: {<sgd>: 1, "[key]": 2}
class_weight: {<word>: x, "[key]": y}
"""
    )
    assert [line.split(": ")[1] for line in faults(tmp_path, text)] == [
        "<sgd>",
        "log.<word>",
        "optimizer.<sgd>",
        "optimizer.[key]",
        "class_weight.<word>",
        "class_weight.[key]",
    ]


def test_a_byte_order_mark_takes_no_column(tmp_path):
    (line,) = faults(tmp_path, "\ufeffmodle: linear\nmodel: linear\ndata: {train: digits}")
    assert line == "a.yaml:1:1: modle: unknown key; did you mean model?"
