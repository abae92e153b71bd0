"""The model table: linear, logistic, softmax and Poisson regression, and the gradient they share.

Shapes: B rows, C outputs, K columns; scores z and ŷ are (B, C, K), targets y (B, C, 1), the losses
of the rows (B, K). Every function writes into arrays it is given and allocates nothing.

Each of the four is a generalised linear model with its canonical link: the loss is A(z) − y·z up
to a constant, the activation is ŷ = ∇A(z), and so dL/dz = ŷ − y (McCullagh & Nelder 1989, §2.2;
Bishop, PRML 2006, §4.3.6). The fifth row, squared error on a sigmoid, has a loss that is not its
activation's own: its dL/dz is (ŷ − y)·ŷ·(1 − ŷ). docs/mathematics.md derives all five.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from trainer.catalog import LOSSES, OWN_LOSS, LossFacts
from trainer.model import metrics

Array = Any
# Rows of a batched product. A GPU has 2^16 − 1 places for them side by side, and there have been
# versions of cuBLAS that left those beyond as they were, in silence.
_ROWS = 1 << 15


class Scratch(NamedTuple):
    """Buffers for the rows of one chunk, reused at every step."""

    full: Array  # (B, C, K)
    top: Array  # (B, 1, K)
    total: Array  # (B, 1, K)
    ones: Array  # (B, 1, C): a product with it sums over outputs quicker than a sum does

    @classmethod
    def of(cls, xp: Any, rows: int, outputs: int, columns: int = 1, dtype: Any = float) -> Scratch:
        """Buffers for B rows, C outputs and K columns."""
        top, total = (xp.empty((rows, 1, columns), dtype) for _ in range(2))
        full = xp.empty((rows, outputs, columns), dtype)
        return cls(full, top, total, xp.ones((rows, 1, outputs), dtype))

    def first(self, rows: int) -> Scratch:
        """Views of the first rows."""
        return Scratch(self.full[:rows], self.top[:rows], self.total[:rows], self.ones[:rows])


def _over_outputs(xp: Any, factors: Array, values: Array, out: Array) -> None:
    """Write the product of each row: factors (B, 1, C) · values (B, C, K) -> out (B, 1, K)."""
    for start in range(0, len(out), _ROWS):
        part = slice(start, start + _ROWS)
        xp.matmul(factors[part], values[part], out=out[part])


# --- activations: ŷ = ∇A(z) -----------------------------------------------------------------------


def identity(xp: Any, z: Array, out: Array, scratch: Scratch) -> None:
    """ŷ = z."""
    xp.copyto(out, z)


def sigmoid(xp: Any, z: Array, out: Array, scratch: Scratch) -> None:
    """ŷ = 1 / (1 + e^−z). Where e^−z overflows to ∞ the quotient is 0, which is right."""
    xp.negative(z, out=out)
    xp.exp(out, out=out)
    out += 1
    xp.reciprocal(out, out=out)


def softmax(xp: Any, z: Array, out: Array, scratch: Scratch) -> None:
    """ŷ_c = e^z_c / Σ_j e^z_j. Shifts z so that a row's largest score is 0: no ŷ or loss changes.

    Leaves Σ_j e^z_j in `scratch.total`, where `categorical_cross_entropy` takes it up.
    """
    xp.max(z, axis=1, keepdims=True, out=scratch.top)
    z -= scratch.top
    xp.exp(z, out=out)
    _over_outputs(xp, scratch.ones, out, scratch.total)
    out /= scratch.total


def exponential(xp: Any, z: Array, out: Array, scratch: Scratch) -> None:
    """ŷ = e^z, which overflows to ∞ where z is past the precision's range.

    Leaves ŷ in `scratch.full`, where `poisson_loss` takes it up.
    """
    xp.exp(z, out=scratch.full)
    xp.copyto(out, scratch.full)


# --- links: the z of a mean, what activations invert ----------------------------------------------


def identity_link(xp: Any, predicted: Array, out: Array) -> None:
    """The score is the prediction."""
    xp.copyto(out, predicted)


def logit(xp: Any, predicted: Array, out: Array) -> None:
    """The score is log(ŷ/(1 − ŷ))."""
    xp.subtract(1, predicted, out=out)
    xp.divide(predicted, out, out=out)
    xp.log(out, out=out)


def log_link(xp: Any, predicted: Array, out: Array) -> None:
    """The score is log ŷ; of softmax those scores whose Σ_j e^z_j is 1."""
    xp.log(predicted, out=out)


# --- losses, computed from z and never as log(ŷ); they may overwrite z ----------------------------


def squared_error(xp: Any, z: Array, y: Array, error: Array, out: Array, scratch: Scratch) -> None:
    """L = ½ Σ_c (ŷ_c − y_c)²."""
    xp.multiply(error, error, out=z)
    xp.sum(z, axis=1, out=out)
    out *= 0.5


def binary_cross_entropy(
    xp: Any, z: Array, y: Array, error: Array, out: Array, scratch: Scratch
) -> None:
    """L = Σ_c log(1 + e^z_c) − y_c·z_c, as log1p(e^−|z|) + (max(z, 0) − y·z): right at any |z|."""
    full = scratch.full
    xp.absolute(z, out=full)
    xp.negative(full, out=full)
    xp.exp(full, out=full)
    xp.log1p(full, out=full)
    xp.sum(full, axis=1, out=out)
    xp.multiply(z, y, out=full)
    xp.maximum(z, 0, out=z)
    z -= full
    xp.sum(z, axis=1, keepdims=True, out=scratch.top)
    out += scratch.top[:, 0]


def categorical_cross_entropy(
    xp: Any, z: Array, y: Array, error: Array, out: Array, scratch: Scratch
) -> None:
    """L = log Σ_c e^z_c − Σ_c y_c·z_c, for z as `softmax` shifted it and Σ_c y_c = 1."""
    rows, outputs, _ = y.shape
    _over_outputs(xp, y.reshape(rows, 1, outputs), z, scratch.top)
    xp.log(scratch.total, out=scratch.total)
    xp.subtract(scratch.total[:, 0], scratch.top[:, 0], out=out)


def poisson_loss(xp: Any, z: Array, y: Array, error: Array, out: Array, scratch: Scratch) -> None:
    """L = Σ_c ŷ_c − y_c·z_c, for ŷ as `exponential` left it."""
    z *= y
    xp.subtract(scratch.full, z, out=z)
    xp.sum(z, axis=1, out=out)


# --- dL/dz ----------------------------------------------------------------------------------------


def error_is_dz(xp: Any, error: Array, y: Array, free: Array, scratch: Scratch) -> Array:
    """dL/dz = ŷ − y: the activation is the gradient of the loss's own A(z)."""
    return error


def squared_error_on_sigmoid_dz(
    xp: Any, error: Array, y: Array, free: Array, scratch: Scratch
) -> Array:
    """dL/dz = (ŷ − y)·ŷ·(1 − ŷ): nearly 0 on the plateaus of the sigmoid, however wrong ŷ is."""
    dz = scratch.full
    xp.add(error, y, out=dz)  # ŷ
    xp.subtract(1, dz, out=free)
    dz *= free
    dz *= error
    return dz


# --- the variance of y given ŷ: dŷ/dz, the loss's own second derivative --------------------------


def unit_variance(xp: Any, predicted: Array, out: Array) -> None:
    """dŷ/dz = 1."""
    out.fill(1)


def binomial_variance(xp: Any, predicted: Array, out: Array) -> None:
    """dŷ_c/dz_c = ŷ_c·(1 − ŷ_c); of softmax ∂ŷ_a/∂z_b = −ŷ_a·ŷ_b for b ≠ a as well."""
    xp.subtract(1, predicted, out=out)
    out *= predicted


def poisson_variance(xp: Any, predicted: Array, out: Array) -> None:
    """dŷ/dz = ŷ: the more, the larger ŷ is, without a bound."""
    xp.copyto(out, predicted)


# --- the least that a loss can be, where it is not 0 ---------------------------------------------


def poisson_least(xp: Any, y: Array, out: Array) -> None:
    """L at ŷ = y: y − y·log y, which is 0 for y = 0."""
    xp.maximum(y, np.finfo(y.dtype).tiny, out=out)
    xp.log(out, out=out)
    xp.subtract(1, out, out=out)
    out *= y


@dataclass(frozen=True)
class Model:
    """One row of the table: all there is to say about a model with one of its losses.

    Attributes:
        facts: the catalog's row of the loss: convex, quadratic, its parameters.
        activation: `(xp, z, out, scratch)`: out ← ŷ, the inverse of the link.
        link: `(xp, ŷ, out)`: out ← a z whose ŷ this is.
        loss: `(xp, z, y, error, out, scratch, **parameters)`: out (B, K) ← the loss of each row.
        dz: `(xp, error, y, free, scratch, **parameters)`: returns dL/dz (B, C, K); `free` may be
            overwritten.
        metrics: how scores and predictions become validation metrics.
        variance: `(xp, ŷ, out)`: out ← ∂²L/∂z_c² (B, C, K); None where ŷ alone does not tell it.
        curvature: the largest second derivative of the loss by z; None where there is none.
        least: `(xp, y, out)`: out (B, C, 1) ← the least that the loss of a target can be, at ŷ = y;
            None where losses are from 0 up.
        coupled: whether ∂²L/∂z_a∂z_b = −ŷ_a·ŷ_b for b ≠ a; else it is 0.
    """

    facts: LossFacts
    activation: Callable[[Any, Array, Array, Scratch], None]
    link: Callable[[Any, Array, Array], None]
    loss: Callable[..., None]
    dz: Callable[..., Array]
    metrics: metrics.Metrics
    variance: Callable[[Any, Array, Array], None] | None
    curvature: float | None
    least: Callable[[Any, Array, Array], None] | None = None
    coupled: bool = False

    @property
    def convex(self) -> bool:
        """Whether the loss is convex in z, and J in the weights."""
        return self.facts.convex

    @property
    def quadratic(self) -> bool:
        """Whether the variance is the same for every ŷ."""
        return self.facts.quadratic

    def with_parameters(self, parameters: Mapping[str, Array]) -> Model:
        """The row with the loss's own parameters given, each (K,) on the device.

        Functions of a loss without any are the same as before: a step pays for nothing.
        """
        if not parameters:
            return self
        loss, dz = partial(self.loss, **parameters), partial(self.dz, **parameters)
        return replace(self, loss=loss, dz=dz)


# by (model, loss) as a spec names them
MODELS: dict[tuple[str, str], Model] = {
    ("linear", OWN_LOSS): Model(
        LOSSES["linear", OWN_LOSS],
        activation=identity,
        link=identity_link,
        loss=squared_error,
        dz=error_is_dz,
        metrics=metrics.REGRESSION,
        variance=unit_variance,
        curvature=1.0,
    ),
    ("logistic", OWN_LOSS): Model(
        LOSSES["logistic", OWN_LOSS],
        activation=sigmoid,
        link=logit,
        loss=binary_cross_entropy,
        dz=error_is_dz,
        metrics=metrics.BINARY,
        variance=binomial_variance,
        curvature=0.25,
    ),
    ("softmax", OWN_LOSS): Model(
        LOSSES["softmax", OWN_LOSS],
        activation=softmax,
        link=log_link,
        loss=categorical_cross_entropy,
        dz=error_is_dz,
        metrics=metrics.CLASSES,
        variance=binomial_variance,
        curvature=0.5,
        coupled=True,
    ),
    ("poisson", OWN_LOSS): Model(
        LOSSES["poisson", OWN_LOSS],
        activation=exponential,
        link=log_link,
        loss=poisson_loss,
        dz=error_is_dz,
        metrics=metrics.COUNTS,
        variance=poisson_variance,
        curvature=None,
        least=poisson_least,
    ),
    ("logistic", "squared_error"): Model(
        LOSSES["logistic", "squared_error"],
        activation=sigmoid,
        link=logit,
        loss=squared_error,
        dz=squared_error_on_sigmoid_dz,
        metrics=metrics.BINARY,
        variance=None,
        curvature=0.0771,
    ),
}
MODELS["linear", "squared_error"] = MODELS["linear", OWN_LOSS]
