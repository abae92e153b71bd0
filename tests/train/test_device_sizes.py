"""How much a GPU is given at once: chunks, stretches, an epoch's order, and what they take."""

import gc
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest
from double import Cupy
from stacks import CPU, Recorder, fit, initial, make_problem, make_stack, start

from trainer import device as devices
from trainer.data.rows import Rows
from trainer.device import Sizes
from trainer.streams import shuffle
from trainer.train import stack as stack_module
from trainer.train.evaluate import HeldOut
from trainer.train.stack import stack_bytes

H200 = SimpleNamespace(
    sizes=Sizes.of_gpu(139 * 2**30), at_once=lambda cached: max(cached, H200.sizes.chunk_bytes)
)
# rows, batch, (D, C, K): chunks of a pass over the batch, steps of a stretch; of a CPU and an H200
SHAPES = [
    ("digits", 1_500, 32, (64, 10, 1), (1, 1), (256, 1024)),
    ("Fashion-MNIST", 60_000, 256, (784, 10, 64), (1, 1), (38, 1024)),
    ("Fashion-MNIST, wide", 60_000, 256, (784, 10, 1024), (1, 1), (2, 256)),
    ("HIGGS", 11_000_000, 11_000_000, (28, 1, 64), (168, 3), (1, 126)),
    ("ImageNet's features", 1_281_167, 1_281_167, (768, 1000, 96), (29795, 459), (1, 1)),
]


@pytest.mark.parametrize(("what", "rows", "batch", "shape", "chunks", "stretches"), SHAPES)
def test_a_gpu_takes_more_at_once(what, rows, batch, shape, chunks, stretches):
    _, outputs, columns = shape
    for place, count, steps in zip((CPU, H200), chunks, stretches, strict=True):
        fits = min(stack_module._fits(place, 4 * outputs * columns), batch)
        assert -(-batch // fits) == count
        assert stack_module._stretch(place, batch, shape) == steps
        assert 1 <= stack_module._evaluation_rows(place, 4 * outputs * columns, rows, 500) <= 500


def test_the_table_is_whole():
    assert len(SHAPES) == 5


def test_a_long_stretch_of_many_columns_has_no_larger_log():
    for columns in (1, 256, 1024, 100_000):
        steps = stack_module._stretch(H200, 1, (1, 1, columns))
        assert steps == max(256, min(1024, 2**18 // columns))


def double(memory=2**31):
    return devices.from_cupy(Cupy(memory), "the double")


def test_what_is_free_changes_no_chunk(monkeypatch):
    monkeypatch.setattr(stack_module, "_CHUNK_BYTES", 1)

    def chunk_rows(place):
        return make_stack(make_problem("softmax", rows=5000), device=place, lr=[0.1] * 9).chunk_rows

    place = double(2**21)
    assert chunk_rows(place) == 2**14 // (8 * 3 * 9)
    held = place.xp.zeros(2**17)
    assert chunk_rows(place) == 2**14 // (8 * 3 * 9)
    assert len(held) == 2**17


def test_a_stack_has_room_for_the_rows_it_is_evaluated_on_and_no_more():
    for held, room in ((0, 25), (10, 25), (40, 40), (10**6, 1024), (None, 1024)):
        stack = make_stack(
            make_problem("softmax"), device=CPU, batch_size=25, lr=[0.1] * 3, held=held
        )
        assert stack.chunk_rows == stack.take(np.arange(2)).chunk_rows == room


@pytest.mark.parametrize(("rows", "copies"), [(60, 1), (2**13 - 1, 1), (2**13, 0), (9999, 0)])
def test_the_order_of_an_epoch_of_many_rows_is_made_on_the_device(rows, copies):
    place = double()
    problem = make_problem("softmax", rows=rows)
    stack = make_stack(problem, device=place, batch_size=25, steps=9)
    counts, per_epoch = place.xp.counts, stack.steps_per_epoch
    for epoch, step in enumerate((1, 1 + per_epoch, 1 + 2 * per_epoch)):
        before = counts.now()
        stack.batches.prepare(step)
        assert counts.since(before)[:2] == (copies, 0)
        order = stack.batches.rows_of(slice(0, rows))
        assert order.tolist() == shuffle(stack.settings.seed, epoch, rows).tolist()


MEMORY = [
    (model, optimizer, batch, held)
    for model in ("linear", "logistic", "softmax")
    for optimizer in ("sgd", "adam")
    for batch in (256, None)
    for held in (0, 3000)
]


@pytest.mark.parametrize(("model", "optimizer", "batch", "held"), MEMORY)
def test_the_bytes_of_a_stack_are_those_the_pool_gives_it(model, optimizer, batch, held):
    """From before the stack is built to the peak of its training and its evaluations."""
    place, rows, K = double(), 20_000, 8
    problem = make_problem(model, rows=rows, features=20)
    X, y = problem.X.astype(np.float32), problem.y
    split = Rows("val", X[:held], y[:held], problem.w[:held], np.arange(held))
    heldout = HeldOut(place, split, np.ones(problem.outputs)) if held else None
    if heldout and model == "linear":
        assert len(heldout.wide) == 2  # made with the rows, once for all stacks
    shared = make_stack(problem, precision="float32", device=place, lr=[0.1]).rows
    gc.collect()
    pool = place.xp.pool
    before = pool.peak = pool.used
    stack = make_stack(
        problem,
        optimizer,
        precision="float32",
        device=place,
        lr=[0.01] * K,
        steps=3,
        batch_size=batch,
        rows=shared,
        held=held,
    )
    state = start(stack, *initial(problem, K))
    fit(stack, state, heldout or (lambda state: {}), 2, None, Recorder())
    counted = pool.peak - before
    slots = len(stack.optimizer.slots)
    wide = stack.model.metrics.of_predictions
    estimate = stack_bytes(place, stack.shape, rows, batch, 4, slots, held=held, wide=wide)
    assert counted <= estimate <= 4 * counted


@pytest.mark.parametrize("place", ["cpu", "gpu"])
def test_a_stack_that_is_let_go_gives_its_memory_back_at_once(place):
    """Not when the cycles of Python's objects are looked for: a GPU's memory is short."""
    problem = make_problem("softmax")
    stack = make_stack(problem, device=CPU if place == "cpu" else double(), batch_size=25, steps=3)
    stack.advance(start(stack), 3)
    buffers = ref(stack._buffers)
    gc.disable()
    try:
        del stack
        assert buffers() is None
    finally:
        gc.enable()
