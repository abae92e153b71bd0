"""What CuPy would compile, as its double says: by name, precision, axes and contiguity."""

import numpy as np
import pytest
from double import Cupy
from double_kernels import record


@pytest.fixture
def cupy():
    return Cupy()


def compiled(cupy, *calls):
    """What each of some calls adds."""
    found, added = record(cupy), []
    for call in calls:
        before = set(found)
        call()
        added.append(found - before)
    return added


def test_axes_that_go_on_are_one(cupy):
    a, b, flat = cupy.ones((3, 4, 5)), cupy.ones((2, 7)), cupy.ones(9)
    first, *others = compiled(cupy, lambda: a + a, lambda: b + b, lambda: flat + flat)
    one = ("float64", 1, True)
    assert first == {("add", "elementwise", (one, one, one))}
    assert others == [set(), set()]


def test_what_is_broadcast_or_turned_has_a_kernel_of_its_own(cupy):
    a, row, turned = cupy.ones((3, 4)), cupy.ones(4), cupy.ones((4, 3)).T
    calls = [lambda: a + row, lambda: a + turned, lambda: a + 1.0, lambda: a.astype(np.float32)]
    added = compiled(cupy, *calls)
    whole, loose = ("float64", 2, True), ("float64", 2, False)
    assert added[0] == {("add", "elementwise", (whole, loose, whole))}
    assert added[1] == set()
    assert added[2] == {
        ("add", "elementwise", (("float64", 1, True), ("float",), ("float64", 1, True)))
    }
    assert added[3] == {("astype", "elementwise", (("float32", 1, True), ("float64", 1, True)))}


def test_each_function_and_precision_has_its_own(cupy):
    a, b = cupy.ones(5, np.float32), cupy.ones(5)
    added = compiled(cupy, lambda: a * a, lambda: b * b, lambda: b + b, lambda: cupy.exp(b))
    assert [len(one) for one in added] == [1, 1, 1, 1]
    assert len(set().union(*added)) == 4


def test_reductions_by_cub_are_compiled_by_size_and_sums_not_at_all(cupy):
    few, more, many = (cupy.ones(n, np.bool_) for n in (100, 120, 300))
    calls = [few.any, more.any, many.any, many.all, cupy.ones((4, 6)).sum]
    added = compiled(cupy, *calls)
    assert added[:3] == [
        {("any", "whole reduction", "bool", 32)},
        set(),
        {("any", "whole reduction", "bool", 128)},
    ]
    assert added[3] == {("all", "whole reduction", "bool", 128)}
    assert added[4] == set()


def test_other_reductions_are_compiled_once(cupy):
    a, b = cupy.ones((4, 6)), cupy.ones((40, 60))
    cube = cupy.ones((2, 3, 4))
    calls = [lambda: a.sum(axis=0), lambda: b.sum(axis=0), lambda: cube.sum(axis=1)]
    first, second, third = compiled(cupy, *calls)
    one, three = ("float64", 1, True), ("float64", 3, False)
    assert first == {("sum", "reduction", (one,), (one,))}
    assert second == set()
    assert third == {("sum", "reduction", (three,), (one,))}  # the axis is brought to the front
