"""Every key as an axis: a trial has the weights of its plain run, stacked with others or not."""

from typing import get_args

import pytest
from safetensors.numpy import load_file
from stacks import DEVICE

import trainer
from trainer.config.schema.fields import Block
from trainer.config.schema.optimizer import FirstOrder
from trainer.config.schema.spec import Spec

BASE = {
    "model": "logistic",
    "data": {"train": {"synthetic": {"rows": 90, "columns": 3, "outputs": 1}}, "val": 0.3},
    "precision": "float64",
    "device": DEVICE.kind,
}
FIRST_ORDER = {"epochs": 3, "batch_size": 20, "lr": 0.2}
SOLVER = {"max_iter": 1, "tol": 1e-9}
# By name: what every trial has, and for each swept key the one value that differs from it.
GROUPS = {
    "sgd": (
        {"optimizer": {"name": "sgd", "base_batch_size": 20, **FIRST_ORDER}},
        {
            "optimizer.name": "adam",
            "optimizer.lr": 0.3,
            "optimizer.base_batch_size": 10,
            "optimizer.batch_size": 30,
            "optimizer.epochs": 2,
            "optimizer.momentum": 0.5,
            "optimizer.nesterov": True,
            "optimizer.schedule.name": "cosine",
            "optimizer.schedule.warmup": 1,
            "penalty.l2": 0.1,
            "penalty.l1": 0.1,
            "loss": "squared_error",
            "class_weight": "balanced",
            "bias": False,
            "init.normal": 0.5,
            "seed": 1,
            "precision": "float32",
        },
    ),
    "steps": ({"optimizer": {"steps": 8, "batch_size": 20}}, {"optimizer.steps": 5}),
    "cosine": (
        {"optimizer": {**FIRST_ORDER, "schedule": {"name": "cosine"}}},
        {"optimizer.schedule.final": 0.5, "optimizer.schedule.length": 9},
    ),
    "step": (
        {"optimizer": {**FIRST_ORDER, "schedule": {"name": "step", "milestones": [1]}}},
        {"optimizer.schedule.gamma": 0.7},
    ),
    "adam": (
        {"optimizer": {"name": "adam", **FIRST_ORDER}},
        {"optimizer.beta1": 0.5, "optimizer.beta2": 0.9, "optimizer.eps": 0.1},
    ),
    "adamw": (
        {"optimizer": {"name": "adamw", **FIRST_ORDER}},
        {
            "optimizer.beta1": 0.5,
            "optimizer.beta2": 0.9,
            "optimizer.eps": 0.1,
            "optimizer.weight_decay": 0.5,
        },
    ),
    "lars": (
        {"optimizer": {"name": "lars", **FIRST_ORDER}, "init": {"normal": 0.1}},
        {"optimizer.momentum": 0.5, "optimizer.trust_coefficient": 0.1},
    ),
    "lbfgs": (
        {"optimizer": {"name": "lbfgs", **SOLVER}},
        {"optimizer.max_iter": 3, "optimizer.tol": 10, "optimizer.name": "newton"},
    ),
    "newton": (
        {"optimizer": {"name": "newton", **SOLVER}},
        {"optimizer.max_iter": 3, "optimizer.tol": 10},
    ),
    "auto": (
        {"optimizer": {"name": "auto", **SOLVER}},
        {"optimizer.max_iter": 3, "optimizer.tol": 10},
    ),
    "{C, l1_ratio}": ({"penalty": {"C": 1, "l1_ratio": 0.2}}, {"penalty.C": 0.1}),
    "{alpha, l1_ratio}": (
        {"penalty": {"alpha": 0.1, "l1_ratio": 0.2}},
        {"penalty.alpha": 0.5, "penalty.l1_ratio": 0.9},
    ),
    "early_stopping": (
        {
            "optimizer": {"epochs": 12, "batch_size": 20, "lr": 3},
            "early_stopping": {"patience": 2},
        },
        {
            "early_stopping.metric": "val_accuracy",
            "early_stopping.patience": 1,
            "early_stopping.min_delta": 0.3,
            "early_stopping.restore_best": False,
        },
    ),
}
# Of the whole run, and so of no trial.
NO_AXIS = {
    "name", "notes", "device", "checkpoint", "log", "sweep", "select", "repeat", "targets", "vars",
    "intervals", "metrics", "permutation_test",
}  # fmt: skip
# Rows are tested in test_sweep_runs.py and test_columns.py, the model by the rows that it needs.
ELSEWHERE = {"data", "model"}
LISTS = {"optimizer.schedule.milestones"}  # which no trial can have one value of
NOTHING_TO_DIFFER = {"exact"}  # one step, in closed form: no key of its own changes it


def blocks(annotation):
    """The blocks that a field of the schema may be."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    return [block for part in get_args(annotation) for block in blocks(part)]


def keys_of(block, at=""):
    """(dotted key, the form of the block that has it) of everything below a block."""
    for name, field in block.model_fields.items():
        inner = blocks(field.annotation)
        if at or name not in NO_AXIS | ELSEWHERE:
            for below in inner:
                yield from keys_of(below, f"{at}{name}.")
            if not inner:
                yield f"{at}{name}", block.form


def test_every_key_of_the_schema_is_in_a_group():
    swept = {name: set(keys) for name, (_, keys) in GROUPS.items()}
    everywhere = set().union(*swept.values())
    found = set(keys_of(Spec))
    assert len(found) > 50
    assert {key for key, _ in found} - LISTS <= everywhere
    shared = {f"optimizer.{key}" for key in FirstOrder.model_fields} | {"optimizer.name"}
    own = {(key, form) for key, form in found if key.startswith("optimizer.")}
    own = {(k, f) for k, f in own if f and f not in NOTHING_TO_DIFFER and k not in shared}
    forms = {"sgd", "adam", "adamw", "lars", "lbfgs", "newton", "auto"}
    assert {form for _, form in own} == forms
    assert {(key, form) for key, form in own if key not in swept[form]} == set()


def weights_of(folder, trial=None):
    """Weights and bias of a run's model, or of one trial of a sweep."""
    if trial is None:
        found = load_file(folder / "model.safetensors")
        return found["weights"], found["bias"]
    found = load_file(folder / "weights.safetensors")
    k = found["trial"].tolist().index(trial)
    return found["weights"][:, :, k], found["bias"][:, k]


def changed(config, key, value):
    """The config with a dotted key set."""
    first, _, rest = key.partition(".")
    within = config.get(first, {})
    within = within if isinstance(within, dict) else {}
    return {**config, first: changed(within, rest, value) if rest else value}


@pytest.mark.parametrize("name", GROUPS)
def test_a_swept_key_does_what_it_does_in_a_plain_run(name, tmp_path):
    config, keys = BASE | GROUPS[name][0], GROUPS[name][1]
    axes = [{key: [value]} for key, value in keys.items()]
    sweep = {"sweep": {"parameters": axes}, "log": {"weights": "all"}}
    if "seed" in keys:  # trials that differ in it are not ranked
        sweep["select"] = {"per": ["seed"]}
    together = trainer.run(config | sweep, out=tmp_path / "sweep").folder
    before = weights_of(trainer.run(config, out=tmp_path / "before").folder)
    for trial, (key, value) in enumerate(keys.items()):
        plain = trainer.run(changed(config, key, value), out=tmp_path / f"{trial}").folder
        limit = 1e-5 if key == "precision" else 1e-12
        for ours, theirs, unchanged in zip(
            weights_of(together, trial), weights_of(plain), before, strict=True
        ):
            assert abs(ours - theirs).max() <= limit * abs(theirs).max(), key
            assert key == "bias" or abs(theirs - unchanged).max() > 0, key
