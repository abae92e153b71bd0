"""What an update can see beside its parameter: norms of whole columns."""

import numpy as np
from stacks import DEVICE, host

from trainer.optim.first_order import Room, by_column, column_norms, scale_by_trust


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


def test_lars_steps_as_sgd_where_a_norm_is_0():
    draw = np.random.default_rng(4)
    D, C, K = 3, 2, 4
    p, g = draw.standard_normal((2, D, C, K))
    p[:, :, 1], g[:, :, 2] = 0, 0
    p[..., 3] *= 1e-160  # whose square is nearly nothing
    scaled = g.reshape(D, C * K).copy()
    room = Room.of(np, np.empty((D, C, K)), K, np.ones((1, D * C)))
    trust = np.tile([0.5, 0.5, 0.5, 0.5], C)
    scale_by_trust(np, p.reshape(D, C * K), scaled, trust, room)
    norms = np.linalg.norm(p.reshape(-1, K), axis=0), np.linalg.norm(g.reshape(-1, K), axis=0)
    right = [0.5 * norms[0][0] / norms[1][0], 1, 1, 0.5 * norms[0][3] / norms[1][3]]
    np.testing.assert_allclose(scaled.reshape(D, C, K), g * right, rtol=1e-7)
