"""The promise of stacking in random runs: a column is the plain run with its settings and rows.

    python -m campaigns.stacking 300 1

draws 300 runs by the seed 1, trains each, and some of its columns each in a run of its own, whose
config has no sweep, no repeats and no other targets, on the rows of the column alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import trainer
from campaigns.stacking_cases import KINDS, Case, draw_case
from trainer import device as devices
from trainer.config.schema.optimizer import FirstOrder
from trainer.data.encode.encoder import Encoder
from trainer.data.splits.row_split import RowSplit
from trainer.machine.threads import one_thread_a_product
from trainer.sweep.planned import Column, RowsOf
from trainer.sweep.sweep import SweepRun, set_up, train
from trainer.workflow.recorder import NullObserver

STEPS = 1e-13  # of the largest weight, after equal steps in float64
CERTIFICATES = 2  # times what either bounds
FLOAT32 = 2  # times the error of a run with its own scaling
_LAST_BIT = 2.0**-23  # of the largest weight: less is no error of float32
NUDGES = 3  # plain runs whose rows are in another order
NUDGED = 8  # times what they differ by, as in tests/train/test_stacking.py
_STEP = 0.01  # the least rate: where a path begins all weights are 0, and biases a rounding of it
_ROUNDING = 1e-13  # of J, that a sum over rows has
Numbers = NDArray[np.float64]


class End(NamedTuple):
    """Where a column came to."""

    weights: Numbers  # (D, C)
    bias: Numbers  # (C,)
    status: str
    step: int
    facts: Mapping[str, float]
    encoder: Encoder


@dataclass
class Told:
    """What came of a case.

    Attributes:
        case: which.
        columns: how many were trained alone too, of how many.
        worst: of them, as a part of what is allowed.
        amplified: how many adam or adamw moved further than rounding, which they amplify.
        faults: sentences.
    """

    case: Case
    columns: int = 0
    of_columns: int = 0
    worst: float = 0.0
    amplified: int = 0
    faults: list[str] = field(default_factory=list)


def trained(config: Mapping[str, Any], arrays: Mapping[str, Any]) -> SweepRun:
    """A run that has trained, without a folder."""
    spec = trainer.load_spec(dict(config))
    with one_thread_a_product():
        sweep = set_up(spec, arrays, devices.choose("cpu"))
        train(sweep, NullObserver(lambda: None))
    return sweep


def ends(sweep: SweepRun) -> dict[tuple[int, int, int], tuple[RowsOf, Column, End]]:
    """The columns of a run by trial, repeat and target."""
    rows = {column.name: (of, column) for of, column in sweep.layout.columns}
    found = {}
    encoders: dict[Any, Encoder] = {}
    for job in sweep.jobs:
        result = job.training.result
        for k, column in enumerate(job.planned.columns):
            of = rows[column.name][0]
            if of.key not in encoders:
                encoders[of.key] = of.prepare().encoder
            outcome = result.outcomes[k]
            assert outcome is not None
            assert result.weights is not None
            assert result.bias is not None
            facts = {name: float(values[k]) for name, values in result.facts.items()}
            end = End(
                np.asarray(result.weights[..., k], np.float64),
                np.asarray(result.bias[..., k], np.float64),
                outcome.status,
                outcome.step,
                facts,
                encoders[of.key],
            )
            found[column.name] = of, column, end
    return found


def single(case: Case, rows: RowsOf, column: Column) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and data of the plain run of a column: its settings, its rows, its target."""
    config = {k: v for k, v in case.config.items() if k not in ("sweep", "repeat", "targets")}
    spec = column.spec
    config |= {
        "penalty": spec.penalty.model_dump(),
        "seed": spec.seed,
        "class_weight": spec.class_weight,
        "data": config["data"] | {"scale": spec.data.scale},
    }
    if isinstance(spec.optimizer, FirstOrder):
        config["optimizer"] = config["optimizer"] | {"lr": spec.optimizer.lr}
    if case.kinds["optimizer"] == "adamw":
        del config["penalty"]
    return config, _data(case, rows, column)


def _data(case: Case, rows: RowsOf, column: Column) -> dict[str, Any]:
    separate = case.config.get("targets") == "separate"
    y = case.train.y[:, column.target] if separate else case.train.y
    split, weight = _split(rows), np.ones(len(y))
    if case.train.weight is not None:
        weight *= case.train.weight
    if split.counts is not None:
        weight[split.train] *= split.counts
    train, val = case.train, case.val
    if separate and case.kinds["missing"] == "mean" and rows.split is not None:
        fillings = train.fillings(split.train, weight)
        train, val = train.filled(fillings), val and val.filled(fillings)
    chosen = _known(y, split.train)
    found: dict[str, Any] = {"train": (train.features(chosen), y[chosen])}
    if case.train.weight is not None or split.counts is not None:
        found["weight"] = weight[chosen]
    held, of_val = train, split.val
    if of_val is None and val is not None:
        held, of_val = val, np.arange(len(val.y)) if split.drawn is None else split.drawn
    if of_val is not None and len(of_val):
        y = held.y[:, column.target] if separate else held.y
        of_val = _known(y, of_val)
        found["val"] = held.features(of_val), y[of_val]
    return found


def _split(rows: RowsOf) -> RowSplit:
    """The row numbers of a column; as they are prepared where targets draw each for itself."""
    if rows.split is not None:
        return rows.split()
    return RowSplit("", rows.prepare().train.index, None, rows.key)


def _known(y: Any, rows: Any) -> Any:
    """Those of the rows that have a label."""
    return rows if y.ndim == 2 or y.dtype.kind != "f" else rows[~np.isnan(y[rows])]


def objective(sweep: SweepRun, end: End) -> float:
    """J of a plain run at a point, term by term."""
    spec, prepared = sweep.spec, sweep.first.prepared
    y = prepared.train.y
    y = np.eye(sweep.first.outputs)[y] if y.ndim == 1 else y.astype(np.float64)
    z = prepared.train.X.astype(np.float64) @ end.weights + end.bias
    s = sweep.first.s
    l2, l1 = float(sweep.first.l2[0]), float(sweep.first.l1[0])
    data = float((s / s.sum()) @ _row_losses(spec.model, spec.loss_name, z, y))
    return data + l2 / 2 * float((end.weights**2).sum()) + l1 * float(np.abs(end.weights).sum())


def _row_losses(model: str, loss: str, z: Numbers, y: Numbers) -> Numbers:
    if (model, loss) == ("logistic", "squared_error"):
        each = (1 / (1 + np.exp(-z)) - y) ** 2 / 2
    elif model == "linear":
        each = (z - y) ** 2 / 2
    elif model == "logistic":
        each = np.logaddexp(0, z) - y * z
    elif model == "poisson":
        each = np.exp(z) - y * z
    else:
        each = y * (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)
    return np.asarray(each.sum(axis=1), np.float64)


def _by_feature(encoder: Encoder, name: str) -> dict[str, float]:
    return dict(zip(encoder.features, getattr(encoder, name).tolist(), strict=True))


def _aligned(found: End, right: End) -> End:
    """A column on the features of its plain run, which lacks categories that none of its rows has.

    Their weights must be 0; infinity is in the place of all where one is not.
    """
    place = {name: i for i, name in enumerate(found.encoder.features)}
    known = [place[name] for name in right.encoder.features]
    others = np.delete(found.weights, known, axis=0)
    weights = found.weights[known]
    return found._replace(weights=np.full_like(weights, np.inf) if others.any() else weights)


def apart(found: End, right: End) -> float:
    """The largest difference of weights and biases, by the largest of them, or by a step's size."""
    pairs = (found.weights, right.weights), (found.bias, right.bias)
    largest = max(float(np.abs(one).max()) for _, one in pairs)
    return max(float(np.abs(a - b).max()) for a, b in pairs) / max(largest, _STEP)


def certificate(found: End, right: End) -> float:
    """What either end may be from the optimum; of a loss that has no such bound, by the slopes."""
    gap = max(found.facts["gap"], right.facts["gap"])
    if not math.isnan(gap):
        return gap
    far = np.abs(found.weights - right.weights).sum() + np.abs(found.bias - right.bias).sum()
    return max(found.facts["gradient_max"], right.facts["gradient_max"]) * float(far)


def check(case: Case, found: End, right: End, plain: SweepRun) -> tuple[float, str]:
    """How far a column is from its plain run, 1 being all that is allowed, and what is wrong."""
    for name in ("mean", "scale"):
        ours, its = _by_feature(found.encoder, name), _by_feature(right.encoder, name)
        if not all(abs(ours[one] - its[one]) <= 1e-12 * max(abs(its[one]), 1) for one in its):
            return np.inf, f"{name} of its features is not its rows'"
    if found.status != right.status:
        return np.inf, f"{found.status}, alone {right.status}"
    if right.status == "diverged":
        return 0.0, ""
    found = _aligned(found, right)
    if case.kinds["batch"] != "solver":
        if found.step != right.step:
            return np.inf, f"{found.step} steps, alone {right.step}"
        return apart(found, right) / STEPS, f"{apart(found, right):.1e} apart"
    values = objective(plain, found), objective(plain, right)
    bound = CERTIFICATES * certificate(found, right) + _ROUNDING * max(1.0, abs(values[1]))
    lost = abs(values[0] - values[1])
    return lost / bound, f"J is {lost:.1e} from the plain run's, of which {bound:.1e} is certified"


def carry_out(case: Case, most: int = 4) -> Told:
    """Train a case and `most` of its columns alone."""
    told = Told(case)
    columns = list(ends(trained(case.config, case.arrays())).values())
    told.of_columns = len(columns)
    if case.kinds["precision"] != "float64":
        return _in_float32(case, columns, told, most)
    draw = np.random.default_rng(case.number)
    for i in draw.permutation(len(columns))[:most]:
        rows, column, found = columns[i]
        config, data = single(case, rows, column)
        plain = trained(config, data)
        [(_, _, right)] = ends(plain).values()
        part, why = check(case, found, right, plain)
        if part > 1 and not math.isinf(part) and _divides_by_root(case):
            moved = max(apart(_nudged(config, data, seed), right) for seed in range(NUDGES))
            part, told.amplified = part * STEPS / (NUDGED * moved), told.amplified + 1
        told.columns += 1
        told.worst = max(told.worst, part)
        if not part <= 1:
            told.faults.append(f"trial {column.trial}, repeat {column.repeat}, target"
                               f" {column.target}: {why}")  # fmt: skip
    return told


def _divides_by_root(case: Case) -> bool:
    """Whether steps divide by √v̂, which fades with the gradient where no batch is noisy."""
    return case.kinds["optimizer"] in ("adam", "adamw") and case.kinds["batch"] == "full"


def _nudged(config: Mapping[str, Any], data: Mapping[str, Any], seed: int) -> End:
    """A plain run of a full batch whose sums have other last bits: over rows in another order."""
    X, y = data["train"]
    order = np.random.default_rng(seed).permutation(len(y))
    moved = X[order] if isinstance(X, np.ndarray) else X.take(order)
    changed = {"train": (moved, y[order])}
    if "weight" in data:
        changed["weight"] = data["weight"][order]
    [(_, _, end)] = ends(trained(config, {**data, **changed})).values()
    return end


def _in_float32(
    case: Case, columns: Sequence[tuple[RowsOf, Column, End]], told: Told, most: int
) -> Told:
    """Compare the errors in float32 of the columns with those of their plain runs."""
    draw = np.random.default_rng(case.number)
    lost: list[tuple[float, float]] = []
    for i in draw.permutation(len(columns))[:most]:
        rows, column, found = columns[i]
        config, data = single(case, rows, column)
        [(_, _, own)] = ends(trained(config, data)).values()
        [(_, _, truth)] = ends(trained(config | {"precision": "float64"}, data)).values()
        lost.append((apart(found, truth), apart(own, truth)))
        told.columns += 1
    ours, its = map(max, zip(*lost, strict=True))
    told.worst = ours / (FLOAT32 * max(its, _LAST_BIT))
    if not told.worst <= 1:
        told.faults.append(f"float32 loses {ours:.1e}, with its own scaling {its:.1e}")
    return told


def campaign(count: int, seed: int, first: int = 0) -> Iterator[Told]:
    """So many cases, from the first."""
    for number in range(first, first + count):
        yield carry_out(draw_case(seed, number))


def hit(cases: Sequence[Case]) -> frozenset[tuple[str, str]]:
    """The kinds of columns that cases have."""
    return frozenset(kind for case in cases for kind in case.kinds.items())


def main(argv: Sequence[str]) -> int:
    """Carry out the campaign, and say what came of it; 1 where a column is not its plain run."""
    count, seed = map(int, argv or ("300", "1"))
    told: list[Told] = []
    worst: dict[str, float] = {}
    for one in campaign(count, seed):
        told.append(one)
        kinds = one.case.kinds
        kind = kinds["batch"] if kinds["precision"] == "float64" else "float32"
        worst[kind] = max(worst.get(kind, 0.0), one.worst)
        for fault in one.faults:
            print(f"{one.case.number}: {fault}: {dict(kinds)}", flush=True)
    lacking = sorted(KINDS - hit([one.case for one in told]))
    faults = sum(bool(one.faults) for one in told)
    parts = ", ".join(f"{kind} {part:.2g}" for kind, part in worst.items())
    print(
        f"{len(told)} runs of {sum(one.of_columns for one in told)} columns,"
        f" {sum(one.columns for one in told)} of them alone too; {faults} runs with faults;"
        f" {sum(one.amplified for one in told)} columns moved as far as their own rounding moves"
        f" adam; kinds without a run: {lacking or 'none'}; the worst, of what is allowed: {parts}"
    )
    return int(bool(faults or (count >= 300 and lacking)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
