"""The bytes that are told of a stack with second derivatives, against those that it takes."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from double import Cupy
from problems import Problem
from solving import stack_of, start
from stacks import CPU

from trainer import device as devices
from trainer.model import MODELS, compiled
from trainer.solvers.choose import Size, choose_method
from trainer.solvers.costs import solver_bytes
from trainer.solvers.hessian_sizes import suits_twin

# model, and N, D, C, K, and l1: products that are kept, few features, long rows, softmax's pairs
CASES = [
    ("logistic", (20_000, 40, 1, 16), 0.0),
    ("logistic", (100_000, 3, 1, 16), 0.0),
    ("logistic", (2_000, 100, 1, 16), 0.0),
    ("poisson", (20_000, 30, 2, 1), 0.0),
    ("softmax", (10_000, 12, 5, 8), 0.0),
    ("logistic", (20_000, 40, 1, 16), 0.01),
    ("logistic", (300, 20, 1, 16), 0.01),
    ("softmax", (5_000, 12, 4, 8), 0.01),
    ("linear", (30_000, 40, 2, 16), 0.01),
]


def made(model, shape, l1, device, name="newton"):
    """The bytes told of a stack, and the stack, after two rounds and a certificate."""
    N, D, C, K = shape
    draw = np.random.default_rng(0)
    X = draw.standard_normal((N, D)) + 0.5
    z = X @ draw.standard_normal((D, C)) / np.sqrt(D) + draw.standard_normal((N, C))
    y = {
        "linear": z,
        "logistic": (z > 0) * 1.0,
        "poisson": np.floor(np.exp(z)),
        "softmax": np.eye(C)[z.argmax(axis=1)],
    }[model]
    problem = Problem(model, model, X, y, np.full(N, 1 / N), 0, 0, True)
    if device is CPU:
        tracemalloc.start()
    l2, strengths = np.geomspace(1e-6, 1, K), np.full(K, l1)
    stack = stack_of(problem, name, l2, strengths, 1e-12, device=device)
    state = start(stack)
    stack.advance(state, 2)
    stack.facts(state, np.ones(K, bool))
    method = stack.settings.method
    return stack, solver_bytes(Size(N, D, C), K, MODELS[model, "auto"], method, l1 > 0, device)


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize(("model", "shape", "l1"), CASES)
def test_the_bytes_told_hold_what_a_cpu_takes(model, shape, l1, twin, monkeypatch):
    if not twin:
        monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))
    try:
        stack, told = made(model, shape, l1, CPU)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stack._newton is None) == (compiled.load()[0] is None or l1 > 0)
    assert taken <= told <= 2.5 * taken


@pytest.mark.parametrize(("model", "shape", "l1"), CASES)
def test_the_bytes_told_hold_what_a_gpu_takes(model, shape, l1):
    cupy = Cupy(2**37)
    _, told = made(model, shape, l1, devices.from_cupy(cupy, "the double"))
    assert cupy.pool.peak <= told <= 2.5 * cupy.pool.peak


@pytest.mark.parametrize("features", [8, 100])
def test_the_bytes_told_hold_second_derivatives_of_many_biases(features):
    """That of softmax's certificate, of 100 classes; a GPU gives chunks all there is."""
    cupy = Cupy(2**37)
    device, shape = devices.from_cupy(cupy, "the double"), (1_000, features, 100, 6)
    _, told = made("softmax", shape, 0.0, device, "lbfgs")
    assert cupy.pool.peak <= told <= 2 * cupy.pool.peak


@pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
def test_a_rule_of_somebodys_own_is_told_as_the_text():
    size, row = Size(20_000, 40, 1), MODELS["logistic", "auto"]
    own = replace(row, activation=lambda *given: row.activation(*given))
    method = choose_method("newton", row, size, False)
    told = [solver_bytes(size, 16, one, method, False, CPU) for one in (row, own)]
    assert 3 * told[0] < told[1]


def test_what_suits_the_twin_is_told_by_sizes():
    assert suits_twin(CPU, 1000, 128, 1, False)
    assert not suits_twin(CPU, 1000, 129, 1, False)
    assert suits_twin(CPU, 1000, 42, 3, True)
    assert not suits_twin(CPU, 1000, 43, 3, True)  # 129
    assert not suits_twin(devices.from_cupy(Cupy(), "the double"), 1000, 4, 1, False)
