"""Fit: when it evaluates, how each column ends, what is recorded and what weights are kept."""

import numpy as np
import pytest
from oracles import gradients, objective, prediction, row_losses
from stacks import (
    LOSSES,
    Recorder,
    fit,
    host,
    initial,
    joined,
    make_problem,
    make_stack,
    short_stretches,
    small_chunks,
    start,
)

from trainer.streams import shuffle
from trainer.sweep.stopping import EarlyStopper
from trainer.text.numbers import counted
from trainer.train.outcomes import Outcome
from trainer.train.stack import Stack


class Script:
    """An evaluation that reads its metric (K,) off a script, in order, and keeps the weights."""

    def __init__(self, stack, values, name="val_loss"):
        self.stack, self.values, self.name, self.weights = stack, list(values), name, []

    def __call__(self, state):
        self.weights.append(host(state.weights).copy())
        return {self.name: np.array(self.values.pop(0), float)}


def stopping(metric="val_loss", sign=1.0, patience=(2,), min_delta=(0,), restore_best=True):
    K = len(patience)
    arrays = np.array(patience, float), np.array(min_delta, float)
    return EarlyStopper([metric] * K, np.full(K, sign), *arrays, np.full(K, restore_best))


def scripted(values, rule, columns=1, every=1, **settings):
    """Fit linear columns on scripted metrics (one row an evaluation, one number a column)."""
    problem = make_problem("linear")
    stack = make_stack(problem, lr=[0.05] * columns, **{"steps": 12, **settings})
    script, heard = Script(stack, values, rule.metric[0] if rule else "val_loss"), Recorder()
    done = fit(stack, start(stack, *initial(problem, columns)), script, every, rule, heard)
    return done, heard, script


# the metric of each evaluation; patience, min_delta, sign -> evaluations made, the best one
RULES = [
    ("never better", [5, 6, 7, 8, 9], 2, 0, 1, 3, 1),
    ("patience starts again", [5, 6, 4, 5, 5, 9], 2, 0, 1, 5, 3),
    ("equal is not better", [5, 5, 5, 5], 2, 0, 1, 3, 1),
    ("patience of one", [5, 4, 4.5, 1], 1, 0, 1, 3, 2),
    ("too small a change", [5, 4.95, 4.92, 1], 2, 0.1, 1, 3, 1),
    ("small changes add up to one", [5, 4.95, 4.85, 4.8, 4.8], 2, 0.1, 1, 5, 3),
    ("maximised", [0.5, 0.6, 0.55, 0.6, 0.9], 2, 0, -1, 4, 2),
    ("maximised by min_delta", [0.5, 0.55, 0.59, 0.9], 2, 0.1, -1, 3, 1),
    ("nan is not waited for", [3, np.nan, np.nan, np.nan, 4, np.nan, 5], 2, 0, 1, 7, 1),
    ("nan starts no patience again", [3, 4, np.nan, 4, 1], 2, 0, 1, 4, 1),
    ("nan first", [np.nan, np.nan, np.nan, 3, 4, 5], 2, 0, 1, 6, 4),
    ("an infinite r2 is none", [0.5, -np.inf, -np.inf, 0.4, 0.3], 2, 0, -1, 5, 1),
]


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("what", [rule[0] for rule in RULES])
def test_early_stopping(what, restore):
    values, patience, delta, sign, made, best = {name: rest for name, *rest in RULES}[what]
    rule = stopping("val_x", sign, [patience], [delta], restore)
    done, heard, script = scripted([[value] for value in values], rule)
    assert [step for step, *_ in heard.evaluations] == list(range(1, made + 1))
    reason = f"val_x did not improve in {counted(patience, 'evaluation')}"
    assert done.outcomes == [Outcome("early_stopped", reason, made)]
    kept = best if restore else made
    assert done.step.tolist() == [kept]
    assert done.metrics["val_x"][0] == pytest.approx(values[kept - 1], nan_ok=True)
    assert (done.weights == script.weights[kept - 1]).all()
    assert (script.weights[best - 1] != script.weights[made - 1]).any()


def test_the_table_of_rules_is_whole():
    assert len(RULES) == 12


def test_an_infinite_loss_is_a_number_and_waited_for():
    values = [[5], [np.inf], [np.inf], [1]]
    done, heard, _ = scripted(values, stopping("val_loss", patience=[2]))
    assert done.outcomes[0].status == "early_stopped"
    assert (len(heard.evaluations), done.step.tolist()) == (3, [1])


def test_a_column_that_reaches_its_budget_is_finished_even_as_it_stops():
    done, _, _ = scripted([[1], [2], [3]], stopping(), steps=3)
    assert done.outcomes == [Outcome("finished", "trained for its 3 steps", 3)]
    assert done.step.tolist() == [1]


def test_columns_stop_one_by_one_and_keep_still():
    values = [[9, 1, 9], [8, 2, 8], [7, 3, 9], [6, 0, 9], [5, 0, 0], [4, 0, 0]]
    done, heard, script = scripted(
        values, stopping(patience=[2] * 3, min_delta=[0] * 3), 3, steps=6
    )
    assert [outcome.status for outcome in done.outcomes] == [
        "finished",
        "early_stopped",
        "early_stopped",
    ]
    assert [outcome.step for outcome in done.outcomes] == [6, 3, 4]
    assert done.step.tolist() == [6, 1, 2]
    for k in range(3):
        kept = script.weights[int(done.step[k]) - 1]  # the first is in its place ever after
        assert (done.weights[..., k] == kept[..., k]).all()
    # two of three alive are fewer than three quarters: the stack goes on without the second
    assert [w.shape[-1] for w in script.weights] == [3, 3, 3, 2, 1, 1]
    assert [len(heard.history(k)) for k in range(3)] == [6, 3, 4]
    assert [len(heard.log(k)["step"]) for k in range(3)] == [6, 3, 4]


def test_a_stopped_column_keeps_still_while_enough_others_train():
    values = [[9, 1, 9, 9], [8, 2, 8, 8], [7, 3, 7, 7], [6, 0, 6, 6]]
    done, _, script = scripted(values, stopping(patience=[2] * 4, min_delta=[0] * 4), 4, steps=4)
    assert [outcome.step for outcome in done.outcomes] == [4, 3, 4, 4]
    assert [w.shape[-1] for w in script.weights] == [4] * 4
    assert (script.weights[3][..., 1] == script.weights[2][..., 1]).all()
    assert (script.weights[3][..., 0] != script.weights[2][..., 0]).all()


@pytest.mark.parametrize(("every", "steps"), [(1, 4), (3, 9), (4, 10), (7, 5)])
def test_an_evaluation_comes_every_so_many_steps_and_at_the_end_of_each_budget(every, steps):
    budgets = [steps, max(1, steps - 2)]
    done, heard, _ = scripted([[1, 1]] * 20, None, 2, every, steps=budgets)
    for k in range(2):
        due = sorted({*range(every, budgets[k] + 1, every), budgets[k]})
        assert [step for step, _ in heard.history(k)] == due
        assert done.outcomes[k] == Outcome(
            "finished", f"trained for its {budgets[k]} steps", budgets[k]
        )
    assert done.step.tolist() == budgets
    assert heard.evaluations[-1][0] == steps


def test_train_loss_is_the_mean_over_the_last_epochs_batches():
    problem = make_problem("logistic", weights="rows")
    stack = make_stack(problem, steps=9, batch_size=23, lr=[0.1, 0.5])  # three batches an epoch
    heard = Recorder()
    fit(stack, start(stack), lambda state: {}, 3, None, heard)
    loss = joined(heard.records, "loss")
    for e, (step, metrics, _) in enumerate(heard.evaluations):
        assert step == 3 * e + 3
        np.testing.assert_array_equal(metrics["train_loss"], loss[step - 3 : step].mean(axis=0))


def test_a_diverged_column_names_its_step_and_last_finite_loss():
    problem = make_problem("linear")
    values = [[1.0, 1.0, 1.0]] * 30
    stack = make_stack(problem, lr=[0.1, 1e60, 0.1], steps=20)
    heard = Recorder()
    done = fit(stack, start(stack), Script(stack, values), 10, None, heard)
    log = heard.log(1)
    assert len(log["loss"]) == 4  # 0, 1e119, 1e239 and the step it broke at; none after
    assert np.isfinite(log["loss"][:-1]).all()
    assert not np.isfinite(log["loss"][-1])
    last = log["loss"][-2]
    reason = f"loss or weights not finite at step 4; its last finite loss was {last:.6g}"
    assert done.outcomes[1] == Outcome("diverged", reason, 4)
    assert done.finite_loss[1] == last
    assert done.grad_norm[1] == log["grad_norm"][-2]
    assert heard.history(1) == []
    assert np.isnan(done.metrics["val_loss"][1])
    assert done.step.tolist() == [20, 0, 20]
    assert [done.outcomes[k].status for k in (0, 2)] == ["finished"] * 2


def test_the_first_step_can_be_the_one_that_breaks():
    problem = make_problem("linear")
    stack = make_stack(problem, steps=5)
    done = fit(stack, start(stack, np.nan), Script(stack, []), 1, None, Recorder())
    assert done.outcomes == [Outcome("diverged", "loss or weights not finite at step 1", 1)]


def test_weights_that_are_not_finite_are_found_where_the_loss_is():
    problem = make_problem("logistic", "squared_error")
    problem.X[:, 0] = np.abs(problem.X[:, 0]) + 0.1
    weights = np.zeros((4, 3, 2))
    weights[0, :, 1] = np.inf  # ŷ is 1: a finite loss
    stack = make_stack(problem, steps=6, lr=[0.1, 0.1])
    heard = Recorder()
    done = fit(stack, start(stack, weights), Script(stack, [[1.0, 1.0]] * 9), 1, None, heard)
    assert heard.log(1)["loss"].tolist() == pytest.approx([done.finite_loss[1]])
    assert (done.outcomes[1].status, done.outcomes[1].step) == ("diverged", 1)
    assert heard.history(1) == []
    assert done.outcomes[0].status == "finished"


def test_all_columns_diverging_end_the_run():
    problem = make_problem("linear")
    stack = make_stack(problem, lr=[1e200, 1e150], steps=1000)
    done = fit(stack, start(stack), Script(stack, []), 1000, None, Recorder())
    assert {outcome.status for outcome in done.outcomes} == {"diverged"}
    assert max(outcome.step for outcome in done.outcomes) < 1000


def test_a_diverged_column_keeps_its_best_weights_where_they_are_restored():
    problem = make_problem("linear")
    stack = make_stack(problem, lr=[0.05], steps=50, schedule="step", gamma=1e80, milestones=[3, 4])
    script = Script(stack, [[3], [2]] + [[1]] * 48)
    done = fit(stack, start(stack), script, 1, stopping(patience=[50]), Recorder())
    assert done.outcomes[0].status == "diverged"
    assert np.isfinite(done.weights).all()
    assert (done.weights == script.weights[int(done.step[0]) - 1]).all()


def test_a_rate_that_overflows_float32_is_an_outcome_and_not_a_warning():
    problem = make_problem("linear")
    stack = make_stack(problem, precision="float32", lr=[1e39, 0.1], steps=5)
    done = fit(stack, start(stack), Script(stack, [[1.0, 1.0]] * 5), 5, None, Recorder())
    assert [outcome.status for outcome in done.outcomes] == ["diverged", "finished"]


@pytest.mark.parametrize("at", [1, 4, 5])
def test_an_interruption_finishes_the_step_and_evaluates_what_is_kept(at):
    problem = make_problem("linear")
    stack = make_stack(problem, lr=[0.1, 0.2], steps=[12, 5])
    stack._halves.at_once = 1  # steps that are launched as one are finished as one
    state = start(stack)
    heard, script = Recorder(state, at), Script(stack, [[1.0, 2.0]] * 12)
    done = fit(stack, state, script, 4, None, heard)
    assert state.step == at
    assert sum(len(one.step) for one in heard.records) == at
    interrupted = Outcome("interrupted", f"interrupted after step {at}", at)
    finished = Outcome("finished", "trained for its 5 steps", 5)
    assert done.outcomes == [interrupted, finished if at == 5 else interrupted]
    for k in range(2):
        assert heard.history(k)[-1][0] == at  # each column's last metrics are of its last weights
    assert done.step.tolist() == [at, at]
    assert (script.weights[-1][..., 0] == done.weights[..., 0]).all()  # the other may have left


def test_a_metric_that_is_never_a_number_leaves_the_last_evaluation():
    done, heard, script = scripted([[np.nan]] * 12, stopping(patience=[2]))
    assert done.outcomes[0] == Outcome("finished", "trained for its 12 steps", 12)
    assert done.step.tolist() == [12]
    assert (done.weights == script.weights[-1]).all()
    assert len(heard.evaluations) == 12


# --- what is recorded -----------------------------------------------------------------------------

RECORDED = [(*model, batch) for model in LOSSES for batch in (23, None)]


@pytest.mark.parametrize(("model", "loss", "batch"), RECORDED)
def test_the_log_is_what_a_slow_reader_of_the_snapshots_computes(model, loss, batch, monkeypatch):
    small_chunks(monkeypatch, 8 * 3 * 2 * 9)  # nine rows a chunk
    problem = make_problem(model, loss, weights="classes")
    l2 = [0.3, 0.0]
    stack = make_stack(problem, lr=[0.2, 0.05], momentum=0.5, l2=l2, steps=7, batch_size=batch)
    heard = Recorder()
    fit(stack, start(stack, *initial(problem, 2)), lambda state: {}, 5, None, heard, 1)
    assert [one.step for one in heard.snapshots] == list(range(1, 8))
    values = {name: joined(heard.records, name) for name in heard.records[0].values}
    assert set(values) == {"loss", "error_rms", "error_max", "dz_rms", "grad_norm", "lr"}
    for step, snapshot in enumerate(heard.snapshots, start=1):
        arrays = snapshot.arrays
        rows = arrays["rows"]
        if batch is None:
            assert rows.tolist() == list(range(60))
        else:
            epoch, place = divmod(step - 1, 3)
            order = shuffle(stack.settings.seed, epoch, 60)
            assert rows.tolist() == order[23 * place : 23 * place + 23].tolist()
        b = len(rows)
        assert arrays["error"].shape == arrays["dz"].shape == (b, 3, 2)
        for k in range(2):
            W, bias = arrays["weights"][:, :, k], arrays["bias"][:, k]
            z, y = problem.X[rows] @ W + bias, problem.dense[rows]
            error = prediction(model, z) - y
            dz = error * prediction(model, z) * (1 - prediction(model, z))
            dz = dz if loss == "squared_error" else error
            each = row_losses(model, loss, z, y)  # the log knows no class weights
            weighted = 60 / b * (problem.w[rows] / problem.w.sum() * each).sum()
            slope, _ = gradients(problem, W, bias, l2[k], rows)
            right = {
                "loss": float(weighted),
                "error_rms": np.sqrt((error**2).mean()),
                "error_max": abs(error).max(),
                "dz_rms": np.sqrt((dz**2).mean()),
                "grad_norm": np.linalg.norm(slope),
                "lr": [0.2, 0.05][k],
            }
            for name, value in right.items():
                assert values[name][step - 1, k] == pytest.approx(value, rel=1e-12), name
            np.testing.assert_allclose(arrays["error"][:, :, k], error, rtol=0, atol=1e-13)
            np.testing.assert_allclose(arrays["dz"][:, :, k], dz, rtol=0, atol=1e-13)
            np.testing.assert_allclose(arrays["grad_weights"][:, :, k], slope, rtol=0, atol=1e-13)


def test_the_first_loss_is_the_data_term_alone():
    problem = make_problem("softmax", weights="rows")  # without class weights J's own
    W, bias = initial(problem, 1)
    stack = make_stack(problem, l2=3.0, l1=2.0)
    records = stack.advance(start(stack, W, bias), 1)
    right = objective(problem, W[:, :, 0], bias[:, 0], 0.0)
    assert records.values["loss"][0, 0] == pytest.approx(float(right), rel=1e-13)


@pytest.mark.parametrize("batch", [23, None])
def test_steps_and_epochs_count_from_one_without_a_gap(batch, monkeypatch):
    short_stretches(monkeypatch, 2)
    stack = make_stack(make_problem("linear"), steps=8, batch_size=batch)
    heard = Recorder()
    fit(stack, start(stack), lambda state: {}, 5, None, heard)
    step = np.concatenate([one.step for one in heard.records])
    epoch = np.concatenate([one.epoch for one in heard.records])
    assert step.tolist() == list(range(1, 9))
    per_epoch = 3 if batch else 1
    assert epoch.tolist() == [-(-t // per_epoch) for t in range(1, 9)]
    assert [len(one.step) for one in heard.records] != [8]


def test_how_steps_are_cut_into_stretches_changes_no_bit(monkeypatch):
    problem = make_problem("softmax")
    ends = []
    for most in (1, 3, 256):
        short_stretches(monkeypatch, most)
        stack = make_stack(
            problem, "sgd", steps=20, batch_size=None, momentum=0.9, schedule="cosine", warmup=4
        )
        state, heard = start(stack), Recorder()
        fit(stack, state, lambda at: {}, 20, None, heard)
        ends.append((host(state.weights).tobytes(), joined(heard.records, "loss").tobytes()))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize(
    ("gradients_every", "taken"), [(0, []), (1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6])]
)
def test_snapshots_come_every_so_many_steps(gradients_every, taken):
    stack = make_stack(make_problem("logistic"), steps=7, batch_size=25)
    heard = Recorder()
    fit(stack, start(stack), lambda state: {}, 4, None, heard, gradients_every)
    assert [one.step for one in heard.snapshots] == taken


def test_a_snapshot_is_handed_over_before_the_next_step():
    """So that one is held at a time: they are as large as the data."""
    stack = make_stack(make_problem("logistic"), steps=9, batch_size=None)
    state, at = start(stack), []

    class Watch(Recorder):
        def on_snapshot(self, snapshot):
            at.append((snapshot.step, state.step))

    fit(stack, state, lambda at: {}, 9, None, Watch(), 2)
    assert at == [(2, 2), (4, 4), (6, 6), (8, 8)]


def test_snapshots_change_no_bit():
    problem, ends = make_problem("logistic", "squared_error"), []
    for gradients_every in (0, 2):
        stack = make_stack(problem, "adam", steps=9, batch_size=25)
        state = start(stack)
        fit(stack, state, lambda at: {}, 4, None, Recorder(), gradients_every)
        ends.append(host(state.weights).tobytes())
    assert ends[0] == ends[1]


def test_the_callers_arrays_are_left_alone():
    problem = make_problem("linear", weights="rows")
    weights, bias = initial(problem, 1)
    held = [problem.X, problem.y, problem.w, weights, bias]
    before = [array.copy() for array in held]
    for batch in (None, 25):
        stack = make_stack(problem, batch_size=batch)
        fit(stack, start(stack, weights, bias), lambda state: {}, 4, None, Recorder())
    assert all((a == b).all() for a, b in zip(held, before, strict=True))


def test_a_batch_larger_than_the_rows_is_one_batch():
    stack = make_stack(make_problem("linear"), batch_size=1000)
    assert stack.steps_per_epoch == 1
    assert isinstance(stack, Stack)
    records = stack.advance(start(stack), 1)
    assert np.isfinite(records.values["loss"]).all()
