"""What softmax's weights may be moved alike by."""

import numpy as np
import pytest
from stacks import DEVICE

from trainer.solvers.orthants import common_shift

XP = DEVICE.xp


@pytest.mark.parametrize("outputs", [2, 4, 6])
def test_of_the_least_sums_of_sizes_it_is_the_one_of_least_squares(outputs):
    rng = np.random.default_rng(outputs)
    weights = rng.standard_normal((6, outputs, 3)) * (rng.random((6, outputs, 3)) < 0.7)
    l1 = np.array([0.5, 0.0, 0.1])
    shift = DEVICE.to_host(common_shift(XP, DEVICE.to_device(weights), DEVICE.to_device(l1)))
    assert shift.shape == (6, 1, 3)
    moved = weights - shift
    for t in np.linspace(-3, 3, 601):
        sizes, squares = np.abs(weights - t).sum(axis=1), ((weights - t) ** 2).sum(axis=1)
        least, own = np.abs(moved).sum(axis=1), (moved**2).sum(axis=1)
        assert (l1 * (least - sizes) <= 1e-12).all()
        equal = (l1 == 0) | (np.abs(sizes - least) <= 1e-12)
        assert (own <= squares + 1e-12)[equal].all()


def test_zeros_stay_zeros():
    weights = np.array([[0.0, 0.1, 0.2, -0.3], [0.0, 0.0, 0.0, 0.0]])[..., None]
    assert weights.sum(axis=1).any()  # by rounding alone
    shift = common_shift(XP, DEVICE.to_device(weights), DEVICE.to_device(np.ones(1)))
    assert (DEVICE.to_host(shift) == 0).all()


def test_of_an_odd_count_one_is_in_the_middle_and_stays():
    weights = np.random.default_rng(0).standard_normal((6, 3, 2))
    shift = DEVICE.to_host(
        common_shift(XP, DEVICE.to_device(weights), DEVICE.to_device(np.ones(2)))
    )
    assert (shift == 0).all()
