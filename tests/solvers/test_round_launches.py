"""What a solver's round costs a GPU, counted on the double: copies, syncs, allocations, launches.

The tables are of rounds as they are: what makes one cheaper, or dearer, changes a row.
"""

import numpy as np
import pytest
import solving
from double import Cupy
from problems import Problem

from trainer import device as devices
from trainer.model import MODELS
from trainer.solvers import solver as solver_module

K, N, D, C = 4, 60, 5, 3
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


def stack_on(monkeypatch, cupy, model, *, twin="none", l1=0.0, name="lbfgs", **sizes):
    device = devices.from_cupy(cupy, "the double", twin=twin)
    monkeypatch.setattr(solving, "DEVICE", device)
    l2 = np.geomspace(1e-3, 1e-1, K)
    return solving.stack_of(problem_of(model, **sizes), name, l2, np.full(K, l1), 1e-300)


def counted(monkeypatch, model, takes, **given):
    """The counts of a round in which all columns take their points, or none does."""
    cupy = Cupy()
    stack = stack_on(monkeypatch, cupy, model, **given)
    state = solving.start(stack)
    stack.advance(state, UNTIL)
    n = state.progress
    n.lost[:], n.stalled[:], n.tries[:] = False, 0, 0
    monkeypatch.setattr(solver_module, "is_good", lambda *_: np.full(K, takes))
    state.step += 1
    before = cupy.counts.now()
    with np.errstate(all="ignore"):
        stack._round(state, np.ones(K, bool))
    return cupy.counts.since(before)[:4]


# (copies, syncs, allocations, launches) of a round whose points are taken, and of one of a line
# search, whose points are not; by model, without l1 and with it
ROUNDS = {
    ("linear", 0): ((12, 4, 143, 237), (7, 3, 42, 90)),
    ("linear", 0.01): ((13, 4, 203, 303), (8, 3, 88, 140)),
    ("logistic", 0): ((12, 4, 146, 251), (7, 3, 45, 104)),
    ("logistic", 0.01): ((13, 4, 203, 313), (8, 3, 88, 150)),
    ("softmax", 0): ((12, 4, 154, 255), (7, 3, 45, 98)),
    ("softmax", 0.01): ((13, 4, 205, 310), (8, 3, 88, 144)),
    ("poisson", 0): ((12, 4, 146, 242), (7, 3, 45, 95)),
    ("poisson", 0.01): ((13, 4, 203, 304), (8, 3, 88, 141)),
}


def test_the_table_is_whole():
    assert {(model, "auto") for model, _ in ROUNDS} == {one for one in MODELS if one[1] == "auto"}
    assert len(ROUNDS) == 4 * 2


@pytest.mark.parametrize("case", ROUNDS)
def test_a_round_of_l_bfgs(case, monkeypatch):
    (model, l1), (taken, refused) = case, ROUNDS[case]
    assert counted(monkeypatch, model, takes=True, l1=l1) == taken
    assert counted(monkeypatch, model, takes=False, l1=l1) == refused
