"""What solvers cost a GPU, counted on the double: a round of Newton's method, and a certificate.

Each row is (launches, syncs, allocations, copies). What is fetched is fetched at once: no number of
columns adds to any of them.
"""

import numpy as np
import pytest
from double import Cupy
from problems import Problem
from solving import stack_of, start

from trainer import device as devices
from trainer.solvers.certificates import Points, certify
from trainer.solvers.prox_newton import prox_newton_steps
from trainer.solvers.rotated_rows import rotate
from trainer.train.batches import RowSet

N, D, C, K = 600, 8, 3, 4
MODELS = ("linear", "logistic", "softmax", "poisson")


def problem(model, outputs=C):
    """Rows of equal weight, whose scores are those of some features and noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) + 0.5
    z = X @ rng.standard_normal((D, outputs)) + rng.standard_normal((N, outputs))
    y = {
        "linear": z,
        "logistic": (z > 0).astype(float),
        "softmax": np.eye(outputs)[z.argmax(1)],
        "poisson": np.floor(np.exp(z / 6)),
    }[model]
    return Problem(model, model, X, y, np.full(N, 1 / N), 0.0, 0.0, True)


def stack_on(cupy, model, sparse, columns=K, outputs=C):
    """A stack on the double, and its state before the first round."""
    device = devices.from_cupy(cupy, "the double")
    l1 = np.geomspace(0.05, 0.005, columns) if sparse else np.zeros(columns)
    made = problem(model, outputs)
    stack = stack_of(made, "newton", np.geomspace(1e-3, 1e-2, columns), l1, 1e-12, device=device)
    return stack, start(stack)


def counted(cupy, call, *given):
    """The (launches, syncs, allocations, copies) of a call."""
    before = cupy.counts.now()
    with np.errstate(all="ignore"):
        call(*given)
    copies, syncs, allocations, launches, _ = cupy.counts.since(before)
    return launches, syncs, allocations, copies


def never():
    return False


def directions(stack, state):
    """New directions of all columns."""
    every, a = np.ones(len(state.live), bool), state.arrays
    if stack.problem.sparse:
        prox_newton_steps(stack.objective, stack.hessians, state, every, stack._new, never)
    else:
        stack.directions.newton(state, every, a["g"], stack._new, never)


def whole_round(stack, state, moving):
    """A round, and the directions after it."""
    stack._round(state, moving)
    stack._aim(state, stack._moving(state))


def certificate(stack, state):
    a, n = state.arrays, state.progress
    certify(stack.objective, Points(a["w"].copy(), a["g"].copy(), n.value, n.data))


def coordinates(rows=N, **given):
    """The counts of finding a basis."""
    cupy, made = Cupy(), problem("linear")
    device, (X, y, p) = devices.from_cupy(cupy, "the double"), (made.X[:rows], made.y, made.p)
    held = RowSet(device, X, y[:rows], p[:rows], p[:rows], C)
    return counted(
        cupy, lambda: rotate(device, held, p[:rows] * (N / rows), p[:rows], True, **given)
    )


def measured(model, sparse, columns=K, outputs=C):
    """The counts of the third round, of the directions and of a certificate after it."""
    cupy = Cupy()
    stack, state = stack_on(cupy, model, sparse, columns, outputs)
    with np.errstate(all="ignore"):
        stack.advance(state, 1 if model == "linear" else 2)  # a squared loss has one step
    moving = state.live & ~stack.settled(state)
    if model == "linear":  # as after the first round, but for the Gram matrix, which is there
        state.progress.iterations[:] = 0
    told = (
        counted(cupy, directions, stack, state),
        counted(cupy, whole_round, stack, state, moving),
        counted(cupy, certificate, stack, state),
    )
    assert moving.all()
    return told


# of the directions, of a whole round with an evaluation, and of a certificate; a squared loss ends
# with the round, which needs no direction
COUNTS = {
    ("linear", False): ((35, 0, 25, 1), (61, 2, 23, 4), (65, 1, 59, 2)),
    ("linear", True): ((3, 1, 3, 3), (103, 2, 64, 6), (106, 1, 100, 2)),
    ("logistic", False): ((40, 0, 26, 1), (112, 1, 48, 5), (183, 2, 129, 9)),
    ("logistic", True): ((21, 1, 9, 3), (133, 2, 70, 8), (248, 2, 195, 9)),
    ("softmax", False): ((48, 0, 29, 1), (124, 1, 59, 5), (237, 2, 177, 9)),
    ("softmax", True): ((30, 1, 13, 3), (164, 2, 92, 9), (427, 3, 341, 13)),
    ("poisson", False): ((37, 0, 26, 1), (100, 1, 48, 5), (264, 3, 195, 12)),
    ("poisson", True): ((18, 1, 9, 3), (121, 2, 70, 8), (356, 3, 289, 12)),
}
# of finding coordinates for rows: a closed form's, a guess that some rows tell, and with l1
COORDINATES = {
    "a closed form": ({"sparse": False, "exact": True, "least": 0.001}, (32, 2, 31, 5)),
    "few rows": ({"rows": 6, "sparse": False, "exact": True, "least": 0.001}, (42, 2, 37, 6)),
    "a guess, turned": (
        {"sparse": False, "least": 0.001, "guess": True, "turn": True},
        (44, 2, 39, 5),
    ),
    "a guess, as it is": (
        {"sparse": False, "least": 0.001, "guess": True, "turn": False},
        (40, 2, 36, 5),
    ),
    "l1": ({"sparse": True}, (20, 1, 20, 4)),
}


def test_the_tables_are_whole():
    assert COUNTS.keys() == {(model, sparse) for model in MODELS for sparse in (False, True)}
    assert (len(COUNTS), len(COORDINATES)) == (8, 5)


@pytest.mark.parametrize("columns", [K, 4 * K])
@pytest.mark.parametrize(("model", "sparse"), COUNTS)
def test_rounds_and_certificates_cost_the_same_however_many_columns(model, sparse, columns):
    assert measured(model, sparse, columns) == COUNTS[model, sparse]


@pytest.mark.parametrize("case", COORDINATES)
def test_what_coordinates_cost(case):
    given, expected = COORDINATES[case]
    assert coordinates(**given) == expected


def test_a_certificate_of_some_columns_asks_nothing_of_the_targets():
    """What they tell is known of all columns since the first round: it would be a wait more."""
    cupy = Cupy()
    stack, state = stack_on(cupy, "poisson", sparse=False)
    stack.advance(state, 1)
    assert counted(cupy, stack.facts, state, np.arange(K) == 1)[1] == 1
