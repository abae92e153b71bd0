"""What a solver takes, told from sizes alone: bytes, and operations of second derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainer.model import Model, compiled
from trainer.model.compiled_errors import RULES, rule_of
from trainer.solvers.basis import MOST_DIRECTIONS
from trainer.solvers.choose import Method, Size, hessian_order
from trainer.solvers.hessian_sizes import (
    KEPT,
    KEPT_FEATURES,
    MOST_HESSIANS,
    SHARED,
    SMALL,
    are_quick,
    certificate_bytes,
    columns_at_once,
    count_pairs,
    has_products,
    newton_bytes,
    rows_at_once,
    suits_twin,
)
from trainer.solvers.passes import chunk_rows
from trainer.solvers.tf32_sizes import multiplies, pass_bytes

_SMALL_BASIS = 256  # directions that are found in some ten milliseconds
_FACTOR = 80  # operations of eigenvectors or singular vectors, as many of a product as take so long
_FACTORED = 3  # matrices of that order beside the turned rows: what LAPACK works in is gone then

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.solvers.own_hessians import AnyHessians


_FEWEST = 8  # scores a row: a pass over fewer takes as long, to read the rows
_LOGGED = 1 << 18  # rounds times columns between two pauses, at most


def rounds_of_a_stretch(
    device: Device, size: Size, columns: int, pairs: int, operations: float
) -> int:
    """Rounds that take about a second, by sizes alone: after as many a stack may pause.

    Args:
        device: where it is.
        size: N, D, C.
        columns: K.
        pairs: m.
        operations: of one column's second derivatives; 0 without any.
    """
    (N, D, C), sizes = size, device.sizes
    scores = C * columns
    each = 4.0 * N * (D + _FEWEST) * max(scores, _FEWEST) + 8.0 * pairs * (D + 1) * scores
    rounds = sizes.stretch_flop / max(each + columns * operations, 1.0)
    return int(max(1, min(rounds, sizes.stretch_steps, _LOGGED // max(columns, 1))))


class BasisWork(NamedTuple):
    """What the decomposition takes that rows are turned by, told without making it.

    Attributes:
        operations: multiplications and additions, those of a product and those of a factorisation,
            which are slower, as so many of a product.
        bytes: held at once, the turned rows included.
    """

    operations: float
    bytes: int


def basis_work(size: Size, sparse: bool, exact: bool) -> BasisWork | None:
    """What `trainer.solvers.basis` does for rows of N, D; None where it factors nothing large."""
    N, D, _ = size
    least = min(N, D)
    if sparse or least <= _SMALL_BASIS or (least > MOST_DIRECTIONS and not exact):
        return None
    factors = _FACTOR * least**3  # of (D, D), or of the triangle (N, N)
    rows = N * D if N > D else 2 * N * D  # turned; of few rows a factor is as large
    return BasisWork(4.0 * N * D * least + factors, 8 * (_FACTORED * least**2 + rows))


def solver_bytes(
    size: Size,
    columns: int,
    model: Model,
    method: Method,
    sparse: bool,
    device: Device,
    tf32: bool = False,
) -> int:
    """Bytes that a stack of so many columns takes, its rows in float64 included.

    Args:
        size: N, D, C.
        columns: K.
        model: the row of the model table.
        method: how directions are made.
        sparse: whether there is l1.
        device: where it is.
        tf32: whether `precision: tf32` is asked for.
    """
    N, D, C = size
    parameters = (D + 1) * C * columns
    parts = device.parts(N * D)  # that go side by side
    # of each z, ŷ − y, scratch and three numbers a row and column; evaluations have as much
    n = chunk_rows(device, N, D, C * columns)
    chunks = (parts + 1) * n * (3 * C + 3) * columns
    numbers = parameters * (14 + 2 * parts + 2 * method.pairs) + N * D + chunks
    if model.coupled:  # a certificate's second derivatives of the biases, and what they are made of
        numbers += (2 * n + 6 * C) * C * columns
    hessians = 0
    if method.hessian_from is not None:
        order, blocks = hessian_order(model, size, sparse), 1 if model.coupled else C
        wide = order // (C if model.coupled else 1)
        twin = rule_of(model) in RULES and compiled.load()[0] is not None
        twin = twin and method.hessian_from == 0 and not sparse
        if twin and suits_twin(device, N, wide, C, model.coupled):  # one column after another
            hessians = newton_bytes(N, wide, C) + hessian_bytes(order, blocks, 1, sparse)
        else:
            hessians = hessian_bytes(order, blocks, columns, sparse)
            if sparse and model.quadratic:  # of which the Gram matrix is all
                hessians += 8 * 3 * parts * rows_at_once(device, N, order) * wide
            else:
                hessians += working_bytes(size, columns, model.coupled, wide, sparse, device)
    certificates = certificate_bytes(C, columns, model.coupled)  # when directions are through
    rounds = tf32 and method.pairs and multiplies(device)
    single = pass_bytes(device, size, columns) if rounds else 0
    return 8 * numbers + max(hessians, certificates) + single


def working_bytes(
    size: Size, columns: int, coupled: bool, parameters: int, sparse: bool, device: Device
) -> int:
    """Bytes beside the Hessians of columns: what is kept of the rows, and what a chunk of them is.

    Args:
        size: N, D, C.
        columns: K.
        coupled: whether outputs are.
        parameters: P.
        sparse: whether there is l1.
        device: where they are.
    """
    N, _, C = size
    order, pairs = parameters * (C if coupled else 1), count_pairs(C, coupled)
    n = rows_at_once(device, N, order)
    together = min(columns, columns_at_once(device, n, 8 * order**2 * (1 if coupled else C), pairs))
    count, triangle = together * pairs, parameters * (parameters + 1) // 2
    # z, ŷ − y, scratch and three numbers a row and column; second derivatives, and times weights
    scores = n * (together * (3 * C + 3) + 2 * count)
    features = 3 * n * parameters  # as they are made: about their mean, turned, beside ones
    if 8 * N * parameters <= device.at_once(KEPT_FEATURES):
        features += N * parameters
    if sparse and not (order <= SMALL and are_quick(device, N, parameters, pairs)):
        # those of the weights of one column after another, and some columns' Hessians of them
        products = 3 * n * order + min(columns * order**2, device.at_once(0) // 8)
        scores = n * (3 * C + 3)
    elif count >= SHARED and has_products(device, n, parameters):
        products = min(N, n + device.at_once(KEPT) // (8 * triangle)) * triangle
    else:  # the features weighted for some Hessians, or for one
        products = max(n * parameters, min(n * parameters * count, device.at_once(0) // 8))
    return 8 * (scores + features + products)


def hessian_bytes(order: int, blocks: int, columns: int, sparse: bool) -> int:
    """Most bytes that a step by Hessians takes: they, what they are solved in, and parts of sums.

    Args:
        order: Q.
        blocks: Hessians a column.
        columns: K.
        sparse: whether there is l1; then one is worked on at a time, unless it is small.
    """
    one = 8 * order**2
    if sparse and order > SMALL:  # beside it what a test of independence needs, or a path
        return 6 * one
    return 6 * one * sparse + 3 * min(columns * blocks * one, max(blocks * one, MOST_HESSIANS))


def hessian_operations(hessians: AnyHessians, rows: int, sparse: bool) -> float:
    """Multiplications and additions of one column's Hessian and of solving with it.

    With l1 a Hessian is of the weights that are not 0; it counts here as if none were.
    """
    h = hessians
    # a product a pair of outputs; with l1 it is one product of all that are coupled
    pairs = count_pairs(h.outputs, h.model.coupled)
    each = h.blocks * h.order**2 if sparse else pairs * h.parameters**2
    return 2 * rows * each + h.blocks * 2 / 3 * h.order**3
