"""Passes over many rows go side by side in parts: the same sums, on any number of cores."""

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import DEVICE

from trainer import device as devices
from trainer.machine import threads
from trainer.machine.threads import one_thread_a_product
from trainer.solvers.hessians import Hessians
from trainer.solvers.objective import Objective
from trainer.solvers.passes import NAMES

MODELS = ("linear", "logistic", "softmax")


def of(model):
    return next(p for p in problems(240) if p.model == model and p.bias and len(p.X) == 60)


L2 = np.array([1e-3, 1.0])


def stack(model):
    return stack_of(of(model), "newton", L2, np.zeros(2), 1e-8)


def evaluated(problem, rows):
    """J and its sums, its gradient, a Hessian and the Gram matrix, at some weights."""
    w = DEVICE.to_device(np.random.default_rng(0).normal(size=problem.shape))
    grad = DEVICE.xp.zeros(problem.shape)
    found = Objective(problem, rows).value(w, grad, full=True)
    hessians = Hessians(problem, rows)
    whole = hessians.whole(w, DEVICE.to_device(L2))
    return [DEVICE.to_host(one) for one in (found, grad, whole, hessians.gram())]


@pytest.mark.parametrize("model", MODELS)
def test_parts_of_the_rows_sum_up_to_all_of_them(model, monkeypatch):
    one = stack(model)
    problem, rows = one.problem, one.objective.rows
    whole = evaluated(problem, rows)
    monkeypatch.setattr(devices, "_PART_ROWS", 32)
    parts = len(DEVICE.row_parts(rows.X))
    assert parts > 2 or DEVICE.kind == "gpu"
    for one, expected in zip(evaluated(problem, rows), whole, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-12)
    assert NAMES[3] == "error_max"  # the one that is no sum


@pytest.mark.skipif(DEVICE.kind == "gpu", reason="cores are for the CPU")
@pytest.mark.parametrize("model", MODELS)
def test_how_many_cores_there_are_changes_no_bit(model, monkeypatch):
    monkeypatch.setattr(devices, "_PART_ROWS", 32)
    monkeypatch.setattr(devices, "_PART_PRODUCTS", 64)
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "_cores", lambda libraries, count=count: count)
        with one_thread_a_product():
            one = stack(model)
            found.append(evaluated(one.problem, one.objective.rows))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
