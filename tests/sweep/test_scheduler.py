"""The scheduler: who waits, who is halved when; company, parking and threads change nothing."""

import numpy as np
import pytest
from stacks import (
    DEVICE,
    Member,
    Recorder,
    fit,
    host,
    initial,
    make_problem,
    make_stack,
    short_stretches,
    start,
)

from trainer.data.rows import Rows
from trainer.machine.interrupted import ask
from trainer.sweep import scheduler as scheduler_module
from trainer.sweep.scheduler import Scheduler
from trainer.sweep.stopping import EarlyStopper, Halving, Rules, never_stopping
from trainer.sweep.threads import Threads
from trainer.text.numbers import counted
from trainer.text.saved import copied
from trainer.train import training as training_module
from trainer.train.evaluate import HeldOut
from trainer.train.training import Training


class Heard(Recorder):
    """A recorder that knows which stack each call is about."""

    def __post_init__(self):
        super().__post_init__()
        self.order = []

    def on_evaluation(self, stack, columns, reading):
        super().on_evaluation(stack, columns, reading)
        self.order.append((stack, reading.number))


def member(problem, trials, repeats, values, *, every=3, restore=False, **settings):
    """A stack whose columns have the scripted metric values[trial][repeat][evaluation]."""
    K = len(trials)
    first = make_stack(problem, lr=[0.05] * K, **settings)
    weights, bias = initial(problem, K)

    def evaluator(stack):
        columns = training.columns

        def read(state, should_stop):
            number = -(-state.step // every)
            now = [values[trials[k]][repeats[k]][number - 1] for k in columns]
            return {"val_loss": np.array(now, float)}

        return read

    training = Training(
        K,
        lambda columns: first.take(columns),
        lambda stack: start(stack, weights, bias),
        evaluator,
        lambda stack: every,
        np.full(K, restore),
    )
    return Member(training, np.array(trials), np.array(repeats))


def run(members, rules, threads=1, room=None, heard=None):
    heard = heard or Heard()
    with Threads(threads) as jobs:
        scheduler = Scheduler(members, rules, heard, jobs, room)
        scheduler.run()
    return scheduler, heard


def outcomes(members):
    return {
        (int(t), int(r)): outcome
        for m in members
        for t, r, outcome in zip(m.trial, m.repeat, m.training.result.outcomes, strict=True)
    }


def slow_halving(values, min_iter, eta, evaluations):
    """{trial: evaluation it was dropped after}, of means over repeats."""
    alive, dropped, rung = list(range(len(values))), {}, min_iter
    while rung < evaluations:
        alive.sort(key=lambda t: (np.mean([r[rung - 1] for r in values[t]]), t))
        keep = -(-len(alive) // eta)
        dropped |= dict.fromkeys(alive[keep:], rung)
        alive = alive[:keep]
        rung *= eta
    return dropped


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("min_iter", "eta"), [(1, 2), (3, 3), (2, 4)])
def test_halving_over_two_stacks_and_their_repeats_is_the_slow_one(seed, min_iter, eta):
    draw = np.random.default_rng(seed)
    values = draw.uniform(1, 2, (11, 3, 12)).round(1)  # ties too
    problem = make_problem("linear")
    members = [
        member(problem, list(range(11)), [r] * 11, values, steps=36, batch_size=b)
        for r, b in ((0, 20), (1, None), (2, 7))
    ]
    rules = Rules("val_loss", 1.0, never_stopping(11), Halving(min_iter, eta, np.zeros(11, int)))
    scheduler, _ = run(members, rules)
    expected = slow_halving(values, min_iter, eta, 12)
    found = outcomes(members)
    for t in range(11):
        for r in range(3):
            if t in expected:
                assert found[t, r].status == "halved"
                assert found[t, r].step == 3 * expected[t]
                assert f"after {counted(expected[t], 'evaluation')}, of" in found[t, r].reason
            else:
                assert found[t, r].status == "finished"
    assert sorted(t for rung in scheduler.rungs for t in rung.dropped) == sorted(expected)
    assert [rung.evaluation for rung in scheduler.rungs] == sorted(set(expected.values()))
    for rung in scheduler.rungs:
        assert rung.kept == -(-rung.alive // eta)
        assert rung.alive - rung.kept == len(rung.dropped)


def test_halving_keeps_the_best_of_each_group():
    values = [[[v] * 6] for v in (1, 2, 3, 7, 8, 9)]
    problem = make_problem("linear")
    one = member(problem, list(range(6)), [0] * 6, values, steps=18)
    rules = Rules("val_loss", 1.0, never_stopping(6), Halving(2, 3, np.array([0, 0, 0, 1, 1, 1])))
    run([one], rules)
    assert [o.status for o in one.training.result.outcomes] == [
        "finished",
        "halved",
        "halved",
        "finished",
        "halved",
        "halved",
    ]


def test_larger_is_better_where_the_sign_says_so():
    values = [[[v] * 4] for v in (0.1, 0.9, 0.5)]
    one = member(make_problem("linear"), [0, 1, 2], [0] * 3, values, steps=12)
    rules = Rules("val_loss", -1.0, never_stopping(3), Halving(1, 3, np.zeros(3, int)))
    run([one], rules)
    assert [o.status for o in one.training.result.outcomes] == ["halved", "finished", "halved"]


def test_nobody_goes_past_an_evaluation_that_others_have_not_reached():
    values = np.ones((4, 2, 12))
    problem = make_problem("linear")
    members = [member(problem, [0, 1, 2, 3], [r] * 4, values, steps=36) for r in (0, 1)]
    rules = Rules("val_loss", 1.0, never_stopping(4), Halving(2, 2, np.zeros(4, int)))
    _, heard = run(members, rules)
    assert heard.order == [(stack, e) for e in range(1, 13) for stack in (0, 1)]


def test_stacks_that_no_rule_compares_go_one_after_another():
    values = np.ones((4, 2, 12))
    problem = make_problem("linear")
    members = [member(problem, [0, 1, 2, 3], [r] * 4, values, steps=36) for r in (0, 1)]
    _, heard = run(members, Rules("val_loss", 1.0, never_stopping(4)))
    assert heard.order == [(stack, e) for stack in (0, 1) for e in range(1, 13)]


def stopping(patience, trials):
    ones = np.ones(trials)
    return EarlyStopper(["val_loss"] * trials, ones, ones * patience, ones * 0, ones > 0)


def test_early_stopping_looks_at_the_mean_over_repeats_and_keeps_that_evaluation():
    # each repeat alone would have stopped elsewhere; the mean is best at evaluation 3
    values = [[[5, 4, 3, 9, 9, 9], [5, 4, 3.5, 1, 1, 1]], [[1, 2, 3, 4, 5, 6]] * 2]
    values[0][0][3:] = [9, 9, 9]
    problem = make_problem("linear")
    members = [
        member(problem, [0, 1], [r, r], values, steps=18, restore=True, batch_size=b)
        for r, b in ((0, 20), (1, 30))
    ]
    run(members, Rules("val_loss", 1.0, stopping(2, 2)))
    for m in members:
        result = m.training.result
        assert [o.status for o in result.outcomes] == ["early_stopped"] * 2
        assert [o.step for o in result.outcomes] == [15, 9]
        assert result.step.tolist() == [9, 3]
        assert result.metrics["val_loss"].tolist() == [
            values[t][m.repeat[0]][(2, 0)[t]] for t in (0, 1)
        ]


def test_a_diverged_repeat_makes_its_trial_the_last():
    values = np.ones((3, 2, 6))
    values[0] = 0.5
    values[0, 1] = np.nan
    values[2] = 2
    problem = make_problem("linear")
    members = [member(problem, [0, 1, 2], [r] * 3, values, steps=18) for r in (0, 1)]
    rules = Rules("val_loss", 1.0, never_stopping(3), Halving(1, 3, np.zeros(3, int)))
    run(members, rules)
    found = outcomes(members)
    assert [found[t, 0].status for t in range(3)] == ["halved", "finished", "halved"]


def test_trials_without_a_number_leave_where_others_have_one():
    values = np.ones((7, 1, 4))
    values[[0, 2, 4, 5], :, 0] = np.nan
    values[6] = np.inf  # the worst loss is a number
    one = member(make_problem("linear"), list(range(7)), [0] * 7, values, steps=12)
    rules = Rules("val_loss", 1.0, never_stopping(7), Halving(1, 2, np.zeros(7, int)))
    scheduler, _ = run([one], rules)
    found = [outcome.status for outcome in one.training.result.outcomes]
    assert found == ["halved", "finished", "halved", "finished", "halved", "halved", "halved"]
    assert [rung.kept for rung in scheduler.rungs] == [3, 2]
    reasons = [outcome.reason for outcome in one.training.result.outcomes]
    assert reasons[0] == "val_loss was no number after 1 evaluation"
    assert reasons[6] == "3 of 3 by val_loss after 2 evaluations, of which the best 2 went on"


def test_where_no_trial_has_a_number_nobody_is_halved():
    values = np.full((4, 1, 6), np.nan)
    values[:, :, 2:] = [[[4]], [[3]], [[2]], [[1]]]
    one = member(make_problem("linear"), list(range(4)), [0] * 4, values, steps=18)
    rules = Rules("val_loss", 1.0, never_stopping(4), Halving(2, 2, np.zeros(4, int)))
    scheduler, _ = run([one], rules)
    found = [outcome.status for outcome in one.training.result.outcomes]
    assert found == ["halved", "halved", "finished", "finished"]
    assert [(rung.evaluation, rung.kept) for rung in scheduler.rungs] == [(2, 4), (4, 2)]


def without(problem, repeats, values, undefined, **settings):
    """A stack for each repeat; the rows of `undefined` do not define the metric."""
    trials = list(range(len(values)))
    members = [member(problem, trials, [r] * len(trials), values, **settings) for r in repeats]
    for one in members:
        if int(one.repeat[0]) in undefined:
            one.undefined = frozenset({"val_loss"})
    return members


def test_halving_is_by_the_repeats_whose_rows_define_the_metric():
    draw = np.random.default_rng(1)
    values = draw.uniform(1, 2, (9, 3, 12))
    lacking = values.copy()
    lacking[:, 1] = np.nan
    members = without(make_problem("linear"), range(3), lacking, {1}, steps=36)
    rules = Rules("val_loss", 1.0, never_stopping(9), Halving(2, 3, np.zeros(9, int)))
    run(members, rules)
    expected = slow_halving(values[:, [0, 2]], 2, 3, 12)
    found = outcomes(members)
    for t in range(9):
        assert found[t, 1].status == ("halved" if t in expected else "finished")
        assert found[t, 1].step == 3 * expected.get(t, 12)


def test_early_stopping_is_by_the_repeats_whose_rows_define_the_metric():
    values = np.full((2, 3, 12), np.nan)
    values[0, :2] = [5, 4, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    values[1, :2] = np.arange(12, 0, -1)
    members = without(make_problem("linear"), range(3), values, {2}, steps=36, restore=True)
    run(members, Rules("val_loss", 1.0, stopping(2, 2)))
    for m in members:
        result = m.training.result
        assert [o.status for o in result.outcomes] == ["early_stopped", "finished"]
        assert [o.step for o in result.outcomes] == [15, 36]
        assert result.step.tolist() == [9, 36]


SETTINGS = {"steps": [30, 30, 12, 30, 21, 30], "batch_size": 25, "momentum": 0.9, "l1": 0.01}


def trained(threads, room, crowded=True, optimizer="sgd"):
    """Six trials x two repeats with halving and restoring, to the end: weights by column."""
    draw = np.random.default_rng(0)
    values = draw.uniform(1, 2, (6, 2, 10))
    members = [
        member(make_problem("softmax", seed=r), list(range(6)), [r] * 6, values, restore=True,
               optimizer=optimizer, **SETTINGS)
        for r in (0, 1)
    ]  # fmt: skip
    rule = stopping(4, 6)
    rules = Rules("val_loss", 1.0, rule, Halving(3, 2, np.zeros(6, int)))
    heard = Heard()
    run(members, rules, threads, room, heard)
    results = [m.training.result for m in members]
    log = [
        (s.columns.tolist(), s.records.step.tolist(), s.records.values["loss"].tobytes())
        for s in heard.stretches
    ]
    return results, log


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_parked_stacks_come_back_as_they_were(optimizer):
    whole, _ = trained(1, None, optimizer=optimizer)
    parked, _ = trained(1, 1, optimizer=optimizer)
    for a, b in zip(whole, parked, strict=True):
        assert a.outcomes == b.outcomes
        assert a.weights.tobytes() == b.weights.tobytes()
        assert a.bias.tobytes() == b.bias.tobytes()
        assert a.step.tolist() == b.step.tolist()
        assert len({o.status for o in a.outcomes}) >= 2


@pytest.mark.skipif(DEVICE.kind == "gpu", reason="threads are for cores")
def test_threads_change_no_bit_and_no_order():
    alone, log = trained(1, None)
    for _ in range(3):
        together, same = trained(2, None)
        assert log == same
        for a, b in zip(alone, together, strict=True):
            assert a.weights.tobytes() == b.weights.tobytes()
            assert a.outcomes == b.outcomes


def test_a_stack_that_narrows_ends_as_one_that_does_not(monkeypatch):
    narrowed, log = trained(1, None)
    assert min(len(columns) for columns, _, _ in log) < 6
    monkeypatch.setattr(training_module, "_CROWDED", 0)
    wide, log = trained(1, None)
    assert min(len(columns) for columns, _, _ in log) == 6
    for a, b in zip(narrowed, wide, strict=True):
        assert a.outcomes == b.outcomes
        assert abs(a.weights - b.weights).max() <= 1e-13 * abs(b.weights).max()


def test_columns_leave_only_at_the_end_of_an_epoch():
    values = np.ones((4, 1, 12))
    values[0] = 0.5
    one = member(
        make_problem("linear"), [0, 1, 2, 3], [0] * 4, values, every=2, steps=24, batch_size=20
    )
    rules = Rules("val_loss", 1.0, never_stopping(4), Halving(1, 4, np.zeros(4, int)))
    _, heard = run([one], rules)
    widths = [(int(s.records.step[-1]), len(s.columns)) for s in heard.stretches]
    assert all(width == (4 if step <= 3 else 1) for step, width in widths)  # three steps an epoch


def test_columns_that_end_of_their_own_leave_between_decisions(monkeypatch):
    short_stretches(monkeypatch, 5)  # one epoch of three steps, and no second
    values = np.ones((4, 1, 12))
    problem = make_problem("linear")
    one = member(problem, [0, 1, 2, 3], [0] * 4, values, every=20, steps=24, batch_size=20)
    one.training._start = lambda stack: broken(start(stack, *initial(problem, 4)), slice(1, 3))
    _, heard = run([one], Rules("val_loss", 1.0, never_stopping(4)))
    assert [s.status for s in one.training.result.outcomes].count("diverged") == 2
    widths = {int(s.records.step[-1]): len(s.columns) for s in heard.stretches}
    assert (widths[3], widths[6]) == (4, 2)  # three steps an epoch, no decision before step 20


def broken(state, columns):
    state.weights[..., columns] = np.inf
    return state


def test_an_interruption_ends_open_and_waiting_stacks(monkeypatch):
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")  # whose steps end together
    values = np.ones((2, 3, 10))
    problem = make_problem("linear")
    members = [member(problem, [0, 1], [r, r], values, steps=30) for r in range(3)]

    class Stop(Heard):
        def should_stop(self):
            return members[1].training.begun and members[1].training.state.step >= 7

    run(members, Rules("val_loss", 1.0, never_stopping(2)), heard=Stop())
    found = outcomes(members)
    assert [found[0, r].status for r in range(3)] == ["finished", "interrupted", "interrupted"]
    assert found[0, 1].reason == "interrupted after step 7"
    assert found[0, 2].reason == "interrupted before its first step"
    assert members[1].training.result.step.tolist() == [7, 7]
    assert members[2].training.result.weights is None
    assert members[1].training.result.weights is not None


def test_weights_of_a_column_are_those_of_the_stack_it_was_in():
    values = np.ones((3, 1, 4))
    problem = make_problem("softmax")
    one = member(problem, [0, 1, 2], [0] * 3, values, steps=12)
    run([one], Rules("val_loss", 1.0, never_stopping(3)))
    stack = make_stack(problem, lr=[0.05] * 3, steps=12)
    state = start(stack, *initial(problem, 3))
    while state.step < 12:
        stack.advance(state, 12)
    assert (one.training.result.weights == host(state.weights)).all()


def rows_of(problem):
    n = np.arange(20)
    return Rows(name="val", X=problem.X[:20], y=problem.y[:20], weight=np.ones(20), index=n)


def test_one_column_going_to_nan_leaves_255_others_to_the_bit():
    problem = make_problem("softmax", rows=64, features=8)
    ends = []
    for lr in (0.05, 1e308):
        rates = np.full(256, 0.1)
        rates[100] = lr
        stack = make_stack(problem, lr=rates, steps=24, batch_size=16, momentum=0.9)
        heard = Recorder()
        held = HeldOut(DEVICE, rows_of(problem), np.ones(3))
        done = fit(stack, start(stack, *initial(problem, 256)), held, 4, None, heard)
        ends.append((done, heard))
    (calm, a), (broken, b) = ends
    assert broken.outcomes[100].status == "diverged"
    others = np.arange(256) != 100
    assert calm.weights[..., others].tobytes() == broken.weights[..., others].tobytes()
    for k in (0, 99, 101, 255):
        assert a.history(k) == b.history(k)


# --- a stop within an evaluation ------------------------------------------------------------------


def cut(member, evaluations):
    """Have the evaluations of these numbers, from 1, be cut whenever they are asked to stop."""
    training, make, asked = member.training, member.training._evaluator, []

    def evaluator(stack):
        read = make(stack)

        def evaluate(state, should_stop):
            asked.append(state.step)
            if len(asked) in evaluations:
                ask(should_stop)
            return read(state, should_stop)

        return evaluate

    training._evaluator = evaluator
    return asked


class Stopped(Heard):
    """Says stop while an evaluation of this number is read."""

    def __init__(self, asked, number):
        super().__init__()
        self.asked, self.number, self.kept = asked, number, []

    def on_round(self, scheduler):
        self.kept.append(copied(scheduler.saved()))

    def should_stop(self):
        return len(self.asked) == self.number


class Recorded(Member):
    """A stack whose training can be gone on with."""

    def saved(self):
        return self.training.saved()

    def restore(self, saved):
        self.training.restore(saved)


def two():
    """A stack of two trials, of which one is dropped after the second of three evaluations."""
    losses = [[[5.0, 4.0, 3.0]], [[6.0, 5.0, 4.0]]]
    made = member(make_problem("linear"), [0, 1], [0, 0], losses, steps=9)
    made.training._gradients_every = 2
    return Recorded(**vars(made))


def halved():
    return Rules("val_loss", 1.0, never_stopping(2), Halving(2, 2, np.zeros(2, int)))


def test_an_evaluation_that_a_stop_has_cut_is_none_and_is_read_from_the_beginning_later():
    right, heard = two(), Heard()
    run([right], halved(), heard=heard)
    one = two()
    asked = cut(one, [2])
    stopped = Stopped(asked, 2)
    run([one], halved(), heard=stopped)
    assert [number for _, number in stopped.order] == [1, 2]  # the second one late, and told
    assert {out.status for out in outcomes([one]).values()} == {"interrupted"}
    later, told = two(), Heard()
    with Threads(1) as threads:
        scheduler = Scheduler([later], halved(), told, threads)
        scheduler.restore(stopped.kept[-1])
        scheduler.run()
    assert outcomes([later]) == outcomes([right])
    assert [rung.evaluation for rung in scheduler.rungs] == [2]
    for name in ("weights", "bias"):
        found, known = (getattr(this.training.result, name) for this in (later, right))
        np.testing.assert_array_equal(found, known)
    assert [number for _, number in told.order] == [2, 3]
    steps = [step for stretch in told.stretches for step in stretch.records.step.tolist()]
    assert steps == list(range(5, 10))  # of the cut stretch, told once it is whole
    shown, known = (
        {one.step: one.arrays for stretch in this.stretches for one in stretch.snapshots}
        for this in (told, heard)
    )
    assert list(shown) == [6, 8]
    for name, array in known[6].items():
        np.testing.assert_array_equal(shown[6][name], array)


def test_evaluations_after_a_stop_take_some_seconds_at_most(monkeypatch):
    monkeypatch.setattr(scheduler_module, "_LATE", -1.0)
    one = two()
    asked = cut(one, [2, 3])
    stopped = Stopped(asked, 2)
    stopped.should_stop = lambda: len(asked) >= 2
    run([one], halved(), heard=stopped)
    assert asked == [3, 6, 6]  # cut, and cut again by the time there is
    assert [number for _, number in stopped.order] == [1]
    steps = [step for stretch in stopped.stretches for step in stretch.records.step.tolist()]
    assert steps == list(range(1, 7))  # its steps are told all the same
    assert {out.status for out in outcomes([one]).values()} == {"interrupted"}
    assert one.training.result.step.tolist() == [3, 3]  # what counts is the evaluation before
