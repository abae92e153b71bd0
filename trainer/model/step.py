"""The five lines of a step, for K columns at once and any row of the model table.

    z = X·W + b                        (B, C, K)   `scores`
    ŷ = activation(z)                  (B, C, K)   `error`
    E = ŷ − y                          (B, C, K)   `error`; dL/dz, unless the loss is not ŷ's own
    dJ/dW = Xᵀ(dz ⊙ q) + l2 ⊙ W        (D, C, K)   `gradient`, then `penalties.add_l2_gradient`
    dJ/db = Σ_rows dz ⊙ q              (C, K)      `gradient`

Letters: B rows, D features, C outputs, K columns; X (B, D), W (D, C, K), b (C, K), y (B, C, 1), row
weights q (B, 1, 1) with q_i = (N/b)·p_i, so that a batch's gradient is unbiased for J's.
"""

from __future__ import annotations

from typing import Any

from trainer.model.models import Model, Scratch

Array = Any


def scores(device: Any, X: Array, weights: Array, bias: Array, z: Array) -> None:
    """Write z = X·W + b (B, C, K): one matrix product with D·(C·K) weights."""
    device.matmul(X, flat(weights), out=flat(z))  # (B, D) · (D, C·K)
    z += bias


def error(
    model: Model, xp: Any, z: Array, y: Array, error: Array, loss: Array, scratch: Scratch
) -> Array:
    """Write ŷ − y into `error` (B, C, K) and each row's loss into `loss` (B, K); return dL/dz.

    Overwrites z. The result is `error` itself wherever dL/dz = ŷ − y.
    """
    model.activation(xp, z, error, scratch)
    error -= y
    model.loss(xp, z, y, error, loss, scratch)
    return model.dz(xp, error, y, z, scratch)


def gradient(
    device: Any,
    X: Array,
    dz: Array,
    q: Array,
    room: Array | None,
    grad_weights: Array,
    grad_bias: Array,
) -> None:
    """Write dJ/dW = Xᵀ(dz ⊙ q) (D, C, K) and dJ/db = Σ_rows dz ⊙ q (C, K).

    q (B, 1, 1) is multiplied into `room` (B, D) beside X where there is one, which pays where D is
    less than C·K, or else into dz. As a product, the column sums are as fast and as exact as BLAS
    makes them.
    """
    rows = len(q)
    device.matmul(q.reshape(1, rows), flat(dz), out=grad_bias.reshape(1, -1))  # (1, B) · (B, C·K)
    if room is None:
        dz *= q
    else:
        device.xp.multiply(X, q.reshape(rows, 1), out=room)
        X = room
    device.matmul(X.T, flat(dz), out=flat(grad_weights))  # (D, B) · (B, C·K)


def flat(array: Array) -> Array:
    """View (n, C, K) as (n, C·K)."""
    n, outputs, columns = array.shape  # of which n may be 0
    return array.reshape(n, outputs * columns)
