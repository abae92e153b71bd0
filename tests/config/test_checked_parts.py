"""Trials put together from checked parts are those of a whole check each, faults included."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import load_spec
from trainer.config.schema.spec import Spec
from trainer.config.sweep.checked_parts import CheckedParts
from trainer.errors import SpecError

HEAD = "model: logistic\ndata: {train: breast_cancer}\n"
RIGHT = {
    "numbers": "sweep: {parameters: {penalty.l2: [0, 1, 1.0, 0.5], optimizer.lr: [0.1, 1]}}",
    "one block": "sweep: {parameters: {optimizer.lr: [0.1, 1], optimizer.momentum: [0, 0.9]}}",
    "nested": "sweep: {parameters: {optimizer.schedule.warmup: [0, 2], optimizer.lr: [0.1, 1]}}",
    "names": "sweep: {parameters: {optimizer.name: [sgd, adam], optimizer.lr: [0.1, 0.2],"
    " optimizer.batch_size: [32, full]}}",
    "a block that a solver lacks": "sweep: {parameters: {optimizer.name: [lbfgs, newton, sgd],"
    " optimizer.schedule.warmup: [0, 2]}}",
    "union": "sweep: {parameters: [{penalty.l2: [1, 2]}, {penalty.alpha: [1, 2],"
    " penalty.l1_ratio: [0.5, 0.9]}]}",
    "zip": "sweep: {parameters: {penalty.l2: [1, 2]},"
    " zip: [{bias: true, optimizer.lr: 1}, {bias: false, optimizer.lr: 2}]}",
    "random": "sweep: {method: random, num_trials: 9, parameters: {optimizer.lr:"
    " {distribution: log_uniform, min: 0.01, max: 1}, penalty.l2: [1, 2]}}",
    "variables": 'vars: {s: a}\nnotes: "${s}"\nsweep: {parameters: {vars.s: [a, b],'
    " optimizer.lr: [0.1, 1]}}",
    "steps": "optimizer: {epochs: 9}\nsweep: {parameters: {optimizer.epochs: [1, 2],"
    " penalty.l2: [1, 2]}}",
    "data": "sweep: {parameters: {data.val: [0.1, 0.2], optimizer.lr: [0.1, 0.2], bias: [true]}}",
    "path": "optimizer: {name: auto}\nsweep: {parameters: {penalty.l1: {path: {num: 3}},"
    " penalty.l2: [0, 0.1, 0.333]}}",
    "none beside": "optimizer: {steps: 9, epochs: none, schedule: {name: cosine, length: none}}\n"
    "sweep: {parameters: {optimizer.steps: [1, 2, 3], optimizer.schedule.final: [0, 0.1]}}",
    "stopping": "sweep: {parameters: {early_stopping.patience: [1, 2], penalty.l2: [1, 2]}}",
}
WRONG = {
    "a number": "sweep:\n  parameters:\n    penalty.l2: [1, -1, 2]\n    optimizer.lr: [0.1, 0]",
    "a type": "sweep: {parameters: {optimizer.epochs: [1, 2, 1.5], optimizer.lr: [1, x]}}",
    "a rule": "sweep: {parameters: {optimizer.nesterov: [true], optimizer.momentum: [0.9, 0],"
    " penalty.l2: [1, 2]}}",
    "a rule between blocks": "sweep: {parameters: {optimizer.name: [sgd, adamw],"
    " penalty.l2: [0, 1]}}",
    "a rule between numbers": "optimizer: {name: exact}\nsweep: {parameters: {model: [linear],"
    " penalty.alpha: [0.0, 1.0], penalty.l1_ratio: [0.0, 0.5]}}",
    "a block that its solver lacks": "optimizer: {name: lbfgs}\n"
    "sweep: {parameters: {optimizer.schedule.warmup: [0, 2]}}",
    "a share": "sweep: {parameters: {penalty.l1_ratio: [0.5, 1.5], penalty.C: [1, 2]}}",
    "epochs and steps": "sweep: {parameters: {optimizer.steps: [1, 2], optimizer.epochs: [3, 4]}}",
}


def expand(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(HEAD + text + "\n")
    try:
        spec = load_spec(file)
    except SpecError as error:
        return error.faults
    trials = [
        (t.number, dict(t.settings), t.spec.tree(), str(t.spec), dict(t.fractions))
        for t in spec.trials
    ]
    return trials, spec.axes, spec.expansion_notes, spec.tree()


@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
def test_as_if_each_trial_were_checked_whole(name, tmp_path, monkeypatch):
    text = (RIGHT | WRONG)[name]
    found = expand(tmp_path, text)
    assert isinstance(found, tuple) == (name in RIGHT)
    monkeypatch.setattr(CheckedParts, "spec", lambda self, settings: None)
    assert found == expand(tmp_path, text)


VALUES = {  # of keys with a number: right ones, wrong ones, those that break a rule with others
    "penalty.l2": [0, 0.0, -0.0, 1, 1.0, 0.5, -1, 1e400, "x", True],
    "penalty.l1": [0, 0.25, 1, -1],
    "penalty.alpha": [0, 0.5, -1],
    "penalty.C": [1, 0.5, 0],
    "penalty.l1_ratio": [0, 0.5, 1, 1.5],
    "optimizer.name": ["sgd", "adam", "adamw", "lars", "lbfgs", "exact", "auto"],
    "optimizer.lr": [0.1, 1, 0, "x"],
    "optimizer.momentum": [0, 0.5, 1],
    "optimizer.nesterov": [True, False],
    "optimizer.epochs": [1, 2, 1.5],
    "optimizer.steps": [3, 0],
    "optimizer.batch_size": [16, "full", 0],
    "optimizer.tol": [1e-6, 0, 1],
    "optimizer.schedule.warmup": [0, 2, -1],
    "optimizer.schedule.final": [0, 0.1, 2],
    "optimizer.schedule.length": [3, 0],
    "early_stopping.patience": [1, 2, 0],
    "early_stopping.min_delta": [0, 0.1, -1],
    "repeat.seeds": [1, 2],
    "log.gradients": ["none", 4],
    "data.val": [0.1, "none"],
    "model": ["logistic", "linear"],
    "bias": [True, False],
}
BLOCKS = [  # of the file beside the sweep
    "",
    "optimizer: {name: auto}",
    "optimizer: {name: adamw}",
    "optimizer: {schedule: {name: cosine, length: none}}",
    "optimizer: {batch_size: full}",
    "early_stopping: {metric: val_auc}",
    "penalty: {alpha: 0.5, l1_ratio: 0}",
]
swept = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=4) for key in keys}
    )
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(axes=swept, block=st.sampled_from(BLOCKS))
def test_whatever_is_swept_it_is_as_if_each_trial_were_checked_whole(axes, block, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    text = f"{block}\nsweep:\n  parameters:\n"
    text += "".join(f"    {key}: {json.dumps(values)}\n" for key, values in axes.items())
    found = expand(folder, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckedParts, "spec", lambda self, settings: None)
        assert repr(found) == repr(expand(folder, text))  # repr: 0 and 0.0 and -0.0 are told apart


def test_each_number_is_checked_once(tmp_path, monkeypatch):
    """A pass over the schema takes ten times what a copy of two blocks takes."""
    passes = []
    whole = Spec.model_validate
    monkeypatch.setattr(Spec, "model_validate", lambda value: passes.append(0) or whole(value))
    numbers = "{linspace: {start: 0.01, stop: 1, num: 30}}"
    axes = f"{{penalty.l2: {numbers}, optimizer.lr: {numbers}, bias: [true, false]}}"
    trials, *_ = expand(tmp_path, f"sweep: {{parameters: {axes}}}")
    assert len(trials) == 30 * 30 * 2
    assert len(passes) == 2  # one a bias


def test_draws_are_checked_in_their_own_blocks(tmp_path, monkeypatch):
    passes = []
    whole = Spec.model_validate
    monkeypatch.setattr(Spec, "model_validate", lambda value: passes.append(0) or whole(value))
    law = "{distribution: log_uniform, min: 0.001, max: 1}"
    axes = f"{{penalty.l2: {law}, optimizer.lr: {law}, optimizer.schedule.warmup: {law}}}"
    trials, *_ = expand(tmp_path, f"sweep: {{method: random, num_trials: 50, parameters: {axes}}}")
    assert len(trials) == 50
    assert len(passes) == 1
