"""How a solver's columns end: each sentence says where the column is and what would help."""

from dataclasses import replace

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import DEVICE

from trainer.solvers.outcomes import ending
from trainer.solvers.progress import at_start


def of(model, l2=0.0):
    """The statement of a problem of one column, its features of one size."""
    chosen = next(p for p in problems(240) if p.model == model and "(60, 5) plain" in p.name)
    return stack_of(chosen, "lbfgs", [l2], [0.0], 1e-6).problem


def told(problem, tol=1e-6, **known):
    """How a column ends that is known to be so far."""
    progress = at_start(1, np.array([0.25]), np.zeros(1, bool))
    for name, value in ({"gradient_max": 0.004, "value": 0.5, "iterations": 12} | known).items():
        getattr(progress, name)[0] = value
    return ending(problem, progress, tol, 0)


def test_a_column_within_its_tolerance_has_converged():
    found = told(of("logistic"), gradient_max=3e-7, gap=2e-9)
    assert (found.status, found.step) == ("converged", 12)
    assert found.reason == (
        "max|dJ/dW| 3e-07, J at most 2e-09 above its least, tol 1e-06, after 12 iterations"
    )


def test_a_bound_that_there_is_not_is_not_told():
    assert "above its least" not in told(of("logistic"), gradient_max=3e-7, gap=np.nan).reason
    assert told(of("logistic"), gradient_max=3e-7, iterations=1).reason.endswith("1 iteration")


@pytest.mark.parametrize(("reached", "within"), [(0.004, "4e-3"), (3.2e-8, "4e-8"), (9.5, "1e+01")])
def test_a_lost_column_is_told_the_tolerance_within_reach(reached, within):
    found = told(of("logistic"), tol=1e-12, gradient_max=reached, lost=True)
    assert found.status == "not_converged"
    assert f"; optimizer.tol={within} is within reach" in found.reason
    assert float(within) >= reached


def test_a_column_out_of_iterations_is_told_ten_times_as_many():
    found = told(of("logistic"))
    assert found.status == "not_converged"
    assert found.reason == (
        "not at its optimum after 12 iterations: max|dJ/dW| 0.004, tol 1e-06;"
        " optimizer.max_iter=120, a larger optimizer.tol or a stronger penalty"
    )


def test_features_of_many_sizes_and_large_targets_have_a_remedy():
    problem = of("logistic")
    scales = DEVICE.to_device(np.array([1e-4, 1.0, 1.0, 1.0, 40.0]) ** 2)
    uneven = replace(problem, basis=problem.basis._replace(directions=None, spectrum=scales))
    advice = "; data.scale: standard would help, as features differ in size 4e+05 times"
    assert told(uneven).reason.endswith(advice)
    advice = "; data.scale_target: standard would help, as targets are large"
    assert told(of("linear"), value=1e9).reason.endswith(advice)


def test_the_solution_of_least_norm_is_said_to_be_one_of_several():
    problem = of("linear")
    dropped = replace(problem, basis=problem.basis._replace(dropped=2))
    reason = told(dropped, gradient_max=0.0).reason
    several = "; 2 directions of 5 have no rows in them: of all solutions it is the one of least"
    assert reason.endswith(f"{several} norm")
    assert "least norm" not in told(problem, gradient_max=0.0).reason
    penalised = replace(dropped, host_l2=np.array([0.1]))
    assert "least norm" not in told(penalised, gradient_max=0.0).reason
