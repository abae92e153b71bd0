"""dJ/dW, dJ/db and dL/dz of the step that trains, against differences of an objective."""

import numpy as np
import pytest
from oracles import central_differences, objective, prediction, row_losses
from stacks import DEVICE, LOSSES, host, initial, make_problem, make_stack, start

from trainer.model import MODELS, Scratch
from trainer.model.step import error
from trainer.train.step_record import Snapshot

H = 1e-5
L2 = (0.0, 0.05, 0.7)  # K = 3
CASES = [
    (model, loss, weights, batch)
    for model, loss in LOSSES
    for weights in ("none", "rows", "classes")
    for batch in (None, 25)  # full, and 60 rows as 25 + 25 + 10
]


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 30
    assert {case[:2] for case in CASES} | {("linear", "squared_error")} == set(MODELS)


def snapshots(problem, batch):
    """Each step of an epoch in full: a snapshot, and the gradient of the bias."""
    stack = make_stack(problem, lr=1.0, steps=9, l2=L2, momentum=0, batch_size=batch)
    state = start(stack, *initial(problem, len(L2)))
    while state.step < stack.steps_per_epoch:
        snapshot = Snapshot(state.step + 1)
        stack.advance(state, state.step + 1, lambda step, taken=snapshot: taken)
        # with lr 1 and no momentum the last move is minus the gradient, to the bit
        yield snapshot.arrays, -host(state.arrays["delta"])[-1]


@pytest.mark.parametrize(("model", "loss", "weights", "batch"), CASES)
def test_gradients_equal_central_differences_of_j(model, loss, weights, batch):
    problem = make_problem(model, loss, weights=weights)
    sizes = []
    for arrays, grad_bias in snapshots(problem, batch):
        rows = arrays["rows"]
        sizes.append(len(rows))
        for k, l2 in enumerate(L2):
            W, b = arrays["weights"][:, :, k], arrays["bias"][:, k]
            found = np.concatenate([arrays["grad_weights"][:, :, k], grad_bias[None, :, k]])
            differences = central_differences(
                lambda at, l2=l2, rows=rows: objective(problem, at[:-1], at[-1], l2, rows),
                np.vstack([W, b]),
                H,
            )
            assert abs(differences - found).max() <= 1e-8 * abs(found).max()
    assert sizes == ([60] if batch is None else [25, 25, 10])


def test_batch_gradients_are_unbiased_for_the_full_one():
    problem = make_problem("logistic", weights="classes")
    at = initial(problem, 1)
    stack = make_stack(problem, lr=1e-300, steps=99, batch_size=12)  # five equal batches, W stays
    state, total = start(stack, *at), 0.0
    for step in range(1, 6):
        snapshot = Snapshot(step)
        stack.advance(state, step, lambda step, taken=snapshot: taken)
        total = total + snapshot.arrays["grad_weights"] / 5
    whole = make_stack(problem, lr=1e-300)
    snapshot = Snapshot(1)
    whole.advance(start(whole, *at), 1, lambda step: snapshot)
    np.testing.assert_allclose(total, snapshot.arrays["grad_weights"], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("model", "loss"), LOSSES)
def test_dz_is_the_error_for_the_three_models_and_not_for_squared_error_on_a_sigmoid(model, loss):
    problem = make_problem(model, loss)
    arrays, _ = next(snapshots(problem, None))
    for k in range(len(L2)):
        z = problem.X @ arrays["weights"][:, :, k] + arrays["bias"][:, k]
        predicted = prediction(model, z)
        np.testing.assert_allclose(
            arrays["error"][:, :, k], predicted - problem.dense, rtol=0, atol=1e-14
        )
        slope = central_differences(
            lambda at: row_losses(model, loss, at, problem.dense).sum(), z, H
        )
        np.testing.assert_allclose(arrays["dz"][:, :, k], slope, rtol=0, atol=1e-9)
    away = abs(arrays["dz"] - arrays["error"]).max()
    if loss == "squared_error":
        assert away > 0.5 * abs(arrays["error"]).max()
    else:
        assert away == 0.0


def test_soft_targets_of_softmax_have_the_same_gradient():
    draw = np.random.default_rng(2)
    z, y = draw.standard_normal((8, 4)), draw.dirichlet(np.ones(4), 8)
    shape, model, xp = (8, 4, 1), MODELS["softmax", "auto"], DEVICE.xp
    into, losses = xp.empty(shape), xp.empty((8, 1))
    scratch = Scratch.of(xp, *shape)
    scores, targets = (DEVICE.to_device(array[:, :, None].copy()) for array in (z, y))
    dz = error(model, xp, scores, targets, into, losses, scratch)
    slope = central_differences(lambda at: row_losses("softmax", "auto", at, y).sum(), z, H)
    np.testing.assert_allclose(host(dz)[:, :, 0], slope, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        host(losses)[:, 0], row_losses("softmax", "auto", z, y).astype(float), rtol=1e-13
    )
