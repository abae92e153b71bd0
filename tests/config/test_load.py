"""Files, overrides, paths, and the keys that val and test take from train."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from config_helpers import SMALLEST, faults, load

from trainer.config import Spec, load_spec
from trainer.config.schema.data import TableSource
from trainer.config.schema.optimizer import Adam, AdamW, Sgd
from trainer.config.schema.penalty import L2L1, Alpha, InverseC
from trainer.config.schema.spec import NormalInit
from trainer.errors import SpecError, UserError

SMALL = {"model": "softmax", "data": {"train": "digits"}}


def test_the_smallest_file_has_the_defaults_of_the_contract(tmp_path):
    spec = load(tmp_path, SMALLEST)
    written_out = """\
name: a
model: softmax
loss: auto
data:
  train: digits
  val: 0.2
  test: none
  stratify: auto
  scale: standard
  scale_target: none
  missing: error
  max_categories: 100
  seed: 0
class_weight: none
bias: true
init: zeros
penalty: {l2: 1e-4, l1: 0}
optimizer:
  name: sgd
  momentum: 0.9
  nesterov: false
  lr: 0.1
  base_batch_size: none
  batch_size: 128
  epochs: 30
  schedule: {name: constant, warmup: 0, final: 0, milestones: [], gamma: 0.1}
early_stopping: none
seed: 0
device: auto
precision: float32
log: {every: auto, gradients: none, eval_every: 1, weights: best}
"""
    assert spec == load(tmp_path, written_out)
    assert (spec.early_stopping, spec.optimizer.steps, spec.notes) == (None, None, "")


def test_a_block_has_its_own_defaults(tmp_path):
    stopping = load(tmp_path, SMALLEST + "early_stopping: {}").early_stopping
    assert (stopping.metric, stopping.patience) == ("val_loss", 5)
    assert (stopping.min_delta, stopping.restore_best) == (0, True)
    adam = load(tmp_path, SMALLEST + "optimizer: {name: adam}").optimizer
    assert isinstance(adam, Adam)
    assert (adam.beta1, adam.beta2, adam.eps, adam.lr) == (0.9, 0.999, 1e-8, 0.1)
    made_up = load(tmp_path, "model: softmax\ndata: {train: {synthetic: {}}}").data.train.synthetic
    assert dict(made_up) == {"rows": 60_000, "columns": 784, "outputs": 10, "seed": 0}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{l1: 0.5}", L2L1(l2=1e-4, l1=0.5)),
        ("{C: 10}", InverseC(C=10.0)),
        ("{C: 10, l1_ratio: 1}", InverseC(C=10.0, l1_ratio=1.0)),
        ("{alpha: 0, l1_ratio: 0.5}", Alpha(alpha=0.0, l1_ratio=0.5)),
    ],
)
def test_the_three_forms_of_penalty(tmp_path, written, read):
    assert load(tmp_path, SMALLEST + f"penalty: {written}").penalty == read


@pytest.mark.parametrize("penalty", ["", "penalty: {l1: 0}", "penalty: {l2: 0}"])
def test_the_penalty_of_adamw_defaults_to_none(tmp_path, penalty):
    spec = load(tmp_path, SMALLEST + "optimizer: {name: adamw}\n" + penalty)
    assert spec.penalty == L2L1(l2=0.0, l1=0.0)
    assert isinstance(spec.optimizer, AdamW)
    assert spec.optimizer.weight_decay == 0.01


def test_steps_take_the_place_of_the_default_epochs(tmp_path):
    optimizer = load(tmp_path, SMALLEST + "optimizer: {steps: 7}").optimizer
    assert (optimizer.steps, optimizer.epochs) == (7, None)
    optimizer = load(tmp_path, SMALLEST + "optimizer: {steps: none}").optimizer
    assert (optimizer.steps, optimizer.epochs) == (None, 30)


def test_labels_of_class_weight_keep_their_types(tmp_path):
    weights = load(tmp_path, SMALLEST + "class_weight: {0: 1, '1': 2, a: 0, 1.5: 3}").class_weight
    assert weights == {0: 1, "1": 2, "a": 0, 1.5: 3}


def test_a_spec_is_looked_up_by_dotted_path_and_cannot_be_changed(tmp_path):
    spec = load(tmp_path, SMALLEST + "seed: 4")
    assert (spec.at("optimizer.lr"), spec.at("seed")) == (0.1, 4)
    with pytest.raises(ValueError, match="frozen"):
        spec.seed = 5


# ---------------------------------------------------------------- mappings


def test_a_mapping_is_read_as_the_file_is(tmp_path):
    lr = np.float32(0.5)
    given = {**SMALL, "name": "a", "optimizer": {"lr": lr, "epochs": np.int64(3)}}
    text = SMALLEST + "optimizer: {lr: 0.5, epochs: 3}"
    assert load_spec(given) == load(tmp_path, text)
    assert load_spec(given).source_text is None
    assert given["optimizer"]["lr"] is lr


def test_a_mapping_takes_paths_tuples_and_overrides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = {"table": Path("a.csv"), "target": ("x", "y")}
    spec = load_spec({"model": "linear", "data": {"train": source}}, ["optimizer.lr=0.25"])
    assert spec.data.train == TableSource(table=str(tmp_path / "a.csv"), target=("x", "y"))
    assert (spec.optimizer.lr, spec.name) == (0.25, "run")


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (None, "seed: expected a whole number from 0, got nothing"),
        pytest.param(10**5000, "seed: an integer over 64 bits", id="huge"),
        ({1, 2}, "seed: expected a whole number from 0, got a set"),
        (float("nan"), "seed: expected a whole number from 0, got nan"),
        ("\ud800", "seed: '\\ud800' has half a character"),
        (True, "seed: expected a whole number from 0, got true"),
    ],
)
def test_values_that_yaml_could_not_hold_are_faults(value, start):
    with pytest.raises(SpecError, match="^" + re.escape(start)):
        load_spec({**SMALL, "seed": value})


def test_a_mapping_that_holds_itself_is_a_fault():
    loop = {}
    loop["log"] = loop
    with pytest.raises(SpecError, match="nested over 20 levels"):
        load_spec({**SMALL, "log": loop})


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("optimizer.lr=1e-3", "optimizer.lr", 1e-3),
        ("optimizer.lr = 2", "optimizer.lr", 2),
        ("seed=010", "seed", 10),
        ("bias=false", "bias", False),
        ("notes='1'", "notes", "1"),
        ("notes=a=b", "notes", "a=b"),
        ("penalty={C: 2}", "penalty", InverseC(C=2.0)),
        ("penalty.l1=0.5", "penalty", L2L1(l2=1e-4, l1=0.5)),
        ("optimizer={name: adam, lr: 1}", "optimizer", Adam(name="adam", lr=1.0)),
        ("optimizer={}", "optimizer", Sgd()),
        ("optimizer.schedule.warmup=2", "optimizer.schedule.warmup", 2),
        ("early_stopping=none", "early_stopping", None),
        ("early_stopping.patience=2", "early_stopping.patience", 2),
        ("class_weight.0=5", "class_weight", {0: 5}),
        ("class_weight.no=5", "class_weight", {"no": 5}),
        ("init={normal: 0.5}", "init", NormalInit(normal=0.5)),
        ("data.val=none", "data.val", "none"),
    ],
)
def test_an_override_is_read_as_yaml(tmp_path, override, path, value):
    assert load(tmp_path, SMALLEST, override).at(path) == value


def test_overrides_are_set_in_order_and_mend_faults(tmp_path):
    text = SMALLEST + "optimizer: {lr: fast, epochs: 2}"
    spec = load(tmp_path, text, "optimizer.lr=3", "optimizer.lr=4")
    assert (spec.optimizer.lr, spec.optimizer.epochs) == (4, 2)


def test_steps_replace_epochs_by_none(tmp_path):
    text = SMALLEST + "optimizer: {epochs: 2}"
    spec = load(tmp_path, text, "optimizer.epochs=none", "optimizer.steps=9")
    assert (spec.optimizer.epochs, spec.optimizer.steps) == (None, 9)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("optimizer.lr=abc", "optimizer.lr: expected a number above 0, got 'abc'; for example 0.1"),
        ("optimizer.lr=", "optimizer.lr: expected a number above 0, got nothing; for example 0.1"),
        ("optimizer.lrr=1", "optimizer.lrr: unknown key; did you mean optimizer.lr?"),
        ("lr=1", "lr: unknown key; did you mean optimizer.lr?"),
        ("lr", "(override): not an override; write key=value, for example optimizer.lr=0.1"),
        ("=1", "(override): not an override; write key=value, for example optimizer.lr=0.1"),
        ("a..b=1", "(override): not an override; write key=value, for example optimizer.lr=0.1"),
        ("seed.x=1", "seed: is 3 and has no keys; set it whole: 'seed={...}'"),
        ("data.train.target=y", "data.train: is 'digits' and has no keys; set it whole:"
         " 'data.train={...}'"),
        ("seed=[1", "seed: a bracket is not closed; close it"),
        ("seed=!!int 1", "seed: tags (!) are not read; write the value without one"),
        ("notes=*a", "notes: aliases (*) are not read; write the value out"),
        ("name=695e0514", "name: 695e0514 is a number too large for a float;"
         " quotes make it text: '695e0514'"),
        ("log={every: 1, every: 2}", "log.every: written twice; keep one"),
        ("notes=a: b", "notes: expected text, got a mapping; quotes make it text"),
        ("optimizer.lr=0.1,-2", "optimizer.lr: expected a number above 0, got -2;"
         " for example 0.1"),
    ],
)  # fmt: skip
def test_a_fault_of_an_override_names_it(tmp_path, override, line):
    assert faults(tmp_path, SMALLEST + "seed: 3", override) == [f"{override}: {line}"]


def test_a_long_override_is_shortened_and_control_characters_are_escaped(tmp_path):
    (line,) = faults(tmp_path, SMALLEST, "device=\x1b[31m" + "x" * 5000)
    assert line.startswith("device=\\x1b[31mxxx")
    assert len(line) < 300


# ---------------------------------------------------------------- files


def test_the_name_is_the_stem_of_the_file(tmp_path):
    for file, name in (("my run.v2.yaml", "my run.v2"), ("...", "run"), ("b", "b")):
        (tmp_path / file).write_text(SMALLEST)
        assert load_spec(tmp_path / file).name == name


def test_a_file_that_is_not_there_is_named_with_its_full_path_and_the_nearest(
    tmp_path, monkeypatch
):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "softmax.yaml").write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    meant = f"did you mean {Path('configs/softmax.yaml')}?"
    for wrong in ("configs/sofmax.yaml", "configs/softmax", "config/softmax.yaml"):
        with pytest.raises(UserError) as caught:
            load_spec(wrong)
        assert str(caught.value) == f"{wrong}: no such file ({tmp_path / wrong}); {meant}"
    with pytest.raises(UserError, match=r"; the folder .*configs holds softmax\.yaml$"):
        load_spec("configs/zzz")
    with pytest.raises(UserError, match=r"has no \.yaml file$"):
        load_spec("zzz/zzz")


def test_what_is_no_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^\.: a folder, not a config file; for example a\.yaml$"):
        load_spec(".")
    for path in ("a.yaml/b", "a\0b", "x" * 5000, "a\nb", ""):
        with pytest.raises(UserError) as caught:
            load_spec(path)
        assert "; " in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(SMALLEST)
    file.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        load_spec(file)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_an_end_is_not_read_to_its_end():
    with pytest.raises(SpecError, match=r"^/dev/zero:1:1: \(file\): over 1,048,576 bytes"):
        load_spec("/dev/zero")


# ---------------------------------------------------------------- paths, keys taken from train


def test_paths_are_relative_to_the_file_and_overrides_to_the_current_folder(tmp_path, monkeypatch):
    configs, here = tmp_path / "configs", tmp_path / "here"
    configs.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    text = """\
model: linear
data:
  train: {table: ../data/a.csv, target: y}
  val: {npy: ~/X.npy, target: y.npy, weight: w.npy}
  test:
    - {name: one, npz: /abs/f.npz, features: X, target: y}
    - {name: two, table: b.csv}
init: runs/first
"""
    spec = load(configs, text)
    train, val, (one, two) = spec.data.train, spec.data.val, spec.data.test
    assert (train.table, train.target) == (str(tmp_path / "data/a.csv"), "y")
    assert val.npy == str(tmp_path / "X.npy")
    assert (val.target, val.weight) == (str(configs / "y.npy"), str(configs / "w.npy"))
    assert (one.npz, one.features, one.target) == ("/abs/f.npz", "X", "y")
    assert (two.table, two.target) == (str(configs / "b.csv"), "y")
    assert spec.init == str(configs / "runs/first")
    spec = load(configs, text, "data.train.table=c.csv", "init=r", "data.val={table: v.csv}")
    assert spec.data.train.table == str(here / "c.csv")
    assert spec.data.val.table == str(here / "v.csv")
    assert spec.init == str(here / "r")


def test_the_words_of_a_key_are_no_paths(tmp_path):
    spec = load(tmp_path, "model: softmax\ndata: {train: digits, val: none}\ninit: zeros\n")
    assert (spec.data.train, spec.data.val, spec.init) == ("digits", "none", "zeros")


def test_val_and_test_take_missing_keys_from_train(tmp_path):
    text = """\
model: linear
data:
  train: {table: a.csv, target: y, drop: [id], categorical: [c], weight: w}
  val: {table: b.csv}
  test: {table: c.csv, weight: none, drop: []}
"""
    data = load(tmp_path, text).data
    assert data.val == data.train.model_copy(update={"table": str(tmp_path / "b.csv")})
    changed = {"table": str(tmp_path / "c.csv"), "weight": None, "drop": ()}
    assert data.test == data.train.model_copy(update=changed)


def test_a_separator_is_not_taken_by_a_file_of_another_ending(tmp_path):
    text = """\
model: linear
data:
  train: {table: a.csv.gz, target: y, separator: ";", decimal: ","}
  val: {table: b.TSV}
  test: {table: c.csv}
"""
    data = load(tmp_path, text).data
    assert (data.val.separator, data.val.decimal) == (None, ",")
    assert (data.test.separator, data.test.decimal) == (";", ",")


def test_arrays_of_the_same_archive_are_named_alone(tmp_path):
    train = "{npz: f.npz, features: X, target: y}"
    text = f"model: linear\ndata: {{train: {train}, val: {{features: V, target: v}}}}"
    val = load(tmp_path, text).data.val
    assert (val.npz, val.features, val.target) == (str(tmp_path / "f.npz"), "V", "v")


def test_files_of_one_row_per_row_are_not_taken_from_train(tmp_path):
    train = "{npy: X.npy, target: y.npy, weight: w.npy}"
    text = f"model: linear\ndata: {{train: {train}, val: {{npy: V.npy, target: v.npy}}}}"
    assert load(tmp_path, text).data.val.weight is None
    (line,) = faults(tmp_path, text.replace(", target: v.npy", ""))
    assert ": data.val.target: missing; " in line


def test_a_source_of_another_kind_takes_nothing(tmp_path):
    train = "{table: a.csv, target: y, weight: w}"
    text = f"model: linear\ndata: {{train: {train}, val: {{npy: V.npy, target: v.npy}}}}"
    assert load(tmp_path, text).data.val.weight is None


def test_a_fault_of_train_is_told_once(tmp_path):
    text = """\
model: linear
data:
  train: {table: a.csv, target: 1.5, clumns: [a]}
  val: {table: b.csv}
  test: [{name: t, table: c.csv}]
"""
    assert [line.split(": ")[1] for line in faults(tmp_path, text)] == [
        "data.train.target",
        "data.train.clumns",
    ]


def test_only_text_paths_and_mappings_are_sources():
    with pytest.raises(SpecError, match="expected the path of a YAML file or a mapping, got 3"):
        load_spec(3)
    assert isinstance(load_spec(SMALL), Spec)


@pytest.mark.parametrize("overrides", ["optimizer.lr=0.5", {"optimizer.lr": 0.5}])
def test_overrides_are_a_list(overrides):
    with pytest.raises(SpecError) as caught:
        load_spec({"model": "softmax", "data": {"train": "digits"}}, overrides)
    assert str(caught.value).endswith("; for example ['optimizer.lr=0.1']")
    assert str(caught.value).count("\n") == 0
