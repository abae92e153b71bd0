"""States: a start is a copy, and some of its columns are a state of their own."""

from dataclasses import dataclass, fields

import numpy as np
from problems import problems
from solving import stack_of
from stacks import DEVICE, host, make_problem, make_stack

from trainer.train.state import State, take_columns


def test_a_start_is_a_copy_with_empty_slots():
    stack = make_stack(make_problem("softmax"), "adam", lr=[0.1, 0.2], precision="float32")
    weights, bias = np.ones((4, 3, 2)), np.ones((3, 2), np.float32)
    state = stack.start(weights, bias)
    assert set(state.arrays) == {"parameters", "m", "v"}
    assert all(array.dtype == np.float32 for array in state.arrays.values())
    assert all(array.shape == (5, 3, 2) for array in state.arrays.values())
    assert all((host(state.arrays[name]) == 0).all() for name in ("m", "v"))
    assert (host(state.weights) == 1).all()
    state.arrays["parameters"].fill(3)
    assert (host(state.weights) == 3).all()  # a view
    assert not np.shares_memory(host(state.bias), bias)
    assert state.step == 0
    assert state.live.tolist() == [True, True]


@dataclass
class Two:
    first: np.ndarray
    second: np.ndarray


def test_some_columns_of_a_state_are_picked_in_every_field():
    progress = Two(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    arrays = {"weights": np.arange(12.0).reshape(2, 2, 3), "bias": np.arange(6.0).reshape(2, 3)}
    state = State(5, progress, arrays, np.array([True, True, False]))
    part = state.take(np.array([2, 0]), lambda array: array[..., [2, 0]])
    assert part.step == 5
    assert part.progress.first.tolist() == [3, 1]
    assert part.progress.second.tolist() == [True, True]
    assert part.live.tolist() == [False, True]
    assert (part.weights == arrays["weights"][..., [2, 0]]).all()
    assert (part.bias == arrays["bias"][..., [2, 0]]).all()
    part.progress.first[0] = 9
    assert progress.first.tolist() == [1, 2, 3]


def test_what_a_solver_keeps_is_a_number_a_column_each():
    stack = stack_of(problems(1)[0], "lbfgs", [1e-2] * 4, np.zeros(4), 1e-6)
    D, C, K = stack.shape
    state = stack.start(np.zeros((D, C, K)), np.zeros((C, K)))
    stack.advance(state, 3)
    names = [field.name for field in fields(state.progress)]
    assert len(names) == 21
    for name in names:
        assert getattr(state.progress, name).shape == (K,), name
    part = take_columns(state.progress, np.array([1, 3]))
    for name in names:
        whole = getattr(state.progress, name)
        np.testing.assert_array_equal(getattr(part, name), whole[[1, 3]], name)


def test_a_solvers_columns_go_on_from_where_they_were_picked():
    problem = next(
        p for p in problems(240) if p.name.startswith("logistic (60, 5) plain") and p.bias
    )
    whole = stack_of(problem, "lbfgs", [1e-4, 1e-3, 1e-2], np.zeros(3), 1e-9)
    D, C, K = whole.shape
    state = whole.start(np.zeros((D, C, K)), np.zeros((C, K)))
    whole.advance(state, 4)
    keep = np.array([0, 2])
    where = DEVICE.to_device(keep)
    rest = state.take(keep, lambda array: DEVICE.xp.take(array, where, axis=-1))
    before = host(rest.arrays["w"]).copy()
    whole.advance(state, 6)
    whole.take(keep).advance(rest, 6)
    apart = np.abs(host(rest.arrays["w"]) - host(state.arrays["w"])[..., keep]).max()
    assert apart <= 1e-12  # a product of another width
    assert np.abs(host(rest.arrays["w"]) - before).max() > 1e-6
    assert (rest.progress.evaluations == state.progress.evaluations[keep]).all()
