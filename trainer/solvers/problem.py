"""What is to be minimised, for K columns: J = data term + l2/2·‖W‖² + l1·‖W‖₁.

Parameters w (P, C, K) are the weights in the coordinates of a basis, with the bias of the centred
rows as one row more. The data term and its gradient are `trainer.solvers.objective`'s; here is all
that needs no rows.

Shapes: D features, r directions of the basis, P = r + 1 with a bias, C outputs, K columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.model import Model
from trainer.solvers.basis import Basis, OwnBasis
from trainer.solvers.lbfgs import dot
from trainer.solvers.orthants import common_shift, pseudo_gradient

if TYPE_CHECKING:
    from trainer.device import Device

Array = Any
Numbers = np.ndarray[Any, np.dtype[np.float64]]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Problem:
    """K columns on the same rows.

    Attributes:
        device: where the arrays are.
        row: of the model table.
        basis: the coordinates of w.
        outputs: C.
        bias: whether there is one.
        host_l2, host_l1: (K,) of the penalties, on the host.
        loss: by name, each (K,) on the host: the loss's own parameters.
    """

    device: Device
    row: Model
    basis: Basis | OwnBasis
    outputs: int
    bias: bool
    host_l2: Numbers
    host_l1: Numbers
    loss: Mapping[str, Numbers] = field(default_factory=dict)

    def take(self, columns: Any) -> Problem:
        """The problem of some of the columns."""
        l2, l1 = self.host_l2[columns], self.host_l1[columns]
        loss = {name: value[columns] for name, value in self.loss.items()}
        basis = self.basis.take(columns, self.device)
        return replace(self, basis=basis, host_l2=l2, host_l1=l1, loss=loss)

    @cached_property
    def model(self) -> Model:
        """The row of the model table, with the loss parameters of these columns."""
        device = self.device
        return self.row.with_parameters({n: device.to_device(v) for n, v in self.loss.items()})

    @cached_property
    def features(self) -> int:
        """D."""
        return len(self.basis.mean)

    @cached_property
    def inner(self) -> int:
        """The number of weights an output, r."""
        return len(self.basis.spectrum)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """P, C, K."""
        return self.inner + self.bias, self.outputs, len(self.host_l2)

    @cached_property
    def l2(self) -> Array:
        """(K,) on the device."""
        return self.device.to_device(self.host_l2)

    @cached_property
    def l1(self) -> Array:
        """(K,) on the device."""
        return self.device.to_device(self.host_l1)

    @cached_property
    def sparse(self) -> bool:
        """Whether any column has l1."""
        return bool(np.any(self.host_l1 > 0))

    @cached_property
    def longest(self) -> float:
        """By how much `largest` of a gradient may be above its norm, at most."""
        means = self.basis.means  # through which a bias's slope is in that of weights
        return 1.0 + float(abs(means).max()) if self.bias and means.size else 1.0

    # --- penalties and slopes ---

    def penalty(self, w: Array) -> Array:
        """l2/2·‖W‖² + l1·‖W‖₁ (K,)."""
        inner = w[: self.inner]
        squares = dot(self.device.xp, inner, inner)
        return 0.5 * self.l2 * squares + self.l1_norm(w)

    def l1_norm(self, w: Array) -> Array | float:
        """l1·‖W‖₁ (K,)."""
        if not self.sparse:
            return 0.0
        return self.l1 * self.device.xp.absolute(w[: self.inner]).sum(axis=(0, 1))

    def steepest(self, w: Array, gradient: Array) -> Array:
        """dJ/dw (P, C, K) from the gradient of J without l1; with it the least subgradient."""
        if not self.sparse:
            return gradient
        xp, r = self.device.xp, self.inner
        weights = pseudo_gradient(xp, w[:r], gradient[:r], self.l1)
        return xp.concatenate([weights, gradient[r:]])

    def largest(self, w: Array, gradient: Array) -> Array:
        """(K,) max |dJ/dW| and |dJ/db| of the features as they are, with l1 of the subgradient."""
        xp, r = self.device.xp, self.inner
        outer = self.basis.weights(xp, gradient[:r])  # (D, C, K)
        if self.bias:  # of the rows before they were centred
            outer += self.basis.means * gradient[r]
        if self.sparse:
            outer = pseudo_gradient(xp, w[:r], outer, self.l1)
        largest = xp.absolute(outer).max(axis=(0, 1))
        return xp.maximum(largest, xp.absolute(gradient[r]).max(axis=0)) if self.bias else largest

    # --- to the features as they are, and back ---

    def parameters(self, weights: Array, bias: Array) -> Array:
        """The w (P, C, K) of weights (D, C, K) and bias (C, K) of the host."""
        xp, device, r = self.device.xp, self.device, self.inner
        w, somewhere = xp.zeros(self.shape), bool(weights.any())
        if self.bias:
            w[r] = device.to_device(bias, np.float64)
        if somewhere:
            given = device.to_device(weights, np.float64)
            w[:r] = self.basis.inner(xp, given)
            w[r:] += self.basis.shift(xp, given)
        if self.model.coupled:  # moved alike they change no output, but cost scores their digits
            shift = common_shift(xp, w[:r], self.l1)
            w[:r] -= xp.where((self.l2 > 0) & (self.l1 > 0), 0.0, shift)
            w[r:] -= w[r:].sum(axis=1, keepdims=True) / self.outputs
        return w

    def weights_and_bias(self, w: Array, moved: bool = True) -> tuple[Array, Array]:
        """The weights (D, C, K) and bias (C, K) of the features as they are.

        `moved` is whether any of the weights may not be 0.
        """
        xp, r = self.device.xp, self.inner
        if not moved:
            weights = xp.zeros((self.features, *self.shape[1:]))
            return weights, w[r].copy() if self.bias else xp.zeros(self.shape[1:])
        weights = self.basis.weights(xp, w[:r])
        bias = w[r] - self.basis.shift(xp, weights) if self.bias else xp.zeros(self.shape[1:])
        return weights, bias
