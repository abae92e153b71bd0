"""Many systems at once, of any size: NumPy's solutions, and no loop on a GPU."""

import numpy as np
import pytest
from double import Cupy
from stacks import DEVICE

from trainer.solvers import linear_systems
from trainer.solvers.linear_systems import solved


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


def test_a_gpu_solves_no_system_by_itself():
    launches = {}
    for n in (1, 9):
        cupy = Cupy()
        given = [cupy.asarray(one) for one in systems(n, 300, 1)]
        before = cupy.counts.now()
        solved(cupy, *given)
        launches[n] = cupy.counts.since(before).launches
    assert launches[1] == launches[9] < 6 * 9
