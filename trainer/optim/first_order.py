"""First-order optimizers of K columns: the arrays each keeps, its coefficients, its update.

Coefficients that change from step to step (learning rates, bias corrections) are computed on the
host in float64 for a stretch of steps, as tables (S, K), and an update reads one row of each.
A column whose learning rate is 0 does not move, whatever its momentum: so a column is stopped.

Shapes: a parameter p and its gradient g are seen as (n, C·K), with n = D for weights and 1 for a
bias; one row of coefficients is (C·K,), each column's number repeated for its C outputs. What is of
a whole column, such as a norm, is (K,) and meets them through `by_column`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Hyper = Mapping[str, Numbers]
Prox = Callable[[Any, Array, Array, Array], None]  # (xp, p, threshold, removed), in place


class Room(NamedTuple):
    """What an update of one parameter may overwrite, and what it takes to sum over a column.

    Attributes:
        free: (n, C·K), as the parameter.
        norms: (3, K), for two norms a column and what is beside them.
        ones: (1, n·C).
    """

    free: Array
    norms: Array
    ones: Array

    @classmethod
    def of(cls, xp: Any, free: Array, columns: int, ones: Array) -> Room:
        """The room beside a parameter; `free` (n, C, K), and as many ones as it has n·C or more."""
        n, outputs, _ = free.shape
        norms = xp.empty((3, columns), free.dtype)
        return cls(free.reshape(n, outputs * columns), norms, ones[:, : n * outputs])


def by_column(array: Array, room: Room) -> Array:
    """View (n, C·K) as (n·C, K), so that (K,) meets it column by column."""
    return array.reshape(-1, room.norms.shape[1])


def column_norms(xp: Any, array: Array, room: Room, out: Array) -> None:
    """Write ‖array‖ of each column, over n and C, to `out` (K,), a row of `room.norms`.

    Overwrites `room.free`. As a product with ones the sum is quick, and nothing is allocated.
    """
    xp.multiply(array, array, out=room.free)
    xp.matmul(room.ones, by_column(room.free, room), out=out.reshape(1, -1))
    xp.sqrt(out, out=out)


class Optimizer(NamedTuple):
    """One row of the table.

    Attributes:
        slots: names of the arrays kept beside each parameter, zeros at the start.
        tables: `(lr, hyper, first)` -> coefficients, each (S, K), of S steps from number `first`
            (counted from 1). lr is (S + 1, K): it begins with the rate of the step before.
        update: `(xp, p, g, slots, row, room, prox)`: moves p in place; g and what is in `room` are
            overwritten. `prox` is None for parameters without an l1 penalty.
        of_weights: names of coefficients that are 0 for a bias, which nothing shrinks.
        not_of_bias: names of those that the row of a bias is without.
    """

    slots: tuple[str, ...]
    tables: Callable[[Numbers, Hyper, int], dict[str, Numbers]]
    update: Callable[[Any, Array, Array, Sequence[Array], Mapping[str, Array], Room, Any], None]
    of_weights: tuple[str, ...] = ("threshold", "decay")
    not_of_bias: tuple[str, ...] = ()


# --- stochastic gradient descent with momentum ----------------------------------------------------


def _sgd_tables(lr: Numbers, hyper: Hyper, first: int) -> dict[str, Numbers]:
    lr, before = lr[1:], lr[:-1]
    ratio = np.divide(lr, before, out=np.zeros_like(lr), where=before > 0)
    return {"lr": lr, "momentum": hyper["momentum"] * ratio, "threshold": lr * hyper["l1"]}


def sgd(
    xp: Any,
    p: Array,
    g: Array,
    slots: Sequence[Array],
    row: Mapping[str, Array],
    room: Room,
    prox: Prox | None,
) -> None:
    """p⁺ = prox(p − lr·g + μ·Δ), Δ⁺ = p⁺ − p, the prox of lr·l1·‖·‖₁.

    Δ is the last move, rescaled when lr changes (μ·lr_t/lr_{t−1}): without l1 this is Polyak's
    momentum as PyTorch's SGD defines it. Momentum acts on differences of iterates before the prox
    (iPiano, Ochs et al. 2014), as thresholding after a momentum step minimises another objective.
    """
    (delta,) = slots
    g *= row["lr"]
    delta *= row["momentum"]
    delta -= g
    p += delta
    if prox is not None:
        prox(xp, p, row["threshold"], room.free)
        delta -= room.free


def nesterov(
    xp: Any,
    p: Array,
    g: Array,
    slots: Sequence[Array],
    row: Mapping[str, Array],
    room: Room,
    prox: Prox | None,
) -> None:
    """x⁺ = prox(p − lr·g), Δ⁺ = (x⁺ − p) + μ·Δ, p⁺ = x⁺ + μ·Δ⁺.

    p is the point the gradient is taken at, as in PyTorch's SGD(nesterov=True); with l1 it is FISTA
    with a constant momentum (Beck & Teboulle 2009).
    """
    (delta,) = slots
    g *= row["lr"]
    delta *= row["momentum"]
    delta -= g
    p -= g
    if prox is not None:
        prox(xp, p, row["threshold"], room.free)
        delta -= room.free
    xp.multiply(delta, row["lookahead"], out=g)
    p += g


def _nesterov_tables(lr: Numbers, hyper: Hyper, first: int) -> dict[str, Numbers]:
    tables = _sgd_tables(lr, hyper, first)
    return tables | {"lookahead": np.broadcast_to(hyper["momentum"], tables["lr"].shape)}


# --- layer-wise adaptive rates --------------------------------------------------------------------


def _lars_tables(lr: Numbers, hyper: Hyper, first: int) -> dict[str, Numbers]:
    tables = _sgd_tables(lr, hyper, first)
    trust = np.broadcast_to(hyper["trust_coefficient"], tables["lr"].shape)
    return {"lr": tables["lr"], "momentum": tables["momentum"], "trust_coefficient": trust}


def lars(
    xp: Any,
    p: Array,
    g: Array,
    slots: Sequence[Array],
    row: Mapping[str, Array],
    room: Room,
    prox: Prox | None,
) -> None:
    """A step of `sgd` by r·g, r = η·‖W‖/‖g‖ of each column; r = 1 where either norm is 0.

    g = dJ/dW, its l2 in it (You, Gitman & Ginsburg 2017, whose denominator ‖dL/dW‖ + l2·‖W‖ is the
    same without l2; in this form MoCo v3, Chen, Xie & He 2021, and MAE, He et al. 2022). A bias has
    r = 1. It takes no l1: `prox` is not looked at.
    """
    if "trust_coefficient" in row:
        scale_by_trust(xp, p, g, row["trust_coefficient"], room)
    sgd(xp, p, g, slots, row, room, None)


def scale_by_trust(xp: Any, p: Array, g: Array, trust: Array, room: Room) -> None:
    """Have g ← r·g with a column's r = η·‖p‖/‖g‖, or 1 where a norm is 0; η is `trust` (C·K,)."""
    length, steepness, both = room.norms  # (K,) each
    column_norms(xp, p, room, length)
    column_norms(xp, g, room, steepness)
    length *= trust[: len(length)]
    xp.minimum(length, steepness, out=both)
    xp.sign(both, out=both)  # 1 where both are above 0, else 0
    length *= both
    steepness *= both
    both -= 1
    length -= both  # 1 in place of two of which one is 0
    steepness -= both
    length /= steepness
    wide = by_column(g, room)  # (n·C, K)
    wide *= length


# --- Adam -----------------------------------------------------------------------------------------


def _adam_tables(lr: Numbers, hyper: Hyper, first: int) -> dict[str, Numbers]:
    lr = lr[1:]
    step = np.arange(first, first + len(lr), dtype=np.float64)[:, None]  # (S, 1)
    same = {name: np.broadcast_to(hyper[name], lr.shape) for name in ("beta1", "beta2", "eps")}
    return same | {
        "one_minus_beta1": np.broadcast_to(1 - hyper["beta1"], lr.shape),
        "one_minus_beta2": np.broadcast_to(1 - hyper["beta2"], lr.shape),
        "rate": lr / (1 - hyper["beta1"] ** step),
        "root": 1 / np.sqrt(1 - hyper["beta2"] ** step),
        "threshold": lr * hyper["l1"],
        "decay": lr * hyper["weight_decay"],
    }


def adam(
    xp: Any,
    p: Array,
    g: Array,
    slots: Sequence[Array],
    row: Mapping[str, Array],
    room: Room,
    prox: Prox | None,
) -> None:
    """p⁺ = prox(p − lr·m̂/(√v̂ + ε)), where element j is thresholded by lr·l1/(√v̂_j + ε).

    m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) (Kingma & Ba 2015,
    algorithm 1); the prox in the metric of the step (ProxGen, Yun et al. 2020).
    """
    m, v = slots
    free = room.free
    xp.multiply(g, row["one_minus_beta1"], out=free)
    m *= row["beta1"]
    m += free
    g *= g
    g *= row["one_minus_beta2"]
    v *= row["beta2"]
    v += g
    xp.sqrt(v, out=g)
    g *= row["root"]
    g += row["eps"]  # √v̂ + ε
    xp.divide(m, g, out=free)
    free *= row["rate"]
    p -= free
    if prox is not None:
        xp.divide(row["threshold"], g, out=g)
        prox(xp, p, g, free)


def adamw(
    xp: Any,
    p: Array,
    g: Array,
    slots: Sequence[Array],
    row: Mapping[str, Array],
    room: Room,
    prox: Prox | None,
) -> None:
    """Adam after p ← (1 − lr·λ)·p: decay outside the objective (Loshchilov & Hutter 2019)."""
    xp.multiply(p, row["decay"], out=room.free)
    p -= room.free
    adam(xp, p, g, slots, row, room, prox)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(("delta",), _sgd_tables, sgd),
    "nesterov": Optimizer(("delta",), _nesterov_tables, nesterov),
    "adam": Optimizer(("m", "v"), _adam_tables, adam),
    "adamw": Optimizer(("m", "v"), _adam_tables, adamw),
    "lars": Optimizer(("delta",), _lars_tables, lars, not_of_bias=("trust_coefficient",)),
}
