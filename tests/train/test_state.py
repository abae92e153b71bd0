"""States: a start is a copy, and some columns of it are a state of their own."""

import numpy as np
from stacks import host, make_problem, make_stack


def test_a_start_is_a_copy_with_empty_slots():
    stack = make_stack(make_problem("softmax"), "adam", lr=[0.1, 0.2], precision="float32")
    weights, bias = np.ones((4, 3, 2)), np.ones((3, 2), np.float32)
    state = stack.start(weights, bias)
    assert set(state.arrays) == {"weights", "bias", "weights.m", "weights.v", "bias.m", "bias.v"}
    assert all(array.dtype == np.float32 for array in state.arrays.values())
    assert all((host(state.arrays[name]) == 0).all() for name in state.arrays if "." in name)
    assert not np.shares_memory(host(state.bias), bias)
    assert state.step == 0
    assert state.live.tolist() == [True, True]
