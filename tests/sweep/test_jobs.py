"""Jobs: each stack is built once, when its turn comes, and lets its rows go."""

import gc

import numpy as np
import pytest
from stacks import CPU

from trainer.config import load_spec
from trainer.sweep import fit_memory, jobs
from trainer.sweep import sweep as sweep_module
from trainer.sweep.build import DeviceRows, build
from trainer.sweep.jobs import StackFacts
from trainer.sweep.sweep import set_up, train
from trainer.workflow.plan import plan
from trainer.workflow.recorder import NullObserver

BASE = {
    "model": "softmax",
    "data": {"train": "digits", "val": "none"},
    "optimizer": {"name": "sgd", "epochs": 1, "batch_size": "full"},
}
LR = {"optimizer.lr": [0.01, 0.1, 1.0]}
FOLDS = BASE | {"repeat": {"folds": 3}, "sweep": {"parameters": LR, "metric": {"name": "val_loss"}}}
OPTIMIZERS = BASE | {"sweep": {"parameters": {**LR, "optimizer.name": ["sgd", "adam"]}}}


@pytest.fixture
def built(monkeypatch):
    """The widths of the stacks that are built, one after another."""
    widths = []

    def counting(specs, *more):
        widths.append(len(specs))
        return build(specs, *more)

    for module in (jobs, sweep_module):
        monkeypatch.setattr(module, "build", counting)
    monkeypatch.setattr(fit_memory, "cores", lambda: 1)  # so that no stack is cut
    return widths


def run(spec):
    sweep = set_up(load_spec(spec), None, CPU)
    train(sweep, NullObserver(lambda: None))
    return sweep


@pytest.mark.parametrize(
    ("spec", "widths"), [(BASE, [1]), (FOLDS, [3, 3, 3]), (OPTIMIZERS, [3, 3])]
)
def test_each_stack_is_built_once(spec, widths, built):
    run(spec)
    assert built == widths
    built.clear()
    plan(load_spec(spec))
    assert built == widths


def test_a_parked_stack_is_built_again(built):
    sweep = set_up(load_spec(FOLDS), None, CPU)
    training = sweep.jobs[0].training
    training.resume()
    training.advance()
    weights = training.state.weights.copy()
    for _ in range(2):
        training.park()
        training.resume()
    assert built == [3, 3, 3]
    np.testing.assert_array_equal(training.state.weights, weights)


def test_a_stack_that_was_cut_is_built_in_its_pieces(built, monkeypatch):
    monkeypatch.setattr(fit_memory, "_CACHED", 1)
    spec = load_spec(OPTIMIZERS | {"optimizer": {"name": "sgd", "epochs": 1, "batch_size": 64}})
    sweep = set_up(spec, None, CPU)
    train(sweep, NullObserver(lambda: None))
    assert built == [3, 1, 1, 1, 1, 1, 1]  # the first whole, to be checked before it trains
    assert [len(job.trial) for job in sweep.jobs] == [1] * 6
    assert {job.facts.l2.shape for job in sweep.jobs} == {(1,)}


def test_facts_are_known_once_a_stack_is_built(built):
    sweep = set_up(load_spec(FOLDS), None, CPU)
    assert [job.facts for job in sweep.jobs] == [None] * 3
    columns = sweep.jobs[1].build()
    facts, again = sweep.jobs[1].facts, StackFacts.of(columns)
    assert sweep.jobs[0].facts is None
    np.testing.assert_array_equal(facts.l2, columns.l2)
    np.testing.assert_array_equal(facts.index, columns.prepared.train.index)
    for one in (facts, again):
        np.testing.assert_array_equal(one.weight_sum, np.full(len(one.l2), len(facts.index)))
    assert (facts.steps_per_epoch, facts.solver) == (1, None)


def test_epochs_are_those_that_steps_reach_into():
    facts = StackFacts(*[np.zeros(1)] * 3, 12, None, np.arange(3))
    assert [facts.epochs(step) for step in (0, 1, 12, 13)] == [0, 1, 1, 2]
    np.testing.assert_array_equal(facts.epochs(np.array([0, 11, 24, 25])), [0, 1, 2, 3])


def test_rows_leave_with_their_stacks(monkeypatch):
    monkeypatch.setattr(sweep_module, "rows_share", lambda device: 0.0)
    monkeypatch.setattr(fit_memory, "cores", lambda: 1)
    gc.collect()
    before = {id(found) for found in gc.get_objects() if isinstance(found, DeviceRows)}
    sweep = set_up(load_spec(FOLDS), None, CPU)
    sweep.cache.room = 0.0
    train(sweep, NullObserver(lambda: None))
    gc.collect()
    held = [
        found
        for found in gc.get_objects()
        if isinstance(found, DeviceRows) and id(found) not in before
    ]
    last = sweep.jobs[-1].planned
    assert sorted(map(id, held)) == sorted(
        map(id, (sweep.first.device_rows, sweep.cache.of(last.rows, last.spec)))
    )


def test_an_evaluation_of_a_job_asks_whether_to_stop(monkeypatch):
    made = {"synthetic": {"rows": 100, "columns": 4, "outputs": 1}}
    spec = BASE | {"model": "linear", "data": {"train": made, "val": 0.2}}
    monkeypatch.setattr("trainer.train.evaluate._WIDE", 1)
    monkeypatch.setattr("trainer.train.evaluate._FEWEST_ROWS", 7)
    (job,) = set_up(load_spec(spec), None, CPU).jobs
    training = job.training
    training.resume()
    assert training.advance(lambda: True) is None
    assert training.state.step == 1  # its one step is taken, whole
    assert training.unread is not None
    assert training.advance().evaluation.metrics.keys() > {"val_loss"}
