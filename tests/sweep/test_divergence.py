"""Why a column diverged: the cause, and bounds against the eigenvalues of the Hessian."""

import numpy as np
import pytest

from trainer import device as devices
from trainer.sweep.divergence import divergence
from trainer.sweep.sweep import set_up
from trainer.workflow.run import as_spec

ROWS = np.random.default_rng(0).normal(size=(60, 4))
TARGET = ROWS @ np.array([1.0, -2.0, 0.5, 3.0])


def found(X=ROWS, y=TARGET, **keys):
    """Of a run on these rows as they are."""
    data = {"train": (X, y)}
    keys = {"model": "linear", "data": {"scale": "none"}, "precision": "float64", **keys}
    spec = as_spec({"device": "cpu", **keys}, data)
    return divergence(set_up(spec, data, devices.choose("cpu")).first)


def largest_eigenvalue(X):
    """Of the Hessian of ½(ŷ − y)² with a bias."""
    with_bias = np.column_stack([X, np.ones(len(X))])
    return float(np.linalg.eigvalsh(with_bias.T @ with_bias / len(X))[-1])


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_bound_is_that_of_the_largest_eigenvalue(nesterov):
    optimizer = {"lr": 50, "momentum": 0.5, "nesterov": nesterov, "batch_size": "full"}
    why = found(optimizer=optimizer, penalty={"l2": 0.25})
    bound = 3 / (2 if nesterov else 1) / (largest_eigenvalue(ROWS) + 0.25)
    assert why["cause"] == "full batch"
    assert why["bound"] == pytest.approx(bound, rel=1e-3)
    assert why["try_lr"] == pytest.approx(bound / 2, rel=1e-3)
    assert (why["lr"], why["momentum"], why["nesterov"]) == (50, 0.5, nesterov)


def test_the_lr_to_try_is_the_one_that_is_written():
    """lr is multiplied by batch_size/base_batch_size, here by 4."""
    optimizer = {"lr": 50, "momentum": 0, "batch_size": 20, "base_batch_size": 5}
    why = found(optimizer=optimizer, penalty={"l2": 0})
    assert why["lr"] == 200
    bound = 2 / largest_eigenvalue(ROWS)
    assert why["try_lr"] == pytest.approx(bound / 2 / 4, rel=1e-3)


def test_below_the_bound_it_is_the_batches():
    bound = 2 / largest_eigenvalue(ROWS)
    optimizer = {"lr": 0.9 * bound, "momentum": 0, "batch_size": 2}
    why = found(optimizer=optimizer, penalty={"l2": 0})
    assert why["cause"] == "small batches"
    assert why["try_lr"] == pytest.approx(0.3 * bound, rel=1e-3)


@pytest.mark.parametrize(
    ("penalty", "has_l2"), [({"l2": 1e4}, True), ({"alpha": 1e4}, False)], ids=["l2", "alpha"]
)
def test_a_penalty_past_what_the_data_allow_is_to_blame(penalty, has_l2):
    why = found(optimizer={"lr": 0.1, "momentum": 0, "batch_size": "full"}, penalty=penalty)
    assert why["cause"] == "penalty"
    assert why["has_l2"] == has_l2
    assert why["try_l2"] == pytest.approx(2 / 0.1 / 10)


def test_rows_of_zeros_bound_nothing_and_the_penalty_is_to_blame():
    optimizer = {"lr": 1.0, "momentum": 0, "batch_size": "full"}
    zeros = np.zeros_like(ROWS)
    why = found(zeros, bias=False, optimizer=optimizer, penalty={"l2": 1e4}, init={"normal": 1})
    assert why["cause"] == "penalty"


@pytest.mark.parametrize(
    "optimizer",
    [{"name": "adam", "lr": 3}, {"name": "sgd", "lr": 3, "schedule": {"name": "cosine"}}],
    ids=["adam", "cosine"],
)
def test_without_a_bound_a_tame_lr_is_tried(optimizer):
    assert found(optimizer=optimizer) == {"cause": "lr", "try_lr": 0.01}


def test_a_target_whose_squares_overflow_is_to_blame_before_all_else():
    far = TARGET * 1e200
    assert found(y=far) == {"cause": "target", "precision": "float64"}
    assert found(y=far, optimizer={"name": "lbfgs"})["cause"] == "target"
    near = {"cause": "target", "precision": "float32"}
    assert found(y=TARGET * 1e30, precision="float32") == near
    assert found(y=TARGET * 1e30)["cause"] != "target"  # in float64


def test_a_solver_that_got_nowhere_began_too_far_away():
    assert found(optimizer={"name": "lbfgs"}) == {"cause": "first weights"}


def test_counts_that_are_all_zero_have_no_bound():
    """The curvature where ŷ is their mean is 0, and so is the penalty's."""
    optimizer = {"lr": 50, "batch_size": "full"}
    why = found(y=np.zeros(60), model="poisson", optimizer=optimizer, penalty={"l2": 0})
    assert why == {"cause": "lr", "try_lr": 0.01}
