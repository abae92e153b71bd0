"""Kinds of runs that a campaign breaks, each a second or two long, and as unlike as they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_DIGITS: dict[str, Any] = {"model": "softmax", "data": {"train": "digits"}}
_CANCER: dict[str, Any] = {"model": "logistic", "data": {"train": "breast_cancer"}}
_DIAMONDS: dict[str, Any] = {"model": "linear", "data": {"train": "diamonds"}}
_LR = {"geomspace": {"start": 1e-3, "stop": 1, "num": 9}}
_L2 = {"geomspace": {"start": 1e-6, "stop": 1, "num": 12}}


@dataclass(frozen=True)
class Kind:
    """One kind of run.

    Attributes:
        config: what is trained.
        device: "cpu", or "double": the double of CuPy that the tests have.
        memory: bytes that its device is taken to have, so that stacks must be parked; 0: as it is.
    """

    config: dict[str, Any]
    device: str = "cpu"
    memory: int = 0
    environment: dict[str, str] = field(default_factory=dict)


def _sweep(path: str, values: Any, **more: Any) -> dict[str, Any]:
    return {"sweep": {"parameters": {path: values}, **more}}


_HALVING = {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3}}
_BATCHES = {"optimizer.batch_size": [32, 64, "full"], "optimizer.lr": _LR}

KINDS: dict[str, Kind] = {
    "plain": Kind(_DIGITS | {"optimizer": {"epochs": 1500, "schedule": {"name": "cosine"}}}),
    "nesterov": Kind(
        _DIGITS
        | {"optimizer": {"nesterov": True, "epochs": 1500}, "penalty": {"l1": 1e-3}}
        | {"log": {"every": 7, "gradients": 3000}}
    ),
    "adam": Kind(
        _CANCER
        | {"optimizer": {"name": "adam", "steps": 20000}, "precision": "float64"}
        | {"log": {"eval_every": 50}}
    ),
    "adamw": Kind(_DIGITS | {"optimizer": {"name": "adamw", "lr": 0.01, "epochs": 1000}}),
    "lars": Kind(
        _DIGITS | {"optimizer": {"name": "lars", "epochs": 1500}, "init": {"normal": 0.01}}
    ),
    "early_stopping": Kind(
        _DIGITS
        | {"optimizer": {"name": "adam", "epochs": 400}, "early_stopping": {"patience": 20}}
        | _sweep("optimizer.lr", _LR)
    ),
    "halving": Kind(
        _DIGITS | {"optimizer": {"epochs": 600}} | {"sweep": {"parameters": _BATCHES, **_HALVING}}
    ),
    "parked": Kind(
        _DIGITS
        | {"optimizer": {"epochs": 500}}
        | {"sweep": {"parameters": _BATCHES, **_HALVING}, "log": {"weights": "all"}},
        memory=12 << 20,
    ),
    "folds": Kind(
        _CANCER
        | {"optimizer": {"name": "adam", "epochs": 300}, "repeat": {"folds": 5}}
        | {"early_stopping": {"patience": 30}}
        | _sweep("optimizer.lr", _LR)
    ),
    "seeds": Kind(_DIGITS | {"optimizer": {"epochs": 300}, "repeat": {"seeds": 4}}),
    "few_shot": Kind(
        _DIGITS
        | {"optimizer": {"name": "lbfgs"}, "repeat": {"few_shot": {"k": [1, 4], "tries": 20}}}
        | _sweep("penalty.l2", _L2)
    ),
    "rows": Kind(
        _DIAMONDS
        | {"optimizer": {"name": "adam", "epochs": 40, "batch_size": "full"}}
        | {"repeat": {"few_shot": {"rows": [50, 500], "tries": 5}}}
        | _sweep("optimizer.lr", _LR)
    ),
    "bootstrap": Kind(
        _CANCER
        | {"optimizer": {"name": "lbfgs"}, "repeat": {"bootstrap": 60}}
        | _sweep("penalty.l2", _L2)
    ),
    "shared_stack": Kind(  # resamples of one row set each side by side
        _CANCER
        | {"optimizer": {"name": "adam", "epochs": 400, "batch_size": "full"}}
        | {"repeat": {"bootstrap": 24}}
        | _sweep("optimizer.lr", [0.01, 0.1])
    ),
    "permutation_test": Kind(
        _CANCER
        | {"optimizer": {"name": "lbfgs"}, "repeat": {"folds": 4}, "permutation_test": 40}
        | _sweep("penalty.l2", [1e-4, 1e-2, 1.0])
    ),
    "own_choice": Kind(
        _DIGITS
        | {"data": {"train": "digits", "val": "none", "test": 0.2}}
        | {"optimizer": {"name": "lbfgs"}, "repeat": {"folds": 4, "times": 2}}
        | {"select": {"per": ["repeat"]}}
        | _sweep("penalty.l2", _L2)
    ),
    "nested": Kind(
        _DIGITS
        | {"data": {"train": "digits", "val": "none"}, "optimizer": {"name": "lbfgs"}}
        | {"repeat": {"folds": 4, "inner_folds": 3}}
        | _sweep("penalty.l2", _L2)
    ),
    "nested_steps": Kind(
        _CANCER
        | {"optimizer": {"name": "adam", "epochs": 60}, "log": {"weights": "all"}}
        | {"repeat": {"folds": 3, "inner_folds": 3, "seeds": 2}}
        | _sweep("optimizer.lr", _LR)
    ),
    "lbfgs": Kind(
        _DIGITS | {"optimizer": {"name": "lbfgs", "tol": 1e-9}} | _sweep("penalty.l2", _L2)
    ),
    "newton": Kind(
        _CANCER
        | {"optimizer": {"name": "newton"}, "repeat": {"folds": 5}}
        | _sweep("penalty.l2", {"geomspace": {"start": 1e-6, "stop": 1, "num": 60}})
    ),
    "leave_one_out": Kind(
        _DIAMONDS
        | {"optimizer": {"name": "exact"}, "repeat": {"leave_one_out": True}}
        | _sweep("penalty.l2", _L2)
    ),
    "leave_one_out_of_targets": Kind(
        {"model": "linear", "targets": "separate", "optimizer": {"name": "exact"}}
        | {"data": {"train": {"synthetic": {"rows": 3000, "columns": 60, "outputs": 40}}}}
        | {"repeat": {"leave_one_out": True}}
        | _sweep("penalty.l2", _L2)
    ),
    "exact": Kind(
        _DIAMONDS
        | {"optimizer": {"name": "exact"}, "repeat": {"folds": 5}}
        | _sweep("penalty.l2", _L2)
    ),
    "lasso": Kind(
        _DIAMONDS
        | {"optimizer": {"name": "auto"}, "penalty": {"l2": 0}, "repeat": {"folds": 5}}
        | _sweep("penalty.l1", {"path": {"num": 60, "ratio": 1e-3}})
    ),
    "logistic_l1": Kind(
        _CANCER
        | {"optimizer": {"name": "auto"}, "penalty": {"l2": 0}}
        | _sweep("penalty.l1", {"path": {"num": 40, "ratio": 1e-3}})
    ),
    "owlqn": Kind(
        _DIGITS
        | {"optimizer": {"name": "lbfgs"}, "penalty": {"l2": 0}}
        | _sweep("penalty.l1", {"geomspace": {"start": 1e-3, "stop": 1e-2, "num": 8}})
    ),
    "separate": Kind(
        {"model": "linear", "targets": "separate", "optimizer": {"name": "adam", "epochs": 400}}
        | {"data": {"train": {"synthetic": {"rows": 300, "columns": 6, "outputs": 5}}}}
        | {"early_stopping": {"patience": 20}, "repeat": {"folds": 3}}
        | _sweep("penalty.l2", [1e-4, 1e-2, 1.0])
    ),
    "left_out": Kind(
        {"model": "logistic", "data": {"train": "breast_cancer", "stratify": False}}
        | {"optimizer": {"name": "adam", "epochs": 100, "batch_size": "full"}}
        | {"repeat": {"few_shot": {"rows": 3, "tries": 12}}}
        | _sweep("optimizer.lr", [0.01, 0.1])
    ),
    "left_out_of_targets": Kind(
        {"model": "logistic", "targets": "separate"}
        | {"optimizer": {"name": "adam", "epochs": 300, "batch_size": "full"}}
        | {"data": {"train": {"synthetic": {"rows": 300, "columns": 6, "outputs": 5}}}}
        | {"early_stopping": {"patience": 20}}
        | {"repeat": {"few_shot": {"rows": 3, "tries": 6}}}
        | _sweep("optimizer.lr", [0.01, 0.1, 1.0])
    ),
    "double": Kind(
        _DIGITS
        | {"optimizer": {"name": "adam", "epochs": 3}, "early_stopping": {"patience": 2}}
        | _sweep("optimizer.lr", {"geomspace": {"start": 1e-3, "stop": 0.1, "num": 3}}),
        device="double",
    ),
    "double_lbfgs": Kind(
        _CANCER | {"optimizer": {"name": "lbfgs"}} | _sweep("penalty.l2", [1e-4, 1e-2]),
        device="double",
    ),
}
