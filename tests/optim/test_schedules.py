"""Learning rates of a stack against closed forms, one column and step at a time."""

import numpy as np
import pytest
from oracles import learning_rate

from trainer.optim.schedules import LrSchedule

COLUMNS = {
    "lr": [0.1, 1.0, 3e-3, 0.5, 0.2],
    "steps": [40, 40, 25, 60, 3],
    "warmup": [0, 5, 10, 60, 1],
    "final": [0, 0.1, 0.01, 0.5, 1],
    "gamma": [0.1, 0.5, 0.9, 2.0, 0.1],
}
MILESTONES = (7.0, 20.0, 21.0)


def schedule(name, columns=COLUMNS, milestones=MILESTONES):
    values = {key: np.array(value, float) for key, value in columns.items()}
    values.setdefault("length", values["steps"])
    return LrSchedule(name=name, milestones=np.array(milestones, float), **values)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
def test_a_table_is_the_closed_form_of_each_column(name):
    found = schedule(name).table(0, 65)
    assert found.shape == (66, 5)
    assert (found[0] == 0).all()
    for k in range(5):
        column = {key: float(value[k]) for key, value in COLUMNS.items()}
        right = [learning_rate(name, step, column, MILESTONES) for step in range(1, 66)]
        np.testing.assert_allclose(found[1:, k], right, rtol=1e-14, atol=1e-17)


def test_cosine_starts_at_lr_and_would_end_at_final_one_step_after_the_last():
    one = {"lr": [2], "steps": [8], "warmup": [0], "final": [0.25], "gamma": [1]}
    plan = schedule("cosine", one)
    rates = plan.table(1, 9)[:, 0]
    assert rates[0] == 2
    assert rates[4] == pytest.approx((2 + 0.5) / 2, rel=1e-15)  # half-way: after 4 of 8 steps
    assert rates[8] == 0  # past the budget
    longer = schedule("cosine", one | {"steps": [9], "warmup": [1]})
    np.testing.assert_allclose(longer.table(2, 9)[:, 0], rates[:8], rtol=1e-15)


def test_cosine_may_be_spread_over_more_steps_than_are_trained():
    """So that a refit stops at its best epoch on the schedule that found it."""
    whole = {"lr": [2], "steps": [40], "warmup": [3], "final": [0.25], "gamma": [1]}
    rates = schedule("cosine", whole).table(1, 40)
    short = schedule("cosine", whole | {"steps": [15], "length": [40]}).table(1, 40)
    assert (short[:15] == rates[:15]).all()
    assert (short[15:] == 0).all()
    assert (schedule("cosine", whole | {"steps": [15]}).table(1, 15) != rates[:15]).any()


@pytest.mark.parametrize("warmup", [0.5, 1.5, 2.5, 7.1])
@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
def test_a_warm_up_of_part_of_a_step_never_exceeds_lr(name, warmup):
    one = {"lr": [0.3], "steps": [20], "warmup": [warmup], "final": [0], "gamma": [1]}
    rates = schedule(name, one).table(1, 20)[:, 0]
    assert rates.max() <= 0.3
    whole = int(warmup)
    np.testing.assert_allclose(rates[:whole], 0.3 * np.arange(1, whole + 1) / warmup, rtol=1e-15)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
def test_any_part_of_a_table_and_any_column_is_the_same_made_alone(name):
    whole = schedule(name).table(1, 60)
    assert (schedule(name).table(13, 29) == whole[12:29]).all()
    for k in range(5):
        alone = schedule(name, {key: value[k : k + 1] for key, value in COLUMNS.items()})
        assert (alone.table(1, 60)[:, 0] == whole[:, k]).all()
