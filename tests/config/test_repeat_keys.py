"""The `repeat` block: its forms, what each becomes, and one line for what does not go together."""

import pytest
from config_helpers import faults

from trainer.config import load_spec

BASE = {"model": "logistic", "data": {"train": "breast_cancer"}, "optimizer": {"name": "lbfgs"}}
FORMS = {
    "a number": ({"folds": 5}, "train", 5),
    "a column": ({"folds": {"column": "fold"}}, "train", 1),
    "a file": ({"folds": {"npy": "fold.npy"}}, "train", 1),
    "time": ({"folds": {"forward": 4, "by": "day"}}, "train", 4),
    "times of a file": ({"folds": {"forward": 4, "by": {"npy": "day.npy"}}}, "train", 4),
    "groups": ({"folds": "leave_one_group_out"}, "train", 1),
    "a bootstrap": ({"bootstrap": 100}, "train", 100),
    "rows": ({"few_shot": {"rows": 50, "tries": 3}}, None, 3),
    "a fraction": ({"few_shot": {"fraction": 0.5}}, None, 10),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_loads_and_its_resolved_text_is_equal(form, tmp_path):
    assert len(FORMS) == 9
    repeat, refit, count = FORMS[form]
    spec = load_spec({**BASE, "repeat": repeat})
    (tmp_path / "a.yaml").write_text(spec.to_yaml())
    assert load_spec(tmp_path / "a.yaml") == spec
    assert spec.repeat.count == count
    assert spec.data.val == ("none" if refit else 0.2)
    assert spec.repeat.holds_out == bool(refit)


def test_a_file_of_folds_is_found_from_the_config(tmp_path):
    text = "model: linear\ndata: {train: diamonds}\nrepeat: {folds: "
    for folds in ("{npy: f.npy}", "{forward: 2, by: {npy: f.npy}}"):
        (tmp_path / "a.yaml").write_text(f"{text}{folds}}}\n")
        found = load_spec(tmp_path / "a.yaml").repeat.folds
        assert getattr(found, "by", found).npy == str(tmp_path / "f.npy")


def test_each_group_in_turn_may_be_written_as_a_key_of_its_own():
    folds = {"folds": "leave_one_group_out"}
    one, other = ({**BASE, "repeat": r} for r in (folds, {"leave_one_group_out": True}))
    assert load_spec(one) == load_spec(other)
    assert load_spec({**one, "repeat": {**folds, "leave_one_group_out": True}}) == load_spec(one)


@pytest.mark.parametrize(("key", "values"), [("rows", [20, 40]), ("fraction", [0.1, 1])])
def test_rows_and_fractions_are_an_axis(key, values):
    sweep = {"parameters": {"penalty.l2": [0, 1]}}
    spec = load_spec({**BASE, "repeat": {"few_shot": {key: values}}, "sweep": sweep})
    path = f"repeat.few_shot.{key}"
    assert [trial.settings[path] for trial in spec.trials] == [*values, *values]
    assert [getattr(t.spec.repeat.few_shot, key) for t in spec.trials[:2]] == values
    override = [f"{path}=5,7" if key == "rows" else f"{path}=0.2,0.3"]
    one = {**BASE, "repeat": {"few_shot": {key: values[0]}}}
    assert len(load_spec(one, overrides=override).trials) == 2


FAULTS = [
    ("{folds: 5, bootstrap: 9}", "repeat.bootstrap", "folds or bootstrap, not both"),
    ("{few_shot: {rows: 9}, bootstrap: 9}", "repeat.bootstrap", "few_shot or bootstrap, not both"),
    ("{folds: leave_one_group_out, few_shot: {k: 1}}", "repeat.few_shot", "not both"),
    ("{leave_one_group_out: true, folds: 5}", "repeat.leave_one_group_out", "unknown key"),
    ("{folds: {column: f}, times: 2}", "repeat.times", "always the same; remove it"),
    ("{bootstrap: 1}", "repeat.bootstrap", "expected a whole number from 2, got 1"),
    ("{folds: kfold}", "repeat.folds", "{column: fold}, {forward: 5, by: time}, leave_one_group"),
    ("{folds: {forward: 5}}", "repeat.folds.by", "missing; write a name"),
    ("{folds: {forward: 1, by: t}}", "repeat.folds.forward", "expected a whole number from 2"),
    ("{folds: {column: 3}}", "repeat.folds.column", "quotes make it text"),
    ("{few_shot: {k: 1, rows: 9}}", "repeat.few_shot.rows", "k says already how many rows"),
    ("{few_shot: {tries: 3}}", "repeat.few_shot", "has no k: how many rows of each class"),
    ("{few_shot: {fraction: 1.5}}", "repeat.few_shot.fraction", "a number above 0, up to 1"),
    ("{few_shot: {rows: [0]}}", "repeat.few_shot.rows", "expected a whole number from 1"),
]


@pytest.mark.parametrize(("repeat", "key", "words"), FAULTS)
def test_what_does_not_go_together_is_one_line(repeat, key, words, tmp_path):
    assert len(FAULTS) == 14
    text = "model: logistic\ndata: {train: breast_cancer}\noptimizer: {name: lbfgs}\n"
    line = faults(tmp_path, f"{text}repeat: {repeat}\n")[-1]
    assert f": {key}: " in line
    assert words in line


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ("data: {train: breast_cancer, val: 0.2}", "data.val", "that are not drawn are val"),
        ("data: {train: breast_cancer}\nselect: {rule: one_std_err}", "select.rule",
         "a standard error shrinks with their number"),
    ],
)  # fmt: skip
def test_what_a_bootstrap_cannot_have_is_one_line(more, key, words, tmp_path):
    text = "model: logistic\noptimizer: {name: lbfgs}\nrepeat: {bootstrap: 50}\n"
    (line,) = faults(tmp_path, text + more)
    assert f": {key}: " in line
    assert words in line


LEFT_OUT = [
    ("model: logistic\ndata: {train: breast_cancer}", "repeat.leave_one_out", "write folds: 10"),
    ("model: linear\noptimizer: {name: lbfgs}", "optimizer.name", "write exact"),
    ("model: linear\ndata: {train: diamonds, val: 0.2}", "data.val", "remove data.val"),
    ("model: linear\ndata: {train: diamonds}\nselect: {rule: one_std_err}", "select.rule", "folds"),
]


@pytest.mark.parametrize(("text", "key", "words"), LEFT_OUT)
def test_what_leave_one_out_cannot_have_is_one_line(text, key, words, tmp_path):
    assert len(LEFT_OUT) == 4
    data = "" if "data:" in text else "\ndata: {train: diamonds}"
    solver = "" if "optimizer:" in text or "logistic" in text else "\noptimizer: {name: exact}"
    lines = faults(tmp_path, f"{text}{data}{solver}\nrepeat: {{leave_one_out: true}}\n")
    assert any(f": {key}: " in line and words in line for line in lines)
