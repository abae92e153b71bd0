"""Many systems at once, of any size: NumPy's solutions, and no loop on a GPU."""

import numpy as np
import pytest
from double import Cupy
from stacks import DEVICE

from trainer.solvers import linear_systems
from trainer.solvers.linear_systems import are_definite, solved


def systems(n, m, sides):
    rng = np.random.default_rng(m)
    half = rng.standard_normal((n, m, 2 * m))
    scale = np.logspace(-3, 3, m)  # as of features that differ in size
    return (half @ half.transpose(0, 2, 1)) * scale[:, None] * scale, rng.random((n, m, sides))


@pytest.mark.parametrize("sides", [1, 3])
@pytest.mark.parametrize("m", [1, 7, 8, 9, 16, 30])
def test_large_systems_are_solved_as_small_ones_are(m, sides, monkeypatch):
    monkeypatch.setattr(linear_systems, "_TOGETHER", 8)
    a, b = systems(5, m, sides)
    found = DEVICE.to_host(solved(DEVICE.xp, *(DEVICE.to_device(one) for one in (a, b))))
    right = np.linalg.solve(a, b)
    assert found.shape == right.shape
    scale = np.logspace(-3, 3, m)[:, None]
    assert np.abs((found - right) * scale).max() <= 1e-9 * np.abs(right * scale).max()


def test_a_singular_system_spoils_no_other():
    a, b = systems(4, 5, 1)
    right = np.linalg.solve(a, b)
    a[2] = 0
    found = DEVICE.to_host(solved(DEVICE.xp, *(DEVICE.to_device(one) for one in (a, b))))
    assert not np.isfinite(found[2]).all()
    np.testing.assert_array_equal(found[[0, 1, 3]], right[[0, 1, 3]])


def test_a_gpu_solves_no_system_by_itself():
    launches = {}
    for n in (1, 9):
        cupy = Cupy()
        given = [cupy.asarray(one) for one in systems(n, 300, 1)]
        before = cupy.counts.now()
        solved(cupy, *given)
        launches[n] = cupy.counts.since(before).launches
    assert launches[1] == launches[9] < 6 * 9


@pytest.mark.parametrize("m", [1, 5, 40])
def test_a_definite_matrix_is_told_from_others_of_its_batch(m):
    a = systems(4, m, 1)[0]
    lowest = np.linalg.eigvalsh(a)[:, 0, None, None]
    a[1] -= 2 * lowest[1] * np.eye(m)
    a[2, -1, -1] = np.nan
    a[3, -1, -1] = -a[3, -1, -1]
    found = DEVICE.to_host(are_definite(DEVICE.xp, DEVICE.to_device(a)))
    assert found.tolist() == [True, False, False, False]
    assert DEVICE.to_host(are_definite(DEVICE.xp, DEVICE.to_device(a[:1]))).all()


def test_a_factor_that_was_given_up_is_none():
    """cuSOLVER stops at the first pivot that is not positive, and leaves the rest as it was."""
    a = np.diag([2.0, 1.0, -1e-17])[None]

    class Unfinished:
        linalg = type(
            "linalg",
            (),
            {"cholesky": staticmethod(lambda a: np.sqrt(np.abs(a)) * (a > 0) + a * (a < 0))},
        )
        absolute = staticmethod(np.absolute)

    assert not are_definite(Unfinished, a).any()
    assert are_definite(Unfinished, np.abs(a)).all()
