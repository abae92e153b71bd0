"""Whole trainings through the CUDA text on the double of CuPy: five launches a step, no more."""

from dataclasses import replace

import numpy as np
import pytest
import shim
from double import Cupy, Ufunc, ndarray
from fused_helpers import BATCHES, K, on_double, run
from huber import ROW as HUBER
from stacks import (
    CPU,
    LOSSES,
    initial,
    joined,
    make_problem,
    make_stack,
    small_chunks,
    start,
    train,
)

from trainer import device as devices
from trainer.model import compiled
from trainer.optim.first_order import OPTIMIZERS
from trainer.train import training as training_module
from trainer.train.fused import FusedHalves
from trainer.train.halves import NumpyHalves
from trainer.train.stack import Stack, stack_bytes

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
CASES = [
    (*model, optimizer, batches)
    for model in LOSSES
    for optimizer in OPTIMIZERS
    for batches in ("mini-batches", "full")
]
COMPUTING = ["sum", "max", "min", "take", "matmul", "einsum", "copyto", "where", "sort", "cumsum"]


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 5 * 5 * 2


@pytest.fixture(autouse=True)
def text_on_the_cpu(monkeypatch):
    monkeypatch.setattr(compiled, "load", lambda: (None, "the text"))


@pytest.fixture
def chunks_of_17_rows(monkeypatch):
    small_chunks(monkeypatch, 8 * 3 * K * 17)


@pytest.fixture
def double(monkeypatch):
    """A double whose `launched` has the names of all that computes."""

    def noted(kind, name):
        true = getattr(kind, name)

        def note(self, *args, **keys):
            double.launched.append(self._ufunc.__name__ if kind is Ufunc else name)
            return true(self, *args, **keys)

        monkeypatch.setattr(kind, name, note)

    double = Cupy()
    for name in COMPUTING:
        noted(Cupy, name)
    for name in ("fill", "copy", "__setitem__"):
        noted(ndarray, name)
    noted(Ufunc, "__call__")
    return double


@pytest.fixture
def per_step(monkeypatch, double):
    """Watch every step: the list of ((copies, syncs, allocations), launches) that it made."""
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")  # each by itself
    seen, step = [], Stack._step

    def watched(self, *args):
        before, launched = double.counts.now(), len(double.launched)
        step(self, *args)
        if isinstance(self._halves, FusedHalves):
            seen.append((double.counts.since(before)[:3], double.launched[launched:]))

    monkeypatch.setattr(Stack, "_step", watched)
    return seen


def agree(ours, right, close):
    """Two arrays, NaN and zeros in the same places."""
    assert (np.isnan(ours) == np.isnan(right)).all()
    assert ((ours == 0) == (right == 0)).all()
    assert np.nanmax(np.abs(ours - right)) <= close * np.nanmax(np.abs(right))


@pytest.mark.parametrize(("model", "loss", "optimizer", "batches"), CASES)
def test_a_training_is_that_of_the_text(
    model, loss, optimizer, batches, double, per_step, chunks_of_17_rows, monkeypatch
):
    narrower, take = [], Stack.take
    monkeypatch.setattr(Stack, "take", lambda *args: narrower.append(1) or take(*args))
    done, heard = run(on_double(double), model, loss, optimizer, batches)
    right, expected = run(CPU, model, loss, optimizer, batches)
    assert {counts for counts, _ in per_step} == {(0, 0, 0)}
    assert len(per_step) == max(outcome.step for outcome in done.outcomes) >= 4
    assert len(narrower) == 2  # stacks of fewer columns went on, one on each device
    assert done.outcomes == right.outcomes
    for name in ("weights", "bias"):
        agree(getattr(done, name), getattr(right, name), 1e-12)
    for name, value in right.metrics.items():
        agree(done.metrics[name], value, 1e-12)
    for ours, theirs in zip(heard.records, expected.records, strict=True):
        for name, value in theirs.values.items():
            agree(ours.values[name], value, 1e-12)


@pytest.mark.parametrize(("model", "loss", "optimizer", "batches"), CASES)
def test_a_step_is_five_launches_and_lars_has_one_more(
    model, loss, optimizer, batches, double, per_step
):
    problem = make_problem(model, loss)
    stack = make_stack(
        problem, optimizer, device=on_double(double), batch_size=BATCHES[batches], l2=0.1, steps=4
    )
    train(stack, start(stack))
    error_step = f"error_step_{stack.model.loss.__name__}"
    if loss == "squared_error":
        error_step = "error_step_squared_error_on_sigmoid"
    update = "update_adam" if "adam" in optimizer else f"update_{optimizer}"
    taken = ["take_rows"] if batches == "mini-batches" else []
    norms = ["weight_squares"] if optimizer == "lars" else []
    assert len(per_step) == 4
    for counts, launched in per_step:
        assert counts == (0, 0, 0)
        assert launched == [*taken, "gemm", error_step, "gemm", *norms, update]


def test_parts_of_a_batch_are_four_launches_each_and_add_up(double, per_step, chunks_of_17_rows):
    problem = make_problem("softmax")
    stack = make_stack(problem, device=on_double(double), lr=[0.1] * K, batch_size=25, steps=1)
    train(stack, start(stack))
    ((counts, launched),) = per_step
    part = ["take_rows", "gemm", "error_step_categorical_cross_entropy", "gemm"]
    assert (counts, launched) == ((0, 0, 0), [*part, *part, "update_sgd"])


def test_without_its_own_products_cupys_are_added(double, per_step, chunks_of_17_rows):
    place = replace(on_double(double), products=None)
    problem = make_problem("softmax")
    stack = make_stack(problem, device=place, lr=[0.1] * K, batch_size=25, steps=1)
    train(stack, start(stack))
    ((counts, launched),) = per_step
    part = ["take_rows", "matmul", "error_step_categorical_cross_entropy", "matmul"]
    assert (counts, launched) == ((0, 0, 0), [*part, *part, "add", "update_sgd"])


def test_between_steps_the_log_is_summed_and_fetched_once_a_stretch(double):
    problem = make_problem("softmax")
    stack = make_stack(problem, device=on_double(double), steps=20, batch_size=30)
    state = start(stack)
    for until in (1, 2, 20):
        syncs, sums = double.counts.syncs, double.launched.count("sum")
        stack.advance(state, until)
        assert double.counts.syncs - syncs == 1
        assert double.launched.count("sum") - sums == 1


@pytest.mark.parametrize("batches", ["mini-batches", "full"])
def test_snapshots_are_the_texts_and_change_no_bit(batches, double, monkeypatch):
    monkeypatch.setattr(training_module, "_CROWDED", 0)  # a narrower stack has other bits
    done, ours = run(on_double(double), "softmax", "auto", "sgd", batches, 2)
    plain, _ = run(on_double(Cupy()), "softmax", "auto", "sgd", batches)
    assert done.weights.tobytes() == plain.weights.tobytes()
    _, theirs = run(CPU, "softmax", "auto", "sgd", batches, 2)
    assert len(ours.snapshots) == len(theirs.snapshots) >= 2
    for a, b in zip(ours.snapshots, theirs.snapshots, strict=True):
        for name in b.arrays:
            agree(a.arrays[name], b.arrays[name], 1e-12)


@pytest.mark.parametrize("model", LOSSES)
def test_in_float32_fifty_steps_end_where_the_text_ends(model):
    problem, ends = make_problem(*model, weights="rows"), []
    for device in (on_double(Cupy()), CPU):
        stack = make_stack(
            problem, device=device, precision="float32", lr=[0.01, 0.05], batch_size=23, steps=50
        )
        state = start(stack, *initial(problem, 2))
        records = train(stack, state)
        ends.append((device.to_host(state.weights), joined(records, "loss")))
    for ours, right in zip(*ends, strict=True):
        assert np.abs(ours - right).max() <= 1e-5 * np.abs(right).max()


def trained(problem, columns, at=None, order=0):
    lr = [0.01, 0.03, 0.1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shim.RawModule, "order", order)
        device = on_double(Cupy())
        chosen = slice(0, columns) if at is None else slice(at, at + 1)
        stack = make_stack(
            problem, "adam", device=device, lr=lr[chosen], l1=0.01, eps=1e-4, batch_size=23,
            steps=20,
        )  # fmt: skip
        weights, bias = initial(problem, 3)
        state = start(stack, weights[:, :, chosen], bias[:, chosen])
        records = train(stack, state)
        return device.to_host(state.weights), joined(records, "grad_norm")


def test_a_column_alone_is_the_column_of_a_stack():
    problem = make_problem("softmax", weights="rows")
    together, _ = trained(problem, 3)
    for k in range(3):
        alone, _ = trained(problem, 1, at=k)
        assert np.abs(alone[..., 0] - together[..., k]).max() <= 1e-12 * np.abs(alone).max()


@pytest.mark.parametrize("order", [1, 5])
def test_the_order_of_threads_changes_no_bit(order):
    problem = make_problem("softmax", weights="rows")
    first, other = trained(problem, 3), trained(problem, 3, order=order)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, other, strict=True))


# --- which halves a stack has -----------------------------------------------------------------


def halves(device, row=None):
    problem = make_problem("linear")
    stack = make_stack(problem, device=device)
    if row is not None:
        stack = Stack(device, row, stack.rows, problem.outputs, stack.settings)
    return type(stack._halves)


def test_a_device_that_compiles_cuda_has_its_kernels(monkeypatch):
    assert halves(on_double(Cupy())) is FusedHalves
    assert halves(devices.from_cupy(Cupy(), "the double")) is NumpyHalves
    assert halves(CPU) is NumpyHalves  # no library here: the fixture's doing
    assert halves(on_double(Cupy()), HUBER.with_parameters({"delta": 1.0})) is NumpyHalves
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    assert halves(on_double(Cupy())) is NumpyHalves


@pytest.mark.parametrize("batch", [25, None])
def test_the_bytes_of_a_stack_count_its_parts_of_sums(batch):
    stack = make_stack(make_problem("softmax"), device=on_double(Cupy()), batch_size=batch)
    held = stack._halves._held
    plain = devices.from_cupy(Cupy(), "the double")
    ours, text = (
        stack_bytes(device, stack.shape, len(stack.rows), batch, 8, 1)
        for device in (stack.device, plain)
    )
    assert ours - text == held["partial"].nbytes + held["squares"].nbytes > 0
