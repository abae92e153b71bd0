"""The choice of a solver: by the model, the size of its Hessians and the penalty, with a reason."""

from __future__ import annotations

from typing import NamedTuple

from trainer.model import Model
from trainer.solvers.basis import MOST_DIRECTIONS

PAIRS = 10  # of L-BFGS: 5 to 40 take about the same time on digits and on embeddings
_FEW = 64  # parameters of a Hessian: then Newton's method is quicker than L-BFGS
_TALL = 512  # rows a parameter of a Hessian: from then on L-BFGS mostly is through before it pays
_SOON = 25  # iterations of L-BFGS on as many rows, before it is left to Newton's method
_MANY = 1024  # parameters of a Hessian: with more even stragglers are left to L-BFGS
_WORKING = 4096  # weights up to which l1 goes by second derivatives
_SLOW = 50  # iterations of L-BFGS with l1, whose last digits take it hundreds
_STRAGGLES = 200  # iterations of L-BFGS after which a column is a straggler


class Size(NamedTuple):
    """Of a problem: N, D, C."""

    rows: int
    features: int
    outputs: int


class Method(NamedTuple):
    """How directions are made.

    Attributes:
        name: "exact", "lbfgs", "newton" or "lbfgs, then newton".
        pairs: m; 0 for none.
        hessian_from: the iteration from which columns have their own Hessian; None for never.
        reason: why this one, for the manifest.
        closed_form: whether one step is all it takes, for which λ must be exact.
    """

    name: str
    pairs: int = PAIRS
    hessian_from: int | None = None
    reason: str = ""
    closed_form: bool = False


def can_share_row_sets(name: str, model: Model, l1: bool) -> bool:
    """Whether columns with rows of their own go the same way on shared features as apart.

    All do but the closed form of a squared loss, whose one factorisation is of one row set: there
    each row set has a Gram matrix, and each column a step of Newton's method.

    Args:
        name: a row of the methods, or "auto".
        model: the row of the model table.
        l1: whether the penalty has l1.
    """
    return not choose_method(name, model, Size(1, 1, 1), l1).closed_form


def choose_method(name: str, model: Model, size: Size, l1: bool, own_rows: bool = False) -> Method:
    """The method of a stack.

    Args:
        name: a row of the methods, or "auto", which takes the one that suits.
        model: the row of the model table.
        size: of the problem; how many columns there are makes no difference.
        l1: whether the penalty has l1.
        own_rows: whether columns have rows or statistics of their own.
    """
    found = _method(name, model, size, l1)
    if found.closed_form and own_rows:
        told = f"{found.reason}; by the Gram matrix of each column's own rows"
        return _METHODS["newton"]._replace(reason=told)
    if found.hessian_from == 0 and name not in _METHODS and own_rows and not l1:
        told = f"Hessians of each column's own rows pay only after {_SLOW} iterations"
        return Method("lbfgs, then newton", PAIRS, _SLOW, f"{told} of L-BFGS")
    return found


def _method(name: str, model: Model, size: Size, l1: bool) -> Method:
    """The same where columns share their rows."""
    if name not in _METHODS:
        return _suited(model, size, l1)
    few = _weights(model, size) <= _WORKING
    if _METHODS[name].pairs and l1 and few and model.variance is not None:
        told = f"asked for; with l1 it ends by second derivatives after {_SLOW} iterations"
        return Method("lbfgs, then newton", PAIRS, _SLOW, reason=told)
    return _METHODS[name]._replace(reason="asked for")


def hessian_order(model: Model, size: Size, l1: bool) -> int:
    """Q: how many rows one Hessian has, the biases' included."""
    rows, features, outputs = size
    least = min(rows, features)
    directions = features if l1 or least > MOST_DIRECTIONS else least
    return (directions + 1) * (outputs if model.coupled else 1)


_METHODS = {
    "lbfgs": Method("lbfgs"),
    "newton": Method("newton", pairs=0, hessian_from=0),
    "exact": Method("exact", pairs=0, closed_form=True),
}


def _weights(model: Model, size: Size) -> int:
    """How many weights one Hessian would have."""
    return size.features * (size.outputs if model.coupled else 1)


def _suited(model: Model, size: Size, l1: bool) -> Method:
    lbfgs, newton, exact = (_METHODS[name] for name in ("lbfgs", "newton", "exact"))
    order = hessian_order(model, size, l1)
    if not model.convex:
        return lbfgs._replace(reason="the loss is not convex")
    if model.variance is None:
        return lbfgs._replace(reason="the loss has no second derivatives")
    if l1:
        if _weights(model, size) > _WORKING:
            told = f"with l1, {_weights(model, size):,} weights are too many for second derivatives"
            return lbfgs._replace(reason=told)
        return newton._replace(reason="with l1, second derivatives of the weights that are not 0")
    if model.quadratic:
        return exact._replace(reason="a squared loss has a closed form")
    if order <= _FEW and size.rows >= _TALL * order:
        told = f"Hessians of {order} x {order} on {size.rows:,} rows pay only after {_SOON}"
        return Method("lbfgs, then newton", PAIRS, _SOON, f"{told} iterations of L-BFGS")
    if order <= _FEW:
        return newton._replace(reason=f"Hessians of {order} x {order} are small")
    if order > _MANY:
        return lbfgs._replace(reason=f"Hessians of {order:,} x {order:,} are too large")
    told = f"Hessians of {order} x {order} pay only after {_STRAGGLES} iterations of L-BFGS"
    return Method("lbfgs, then newton", PAIRS, _STRAGGLES, reason=told)
