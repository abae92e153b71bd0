"""Parts of Hessians by every way, against the one that sums them up; and stacks that use them."""

from dataclasses import replace

import numpy as np
import pytest
from problems import Problem, problems
from solving import solved, stack_of, start
from stacks import DEVICE

from trainer.model import compiled
from trainer.solvers import prox_newton
from trainer.solvers.prox_newton import Work, WorkingParts

XP = DEVICE.xp
PROVES = compiled.load()[0] is not None
MODELS = ("linear", "logistic", "softmax")


def stack_at(model, at_zeros=False, columns=5):
    """A stack, and a state of it at some point, or at zeros."""
    problem = next(
        p for p in problems(240) if p.model == model and p.outputs > 1 and p.bias and len(p.X) == 60
    )
    stack = stack_of(problem, "newton", np.full(columns, 1e-3), np.full(columns, 1e-2), 1e-8)
    state = start(stack)
    if not at_zeros:
        state.progress.at_zeros[:] = False
        w = np.random.default_rng(0).normal(size=stack.problem.shape)
        state.arrays["w"] = DEVICE.to_device(w)
    return stack, state


def elements_of(stack, output):
    """Most elements of a column, of one output where outputs are not coupled; out of order."""
    P, C, _ = stack.problem.shape
    every = np.arange(P * C) if stack.model.coupled else np.arange(output, P * C, C)
    every = np.roll(every, 2)[1:] if len(every) > 4 else every
    return every[np.argsort(every % C, kind="stable")]


def parts_of(stack, state):
    return WorkingParts(stack.hessians, state, 60, lambda: False)


def made(parts, k, output, elements):
    """What the elements of a column have."""
    ((work, found),) = parts.each([Work(k, output, elements)])
    assert work.k == k
    return found


@pytest.mark.parametrize("at_zeros", [False, True])
@pytest.mark.parametrize("small", [0, 10_000])
@pytest.mark.parametrize("model", MODELS)
def test_every_way_is_the_sum(model, small, at_zeros, monkeypatch):
    monkeypatch.setattr(prox_newton, "SMALL", small)
    stack, state = stack_at(model, at_zeros)
    parts = parts_of(stack, state)
    for k in (0, 4, 1):
        for output in range(stack.hessians.blocks):
            which = elements_of(stack, output)
            right = DEVICE.to_host(stack.hessians.part(state.arrays["w"][..., k], which))
            found = made(parts, k, output, which)
            assert np.abs(found - right).max() <= 1e-13 * np.abs(right).max()


@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_a_part_as_large_as_an_outputs_own_is_of_its_elements(model):
    stack, state = stack_at(model)
    P, C, _ = stack.problem.shape
    coupled = stack.model.coupled
    which = np.arange(P) * 2 if coupled else np.arange(1, P * C, C)  # of several outputs, or of one
    which = which[np.argsort(which % C, kind="stable")]
    w = state.arrays["w"][..., 0]
    blocks = DEVICE.to_host(stack.hessians.whole(w[:, :, None], XP.zeros(1)))
    right = blocks[0][np.ix_(which, which)] if coupled else blocks[1]
    found = DEVICE.to_host(stack.hessians.part(w, which))
    assert len(found) == P
    assert np.abs(found - right).max() <= 1e-13 * np.abs(right).max()


@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_each_way_is_gone(model, monkeypatch):
    """Else the test above would try one of them alone."""
    stack, state = stack_at(model, at_zeros=True)
    summed = []
    part = stack.hessians.part
    monkeypatch.setattr(stack.hessians, "part", lambda *a: summed.append(1) or part(*a))
    which = elements_of(stack, 0)
    for small, elements, more in ((10_000, which, 0), (0, which, 0), (0, which[:2], 1)):
        monkeypatch.setattr(prox_newton, "SMALL", small)
        before = len(summed)
        made(parts_of(stack, state), 0, 0, elements)
        assert len(summed) - before == more


@pytest.mark.parametrize("small", [0, 10_000])
@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_saturated_rows_leave_a_little_curvature_by_every_way(model, small, monkeypatch):
    """Else a step would be endless."""
    monkeypatch.setattr(prox_newton, "SMALL", small)
    stack, state = stack_at(model)
    state.arrays["w"] *= 1e6
    floor = DEVICE.to_host(stack.hessians.floor)
    which = elements_of(stack, 1)
    with np.errstate(all="ignore"):  # as in a round
        found = np.diagonal(made(parts_of(stack, state), 2, 1, which))
    own = floor[which if stack.model.coupled else which // stack.problem.outputs]
    np.testing.assert_allclose(found, own, rtol=1e-6)
    assert (own > 0).all()


def test_groups_of_few_columns_are_all_of_them(monkeypatch):
    stack, state = stack_at("logistic")
    which = elements_of(stack, 1)
    whole = parts_of(stack, state)
    monkeypatch.setattr(stack.hessians, "at_once", lambda: 2)
    groups = parts_of(stack, state)
    for k in (4, 0, 3, 1):
        one, other = (made(parts, k, 1, which) for parts in (whole, groups))
        assert np.abs(one - other).max() <= 1e-14 * np.abs(one).max()


@pytest.mark.parametrize(("room", "fetches"), [(0, 4), (2, 2), (9, 1)])
@pytest.mark.parametrize("model", ["logistic", "softmax"])
def test_what_there_is_room_for_is_fetched_at_once(model, room, fetches, monkeypatch):
    stack, state = stack_at(model)
    monkeypatch.setattr(prox_newton, "SMALL", 0)
    works = [Work(k, 1, elements_of(stack, 1)) for k in range(4)]
    expected = [M for _, M in parts_of(stack, state).each(works)]
    waits, fetch = [], DEVICE.fetch
    sizes = DEVICE.sizes._replace(chunk_bytes=8 * room * len(works[0].elements) ** 2)
    counting = lambda parts: waits.append(1) or fetch(parts)  # noqa: E731
    monkeypatch.setattr(stack.hessians, "device", replace(DEVICE, sizes=sizes, fetch=counting))
    nothing = Work(4, 1, works[0].elements[:0])
    found = list(parts_of(stack, state).each([nothing, *works]))
    assert [work.k for work, _ in found] == [0, 1, 2, 3]
    assert len(waits) == fetches
    for (_, M), right in zip(found, expected, strict=True):
        np.testing.assert_allclose(M, right, rtol=1e-12)


OUTPUTS = {"linear": 2, "logistic": 2, "softmax": 3}
KINDS = [(model, C, K) for model, C in OUTPUTS.items() for K in (6, 30)]


def elastic(model, outputs):
    """Rows with weights, a constant feature among them."""
    rng = np.random.default_rng(outputs)
    X = np.column_stack([rng.standard_normal((90, 14)), np.full(90, 3.0)])
    z = X[:, :4] @ rng.standard_normal((4, outputs)) + rng.standard_normal((90, outputs))
    y = z if model == "linear" else (z > 0) * 1.0
    y = np.eye(outputs)[z.argmax(axis=1)] if model == "softmax" else y
    p = rng.exponential(size=90)
    return Problem(model, model, X, y, p / p.sum(), 0.0, 0.0, True)


@pytest.mark.parametrize(("model", "outputs", "columns"), KINDS)
def test_elastic_nets_with_row_weights_are_their_single_columns(model, outputs, columns):
    problem = elastic(model, outputs)
    l1 = np.geomspace(0.3, 1e-3, columns)
    l2 = np.resize([0.0, 0.05], columns)
    together = solved(problem, "auto", l2, l1, 1e-9)
    sparse = 0
    for k in range(0, columns, 3):
        alone = solved(problem, "auto", l2[k], l1[k], 1e-9)
        assert alone.outcomes[0].status == together.outcomes[k].status == "converged"
        assert alone.outcomes[0].step == together.outcomes[k].step
        W, V = alone.weights[..., 0], together.weights[..., k]
        assert ((W != 0) == (V != 0)).all()
        assert np.abs(W - V).max() <= 1e-10 * max(1e-300, np.abs(W).max())
        sparse += (W == 0).any()
    assert sparse >= 2


@pytest.mark.parametrize("columns", [4, 30])
@pytest.mark.parametrize(("model", "outputs"), OUTPUTS.items())
def test_a_column_that_fails_changes_no_bit_of_the_others(model, outputs, columns):
    if (model, columns) == ("linear", 4) and not PROVES:
        pytest.skip("each column starts where the next stronger ended, which its last bits tell")
    problem = elastic(model, outputs)
    l1 = np.geomspace(0.3, 1e-3, columns)
    found = []
    for odd in (0.0, 1e200):  # the loss of one overflows
        stack = stack_of(problem, "newton", np.full(columns, 1e-3), l1, 1e-8)
        weights = np.zeros(stack.shape)
        weights[:, 0, 1] = odd
        state = start(stack, weights)
        while not stack.settled(state).all():  # nobody leaves: the width stays
            state.live &= ~stack.settled(state)
            stack.advance(state, 1 << 40)
        found.append(state)
    tame, wild = found
    assert wild.progress.iterations[1] == 0 < tame.progress.iterations[1]
    for k in (0, *range(2, columns)):
        assert (tame.weights[..., k] == wild.weights[..., k]).all()
        assert (tame.bias[..., k] == wild.bias[..., k]).all()


@pytest.mark.skipif(not PROVES, reason="what proves them is compiled")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("model", "outputs"), OUTPUTS.items())
def test_minima_of_every_model_are_proven(model, outputs, bias, monkeypatch):
    asked, left = [], []
    proven, minimize = prox_newton.proven_minimum, prox_newton.minimize
    monkeypatch.setattr(prox_newton, "proven_minimum", lambda *a: asked.append(1) or proven(*a))
    monkeypatch.setattr(prox_newton, "minimize", lambda *a: left.append(1) or minimize(*a))
    problem = replace(elastic(model, outputs), bias=bias)
    found = solved(problem, "auto", np.full(4, 1e-3), np.geomspace(0.1, 1e-3, 4), 1e-9)
    assert {one.status for one in found.outcomes} == {"converged"}
    assert len(asked) >= 4
    assert len(left) <= len(asked) / 4


def test_the_tables_are_whole():
    assert len(KINDS) == 6
