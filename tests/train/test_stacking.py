"""The promise of stacking: what a column computes never depends on its company."""

import numpy as np
import pytest
from stacks import (
    DEVICE,
    LOSSES,
    Recorder,
    fit,
    host,
    initial,
    joined,
    make_problem,
    make_stack,
    start,
    train,
)

from trainer.data.rows import Rows
from trainer.optim.first_order import OPTIMIZERS
from trainer.sweep.stopping import EarlyStopper
from trainer.train import stack as stack_module
from trainer.train import training as training_module
from trainer.train.evaluate import HeldOut

K = 7
SETTINGS = {
    "lr": [0.1, 0.03, 0.2, 0.01, 0.15, 0.05, 0.3],
    "steps": [40, 25, 31, 40, 7, 1, 38],
    "warmup": [0, 5, 0, 12, 3, 0, 1],
    "final": [0, 0.1, 1, 0.5, 0.01, 0, 0.2],
    "gamma": [0.1, 0.5, 0.9, 1, 0.3, 0.1, 0.7],
    "l2": [0, 1e-4, 1e-2, 0.1, 1, 0, 0.5],
    "l1": [0, 0.01, 0, 0.1, 0.001, 0.03, 0.05],
    "momentum": [0, 0.9, 0.5, 0.99, 0.3, 0.9, 0.7],
    "beta1": [0.9, 0, 0.5, 0.95, 0.9, 0.8, 0.7],
    "beta2": [0.999, 0.9, 0.99, 0.95, 0.999, 0.5, 0.9],
    "eps": [1e-8, 1e-6, 1e-3, 1e-8, 1e-2, 1e-8, 1e-5],
    "weight_decay": [0, 0.1, 0.01, 0, 1, 0.3, 0.02],
}
MILESTONES = (5, 20)
SCHEDULES = ("constant", "cosine", "step")
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
BATCHES = {"mini-batches": 23, "full": None}  # of 60 rows: 23 + 23 + 14, or chunks of 17 and fewer
CASES = [
    (*model, optimizer, precision, batches)
    for model in LOSSES
    for optimizer in OPTIMIZERS
    for precision in TOLERANCE
    for batches in BATCHES
]


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 4 * 4 * 2 * 2
    assert all(len(set(map(str, values))) > 4 for values in SETTINGS.values())


def settings_for(optimizer):
    return {**SETTINGS, "l1": [0.0] * K} if optimizer == "adamw" else SETTINGS


def small_chunks(monkeypatch, precision):
    """Let a chunk hold 17 rows of 3 outputs and K columns."""
    monkeypatch.setattr(stack_module, "_CHUNK_BYTES", np.dtype(precision).itemsize * 3 * K * 17)


def stack_of(problem, optimizer, precision, batches, schedule, settings):
    return make_stack(
        problem,
        optimizer,
        precision=precision,
        batch_size=BATCHES[batches],
        schedule=schedule,
        milestones=MILESTONES,
        **settings,
    )


@pytest.mark.parametrize(("model", "loss", "optimizer", "precision", "batches"), CASES)
def test_a_stack_equals_its_single_runs(model, loss, optimizer, precision, batches, monkeypatch):
    small_chunks(monkeypatch, precision)
    problem = make_problem(model, loss, weights="classes")
    schedule = SCHEDULES[CASES.index((model, loss, optimizer, precision, batches)) % 3]
    settings = settings_for(optimizer)
    weights, bias = initial(problem, K)
    build = (problem, optimizer, precision, batches, schedule)
    stack = stack_of(*build, settings)
    if batches == "full":
        assert len(list(stack.batches.chunks(1))) == 4
    state = start(stack, weights, bias)
    records = train(stack, state)
    for k in range(K):
        alone = stack_of(*build, {name: value[k : k + 1] for name, value in settings.items()})
        single = start(alone, weights[:, :, k : k + 1], bias[:, k : k + 1])
        logged = train(alone, single)
        W, right = host(state.weights)[:, :, k], host(single.weights)[:, :, 0]
        tolerance = TOLERANCE[precision] * max(abs(right).max(), 1e-3)
        assert abs(W - right).max() <= tolerance
        assert abs(host(state.bias)[:, k] - host(single.bias)[:, 0]).max() <= tolerance
        assert ((W == 0) == (right == 0)).all()
        for name in logged[0].values:
            ours, theirs = joined(records, name)[:, k], joined(logged, name)[:, 0]
            np.testing.assert_allclose(
                ours[: len(theirs)], theirs, rtol=50 * TOLERANCE[precision], err_msg=name
            )


def neighbours(kind, settings, precision):
    """The same settings with those of columns 1, 2 and 5 replaced."""
    other = {
        "other numbers": {
            "lr": 0.07,
            "l2": 0.3,
            "momentum": 0.2,
            "beta1": 0.3,
            "steps": 33,
            "warmup": 9,
        },
        "l1 against none": {"l1": 0.2},
        "diverging": {"lr": {"float32": 1e30, "float64": 1e200}[precision]},
    }[kind]
    changed = {name: list(value) for name, value in settings.items()}
    for name, value in other.items():
        for k in (1, 2, 5):
            changed[name][k] = value
    return changed


@pytest.mark.parametrize("kind", ["other numbers", "l1 against none", "diverging"])
@pytest.mark.parametrize(("model", "loss", "optimizer", "precision", "batches"), CASES)
def test_neighbours_never_change_a_bit(
    model, loss, optimizer, precision, batches, kind, monkeypatch
):
    small_chunks(monkeypatch, precision)
    problem = make_problem(model, loss, weights="rows")
    weights, bias = initial(problem, K)
    before = settings_for(optimizer)
    if kind == "l1 against none":
        before = {**before, "l1": [0.0] * K}
    ends = []
    for settings in (before, neighbours(kind, before, precision)):
        stack = stack_of(problem, optimizer, precision, batches, "cosine", settings)
        state = start(stack, weights, bias)
        ends.append((state, train(stack, state, 40)))
    (first, log_a), (second, log_b) = ends
    moved = host(first.weights) != host(second.weights)
    assert moved[:, :, [1, 2]].any()
    if kind == "diverging" and (model, loss) == ("linear", "auto"):
        assert not np.isfinite(joined(log_b, "loss")[:, 1]).all()
    others = [0, 3, 4, 6]
    for name in first.arrays:
        a, b = (host(end.arrays[name])[..., others] for end in (first, second))
        assert (a == b).all(), name
        if name in ("weights", "bias"):  # the last move of a stopped column is a 0 of either sign
            assert a.tobytes() == b.tobytes(), name
    for name in log_a[0].values:
        a, b = joined(log_a, name)[:, others], joined(log_b, name)[:, others]
        assert a.tobytes() == b.tobytes(), name


def fit_columns(problem, settings, columns, every, monkeypatch, patience):
    """Fit some of the columns with an evaluation on the first 30 rows."""
    chosen = {name: [value[k] for k in columns] for name, value in settings.items()}
    stack = stack_of(problem, "sgd", "float64", "mini-batches", "step", chosen)
    weights, bias = initial(problem, K)
    state = start(stack, weights[:, :, columns], bias[:, columns])
    X, y = problem.X[:30], problem.y[:30]
    rows = Rows(name="val", X=X, y=y, weight=np.ones(30), index=np.arange(30))
    held = HeldOut(DEVICE, rows, np.ones(problem.outputs))
    stopping = EarlyStopper(
        ["val_loss"] * len(columns),
        np.ones(len(columns)),
        np.array([patience[k] for k in columns], float),
        np.zeros(len(columns)),
        np.ones(len(columns), bool),
    )
    heard = Recorder()
    return fit(stack, state, held, every, stopping, heard), heard


@pytest.mark.parametrize("every", [2, 3, 4, 50])
@pytest.mark.parametrize("model", ["linear", "logistic", "softmax"])
def test_a_fitted_column_ends_as_it_would_alone(model, every, monkeypatch):
    """Evaluations, train_loss, early stopping and outcomes too depend on the column alone."""
    problem = make_problem(model, weights="rows")
    patience = [1, 2, 3, 50, 2, 1, 4]
    settings = {**SETTINGS, "lr": [0.4, 0.03, 2.5, 0.01, 1e200, 0.05, 0.3]}
    together, heard = fit_columns(problem, settings, range(K), every, monkeypatch, patience)
    statuses = set()
    for k in range(K):
        alone, listened = fit_columns(problem, settings, [k], every, monkeypatch, patience)
        assert together.outcomes[k].status == alone.outcomes[0].status
        assert together.outcomes[k].step == alone.outcomes[0].step
        statuses.add(alone.outcomes[0].status)
        if alone.outcomes[0].status == "diverged":
            continue
        assert together.outcomes[k].reason == alone.outcomes[0].reason
        assert together.step[k] == alone.step[0]
        ours, theirs = heard.history(k), listened.history(0)
        assert [step for step, _ in ours] == [step for step, _ in theirs]
        for (_, a), (_, b) in zip(ours, theirs, strict=True):
            assert a == pytest.approx(b, rel=1e-11)
        for name, value in alone.metrics.items():
            assert together.metrics[name][k] == pytest.approx(value[0], rel=1e-11)
        W = alone.weights[:, :, 0]
        assert abs(together.weights[:, :, k] - W).max() <= 1e-13 * abs(W).max()
        mine, its = heard.log(k), listened.log(0)
        assert mine.keys() == its.keys()
        for name in mine:
            np.testing.assert_allclose(mine[name], its[name], rtol=1e-10, err_msg=name)
    assert "finished" in statuses
    assert len(statuses) >= 2


def test_a_column_driven_to_nan_leaves_the_other_six_to_the_bit(monkeypatch):
    """By the clock, where the column is frozen at once; a stack that narrows has other bits."""
    monkeypatch.setattr(training_module, "_CROWDED", 0)
    problem = make_problem("softmax")
    patience = [50] * K
    fits = []
    for lr in (0.2, 1e300):
        settings = {**SETTINGS, "lr": [*SETTINGS["lr"][:2], lr, *SETTINGS["lr"][3:]]}
        fits.append(fit_columns(problem, settings, range(K), 3, monkeypatch, patience))
    (calm, a), (broken, b) = fits
    assert broken.outcomes[2].status == "diverged"
    for k in set(range(K)) - {2}:
        assert calm.outcomes[k] == broken.outcomes[k]
        assert a.history(k) == b.history(k)
        for name in ("weights", "bias"):
            assert (getattr(calm, name)[..., k] == getattr(broken, name)[..., k]).all()
        mine, its = a.log(k), b.log(k)
        assert all(mine[name].tobytes() == its[name].tobytes() for name in mine)
