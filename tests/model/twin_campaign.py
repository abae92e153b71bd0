"""Random stacks, one step each from equal states: the compiled step against the NumPy text.

    python tests/model/twin_campaign.py SEED FIRST LAST

STACKED_TRAINER_COMPILED=avx2 or baseline takes that instruction set. A case is its seed and number.
What is rounded badly by nature, long sums and steep scores, is judged by the text: by its distance
from its float64, and by what a last bit of the weights changes, ten times over.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer import device as devices
from trainer.model import MODELS, compiled
from trainer.optim.first_order import OPTIMIZERS
from trainer.optim.schedules import LrSchedule
from trainer.train.batches import RowSet
from trainer.train.halves import NumpyHalves
from trainer.train.stack import Settings, Stack
from trainer.train.twins import CompiledHalves

CPU = devices.cpu("the tests")
OUTPUTS = [1, 1, 2, 3, 10, 15, 16, 17, 31, 32, 33, 40, 100, 129, 1000]
WIDTHS = [1, 1, 2, 3, 5, 7, 8, 15, 16, 17, 33, 64, 127, 128, 129, 200, 256]
FEATURES = [1, 2, 3, 7, 8, 15, 16, 17, 20, 31, 33, 64, 100]
SIZES = [0.0, 0.3, 0.3, 30.0, 1e4]
BROKEN = [np.nan, np.inf, -np.inf, 3e38]
CLOSE = {"float32": 7e-7, "float64": 2e-13}


@dataclass
class Case:
    """What one stack is made of; the arrays are those of float32, whatever the precision."""

    key: tuple[str, str]
    optimizer: str
    precision: str
    batch: int | None
    bias: bool
    X: Any
    y: Any
    w: Any
    hyper: dict[str, Any]
    lr: Any
    weights: Any
    offset: Any
    slots: Any
    outputs: int
    said: str
    nudged: bool = False  # each parameter by about its last bit


def drawn(seed: int, number: int) -> Case:
    """The case of a number."""
    draw = np.random.default_rng([seed, number])
    keys = list(MODELS)
    key = keys[draw.integers(len(keys))]
    optimizer = draw.choice(list(OPTIMIZERS))
    C, K, D = int(draw.choice(OUTPUTS)), int(draw.choice(WIDTHS)), int(draw.choice(FEATURES))
    while C * K * D > 400_000:
        C, K = int(draw.choice(OUTPUTS)), int(draw.choice(WIDTHS))
    rows = int(draw.choice([1, 5, 31, 32, 33, 70, 150]))
    batch = None if draw.uniform() < 0.3 else int(draw.integers(1, rows + 1))
    size, kind = draw.choice(SIZES), draw.choice(["none", "zeros", "huge"])
    X = draw.standard_normal((rows, D)) * (0.3 if size > 100 else 1)
    if key[0] == "softmax":
        C = max(C, 2)
        codes = draw.uniform() < 0.6
        y = draw.integers(0, C, rows) if codes else draw.dirichlet(np.ones(C), rows)
    elif key[0] == "linear":
        y = draw.standard_normal((rows, C)) * draw.choice([1.0, 1e4])
    else:
        y = draw.integers(0, 2, (rows, C)) if key[0] == "logistic" else draw.poisson(3, (rows, C))
    w = np.ones(rows) if kind == "none" else draw.uniform(0.1, 2, rows)
    if kind == "zeros" and rows > 1:
        w *= draw.uniform(size=rows) > 0.3
        w[0] = 1
    w = w * 10.0 ** draw.integers(-20, 12, rows) if kind == "huge" else w
    some = draw.uniform(size=K)
    hyper = {
        "l2": draw.uniform(0, 0.1, K) * (some > 0.3),
        "l1": draw.uniform(0, 0.05, K) * (some > 0.5) * (optimizer not in ("adamw", "lars")),
        "momentum": draw.uniform(0, 0.99, K) * (draw.uniform() > 0.3),
        "beta1": draw.uniform(0, 0.9, K),
        "beta2": draw.uniform(0.9, 0.999, K),
        "eps": np.full(K, 1e-3),
        "weight_decay": draw.uniform(0, 0.5, K),
        "trust_coefficient": draw.uniform(0.001, 0.5, K),
    }
    weights = draw.standard_normal((D, C, K)) * size
    offset = draw.standard_normal((C, K)) * size
    for k in np.flatnonzero(draw.uniform(size=K) < 0.2) if draw.uniform() < 0.4 else ():
        place = weights[draw.integers(D)] if draw.uniform() < 0.7 else offset
        place[draw.integers(C), k] = draw.choice(BROKEN)
    slots = draw.uniform(0.1, 1, (2, D + 1, C, K)) * (draw.uniform() < 0.7 or optimizer[0] == "a")
    precision, bias = draw.choice(list(CLOSE)), bool(draw.uniform() < 0.8)
    shape = f"N={rows} D={D} C={C} K={K} batch={batch}"
    X, weights, offset, slots = (array.astype("f4") for array in (X, weights, offset, slots))
    return Case(
        key=key,
        optimizer=str(optimizer),
        precision=str(precision),
        batch=batch,
        bias=bias,
        X=X,
        y=y if y.ndim == 1 else y.astype("f4"),
        w=w,
        hyper=hyper,
        lr=draw.uniform(0.001, 0.1, K),
        weights=weights,
        offset=offset,
        slots=slots,
        outputs=C,
        said=f"{key} {optimizer} {precision} {shape} size={size} {kind}",
    )


def stack_of(case: Case, text: bool) -> tuple[Stack, Any]:
    """The stack, and its state before a step."""
    K, dtype = len(case.lr), case.precision
    y = case.y if case.y.ndim == 1 else case.y.astype(dtype)
    equal = np.full(len(case.X), 1 / len(case.X))
    rows = RowSet(CPU, case.X.astype(dtype), y, case.w / case.w.sum(), equal, case.outputs)
    given = {"length": 9.0, "steps": 9.0, "warmup": 0.0, "final": 0.0, "gamma": 1.0}
    numbers = {name: np.full(K, value) for name, value in given.items()}
    plan = LrSchedule(name="constant", milestones=np.zeros(0), lr=case.lr, **numbers)
    settings = Settings(case.optimizer, plan, case.hyper, case.bias, case.batch, 1)
    load, none = compiled.load, (None, "the text")
    try:
        compiled.load = (lambda: none) if text else load
        stack = Stack(CPU, MODELS[case.key], rows, case.outputs, settings)
    finally:
        compiled.load = load
    assert isinstance(stack._halves, NumpyHalves if text else CompiledHalves)
    state = stack.start(case.weights.astype(dtype), case.offset.astype(dtype))
    if case.nudged:
        bit = np.finfo(dtype).eps * np.random.default_rng(0).choice([-1, 1], case.slots.shape[1:])
        state.arrays["parameters"] *= (1 + bit).astype(dtype)
    for name, slot in zip(stack.optimizer.slots, case.slots, strict=False):
        state.arrays[name][:] = slot
    return stack, state


def stepped(case: Case, text: bool, steps: int = 1) -> dict[str, Any]:
    """Every array of the state, and every number of the log, after some steps."""
    stack, state = stack_of(case, text)
    logged = []
    while state.step < steps:
        logged.append(stack.advance(state, steps).values)
    found = {name: np.concatenate([one[name] for one in logged]) for name in logged[0]}
    return {name: array.copy() for name, array in state.arrays.items()} | found


def _apart(found: Any, right: Any) -> Any:
    """(K,) the largest difference of each column, as a share of its largest number."""
    axes = tuple(range(right.ndim - 1))
    size = np.where(np.isfinite(right), np.abs(right), 0).max(axis=axes)
    off = np.where(np.isfinite(right) & np.isfinite(found), np.abs(found - right), 0).max(axis=axes)
    return off / np.maximum(size, 1e-30)


def faults(case: Case) -> list[str]:
    """What is wrong with a step of the twin: nothing, where all is well."""
    ours, text = stepped(case, False), stepped(case, True)
    true = stepped(replace(case, precision="float64"), True)
    nudged = stepped(replace(case, nudged=True), True)
    limit = CLOSE[case.precision] * (30 if case.key == ("logistic", "squared_error") else 1)
    found = []
    for name, right in text.items():
        one, exact = ours[name], true[name]
        unsure = np.maximum(_apart(right, exact), _apart(nudged[name], right))
        allowed = np.maximum(limit * (1 if right.ndim > 2 else 4), 10 * unsure)
        off = np.minimum(_apart(one, right), _apart(one, exact))
        if (off > allowed).any():
            k = int(np.argmax(off / allowed))
            found.append(f"{name}: column {k} is off by {off[k]:.2g}, allowed {allowed[k]:.2g}")
        for what, of in (("NaN", np.isnan), ("Inf", np.isinf), ("0", lambda a: a == 0)):
            differ = of(one) != of(right)
            if what == "0":  # within the rounding of a threshold either is right
                size = np.where(np.isfinite(right), np.abs(right), 0).max(initial=1e-30)
                differ &= np.abs(np.nan_to_num(one - right)) > limit * size
            if differ.any():
                at = tuple(int(i) for i in np.argwhere(differ)[0])
                first = f"the first of {differ.sum()}: {one[at]} for {right[at]}"
                found.append(f"{name}: {what} at {at}, {first}")
    return found + company(case)


def company(case: Case) -> list[str]:
    """Three steps of columns beside others, and beside broken ones: the same bits."""
    K = len(case.lr)
    first = stepped(case, False, 3)
    if K == 1:
        again = stepped(case, False, 3)
        return [f"{n}: twice" for n, a in first.items() if a.tobytes() != again[n].tobytes()]
    kept = np.arange(K) % 2 == 0
    weights = np.where(kept, case.weights, np.where(np.arange(K) % 4 == 1, np.float32("nan"), 9e30))
    second = stepped(replace(case, weights=weights.astype("f4")), False, 3)
    return [
        f"{name}: bits of a column depend on its company"
        for name, array in first.items()
        if array[..., kept].tobytes() != second[name][..., kept].tobytes()
    ]


def campaign(seed: int, first: int, last: int) -> int:
    """Run cases, tell of those that fail, and how many did."""
    failed = 0
    with np.errstate(all="ignore"):
        for number in range(first, last):
            case = drawn(seed, number)
            found = faults(case)
            failed += bool(found)
            if found:
                print(f"{seed} {number}: {case.said}", *found, sep="\n  ", flush=True)
    print(f"{compiled.told()}: {failed} of {last - first} cases fail", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(1, campaign(*map(int, sys.argv[1:]))))
