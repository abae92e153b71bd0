"""The promise of stacking: what a column computes never depends on its company.

At one width and place a column has the same bits in any company. Against the plain run, whose
products have another width, it agrees to rounding; adam and adamw at full batch may amplify that
rounding, and keep what the plain run itself keeps when its own bits are changed.
"""

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
    small_chunks,
    start,
    train,
)

from trainer.data.rows import Rows
from trainer.optim.first_order import OPTIMIZERS
from trainer.sweep.stopping import EarlyStopper
from trainer.train import training as training_module
from trainer.train.evaluate import HeldOut

K = 7
SETTINGS = {
    "lr": [0.1, 0.03, 0.2, 0.01, 0.15, 0.05, 0.3],
    "steps": [25, 25, 21, 25, 7, 1, 24],
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
    "trust_coefficient": [1e-3, 0.1, 0.01, 1, 0.5, 0.02, 0.2],
}
MILESTONES = (5, 14)
SCHEDULES = ("constant", "cosine", "step")
WARMUP = (True, False)
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
BATCHES = {"mini-batches": 23, "full": None}  # of 60 rows: 23 + 23 + 14, or chunks of 17 and fewer
CASES = [
    (*model, optimizer, schedule, warm, precision, batches)
    for model in LOSSES
    for optimizer in OPTIMIZERS
    for schedule in SCHEDULES
    for warm in WARMUP
    for precision in TOLERANCE
    for batches in BATCHES
]
over_all_cases = pytest.mark.parametrize(
    ("model", "loss", "optimizer", "schedule", "warm", "precision", "batches"), CASES
)
DIVIDES_BY_ROOT = {"adam", "adamw"}  # √v̂, which fades with the gradient where no batch is noisy
NUDGES = 3  # runs with other last bits
NUDGED = 8  # times what they differ by; 2.2 is the most seen in 8,064 columns


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 5 * 5 * 3 * 2 * 2 * 2
    assert len(set(CASES)) == len(CASES)
    assert set(OPTIMIZERS) == {"sgd", "nesterov", "lars", "adam", "adamw"}
    assert all(len(set(map(str, values))) > 4 for values in SETTINGS.values())


def settings_for(optimizer, warm=True):
    settings = dict(SETTINGS)
    if optimizer in ("adamw", "lars"):
        settings["l1"] = [0.0] * K
    if not warm:
        settings["warmup"] = [0] * K
    return settings


def chunks_of_17_rows(monkeypatch, precision):
    """Of 3 outputs and K columns."""
    small_chunks(monkeypatch, np.dtype(precision).itemsize * 3 * K * 17)


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


def parameters(state, k):
    """Weights and bias of a column, (D + 1, C)."""
    arrays = host(state.weights)[:, :, k], host(state.bias)[None, :, k]
    return np.concatenate(arrays).astype(np.float64)


def train_nudged(stack, state, precision, seed):
    """Train, and after each step move every parameter by a rounding, up or down."""
    up_or_down = np.random.default_rng(seed)
    for step in range(1, max(SETTINGS["steps"]) + 1):
        train(stack, state, step)
        for array in (state.weights, state.bias):
            sign = up_or_down.choice([-1.0, 1.0], array.shape)
            array *= DEVICE.to_device(1 + np.finfo(precision).eps * sign, precision)


@over_all_cases
def test_a_stack_equals_its_single_runs(
    model, loss, optimizer, schedule, warm, precision, batches, monkeypatch
):
    chunks_of_17_rows(monkeypatch, precision)
    problem = make_problem(model, loss, weights="classes")
    settings = settings_for(optimizer, warm)
    weights, bias = initial(problem, K)
    build = (problem, optimizer, precision, batches, schedule)
    stack = stack_of(*build, settings)
    if batches == "full":
        assert len(list(stack.batches.chunks(1))) == 4
    state = start(stack, weights, bias)
    records = train(stack, state)
    nudged = []
    if optimizer in DIVIDES_BY_ROOT and batches == "full":
        for seed in range(NUDGES):
            nudged.append(start(stack, weights, bias))
            train_nudged(stack, nudged[-1], precision, seed)
    for k in range(K):
        alone = stack_of(*build, {name: value[k : k + 1] for name, value in settings.items()})
        single = start(alone, weights[:, :, k : k + 1], bias[:, k : k + 1])
        logged = train(alone, single)
        ours, theirs = parameters(state, k), parameters(single, 0)
        rounding = TOLERANCE[precision] * abs(theirs).max()
        of_its_own = [abs(parameters(end, k) - theirs).max() for end in nudged]
        bound = max([rounding, *(NUDGED * moved for moved in of_its_own)])
        assert abs(ours - theirs).max() <= bound
        assert ((ours[:-1] == 0) == (theirs[:-1] == 0)).all()
        for name in logged[0].values:
            mine, its = joined(records, name)[:, k], joined(logged, name)[:, 0]
            np.testing.assert_allclose(
                mine[: len(its)],
                its,
                rtol=50 * TOLERANCE[precision] * bound / rounding,
                err_msg=name,
            )


def neighbours(kind, settings, precision):
    """The same settings with those of columns 1, 2 and 5 replaced."""
    other = {
        "other numbers": {
            "lr": 0.07,
            "l2": 0.3,
            "momentum": 0.2,
            "beta1": 0.3,
            "beta2": 0.6,
            "eps": 0.1,
            "weight_decay": 0.7,
            "steps": 19,
            "warmup": 15,
            "final": 0.6,
            "gamma": 0.4,
        },
        "l1 against none": {"l1": 0.2, "trust_coefficient": 0.9},  # lars takes no l1
        "diverging": {"lr": {"float32": 1e30, "float64": 1e200}[precision]},
    }[kind]
    changed = {name: list(value) for name, value in settings.items()}
    for name, value in other.items():
        for k in (1, 2, 5):
            changed[name][k] = value
    return changed


@pytest.mark.parametrize("kind", ["other numbers", "l1 against none", "diverging"])
@over_all_cases
def test_neighbours_never_change_a_bit(
    model, loss, optimizer, schedule, warm, precision, batches, kind, monkeypatch
):
    chunks_of_17_rows(monkeypatch, precision)
    problem = make_problem(model, loss, weights="rows")
    weights, bias = initial(problem, K)
    before = settings_for(optimizer, warm)
    if kind == "l1 against none":
        before = {**before, "l1": [0.0] * K}
    ends = []
    for settings in (before, neighbours(kind, before, precision)):
        stack = stack_of(problem, optimizer, precision, batches, schedule, settings)
        state = start(stack, weights, bias)
        ends.append((state, train(stack, state, max(SETTINGS["steps"]))))
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


ONE_TERM = [
    (model, loss, optimizer, schedule, precision)
    for model, loss in LOSSES
    if model != "softmax"  # which sums over its outputs in a product too
    for optimizer in OPTIMIZERS
    if optimizer != "lars"  # whose norms are sums over outputs
    for schedule in SCHEDULES
    for precision in TOLERANCE
]


@pytest.mark.parametrize(("model", "loss", "optimizer", "schedule", "precision"), ONE_TERM)
def test_nothing_but_the_sums_of_products_knows_the_width(
    model, loss, optimizer, schedule, precision
):
    """With batches of one row and one feature no product has a sum: every width has equal bits."""
    assert len(ONE_TERM) == 4 * 4 * 3 * 2
    problem = make_problem(model, loss, features=1, weights="classes")
    settings = settings_for(optimizer)
    weights, bias = initial(problem, K)
    chosen = {"precision": precision, "batch_size": 1, "schedule": schedule}
    chosen["milestones"] = MILESTONES
    stack = make_stack(problem, optimizer, **chosen, **settings)
    state = start(stack, weights, bias)
    train(stack, state)
    for k in range(K):
        one = {name: value[k : k + 1] for name, value in settings.items()}
        alone = make_stack(problem, optimizer, **chosen, **one)
        single = start(alone, weights[:, :, k : k + 1], bias[:, k : k + 1])
        train(alone, single)
        assert (parameters(state, k) == parameters(single, 0)).all()


def full_batch_run(optimizer, schedule, columns, steps=1_000):
    """Train long past the optimum of a squared loss with a learning rate for each column."""
    lr = [0.003, 0.03, 0.3]
    stack = make_stack(
        make_problem("linear", rows=200),
        optimizer,
        schedule=schedule,
        steps=steps,
        lr=[lr[k] for k in columns],
        momentum=0.9,
        beta2=0.99,
    )
    state = start(stack)
    train(stack, state)
    return [parameters(state, at) for at in range(len(columns))], lr


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_at_full_batch_and_a_constant_rate_amplifies_rounding_up_to_its_steps(optimizer):
    together, lr = full_batch_run(optimizer, "constant", [0, 1, 2])
    apart = [full_batch_run(optimizer, "constant", [k])[0][0] for k in range(3)]
    differ = [abs(a - b).max() for a, b in zip(together, apart, strict=True)]
    assert differ[2] > 1e3 * TOLERANCE["float64"] * abs(apart[2]).max()
    assert all(moved <= rate for moved, rate in zip(differ, lr, strict=True))


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [("adam", "cosine"), ("adamw", "cosine"), ("sgd", "constant")]
)
def test_steps_that_fade_bring_a_column_and_its_plain_run_together(optimizer, schedule):
    """Adam's with a rate that ends at 0, sgd's with the gradient."""
    together, _ = full_batch_run(optimizer, schedule, [0, 1, 2])
    apart = [full_batch_run(optimizer, schedule, [k])[0][0] for k in range(3)]
    for ours, theirs in zip(together, apart, strict=True):
        assert abs(ours - theirs).max() <= TOLERANCE["float64"] * abs(theirs).max()


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
