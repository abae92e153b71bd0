"""Random runs of many columns, of every kind of column there is, each with its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array = NDArray[Any]

AXES: dict[str, tuple[str, ...]] = {
    "model": ("linear", "logistic", "softmax", "poisson"),
    "optimizer": ("sgd", "nesterov", "adam", "adamw", "lars", "lbfgs", "newton", "exact", "auto"),
    "batch": ("mini", "full", "solver"),
    "penalty": ("none", "l2", "l1", "C", "C and l1", "alpha", "path"),
    "weights": ("none", "rows"),
    "class_weight": ("none", "balanced", "written", "swept"),
    "targets": ("one", "several", "separate", "separate, labels missing"),
    "repeat": (
        "none", "folds", "times", "column", "forward", "groups", "k", "rows", "fraction",
        "bootstrap", "seeds",
    ),
    "scale": ("none", "standard", "unit", "swept"),
    "scale_target": ("none", "standard"),
    "features": ("numbers", "text"),
    "missing": ("error", "mean", "drop"),
    "loss": ("auto", "squared_error"),
    "bias": ("with", "without"),
    "init": ("zeros", "normal"),
    "schedule": ("constant", "cosine", "step"),
    "early_stopping": ("none", "patience"),
    "precision": ("float64", "float32 at 1000"),
}  # fmt: skip
KINDS = frozenset((axis, value) for axis, values in AXES.items() for value in values)
_SOLVERS = ("lbfgs", "newton", "exact", "auto")
_OWN_VAL = ("none", "k", "rows", "fraction", "seeds")  # repeats that hold out no rows of train
_CITIES = ("Bern", "Oslo", "Rome", "Vaduz")
_FAR = 1000.0


@dataclass
class Rows:
    """Rows of a run as Python passes them; those of single runs are taken from them.

    Attributes:
        columns: of features by name, each (N,); text with "" where it is missing.
        y: (N,) labels or numbers, (N, C) of several targets.
        weight: (N,), or None.
        beside: columns of folds, times and groups by the name that `trainer.run` takes.
    """

    columns: dict[str, Array]
    y: Array
    weight: Array | None
    beside: dict[str, Array]

    def features(self, rows: Any = slice(None)) -> Any:
        """What is passed as X: a matrix, or a table where there is text."""
        if all(values.dtype.kind == "f" for values in self.columns.values()):
            return np.stack([values[rows] for values in self.columns.values()], axis=1)
        return pa.table({name: _cells(values[rows]) for name, values in self.columns.items()})

    def fillings(self, rows: Array, weight: Array) -> dict[str, Any]:
        """What is in the place of missing cells: the mean of these rows, text's most frequent."""
        found: dict[str, Any] = {}
        for name, values in self.columns.items():
            there = rows[[one == one and one != "" for one in values[rows]]]
            if values.dtype.kind == "f":
                found[name] = float(weight[there] @ values[there] / weight[there].sum())
            else:
                totals = {v: weight[there][values[there] == v].sum() for v in _CITIES}
                found[name] = max(totals, key=lambda v: totals[v])
        return found

    def filled(self, fillings: Mapping[str, Any]) -> Rows:
        """The same rows without a missing cell."""
        columns = {
            name: np.array([fillings[name] if one != one or one == "" else one for one in values],
                           values.dtype)
            for name, values in self.columns.items()
        }  # fmt: skip
        return replace(self, columns=columns)


def _cells(values: Array) -> list[Any]:
    return [None if one == "" or one != one else one for one in values.tolist()]


@dataclass(frozen=True)
class Case:
    """One random run.

    Attributes:
        number: which.
        kinds: its value of each axis of `AXES`.
        config: what is run.
        train, val: its rows; None without rows of val.
    """

    number: int
    kinds: Mapping[str, str]
    config: dict[str, Any]
    train: Rows
    val: Rows | None

    def arrays(self) -> dict[str, Any]:
        """What `trainer.run` takes as data."""
        found: dict[str, Any] = {"train": (self.train.features(), self.train.y)}
        if self.val is not None:
            found["val"] = self.val.features(), self.val.y
        if self.train.weight is not None:
            found["weight"] = self.train.weight
        return found | self.train.beside


def draw_case(seed: int, number: int) -> Case:
    """The case of this number; the same whichever others are drawn."""
    draw = np.random.default_rng((seed, number))
    kinds = _draw_kinds(draw)
    rows = int(draw.integers(60, 100))
    train = _draw_rows(draw, kinds, rows)
    val = _draw_rows(draw, kinds, 21) if kinds["repeat"] in _OWN_VAL else None
    return Case(number, kinds, _config(draw, kinds), train, val)


def _draw_kinds(draw: np.random.Generator) -> dict[str, str]:
    """One value of each axis, such that all go together."""

    def one_of(axis: str, but: Sequence[str] = ()) -> str:
        return str(draw.choice([value for value in AXES[axis] if value not in but]))

    far = draw.random() < 0.15
    model = one_of("model")
    several = model == "softmax"
    targets = one_of("targets", AXES["targets"][1:] if several else ())
    own = model == "logistic" and targets in ("one", "several") and draw.random() < 0.3
    loss = "squared_error" if own else "auto"
    quadratic = model == "linear"
    steps = ("exact",) * (not quadratic) + ("newton", "auto") * own
    steps += ("lars", "adam", "adamw") * far  # adam amplifies what float32 rounds
    optimizer = one_of("optimizer", steps)
    solver = optimizer in _SOLVERS
    batch = "solver" if solver else "full" if far else one_of("batch", ("solver",))
    smooth = optimizer in ("lars", "exact")
    no_path = ("path",) * (
        solver or own
    )  # a path is of l1 alone, which takes long to a certificate
    sharp = ("l1", "C and l1", "path") if smooth else no_path
    penalty = "none" if optimizer == "adamw" else one_of("penalty", ("none" * solver, *sharp))
    labels = model in ("logistic", "softmax")
    weighted = labels and targets != "several"
    text = "numbers" if far else one_of("features")
    zeros = solver or far  # and where another target's rows have a category more to draw for
    zeros = zeros or (text == "text" and targets == "separate, labels missing")
    seeds = ("seeds",) * (zeros and batch != "mini")
    repeat = one_of("repeat", (*_no_repeats(weighted, batch), *seeds))
    first_order = not solver
    init = "normal" if repeat == "seeds" and batch == "full" else one_of("init")
    return {
        "model": model,
        "optimizer": optimizer,
        "batch": batch,
        "penalty": penalty,
        "weights": one_of("weights"),
        "class_weight": one_of("class_weight") if weighted else "none",
        "targets": targets,
        "repeat": repeat,
        "scale": "standard" if far else one_of("scale"),
        "scale_target": one_of("scale_target") if quadratic else "none",
        "features": text,
        "missing": one_of("missing"),
        "loss": loss,
        "bias": "with" if far else one_of("bias"),
        "init": "zeros" if zeros else init,
        "schedule": one_of("schedule") if first_order else "constant",
        "early_stopping": one_of("early_stopping") if first_order and repeat == "none" else "none",
        "precision": "float32 at 1000" if far else "float64",
    }


def _no_repeats(classes: bool, batch: str) -> tuple[str, ...]:
    """Repeats that cannot be: draws take all their rows at once, k takes classes."""
    never = () if classes else ("k",)
    if batch == "mini":
        return (*never, "k", "rows", "fraction")
    return never


def _draw_rows(draw: np.random.Generator, kinds: Mapping[str, str], rows: int) -> Rows:
    """Rows whose features are far from 0, and about 1,000 in float32."""
    X = draw.standard_normal((rows, 4))
    outputs = 3 if kinds["model"] == "softmax" or kinds["targets"] != "one" else 1
    world = np.random.default_rng(11)  # val is of the world that train is of
    z = X @ world.standard_normal((4, outputs)) + draw.standard_normal((rows, outputs))
    y = _targets(kinds, (z - z.mean(axis=0)) / z.std(axis=0))  # no class is rare
    if kinds["targets"] == "separate, labels missing":
        y[draw.random(rows) < 0.2, 1] = np.nan
        y[draw.random(rows) < 0.3, 2] = np.nan
    far = kinds["precision"] != "float64"
    near = 0.3 if kinds["model"] == "poisson" and not far else 1.0
    X = X * near + (_FAR if far else np.array([1.5, -1, 0, 0.5]) * near)
    columns = {f"x{i}": X[:, i].copy() for i in range(4)}
    if kinds["features"] == "text":
        columns["city"] = draw.choice(_CITIES, rows, p=[0.4, 0.3, 0.27, 0.03]).astype(object)
    if kinds["missing"] != "error":
        for values in list(columns.values())[1:]:
            values[draw.random(rows) < 0.06] = "" if values.dtype.kind == "O" else np.nan
    weight = draw.uniform(0.2, 3, rows) if kinds["weights"] == "rows" else None
    beside = {
        "column": {"fold": draw.integers(0, 3, rows)},
        "forward": {"time": draw.permutation(rows)},
        "groups": {"group": draw.integers(0, 4, rows)},
    }.get(kinds["repeat"], {})
    return Rows(columns, y, weight, beside)


def _targets(kinds: Mapping[str, str], z: Array) -> Array:
    found: Array = {
        "linear": z * 3 + 0.5,
        "logistic": (z > 0.2).astype(float),
        "softmax": z.argmax(axis=1),
        "poisson": np.floor(np.exp(np.clip(z / 3, -2, 2))),
    }[kinds["model"]]
    one = kinds["targets"] == "one" and found.ndim == 2
    return found[:, 0].astype(int if kinds["model"] == "logistic" else float) if one else found


_REPEATS: dict[str, dict[str, Any]] = {
    "folds": {"folds": 3},
    "times": {"folds": 3, "times": 2},
    "column": {"folds": {"column": "fold"}},
    "forward": {"folds": {"forward": 3, "by": "time"}},
    "groups": {"folds": "leave_one_group_out"},
    "k": {"few_shot": {"k": [3, 5], "tries": 2}},
    "rows": {"few_shot": {"rows": [14, 22], "tries": 2}},
    "fraction": {"few_shot": {"fraction": [0.4, 0.7], "tries": 2}},
    "bootstrap": {"bootstrap": 4},
    "seeds": {"seeds": 3},
}


def _config(draw: np.random.Generator, kinds: Mapping[str, str]) -> dict[str, Any]:
    penalty, axes = _penalty(kinds)
    optimizer, rates = _optimizer(draw, kinds)
    axes |= rates
    data: dict[str, Any] = {"train": "arrays", "missing": kinds["missing"]}
    data["scale_target"] = kinds["scale_target"]
    if kinds["scale"] == "swept":
        axes["data.scale"] = ["standard", "none"]
    else:
        data["scale"] = kinds["scale"]
    config: dict[str, Any] = {
        "model": kinds["model"], "data": data, "optimizer": optimizer, "device": "cpu",
        "precision": "float64" if kinds["precision"] == "float64" else "float32",
        "bias": kinds["bias"] == "with", "loss": kinds["loss"], "seed": int(draw.integers(99)),
        "init": {"normal": 0.3} if kinds["init"] == "normal" else "zeros",
    }  # fmt: skip
    if kinds["class_weight"] == "swept":
        axes["class_weight"] = ["none", "balanced"]
    else:
        written = {0: 2.0, 1: 0.5}
        config["class_weight"] = {"written": written}.get(
            kinds["class_weight"], kinds["class_weight"]
        )
    if kinds["penalty"] != "none" or kinds["optimizer"] != "adamw":
        config["penalty"] = penalty
    if kinds["targets"].startswith("separate"):
        config["targets"] = "separate"
    if kinds["repeat"] != "none":
        config["repeat"] = _REPEATS[kinds["repeat"]]
    if kinds["early_stopping"] != "none":
        config["early_stopping"] = {"patience": 2, "min_delta": 0.02}
    return config | {"sweep": {"parameters": axes}}


def _penalty(kinds: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The block, and the axis of it."""
    forms: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "none": ({"l2": 0}, {}),
        "l2": ({"l2": 0.1}, {"penalty.l2": [0.02, 0.1, 0.5]}),
        "l1": ({"l2": 0.02}, {"penalty.l1": [0.01, 0.03, 0.1]}),
        "C": ({"C": 1.0}, {"penalty.C": [0.1, 0.5, 2.0]}),
        "C and l1": ({"C": 1.0, "l1_ratio": 0.5}, {"penalty.C": [0.1, 0.5, 2.0]}),
        "alpha": ({"alpha": 0.1}, {"penalty.alpha": [0.02, 0.1, 0.5]}),
        "path": ({"l2": 0.02}, {"penalty.l1": {"path": {"num": 3, "ratio": 0.05}}}),
    }
    return forms[kinds["penalty"]]


def _optimizer(
    draw: np.random.Generator, kinds: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The block, and the axes of it."""
    name = kinds["optimizer"]
    if name in _SOLVERS:
        # what float32 rounds shows where ends are nearer to the optimum than that
        tol = 1e-7 if kinds["precision"] == "float64" else 1e-10
        return {"name": name, "tol": tol, "max_iter": 5000}, {}
    steps = int(draw.integers(8, 20))
    block: dict[str, Any] = {"name": "sgd" if name == "nesterov" else name, "steps": steps}
    block["batch_size"] = "full" if kinds["batch"] == "full" else 16
    schedule = kinds["schedule"]
    block["schedule"] = {"name": schedule}
    if schedule == "step":
        block["schedule"]["milestones"] = [3, 6]
    if name in ("sgd", "nesterov", "lars"):
        block["momentum"] = 0.9 if name == "nesterov" else 0.5
    if name == "nesterov":
        block["nesterov"] = True
    if name == "adamw":
        block["weight_decay"] = 0.1
    return block, {"optimizer.lr": [0.01, 0.04]}
