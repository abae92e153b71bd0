"""First weights: the same everywhere, pinned, and normal."""

import numpy as np

from trainer.predict.init_weights import normal_weights

PINNED = [  # of seed 7: Box & Muller on splitmix64's bits
    [1.1356907248475157, -1.1749489706699776],
    [-0.20743907033396924, 1.3848416315904528],
    [0.6377523291361168, 0.5134042289007764],
]


def test_normal_weights_are_pinned():
    found = normal_weights(7, 3, 2)
    np.testing.assert_allclose(found, PINNED, rtol=1e-14)


def test_normal_weights_are_normal_and_depend_on_the_seed_alone():
    many = normal_weights(0, 500, 200)
    assert many.shape == (500, 200)
    assert (many == normal_weights(0, 500, 200)).all()
    assert abs(many - normal_weights(1, 500, 200)).min() < abs(many).max()
    assert not (many == normal_weights(1, 500, 200)).any()
    flat = np.sort(many.ravel())
    assert abs(flat.mean()) < 0.01
    assert abs(flat.std() - 1) < 0.01
    for z, share in ((-1.959964, 0.025), (-0.6744898, 0.25), (0.6744898, 0.75), (1.959964, 0.975)):
        assert abs(np.searchsorted(flat, z) / flat.size - share) < 0.005
    assert abs(np.corrcoef(many[:, 0], many[:, 1])[0, 1]) < 0.15
