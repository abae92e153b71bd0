"""The rows of the model table: links and their inverses, flags, losses with parameters."""

from dataclasses import replace

import huber
import numpy as np
import pytest
from double import Cupy
from oracles import central_differences
from stacks import DEVICE, host, initial, joined, make_problem, make_stack, start, train

from trainer import catalog
from trainer import device as devices
from trainer.model import MODELS, Scratch
from trainer.solvers.choose import Size, choose_method
from trainer.train.stack import Snapshot, Stack

DELTAS = np.array([0.3, 1.0, 50.0])  # K = 3; the last one cuts nothing off


@pytest.mark.parametrize("key", MODELS)
def test_the_link_is_undone_by_the_activation(key):
    model = MODELS[key]
    draw = np.random.default_rng(0)
    mean = draw.uniform(0.05, 0.95, (20, 3, 2))
    mean /= mean.sum(axis=1, keepdims=True)  # shares, as softmax's are
    z, again = np.empty_like(mean), np.empty_like(mean)
    model.link(np, mean, z)
    model.activation(np, z, again, Scratch.of(np, *mean.shape))
    np.testing.assert_allclose(again, mean, rtol=1e-14)


@pytest.mark.parametrize("key", MODELS)
def test_the_variance_is_the_slope_of_the_activation(key):
    model = MODELS[key]
    if model.variance is None:
        return
    z = np.random.default_rng(1).standard_normal((4, 3, 1))

    def predicted(at):
        out = np.empty_like(at)
        model.activation(np, at.copy(), out, Scratch.of(np, *at.shape))
        return out

    found = np.empty_like(z)
    model.variance(np, predicted(z), found)
    h = 1e-6
    for c in range(3):
        up, down = z.copy(), z.copy()
        up[:, c] += h
        down[:, c] -= h
        slope = (predicted(up) - predicted(down))[:, c] / (2 * h)
        np.testing.assert_allclose(found[:, c], slope, rtol=1e-8)


def test_a_row_without_parameters_stays_the_very_same():
    for model in MODELS.values():
        assert model.with_parameters({}) is model


def huber_stack(problem, optimizer="sgd", deltas=DELTAS, **settings):
    """A stack of columns that differ in δ."""
    stack = make_stack(problem, optimizer, lr=np.full(len(deltas), 0.1), **settings)
    chosen = replace(stack.settings, loss={"delta": np.asarray(deltas)})
    return Stack(DEVICE, huber.ROW, stack.rows, problem.outputs, chosen)


def test_a_parameter_of_a_loss_is_one_number_a_column():
    problem = make_problem("linear")
    stack = huber_stack(problem)
    weights, bias = initial(problem, 3)
    snapshot = Snapshot(1)
    log = stack.advance(start(stack, weights, bias), 1, lambda step: snapshot)
    for k, delta in enumerate(DELTAS):
        z = problem.X @ weights[:, :, k] + bias[:, k]
        losses = huber.slow_loss(z, problem.y, delta)
        np.testing.assert_allclose(log.values["loss"][0, k], losses.mean(), rtol=1e-13)
        slope = central_differences(
            lambda at, delta=delta: huber.slow_loss(at, problem.y, delta).sum(), z, 1e-6
        )
        np.testing.assert_allclose(snapshot.arrays["dz"][:, :, k], slope, atol=1e-8)
    assert (abs(snapshot.arrays["dz"]) < abs(snapshot.arrays["error"]))[:, :, 0].any()
    assert (snapshot.arrays["dz"] == snapshot.arrays["error"])[:, :, 2].all()


def test_columns_with_other_parameters_are_their_single_runs_also_after_some_have_left():
    problem = make_problem("linear", weights="rows")
    stack = huber_stack(problem, momentum=0.9, batch_size=23)
    weights, bias = initial(problem, 3)
    state = start(stack, weights, bias)
    records = train(stack, state, 10)
    for k, delta in enumerate(DELTAS):
        alone = huber_stack(problem, deltas=[delta], momentum=0.9, batch_size=23)
        taken = stack.take(np.array([k]))
        assert host(taken.model.loss.keywords["delta"]).tolist() == [delta]
        for one in (alone, taken):
            single = start(one, weights[:, :, k : k + 1], bias[:, k : k + 1])
            logged = train(one, single, 10)
            difference = host(state.weights)[:, :, k] - host(single.weights)[:, :, 0]
            assert abs(difference).max() <= 1e-13 * abs(host(single.weights)).max()
            ours, theirs = joined(records, "loss")[:, k], joined(logged, "loss")[:, 0]
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_convex_loss_without_second_derivatives_goes_by_lbfgs_and_says_so():
    size = Size(100, 5, 1)
    chosen = choose_method("auto", huber.ROW, size, l1=False)
    assert (chosen.name, chosen.reason) == ("lbfgs", "the loss has no second derivatives")
    chosen = choose_method("lbfgs", huber.ROW, size, l1=True)
    assert (chosen.name, chosen.hessian_from) == ("lbfgs", None)
    other = MODELS["logistic", "squared_error"]
    assert choose_method("auto", other, size, l1=False).reason == "the loss is not convex"


@pytest.mark.parametrize("key", [key for key in MODELS if catalog.MODELS[key[0]].has_classes])
def test_classes_are_told_apart_by_scores_as_by_predictions(key):
    """Metrics and predictions decide at z = 0, or by the largest z, where ŷ could tie."""
    model, z = MODELS[key], np.random.default_rng(2).standard_normal((50, 3, 1))
    z[0] = 0
    predicted = np.empty_like(z)
    model.activation(np, z.copy(), predicted, Scratch.of(np, *z.shape))
    if catalog.MODELS[key[0]].output_a_class:
        assert (predicted.argmax(axis=1) == z.argmax(axis=1)).all()
    else:
        assert ((predicted > 0.5) == (z > 0)).all()


def test_products_of_rows_are_of_fewer_than_a_gpu_has_places_for(monkeypatch):
    rows, taken, true = 70_000, [], Cupy.matmul
    monkeypatch.setattr(
        Cupy, "matmul", lambda self, a, b, out: taken.append(len(out)) or true(self, a, b, out=out)
    )
    z = np.random.default_rng(0).standard_normal((rows, 2, 1))
    y = np.eye(2)[np.arange(rows) % 2][:, :, None]
    model, found = MODELS["softmax", "auto"], []
    for place in (devices.cpu(""), devices.from_cupy(Cupy(), "the double")):
        xp = place.xp
        there, predicted, loss = place.to_device(z.copy()), xp.empty(z.shape), xp.empty((rows, 1))
        scratch = Scratch.of(xp, rows, 2)
        model.activation(xp, there, predicted, scratch)
        model.loss(xp, there, place.to_device(y), predicted, loss, scratch)
        found.append([place.to_host(one) for one in (predicted, loss)])
    assert max(taken) < 2**16
    assert sum(taken) == 2 * rows
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
