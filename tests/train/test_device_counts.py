"""The whole training loop on the double of CuPy: zero copies, syncs and allocations in a step."""

import numpy as np
import pytest
from double import Cupy
from stacks import (
    CPU,
    LOSSES,
    Recorder,
    fit,
    initial,
    make_problem,
    make_stack,
    small_chunks,
    start,
)

from trainer import device as devices
from trainer.data.rows import Rows
from trainer.model import MODELS, compiled
from trainer.optim.first_order import OPTIMIZERS
from trainer.sweep.stopping import EarlyStopper
from trainer.train import stack as stack_module
from trainer.train import training as training_module
from trainer.train.evaluate import HeldOut
from trainer.train.stack import Stack

K, STEPS = 3, 12
BATCHES = {"mini-batches": 25, "full": None}  # of 60 rows; in chunks of 17 rows at most
CASES = [
    (*model, optimizer, batches)
    for model in LOSSES
    for optimizer in OPTIMIZERS
    for batches in BATCHES
]


def test_the_table_of_cases_is_whole():
    assert {case[:2] for case in CASES} | {("linear", "squared_error")} == set(MODELS)
    assert len(CASES) == 5 * 5 * 2


@pytest.fixture(autouse=True)
def chunks_of_17_rows(monkeypatch):
    small_chunks(monkeypatch, 4 * 3 * K * 17)
    monkeypatch.setattr(compiled, "load", lambda: (None, "the double has none either"))


@pytest.fixture
def double():
    return Cupy()


def on_double(cupy):
    return devices.from_cupy(cupy, "the double")


@pytest.fixture
def per_step(monkeypatch, double):
    """Watch every step: the list of (copies, syncs, allocations) that it made."""
    seen, step = [], Stack._step

    def watched(self, *args):
        before = double.counts.now()
        step(self, *args)
        seen.append(double.counts.since(before)[:3])

    monkeypatch.setattr(Stack, "_step", watched)
    return seen


def run(device, model, loss, optimizer, batches, gradients_every=0):
    """Fit three columns with everything on: l1, warm-up, evaluations, early stopping, restoring."""
    problem = make_problem(model, loss, weights="classes")
    stack = make_stack(
        problem,
        optimizer,
        precision="float32",
        device=device,
        batch_size=BATCHES[batches],
        schedule="cosine",
        lr=[0.1, 0.05, 0.3],
        steps=[STEPS, STEPS, 8],
        warmup=[0, 3, 1],
        momentum=[0.9, 0.5, 0.3],
        l2=[0.1, 0, 0.01],
        l1=0 if optimizer in ("adamw", "lars") else [0, 0.1, 0.01],
        weight_decay=[0.1, 0, 0.3],
    )
    X, y = problem.X[:40].astype(np.float32), problem.y[:40]
    y = y if y.ndim == 1 else y.astype(np.float32)
    rows = Rows(name="val", X=X, y=y, weight=problem.w[:40], index=np.arange(40))
    held = HeldOut(device, rows, np.ones(problem.outputs))
    stopping = EarlyStopper(
        ["val_loss"] * K, np.ones(K), np.full(K, 2.0), np.zeros(K), np.ones(K, bool)
    )
    heard = Recorder()
    state = start(stack, *initial(problem, K))
    done = fit(stack, state, held, 3, stopping, heard, gradients_every)
    return stack, done, heard


@pytest.mark.parametrize(("model", "loss", "optimizer", "batches"), CASES)
def test_no_step_copies_waits_or_allocates(model, loss, optimizer, batches, double, per_step):
    device = on_double(double)
    stack, done, heard = run(device, model, loss, optimizer, batches)
    assert len(per_step) == max(outcome.step for outcome in done.outcomes) >= 6
    assert set(per_step) == {(0, 0, 0)}
    assert len(heard.evaluations) >= 2
    per_step.clear()
    same, on_cpu, expected = run(CPU, model, loss, optimizer, batches)
    assert stack.batches.chunk_rows == same.batches.chunk_rows == 17
    for name in ("weights", "bias"):
        assert getattr(done, name).tobytes() == getattr(on_cpu, name).tobytes(), name
    for name in heard.records[0].values:
        for ours, theirs in zip(heard.records, expected.records, strict=True):
            assert ours.values[name].tobytes() == theirs.values[name].tobytes(), name
    assert done.outcomes == on_cpu.outcomes
    assert {n: v.tolist() for n, v in done.metrics.items()} == {
        n: v.tolist() for n, v in on_cpu.metrics.items()
    }


def test_between_steps_the_log_is_fetched_once_a_stretch(double):
    problem = make_problem("softmax")
    stack = make_stack(problem, device=on_double(double), steps=20, batch_size=30)
    state = start(stack)
    fetched = []
    for until in (1, 2, 20):
        while state.step < until:
            syncs = double.counts.syncs
            stack.advance(state, until)
            fetched.append(double.counts.syncs - syncs)
    assert fetched == [1] * len(fetched)
    assert len(fetched) == 3  # step 1, step 2, and nine epochs of two steps


def test_snapshots_are_the_only_copies_of_the_steps_that_have_one(double, per_step, monkeypatch):
    monkeypatch.setattr(training_module, "_CROWDED", 0)  # a narrower stack has other chunks
    run(on_double(double), "logistic", "auto", "sgd", "full", gradients_every=4)
    copies = [copies for copies, _, _ in per_step]
    # error and dz of each chunk of 60 rows; dJ/dW, weights and bias once
    expected = [2 * 4 + 3 if step % 4 == 0 else 0 for step in range(1, len(copies) + 1)]
    assert copies == expected
    assert sum(copies) > 0


def test_snapshots_on_a_device_are_those_of_the_cpu(double):
    _, _, ours = run(on_double(double), "softmax", "auto", "sgd", "mini-batches", 1)
    _, _, theirs = run(CPU, "softmax", "auto", "sgd", "mini-batches", 1)
    assert len(ours.snapshots) == len(theirs.snapshots) >= 6
    for a, b in zip(ours.snapshots, theirs.snapshots, strict=True):
        assert a.arrays.keys() == b.arrays.keys()
        for name in a.arrays:
            assert a.arrays[name].tobytes() == b.arrays[name].tobytes(), name


def allocating(xp, weights, threshold, removed):
    weights -= weights * 0.5


def synchronising(xp, weights, threshold, removed):
    if float(xp.max(weights, out=None)) > 1e9:
        weights.fill(0)


def copying(xp, weights, threshold, removed):
    weights -= xp.asarray(np.zeros(1, np.float32))


PLANTED = [(allocating, 2), (synchronising, 1), (copying, 0)]  # the place of its count


@pytest.mark.parametrize(("plant", "place"), PLANTED)
def test_what_is_planted_in_a_step_is_caught(plant, place, double, per_step, monkeypatch):
    monkeypatch.setattr(stack_module, "soft_threshold", plant)
    run(on_double(double), "softmax", "auto", "sgd", "mini-batches")
    assert min(counts[place] for counts in per_step) > 0


def test_a_host_operand_in_a_step_raises(double, monkeypatch):
    def host_operand(xp, weights, threshold, removed):
        weights -= np.ones(1, np.float32)

    monkeypatch.setattr(stack_module, "soft_threshold", host_operand)
    with pytest.raises(TypeError, match="Unsupported type"):
        run(on_double(double), "softmax", "auto", "sgd", "mini-batches")
