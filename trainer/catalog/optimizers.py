"""Facts of optimizers and sweep methods."""

from __future__ import annotations

from typing import NamedTuple


class OptimizerFacts(NamedTuple):
    """What is true of an optimizer.

    Attributes:
        settings: of a first-order optimizer: names of its own numbers, each one a column.
        is_solver: whether it goes to the optimum, with all rows at every iteration.
        closed_form: whether it is for squared losses alone.
        second_derivatives: whether it takes the loss's second derivatives.
        tf32: whether products of its steps or rounds may be in TF32.
    """

    settings: tuple[str, ...] = ()
    is_solver: bool = False
    closed_form: bool = False
    second_derivatives: bool = False
    tf32: bool = True


OPTIMIZERS: dict[str, OptimizerFacts] = {
    "sgd": OptimizerFacts(("momentum",)),
    "adam": OptimizerFacts(("beta1", "beta2", "eps")),
    "adamw": OptimizerFacts(("beta1", "beta2", "eps", "weight_decay")),
    "lars": OptimizerFacts(("momentum", "trust_coefficient")),
    "lbfgs": OptimizerFacts(is_solver=True),
    "newton": OptimizerFacts(is_solver=True, second_derivatives=True, tf32=False),
    "exact": OptimizerFacts(is_solver=True, closed_form=True, tf32=False),
    "auto": OptimizerFacts(is_solver=True),
}

FIRST_ORDER = tuple(name for name, row in OPTIMIZERS.items() if not row.is_solver)
SOLVERS = tuple(name for name, row in OPTIMIZERS.items() if row.is_solver)


class MethodFacts(NamedTuple):
    """What is true of a sweep method: whether its trials are drawn, so many as are asked for."""

    draws: bool


METHODS: dict[str, MethodFacts] = {
    "grid": MethodFacts(draws=False),
    "random": MethodFacts(draws=True),
}


def draws(method: object) -> bool:
    """Whether a method, as a file has it, draws its trials."""
    return isinstance(method, str) and method in METHODS and METHODS[method].draws
