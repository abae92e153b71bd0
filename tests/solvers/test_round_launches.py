"""What a solver's round costs a GPU, counted on the double: copies, syncs, allocations, launches.

The tables are of rounds as they are: what makes one cheaper, or dearer, changes a row.
"""

import numpy as np
import pytest
import shim
import solving
from double import Cupy
from problems import Problem

from trainer import device as devices
from trainer.model import MODELS
from trainer.solvers import solver as solver_module

K, N, D, C = 4, 60, 5, 3
with_our_kernels = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
UNTIL = 12  # rounds, after which all pairs are there


def problem_of(model, rows=N, outputs=C):
    draw = np.random.default_rng(0)
    X = draw.standard_normal((rows, D))
    z = X @ draw.standard_normal((D, outputs))
    noisy = z + draw.standard_normal(z.shape)
    y = {
        "linear": noisy,
        "logistic": (noisy > 0).astype(float),
        "softmax": np.eye(outputs)[noisy.argmax(axis=1)],
        "poisson": draw.poisson(np.exp(z / 4)).astype(float),
    }[model]
    p = draw.uniform(0.2, 2, rows)
    return Problem(model, model, X, y, p / p.sum(), 0, 0, True)


def stack_on(cupy, model, *, twin="none", l1=0.0, name="lbfgs", **sizes):
    device = devices.from_cupy(cupy, "the double", twin=twin)
    l2 = np.geomspace(1e-3, 1e-1, K)
    problem, strengths = problem_of(model, **sizes), np.full(K, l1)
    return solving.stack_of(problem, name, l2, strengths, 1e-300, device=device)


def counted(monkeypatch, model, takes, **given):
    """The counts of a round in which all columns take their points, or none does."""
    cupy = Cupy()
    stack = stack_on(cupy, model, **given)
    state = solving.start(stack)
    stack.advance(state, UNTIL)
    n = state.progress
    n.lost[:], n.stalled[:], n.tries[:] = False, 0, 0
    monkeypatch.setattr(solver_module, "is_good", lambda *_: np.full(K, takes))
    before = cupy.counts.now()
    with np.errstate(all="ignore"):
        stack._round(state, np.ones(K, bool))
        stack._aim(state, np.ones(K, bool))
    return cupy.counts.since(before)[:4]


# (copies, syncs, allocations, launches) of a round whose points are taken, and of one of a line
# search, whose points are not; by model, without l1 and with it
ROUNDS = {
    ("linear", 0): ((9, 1, 143, 228), (6, 1, 40, 78)),
    ("linear", 0.01): ((10, 1, 197, 286), (7, 1, 80, 120)),
    ("logistic", 0): ((9, 1, 146, 242), (6, 1, 43, 92)),
    ("logistic", 0.01): ((10, 1, 197, 296), (7, 1, 80, 130)),
    ("softmax", 0): ((9, 1, 154, 246), (6, 1, 43, 86)),
    ("softmax", 0.01): ((10, 1, 199, 293), (7, 1, 80, 124)),
    ("poisson", 0): ((9, 1, 146, 233), (6, 1, 43, 83)),
    ("poisson", 0.01): ((10, 1, 197, 287), (7, 1, 80, 121)),
}
# the same by our own kernels
KERNELS = {
    ("linear", 0): ((5, 1, 9, 22), (3, 1, 7, 16)),
    ("linear", 0.01): ((5, 1, 7, 20), (3, 1, 5, 14)),
    ("logistic", 0): ((5, 1, 12, 26), (3, 1, 10, 20)),
    ("logistic", 0.01): ((5, 1, 7, 20), (3, 1, 5, 14)),
    ("softmax", 0): ((5, 1, 12, 27), (3, 1, 10, 20)),
    ("softmax", 0.01): ((5, 1, 7, 21), (3, 1, 5, 14)),
    ("poisson", 0): ((5, 1, 12, 26), (3, 1, 10, 20)),
    ("poisson", 0.01): ((5, 1, 7, 20), (3, 1, 5, 14)),
}


def test_the_tables_are_whole():
    assert {(model, "auto") for model, _ in ROUNDS} == {one for one in MODELS if one[1] == "auto"}
    assert ROUNDS.keys() == KERNELS.keys()
    assert len(ROUNDS) == 4 * 2


@pytest.mark.parametrize("case", ROUNDS)
def test_a_round_of_l_bfgs(case, monkeypatch):
    (model, l1), (taken, refused) = case, ROUNDS[case]
    assert counted(monkeypatch, model, takes=True, l1=l1) == taken
    assert counted(monkeypatch, model, takes=False, l1=l1) == refused


@with_our_kernels
@pytest.mark.parametrize("case", KERNELS)
def test_a_round_by_our_own_kernels(case, monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    (model, l1), (taken, refused) = case, KERNELS[case]
    assert counted(monkeypatch, model, takes=True, l1=l1, twin="cuda") == taken
    assert counted(monkeypatch, model, takes=False, l1=l1, twin="cuda") == refused
    assert (taken[1], refused[1]) == (1, 1)
    assert taken[3] <= 30
