"""What an update can see beside its parameter: norms of whole columns."""

import numpy as np
from stacks import DEVICE, host

from trainer.optim.first_order import Room, by_column, column_norms


def test_a_norm_a_column_is_over_features_and_outputs():
    xp, (D, C, K) = DEVICE.xp, (5, 3, 4)
    held = np.random.default_rng(0).standard_normal((D, C, K))
    array = DEVICE.to_device(held).reshape(D, C * K)
    room = Room.of(xp, xp.empty((D, C, K)), K, xp.ones((1, D * C + 7)))
    column_norms(xp, array, room, room.norms[1])
    right = [np.linalg.norm(held[:, :, k]) for k in range(K)]
    np.testing.assert_allclose(host(room.norms)[1], right, rtol=1e-14)
    assert host(array).tolist() == held.reshape(D, C * K).tolist()


def test_what_is_of_a_column_meets_its_numbers():
    held = np.arange(24.0).reshape(2, 3, 4)
    wide = held.reshape(2, 12).copy()
    room = Room.of(np, np.empty((2, 3, 4)), 4, np.ones((1, 6)))
    by_column(wide, room)[...] *= np.array([1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(wide.reshape(2, 3, 4), held * [1.0, 10.0, 100.0, 1000.0])
