"""Second derivatives against the plain formula, and the end of a sum that takes too long."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from problems import problems
from solving import stack_of
from stacks import DEVICE

from trainer.machine.interrupted import Interrupted
from trainer.solvers import hessian_sizes, hessians, linear_systems

MODELS = ("linear", "logistic", "softmax")


def of(model, l1=0.0, columns=3):
    """A problem with two or three outputs, a stack on it, weights (P, C, K) and l2 (K,)."""
    problem = next(
        p for p in problems(240) if p.model == model and p.outputs > 1 and p.bias and len(p.X) == 60
    )
    l2 = np.geomspace(1e-3, 1, columns)
    stack = stack_of(problem, "newton", l2, np.full(columns, l1), 1e-8)
    w = np.random.default_rng(0).normal(size=stack.problem.shape)
    return problem, stack, w, l2


def right(problem, stack, w, l2, k):
    """(P, C, P, C) of one column, in the coordinates of the stack."""
    o, D, C = stack.problem, problem.X.shape[1], stack.shape[1]
    mean, directions = DEVICE.to_host(o.basis.mean), o.basis.directions
    Q = np.zeros((D + 1, o.inner + 1))
    Q[:D, : o.inner] = np.eye(D) if directions is None else DEVICE.to_host(directions)
    W = Q[:D, : o.inner] @ w[: o.inner, :, k]
    found = problem.curvature(W, w[o.inner, :, k] - mean @ W).reshape(D + 1, C, D + 1, C)
    found[range(D), :, range(D), :] -= problem.l2 * np.eye(C)
    Q[D, o.inner] = 1
    Q[D, : o.inner] = -mean @ Q[:D, : o.inner]
    found = np.einsum("pi,pcqd,qj->icjd", Q, found, Q)
    found[range(o.inner), :, range(o.inner), :] += l2[k] * np.eye(C)
    return found


@pytest.mark.parametrize("columns", [1, 3, 12])  # few and many Hessians go different ways
@pytest.mark.parametrize("model", MODELS)
def test_whole_hessians_are_the_formula(model, columns):
    problem, stack, w, l2 = of(model, columns=columns)
    found = DEVICE.to_host(stack.hessians.whole(DEVICE.to_device(w), DEVICE.to_device(l2)))
    P, C = w.shape[:2]
    for k in range(columns):
        expected = right(problem, stack, w, l2, k)
        if stack.model.coupled:
            one = found[k].reshape(P, C, P, C)
        else:
            one = np.zeros((P, C, P, C))
            for c in range(C):
                one[:, c, :, c] = found[k * C + c]
        assert np.abs(one - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("model", MODELS)
def test_parts_are_the_formulas_without_l2(model):
    problem, stack, w, _ = of(model, l1=1e-2)
    P, C = w.shape[:2]
    for k in range(3):
        expected = right(problem, stack, w, np.zeros(3), k).reshape(P * C, P * C)
        which = np.array([0, 3, 1, 5]) if stack.model.coupled else np.arange(1, P * C, C)
        which = which[np.argsort(which % C, kind="stable")]
        found = stack.hessians.part(DEVICE.to_device(w)[..., k], which)
        expected = expected[np.ix_(which, which)]
        assert np.abs(DEVICE.to_host(found) - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("chunk_bytes", [0, 1500, 6000, 1 << 20])
@pytest.mark.parametrize("model", MODELS)
def test_they_are_the_same_however_much_goes_by_at_once(model, chunk_bytes, monkeypatch):
    problem, stack, w, l2 = of(model, columns=5)
    which = np.arange(0, w[..., 0].size, w.shape[1])
    expected = [*made(stack, w, l2, which)]
    monkeypatch.setattr(hessian_sizes, "_ROWS", 16)
    monkeypatch.setattr(hessian_sizes, "SMALL", 0)
    device = replace(DEVICE, sizes=DEVICE.sizes._replace(chunk_bytes=chunk_bytes))
    other = stack_of(problem, "newton", l2, np.zeros(5), 1e-8, device=device)
    fits = chunk_bytes // (8 * other.hessians.order)
    assert other.hessians._batches.chunk_rows == min(60, max(16, fits))
    for found, right in zip(made(other, w, l2, which), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-13 * np.abs(right).max())


def made(stack, w, l2, which):
    """Whole Hessians, a part of one and the Gram matrix, on the host."""
    h, w = stack.hessians, DEVICE.to_device(w)
    yield DEVICE.to_host(h.whole(w, DEVICE.to_device(l2)))
    yield DEVICE.to_host(h.part(w[..., 0], which))
    yield h.host_gram


def test_scores_moved_alike_have_no_curvature_even_where_softmax_is_saturated():
    _, stack, w, _ = of("softmax", columns=2)
    P, C, K = w.shape
    found = stack.hessians.whole(DEVICE.to_device(w * 60), DEVICE.xp.zeros(K))
    found = DEVICE.to_host(found).reshape(K, P, C, P, C)
    assert (np.abs(found.sum(axis=2)) <= 1e-15 * np.abs(found).max()).all()


@pytest.mark.parametrize("l1", [0.0, 1e-2])
def test_a_signal_ends_the_sum(l1):
    _, stack, w, l2 = of("softmax", l1)
    w, asked, own = DEVICE.to_device(w), count(), stack.hessians
    signal = {"should_stop": lambda: next(asked) >= 0}
    given = (w[..., 0], np.arange(4) * 3) if l1 else (w, w, DEVICE.to_device(l2))
    with pytest.raises(Interrupted):
        (own.part if l1 else own.step)(*given, **signal)
    assert next(asked) == 1


def test_a_stack_whose_hessian_was_given_up_ends_its_stretch():
    stack = of("softmax")[1]
    stack._newton = None  # a text's
    D, C, K = stack.shape
    state, asked = stack.start(np.zeros((D, C, K)), np.zeros((C, K))), iter([False])
    records = stack.advance(state, 1 << 40, should_stop=lambda: next(asked, True))
    assert len(records.step) == 1
    assert not state.progress.aimed.any()
    assert np.isfinite(DEVICE.to_host(state.weights)).all()
    facts = stack.facts(state, np.ones(K, bool))
    assert (facts["gap"] > 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_system_without_a_solution_is_a_step_by_its_own_curvatures(model, monkeypatch):
    _, stack, w, l2 = of(model)
    w, g, l2 = DEVICE.to_device(w), DEVICE.xp.ones(w.shape), DEVICE.to_device(l2)
    right = DEVICE.to_host(stack.hessians.step(w, g, l2))
    own = np.diagonal(DEVICE.to_host(stack.hessians.whole(w, l2)), axis1=1, axis2=2)

    def lost(xp, a, b, should_stop):
        found = linear_systems.solved(xp, a, b, should_stop)
        found[-1, 0] = np.nan  # of the last column
        return found

    monkeypatch.setattr(hessians, "solved", lost)
    found = DEVICE.to_host(stack.hessians.step(w, g, l2))
    np.testing.assert_array_equal(found[..., :-1], right[..., :-1])
    last = found[..., -1].reshape(-1) if stack.model.coupled else found[:, -1, -1]
    np.testing.assert_allclose(last, -1 / own[-1], rtol=1e-12)
