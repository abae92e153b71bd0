"""The five lines of a step, for K columns at once and any row of the model table.

    z = X·W + b                        (B, C, K)   a product, and `errors`
    ŷ = activation(z)                  (B, C, K)   `errors`
    E = ŷ − y                          (B, C, K)   `errors`; dL/dz, unless the loss is not ŷ's own
    dJ/dW = Xᵀ(dz ⊙ q) + l2 ⊙ W        (D, C, K)   `errors`, a product, and `move`
    dJ/db = Σ_rows dz ⊙ q              (C, K)      `errors`

Two products, and beside them two halves: `errors` is all between the products, `move` all after the
second. They are written once for any array module; a device may bring compiled twins of the two,
which are tested against these.

Letters: B rows, D features, C outputs, K columns; X (B, D), W (D, C, K), b (C, K), y (B, C, 1|K),
row weights q (B, 1, 1|K) with q_i = (N/b)·p_i, so that a batch's gradient is unbiased for J's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trainer.model.models import Model, Scratch
from trainer.model.penalties import add_l2_gradient

Array = Any


def errors(
    device: Any,
    model: Model,
    z: Array,
    bias: Array,
    rows: Any,
    into: Array,
    log: Any,
    b: Any,
    look: Callable[[Array, Array], None],
) -> Array:
    """All between the two products: what X·W in z (B, C, K) says of each row and output.

    Args:
        device: whose products these are.
        model: the row of the model table.
        z: X·W; overwritten.
        bias: (C, K).
        rows: y (B, C, 1|K), q (B, 1, 1|K), r (1|K, B) of these rows, and where they are 0.
        into: (C, K) ← dJ/db.
        log: takes the loss, ŷ − y and dL/dz: `trainer.train.step_record.StepRecorder`.
        b: buffers for the rows: `trainer.train.buffers.Buffers`.
        look: is shown ŷ − y and dL/dz.

    Returns:
        dL/dz ⊙ q (B, C, K), in one of the buffers.
    """
    z += bias
    dz = error(model, device.xp, z, rows.y, b.error, b.loss, b.scratch)
    leave_out(device.xp, rows.unused, b.error, dz, b.loss)
    look(b.error, dz)
    log.add_loss(device, rows.r, b.loss, b.total, b.ones)
    log.add_error(device, b.error, dz, z, into, b.ones, b.total)
    if rows.idle is not None:
        device.xp.copyto(dz, 0, where=rows.idle)
    # as a product, the column sums are as fast and as exact as BLAS makes them
    if rows.q.shape[2] == 1:
        device.matmul(rows.q.reshape(1, len(dz)), flat(dz), out=into.reshape(1, -1))
        dz *= rows.q
    else:  # columns have weights of their own
        dz *= rows.q
        device.matmul(b.ones[:, : len(dz)], flat(dz), out=into.reshape(1, -1))  # (1,B)·(B,C·K)
    return dz


def leave_out(xp: Any, unused: Array | None, error: Array, dz: Array, loss: Array) -> None:
    """Set to 0 what is known of rows that a column does not use: 0 times infinity is NaN.

    Args:
        xp: the array module.
        unused: (B, 1|K), or None where there are no such rows.
        error: ŷ − y (B, C, K).
        dz: dL/dz, maybe the same array.
        loss: (B, K).
    """
    if unused is None:
        return
    xp.copyto(error, 0, where=unused[:, None])
    if dz is not error:
        xp.copyto(dz, 0, where=unused[:, None])
    xp.copyto(loss, 0, where=unused)


class Parameter(NamedTuple):
    """Weights or a bias as an update sees them: each array (n, C·K), n = D or 1."""

    p: Array
    grad: Array
    slots: Sequence[Array]
    row: Mapping[str, Array]  # (C·K,) each: the step's coefficients
    room: Any  # `trainer.optim.first_order.Room`
    prox: Callable[..., None] | None  # None without an l1 penalty


def move(
    device: Any,
    update: Callable[..., None],
    parameters: Sequence[Parameter],
    l2: Array,
    log: Any,
    ones: Array,
    total: Array,
    look: Callable[[], None],
) -> None:
    """All after the second product: l2, the gradient's norm, and the optimizer's update.

    Args:
        device: whose products these are.
        update: of a row of the optimizer table.
        parameters: the weights, their `grad` the data term's; then the bias, where it is trained.
        l2: (C·K,).
        log: takes the gradient of the weights.
        ones: (1, D·C).
        total: (1, K), overwritten.
        look: is called between gradient and update.
    """
    xp, weights = device.xp, parameters[0]
    add_l2_gradient(xp, weights.grad, weights.p, l2, weights.room.free)
    log.add_gradient(device, weights.grad, weights.room.free, ones, total)
    look()
    for one in parameters:
        update(xp, one.p, one.grad, one.slots, one.row, one.room, one.prox)


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


def flat(array: Array) -> Array:
    """View (n, C, K) as (n, C·K)."""
    n, outputs, columns = array.shape  # of which n may be 0
    return array.reshape(n, outputs * columns)
