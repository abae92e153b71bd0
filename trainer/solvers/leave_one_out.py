"""Leave-one-out residuals of ridge in closed form: every row by the model of all others.

Of weights p = s/S that sum to 1, J without row i is, but for a factor,

    Σ_{j≠i} p_j·½(y_j − ŷ_j)² + l2/2·(1 − p_i)·‖W‖²,

as the others' mean is over S − s_i; where the penalty is 1/C it stays 1/(C·S). In coordinates z
without correlation, X = Z·Qᵀ, ZᵀPZ = diag(λ), and with the bias as one coordinate more, of λ = 1
and no penalty, its matrix is D_i − p_i·z_i·z_iᵀ of a diagonal D_i. By Sherman and Morrison the
residual of row i is

    y_i − ŷ₍ᵢ₎ = (y_i − z_i·D_i⁻¹·Zᵀ(p ⊙ y))/(1 − h_i),    h_i = p_i·z_i·D_i⁻¹·z_i

(Allen 1974's PRESS; Cook 1977 of influence). Rows of equal weight have one D.

Shapes: N rows, D features, r directions, C outputs, K penalties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer.machine.interrupted import ShouldStop, ask, never
from trainer.solvers.basis import uncorrelated

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_ALONE = 1e-10  # of 1 − h: below it the other rows say nothing of the row
_SCORES = 1 << 21  # numbers of the residuals that are made at once


class TurnedRows(NamedTuple):
    """Rows without correlation, and what they say of the targets.

    Attributes:
        Z: (N, r).
        spectrum: (r,) λ.
        slope: (r, C) Zᵀ(p ⊙ y).
        mean: (C,) of the targets, which the bias has; zeros without one.
        y: (N, C).
        p: (N,).
        bias: whether there is one.
    """

    Z: Array
    spectrum: Array
    slope: Array
    mean: Array
    y: Array
    p: Numbers
    bias: bool


class LeftOut(NamedTuple):
    """Of every row.

    Attributes:
        residual: (N, C, K) y − ŷ of the model of all others; NaN where these do not say.
        leverage: (N, K) h.
    """

    residual: Array
    leverage: Array


def directions_of(
    device: Device, X: Array, y: Array, p: Numbers, bias: bool, least: float
) -> TurnedRows:
    """Turn rows into coordinates without correlation.

    Args:
        device: where to.
        X: (N, D).
        y: (N, C).
        p: (N,) weights that sum to 1.
        bias: whether there is one.
        least: the smallest l2 there is.
    """
    xp, weights, y = device.xp, device.to_device(p), device.to_device(y, np.float64)
    X = xp.array(X, dtype=np.float64)
    basis, Z = uncorrelated(device, X, weights, bias, exact=True, least=least)
    spectrum = basis.spectrum if basis.truth is None else basis.truth[0]
    if not basis.rotated:
        Z = device.product(Z, basis.directions)
    mean = weights @ y if bias else xp.zeros(y.shape[1])
    slope = Z.T @ (weights[:, None] * (y - mean))
    return TurnedRows(Z, spectrum, slope, mean, y, p, bias)


def left_out(device: Device, of: TurnedRows, l2: Numbers, fixed: Flags, whole: bool) -> LeftOut:
    """Residuals of every row for some penalties.

    Args:
        device: where the rows are.
        of: the rows.
        l2: (K,).
        fixed: (K,) whether a penalty is 1/C, which knows of no sum of weights.
        whole: whether no row is left out: residuals and leverages of the model of all rows.
    """
    xp, (N, C), K = device.xp, of.y.shape, len(l2)
    residual, leverage = xp.empty((N, C, K)), xp.empty((N, K))
    distinct, which = np.unique(of.p, return_inverse=True)
    if whole or fixed.all():
        distinct, which = np.zeros(1), np.zeros(N, np.int64)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(distinct) + 1))
    for share, first, last in zip(distinct, ends[:-1], ends[1:], strict=True):
        rows = device.to_device(order[first:last])
        penalty = device.to_device(np.where(fixed, l2, l2 * (1 - share)))
        inverse = 1 / (of.spectrum[:, None] + penalty)  # (r, K)
        z = of.Z if len(distinct) == 1 else of.Z[rows]
        p = device.to_device(of.p[order[first:last]])
        h = p[:, None] * ((z * z) @ inverse + of.bias)  # (n, K)
        scores = device.product(
            z, (of.slope[:, :, None] * inverse[:, None]).reshape(len(inverse), -1)
        )
        error = (of.y - of.mean)[rows][:, :, None] - scores.reshape(len(z), C, K)
        if not whole:
            error /= xp.where(1 - h > _ALONE, 1 - h, np.nan)[:, None]
        residual[rows], leverage[rows] = error, h
    return LeftOut(residual, leverage)


class Influence(NamedTuple):
    """What each row does to each output of a model.

    Attributes:
        residual: (N, C) y − ŷ of the model of all other rows.
        leverage: (N, C) h of the model of all rows.
        distance: (N, C) Cook's; NaN where the model has as many parameters as rows.
    """

    residual: Numbers
    leverage: Numbers
    distance: Numbers


def influence(
    device: Device, X: Array, y: Array, p: Numbers, bias: bool, l2: Numbers, fixed: Flags
) -> Influence:
    """What rows do to outputs that may have a penalty each.

    Cook's distance (1977) is N·p·e²·h/(1 − h)² of the residuals e of the model of all rows, over
    its parameters, Σ h, and the variance Σ p·e²/(1 − Σ h/N).

    Args:
        device: where to.
        X: (N, D).
        y: (N, C).
        p: (N,) weights that sum to 1.
        bias: whether there is one.
        l2: (C,).
        fixed: (C,) as in `left_out`.
    """
    whole = directions_of(device, X, y, p, bias, float(l2.min()))
    found = np.empty((3, *y.shape))
    for one in sorted(set(zip(l2.tolist(), fixed.tolist(), strict=True))):
        columns = np.flatnonzero((l2 == one[0]) & (fixed == one[1]))
        c = device.to_device(columns)
        of = whole._replace(y=whole.y[:, c], slope=whole.slope[:, c], mean=whole.mean[c])
        found[:, :, columns] = _influence(device, of, *(np.array([given]) for given in one))
    return Influence(*found)


def _influence(device: Device, of: TurnedRows, l2: Numbers, fixed: Flags) -> Numbers:
    """(3, N, C) of outputs with the same penalty."""
    without = left_out(device, of, l2, fixed, whole=False).residual
    fit = left_out(device, of, l2, fixed, whole=True)
    residual, e, h = (
        np.asarray(device.to_host(a)) for a in (without[..., 0], fit.residual[..., 0], fit.leverage)
    )  # (N, C), (N, C), (N, 1); device -> host
    count, parameters, squares = np.count_nonzero(of.p), h.sum(), of.p[:, None] * e * e
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares.sum(axis=0) / (1 - parameters / count)
        distance = count * squares * h / np.where(1 - h > _ALONE, 1 - h, np.nan) ** 2
        distance /= parameters * variance
    return np.stack([residual, np.broadcast_to(h, e.shape), distance])


class LeaveOneOut:
    """Scores the columns of a stack by what is said of each row without it."""

    influence = staticmethod(influence)

    def __init__(self, stack: Any, held: Any, fixed: Flags) -> None:
        """Say which columns on which rows.

        Args:
            stack: of a solver.
            held: its training rows, as rows to score on (`trainer.train.evaluate.HeldOut`).
            fixed: (K,) as in `left_out`.
        """
        self.stack, self._fixed = stack, fixed
        self.groups = held.groups(held.rows_of(stack.rows))

    def metrics(self, state: Any, should_stop: ShouldStop = never) -> dict[str, Numbers]:
        """`loss` and the model's metrics, each (K,): see `trainer.train.evaluate.Evaluator`.

        Raises:
            Interrupted: `should_stop()`.
        """
        K, found = self.stack.shape[2], dict[str, Numbers]()
        for group in self.groups:
            columns = np.arange(K)[group.columns]
            of = self._directions(group, columns)
            size = max(1, _SCORES // of.y.size)
            for start in range(0, len(columns), size):
                ask(should_stop)
                some = columns[start : start + size]
                for name, value in self._measured(of, group.targets, some).items():
                    found.setdefault(name, np.full(K, np.nan))[some] = value
        return found

    def _directions(self, group: Any, columns: Any) -> TurnedRows:
        """The rows of a group's columns, standardised as theirs are."""
        scaling, device = self.stack.rows.scaling, self.stack.device
        X = device.xp.asarray(self.stack.rows.X, dtype=np.float64)
        if group.rows is not None:
            X = X[device.to_device(group.rows)]
        if scaling is not None:
            own = scaling.widened(device.xp, np.float64)
            X = (X - own.mean[:, 0, columns[0]]) * own.inverse[:, 0, columns[0]]
        problem, targets = self.stack.problem, group.targets
        p, least = targets.w / targets.w.sum(), float(problem.host_l2[columns].min())
        return directions_of(device, X, targets.y, p, problem.bias, least)

    def _measured(self, of: TurnedRows, targets: Any, columns: Any) -> dict[str, Numbers]:
        """The metrics of some columns."""
        device, metrics = self.stack.device, self.stack.model.metrics
        l2, xp = self.stack.problem.host_l2[columns], device.xp
        error = left_out(device, of, l2, self._fixed[columns], whole=False).residual
        predicted, w = of.y[:, :, None] - error, device.to_device(targets.w, np.float64)
        known = w > 0
        predicted = xp.where(known[:, None, None], predicted, of.y[:, :, None])
        sums = metrics.sums(xp, predicted, of.y, w)
        sums |= metrics.named_sums(xp, predicted, of.y[:, :, None], w, targets, False)
        told = device.fetch(sums)  # device -> host
        scores = np.array(device.to_host(predicted)) if metrics.whole else None
        measured: dict[str, Numbers] = {"loss": 0.5 * told["squares"].sum(axis=0) / targets.total}
        measured |= metrics.finish(told, targets, None)
        measured |= metrics.finish_named(told, targets, scores)
        return measured
