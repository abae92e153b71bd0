"""First weights: normal numbers the same everywhere, and saved ones moved to another scaling."""

import numpy as np
import pytest

from trainer import load_model
from trainer.config import load_spec
from trainer.data import prepare
from trainer.errors import DataError
from trainer.predict.fitted_model import FittedModel
from trainer.predict.init_weights import check_init, initial_weights, normal_weights

BASE = {"model": "logistic", "data": {"train": "breast_cancer"}}
STARTS = [("zeros", 3), ({"normal": 0.5}, 3), ({"normal": 2.0}, 4)]

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


def encoder(**data):
    return prepare(load_spec(BASE | {"data": BASE["data"] | data})).encoder


def test_each_column_starts_as_its_spec_says():
    specs = [load_spec(BASE | {"init": init, "seed": seed}) for init, seed in STARTS]
    W, b = initial_weights(specs, encoder(), (30, 1, 3))
    assert not W[..., 0].any()
    assert (W[..., 1] == 0.5 * normal_weights(3, 30, 1)).all()
    assert (W[..., 2] == 2.0 * normal_weights(4, 30, 1)).all()
    assert not b.any()


def test_a_saved_model_starts_with_the_same_scores_in_another_scaling(tmp_path):
    """What it predicts of raw rows is what first weights on the rows as scaled now do."""
    ours, theirs = encoder(), encoder(scale="none")
    rng = np.random.default_rng(0)
    FittedModel("logistic", rng.normal(size=(30, 1)), rng.normal(size=1), theirs).save(tmp_path)
    spec = load_spec(BASE | {"init": str(tmp_path)})
    check_init(spec, ours)
    W, b = initial_weights([spec], ours, (30, 1, 1))
    before, after = load_model(tmp_path), FittedModel("logistic", W[..., 0], b[..., 0], ours)
    X = rng.normal(size=(20, 30)) * 100
    assert after.scores(X) == pytest.approx(before.scores(X), rel=1e-10)


def test_a_saved_model_that_does_not_fit_is_refused(tmp_path):
    digits = prepare(load_spec({"model": "softmax", "data": {"train": "digits"}})).encoder
    FittedModel("softmax", np.zeros((64, 10)), np.zeros(10), digits).save(tmp_path)
    with pytest.raises(DataError, match=r"init: .*its model is not this run's: softmax against"):
        check_init(load_spec(BASE | {"init": str(tmp_path)}), encoder())
    for init in ("zeros", {"normal": 1.0}):
        check_init(load_spec(BASE | {"init": init}), encoder())


def test_a_saved_model_with_the_other_class_positive_starts_with_the_other_sign(tmp_path):
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(30, 1)), rng.normal(size=1)
    FittedModel("logistic", W, b, encoder()).save(tmp_path)
    spec = load_spec(BASE | {"init": str(tmp_path)})
    for positive, sign in (("malignant", 1), ("benign", -1)):
        found = initial_weights([spec], encoder(positive=positive), (30, 1, 1))
        np.testing.assert_allclose(found[0][..., 0], sign * W, rtol=1e-12)
        np.testing.assert_allclose(found[1][..., 0], sign * b, rtol=1e-12)


def test_a_saved_model_of_other_classes_is_refused(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 2))
    encoders = [
        prepare(load_spec({"model": "logistic", "data": {"train": "arrays"}}), {"train": (X, y)})
        for y in (["no", "yes"] * 10, ["a", "b"] * 10)
    ]
    FittedModel("logistic", np.zeros((2, 1)), np.zeros(1), encoders[0].encoder).save(tmp_path)
    spec = load_spec(BASE | {"init": str(tmp_path)})
    check_init(spec, encoders[0].encoder)
    with pytest.raises(DataError, match=r"its classes are not this run's: 2 \(no, yes\) against"):
        check_init(spec, encoders[1].encoder)
