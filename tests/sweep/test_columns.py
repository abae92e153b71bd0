"""Which columns share a stack, how stacks are cut, where a path of penalties begins."""

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from stacks import CPU, DEVICE, Problem, make_stack, start

import trainer
from trainer.config import load_spec
from trainer.data import prepare
from trainer.errors import DataError
from trainer.optim.first_order import OPTIMIZERS
from trainer.sweep import fit_memory
from trainer.sweep.columns import Sources, lay_out, stacks_of
from trainer.sweep.path_begins import largest_l1
from trainer.sweep.sweep import set_up
from trainer.train.stack import stack_bytes
from trainer.workflow.plan import plan
from trainer.workflow.run import as_spec

BASE = {"model": "softmax", "data": {"train": "digits"}}


def planned(parameters, **keys):
    spec = load_spec({**BASE, "sweep": {"parameters": parameters}, **keys})
    return [len(one.columns) for one in stacks_of(lay_out(spec.trials, Sources()).columns)]


TOGETHER = {
    "optimizer.lr": [0.1, 0.2],
    "optimizer.momentum": [0.1, 0.9],
    "penalty.l2": [0, 1],
    "penalty.l1": [0, 0.1],
    "optimizer.epochs": [2, 3],
    "optimizer.schedule.warmup": [0, 1],
    "early_stopping.patience": [1, 2],
    "early_stopping.restore_best": [True, False],
    "init.normal": [0.1, 0.2],
}
APART = {
    "optimizer.name": ["sgd", "adam"],
    "optimizer.nesterov": [True, False],
    "optimizer.batch_size": [32, "full"],
    "optimizer.schedule.name": ["constant", "cosine"],
    "seed": [0, 1],
    "bias": [True, False],
    "class_weight": ["none", "balanced"],
    "precision": ["float32", "float64"],
    "data.scale": ["none", "standard"],
    "data.seed": [0, 1],
}


@pytest.mark.parametrize("key", TOGETHER)
def test_trials_that_differ_in_numbers_share_a_stack(key):
    assert planned({key: TOGETHER[key]}) == [2]


@pytest.mark.parametrize("key", APART)
def test_other_trials_start_another(key):
    each = {"select": {"per": [key]}} if key.endswith("seed") else {}  # a seed is no setting
    assert planned({key: APART[key]}, **each) == [1, 1]


def test_the_tables_are_whole():
    assert (len(TOGETHER), len(APART)) == (9, 10)


def test_a_fold_and_a_seed_have_stacks_of_their_own():
    keys = {"repeat": {"folds": 3, "seeds": 2}}
    assert planned({"optimizer.lr": [0.1, 0.2]}, **keys) == [2] * 6
    full = {"optimizer": {"batch_size": "full"}, "init": {"normal": 0.1}}
    assert planned({"optimizer.lr": [0.1, 0.2]}, **keys, **full) == [4] * 3  # the order is none


def test_sources_are_read_once(monkeypatch):
    from trainer.sweep import columns

    read, calls = columns.read, []
    monkeypatch.setattr(columns, "read", lambda *args: calls.append(1) or read(*args))
    spec = load_spec({**BASE, "sweep": {"parameters": {"data.scale": ["none", "unit"]}}})
    lay_out(spec.trials, Sources())
    assert len(calls) == 1


def test_stacks_are_cut_by_memory(monkeypatch):
    lr = {"linspace": {"start": 0.01, "stop": 0.1, "num": 64}}
    spec = load_spec({**BASE, "sweep": {"parameters": {"optimizer.lr": lr}}})
    whole = set_up(spec, None, CPU).arrangement
    monkeypatch.setattr(type(CPU), "memory", lambda self: 8 * 2**20)
    cut = set_up(spec, None, CPU).arrangement
    assert sum(len(one.columns) for one in cut.stacks) == 64
    assert len(cut.stacks) > len(whole.stacks)
    assert cut.bytes <= 4 * 2**20
    assert sorted(c.trial for one in cut.stacks for c in one.columns) == list(range(64))


@pytest.mark.parametrize(
    ("scores", "weights", "widths"),
    [(1, 1000, [6]), (0.5, 1000, [3, 3]), (1, 0.25, [2, 2, 1, 1]), (0.5, 0.25, [2, 2, 1, 1])],
)
def test_stacks_are_cut_by_the_cache(scores, weights, widths, monkeypatch):
    monkeypatch.setattr(fit_memory, "cores", lambda: 1)
    monkeypatch.setattr(fit_memory, "_CACHED", int(scores * 6 * 10 * 32 * 4))  # (B, C, K)
    monkeypatch.setattr(fit_memory, "_WEIGHTS", int(weights * 6 * 10 * 64 * 4))  # (D, C, K)
    lr = {"linspace": {"start": 0.01, "stop": 0.1, "num": 6}}
    for batch, expected in ((32, widths), ("full", [6])):
        optimizer = {"name": "sgd", "batch_size": batch}
        keys = {"optimizer": optimizer, "sweep": {"parameters": {"optimizer.lr": lr}}}
        stacks = set_up(load_spec(BASE | keys), None, CPU).arrangement.stacks
        assert [len(one.columns) for one in stacks] == expected


@pytest.mark.skipif(DEVICE.kind == "gpu", reason="counts NumPy's arrays")
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("batch", [32, "full"])
def test_the_bytes_of_a_stack_are_those_it_allocates(name, batch):
    optimizer = {"name": name, "batch_size": batch}
    lr = {"linspace": {"start": 0.01, "stop": 0.1, "num": 16}}
    keys = {"optimizer": optimizer, "sweep": {"parameters": {"optimizer.lr": lr}}}
    columns = set_up(load_spec({**BASE, **keys}), None, CPU).first
    stack = columns.stack()
    held = [v for v in vars(stack).values() if isinstance(v, np.ndarray)]
    held += [v for v in vars(stack.batches).values() if isinstance(v, np.ndarray)]
    b = stack._buffers
    held += [b.z, b.error, b.loss, b.ones, b.total, *b.scratch]
    slots = len(OPTIMIZERS[name].slots)
    state = (1 + slots) * stack._grad.nbytes
    counted = sum(array.nbytes for array in held) + state
    size = None if batch == "full" else batch
    rows = len(stack.rows)
    evaluated = columns.device_rows.held
    held_rows = len(evaluated.rows) if evaluated else 0
    estimate = stack_bytes(CPU, stack.shape, rows, size, 4, slots, held=held_rows)
    assert counted <= estimate <= 2.5 * counted


@pytest.mark.skipif(DEVICE.kind == "gpu", reason="counts NumPy's arrays")
@pytest.mark.parametrize(
    ("rows", "features", "outputs", "columns", "batch"),
    [
        (40_000, 1, 1, 1, 40_000),
        (40_000, 3, 2, 1, 30_000),
        (40, 1, 20_000, 1, 8),
        (40, 1, 20_000, 1, None),
        (40, 1, 5_000, 17, 8),
    ],
)
def test_long_batches_and_many_outputs_take_what_is_told(rows, features, outputs, columns, batch):
    y = np.random.default_rng(0).standard_normal((rows, outputs))
    X = np.zeros((rows, features), np.float32)
    problem = Problem("linear", "auto", X, y, np.ones(rows), np.ones(rows), outputs)
    keys = {"precision": "float32", "device": CPU, "batch_size": batch}
    make_stack(problem, lr=[0.1] * columns, **keys)  # imports
    tracemalloc.start()
    try:
        stack = make_stack(problem, lr=[0.1] * columns, **keys)
        state = start(stack)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    of_rows = sum(one.nbytes for one in vars(stack.rows).values() if isinstance(one, np.ndarray))
    assert state.step == 0
    assert taken - of_rows <= stack_bytes(CPU, stack.shape, rows, batch, 4, 1, held=10**6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("model", "data"),
    [("linear", "diamonds"), ("logistic", "breast_cancer"), ("softmax", "digits")],
)
def test_a_path_begins_where_all_weights_become_0(model, data, bias, tmp_path):
    base = {"model": model, "data": {"train": data, "val": "none"}, "precision": "float64"}
    base |= {"bias": bias, "device": "cpu"}
    spec = load_spec(base)
    prepared = prepare(spec)
    y = prepared.train.y
    y = np.eye(10)[y] if y.ndim == 1 else y
    start = y.mean(axis=0) if bias else {"linear": 0.0, "logistic": 0.5, "softmax": 0.1}[model]
    slope = prepared.train.X.T @ (start - y) / len(y)
    found = largest_l1(prepared, spec)
    assert found == pytest.approx(np.abs(slope).max(), rel=1e-10)
    if model == "linear":
        return  # diamonds are many
    full = {"batch_size": "full", "epochs": 400, "lr": 0.5, "momentum": 0.9}
    run = trainer.run(
        {
            **base,
            "optimizer": full,
            "log": {"weights": "all"},
            "sweep": {"parameters": {"penalty.l1": [1.001 * found, 0.9 * found]}},
        },
        out=tmp_path / "r",
    )
    from safetensors.numpy import load_file

    weights = load_file(run.folder / "weights.safetensors")["weights"]
    assert (weights[:, :, 0] == 0).all()
    assert (weights[:, :, 1] != 0).any()


def path_on(X, y, **keys):
    """The l1 at which a path begins on these rows."""
    spec = {"model": "linear", "device": "cpu", "bias": False, "optimizer": {"name": "auto"}}
    spec |= keys | {"sweep": {"parameters": {"penalty.l1": {"path": {"num": 2, "ratio": 0.5}}}}}
    data = {"train": (X, y)}
    sweep = set_up(as_spec(spec, data), data, CPU)
    return max(trial.spec.penalty.l1 for trial in sweep.trials)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
def test_rounding_of_features_begins_no_path(precision, shift):
    """Standardised features have a mean of 0, so that without a bias a constant y has no slope."""
    X = np.random.default_rng(0).normal(size=(300, 5)) + shift
    y = np.full(300, 7.0)
    with pytest.raises(DataError, match="no feature says anything of the target"):
        path_on(X, y, precision=precision)
    found = path_on(X, y, precision=precision, data={"scale": "none"})
    assert found == pytest.approx(7 * np.abs(X.mean(axis=0)).max(), rel=1e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_weak_slope_beside_a_large_target_begins_a_path(precision, bias):
    X = np.random.default_rng(0).choice([-1.0, 1.0], size=(400, 1))
    X -= X.mean()
    noise = np.random.default_rng(1).normal(size=400)
    noise -= noise.mean() + X[:, 0] * (noise @ X[:, 0] / (X[:, 0] @ X[:, 0]))
    y = 1e4 + noise + 1e-2 * X[:, 0]
    found = path_on(X, y, precision=precision, bias=bias)
    assert found == pytest.approx(1e-2 * X.std(), rel=0.05)


def test_memory_stays_under_the_plans_figure(tmp_path):
    """A process of its own, whose peak is its own."""
    config = Path(trainer.__file__).parents[1] / "configs" / "softmax.yaml"
    axis = "{geomspace: {start: 1e-3, stop: 0.3, num: 16}}"
    sweep = f"sweep={{parameters: {{optimizer.lr: {axis}, penalty.l2: {axis}}}}}"
    arguments = [sweep, "early_stopping=none", "optimizer.epochs=6", "device=cpu"]
    planned = plan(load_spec(config, arguments))
    (line,) = (line for line in planned.splitlines() if line.startswith("peak memory: "))
    code = (
        "import sys\nfrom trainer.cli import main\nfrom trainer.machine.memory import peak_memory\n"
        "main(sys.argv[1:])\nprint('peak', peak_memory() >> 20)"
    )
    command = ["run", str(config), *arguments, "--quiet", "--out", str(tmp_path / "r")]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    measured = int(re.search(r"peak (\d+)", done.stdout)[1])
    # the plan was made in this process, which holds what other tests have left
    assert int(line.split()[2]) >= measured
    assert "256 x 1 repeat" in planned


def test_threads_are_for_stacks_that_gain(monkeypatch):
    monkeypatch.setattr(fit_memory, "cores", lambda: 4)
    lr = {"linspace": {"start": 0.01, "stop": 0.1, "num": 256}}
    wide = load_spec({**BASE, "sweep": {"parameters": {"optimizer.lr": lr}}})
    arrangement = set_up(wide, None, CPU).arrangement
    assert arrangement.threads == 4
    assert [len(one.columns) for one in arrangement.stacks] == [64] * 4
    alone = set_up(load_spec(BASE), None, CPU).arrangement
    assert (alone.threads, len(alone.stacks)) == (1, 1)


@pytest.mark.parametrize(("K", "widths"), [(24, [24]), (26, [13, 13])])
@pytest.mark.parametrize("features", [8, 100])
def test_steps_are_cut_where_pieces_have_scores_enough(K, widths, features, monkeypatch):
    """2^15 of a batch, whatever the features: 256 rows of 10 outputs and 13 columns are enough."""
    monkeypatch.setattr(fit_memory, "cores", lambda: 2)
    lr = {"linspace": {"start": 0.01, "stop": 0.1, "num": K}}
    data = {"train": "arrays", "val": "none"}
    keys = {"optimizer": {"batch_size": 256}, "sweep": {"parameters": {"optimizer.lr": lr}}}
    rows = np.random.default_rng(0).normal(size=(512, features)), np.arange(512) % 10
    spec = load_spec({"model": "softmax", "data": data, **keys})
    arrangement = set_up(spec, {"train": rows}, CPU).arrangement
    assert [len(one.columns) for one in arrangement.stacks] == widths
    assert arrangement.threads == len(widths)


def test_solvers_are_cut_only_where_pieces_stay_wide(monkeypatch):
    monkeypatch.setattr(fit_memory, "cores", lambda: 2)
    l2 = {"geomspace": {"start": 1e-4, "stop": 0.1, "num": 64}}
    keys = {"optimizer": {"name": "auto"}, "sweep": {"parameters": {"penalty.l2": l2}}}
    softmax = set_up(load_spec({**BASE, **keys}), None, CPU).arrangement
    assert [len(one.columns) for one in softmax.stacks] == [32, 32]  # 320 scores of a row each
    binary = {**BASE, **keys, "model": "logistic", "data": {"train": "breast_cancer"}}
    assert len(set_up(load_spec(binary), None, CPU).arrangement.stacks) == 1
    folds = set_up(load_spec({**binary, "repeat": {"folds": 5}}), None, CPU).arrangement
    assert [len(one.columns) for one in folds.stacks] == [160, 160]  # all folds on the same rows
