"""CUDA graphs of steps on the double: the bits of steps taken one by one, in far fewer launches.

A capture is the proof that a step waits for nothing, copies nothing and allocates nothing: the
double raises where CUDA would.
"""

import gc
from dataclasses import replace

import numpy as np
import pytest
import shim
from double import Cupy
from fused_helpers import K, on_double, run
from stacks import (
    LOSSES,
    initial,
    joined,
    make_problem,
    make_stack,
    short_stretches,
    signal_after,
    small_chunks,
    start,
    train,
)

from trainer.machine.cublas import Products
from trainer.model import kernels
from trainer.optim.first_order import OPTIMIZERS
from trainer.train import fused
from trainer.train.fused import FusedHalves, graph_bytes
from trainer.train.stack import Stack, batch_parts

pytestmark = pytest.mark.skipif(shim.COMPILER is None, reason=shim.WHY_NOT)
CASES = [
    (*model, optimizer, l1, weights)
    for model in LOSSES
    for optimizer in OPTIMIZERS
    for l1 in (0, 0.1)
    for weights in ("none", "classes")
    if not (l1 and optimizer in ("adamw", "lars"))
]
STEP, PART = 5, 4  # launches of a step of one part; of each part of one of several, without update


def test_the_tables_are_whole():
    assert len(CASES) == 5 * 5 * 2 * 2 - 2 * 5 * 2
    assert len(BATCHES) == 5
    assert len(FAULTS) == 3
    assert len(HIDDEN) == 4
    assert fused.GRAPHS == (32, 1)


@pytest.fixture
def graphs_of_3(monkeypatch):
    monkeypatch.setattr(fused, "GRAPHS", (3, 1))


@pytest.fixture
def one_by_one(monkeypatch):
    """Have a function run without graphs."""

    def done(work):
        with monkeypatch.context() as patch:
            patch.setenv("STACKED_TRAINER_GRAPHS", "0")
            return work()

    return done


def stack_of(cupy, problem, optimizer="sgd", batch=8, steps=20, **settings):
    settings = {"lr": [0.1, 0.05, 0.01], "l2": [0.1, 0, 0.01], "eps": 1e-4} | settings
    return make_stack(
        problem, optimizer, device=on_double(cupy), batch_size=batch, steps=steps, **settings
    )


def bits(problem, stack, advance=train, finite=True):
    """Of a training from drawn weights: its parameters, its slots and its log."""
    state = start(stack, *initial(problem, K))
    records = advance(stack, state)
    arrays = [stack.device.to_host(one) for one in state.arrays.values()]
    logged = [joined(records, name) for name in records[0].values]
    assert not finite or all(np.isfinite(one).all() for one in (*arrays, *logged))
    return [one.tobytes() for one in (*arrays, *logged)]


def launches(cupy, step=STEP):
    """What took the steps, in order: 0 for one by itself, else how many a graph took."""
    taken = []
    for name in cupy.launched:
        if name.startswith("update"):
            taken.append(0)
        elif name.startswith("graph of ") and taken:  # before are those of the smoke test
            nodes = int(name.removeprefix("graph of "))
            assert nodes % step == 0
            taken.append(nodes // step)
    return taken


@pytest.mark.parametrize(("model", "loss", "optimizer", "l1", "weights"), CASES)
def test_graphs_have_the_bits_of_steps_one_by_one(
    model, loss, optimizer, l1, weights, graphs_of_3, one_by_one
):
    problem = make_problem(model, loss, weights=weights)

    def training():
        cupy = Cupy()
        stack = stack_of(cupy, problem, optimizer, l1=l1, momentum=0.5, weight_decay=0.1)
        return bits(problem, stack), launches(cupy, STEP + (optimizer == "lars"))

    found, taken = training()
    right, alone = one_by_one(training)
    assert found == right
    assert alone == [0] * 20
    # epochs of 7 full batches and a shorter one; the very first step is taken by itself
    assert taken == [0, 1, 1, 3, 1, 0, *(3, 3, 1, 0), *(3, 0)]


# of 60 rows: a batch, bytes of a chunk, launches of a step, and what takes 20 steps
BATCHES = {
    "full": (None, 2**20, 4, [0, 1, 1, *[3] * 5, 1, 1]),
    "full, in parts": (None, 8 * 3 * K * 17, 4 * 3 + 1, [0, 1, 1, *[3] * 5, 1, 1]),
    "in parts": (20, 8 * 3 * K * 8, 3 * PART + 1, [0, 1, 1, *[3] * 5, 1, 1]),
    "of one row": (1, 2**20, STEP, [0, 1, 1, *[3] * 5, 1, 1]),
    "no whole one but the first": (40, 2**20, STEP, [0, 0, *[1, 0] * 9]),
}


@pytest.mark.parametrize("batches", BATCHES)
def test_of_any_batches(batches, graphs_of_3, one_by_one, monkeypatch):
    batch, chunk, step, expected = BATCHES[batches]
    small_chunks(monkeypatch, chunk)
    problem = make_problem("softmax", weights="classes")

    def training():
        cupy = Cupy()
        stack = stack_of(cupy, problem, "adam", batch=batch)
        return bits(problem, stack), launches(cupy, step)

    found, taken = training()
    right, _ = one_by_one(training)
    assert found == right
    assert taken == expected


@pytest.mark.parametrize("batches", BATCHES)
def test_what_graphs_take_of_a_gpu_is_counted_by_their_kernels(batches, graphs_of_3, monkeypatch):
    """A product may be of two kernels, and rows of a full batch are not taken."""
    batch, chunk, *_ = BATCHES[batches]
    small_chunks(monkeypatch, chunk)
    problem, cupy = make_problem("softmax"), Cupy()
    stack = stack_of(cupy, problem, batch=batch)
    train(stack, start(stack, *initial(problem, K)))
    nodes = [node.name for one in stack._halves._graphs.values() for node in one.nodes]
    size = stack.batches.size
    parts = batch_parts(stack.device, stack.shape, size, 8)
    assert parts == len(list(stack.batches.parts(1)))
    steps = sum(stack._halves._graphs)
    kernels_of_graphs = len(nodes) + nodes.count("gemm")
    kernels_of_graphs += 0 if stack.batches.gathered is not None else steps * parts
    assert graph_bytes(stack.device, parts) == 2**16 * kernels_of_graphs * 4 // steps
    monkeypatch.setenv("STACKED_TRAINER_GRAPHS", "0")
    assert graph_bytes(stack.device, parts) == 0
    monkeypatch.delenv("STACKED_TRAINER_GRAPHS")
    assert graph_bytes(replace(stack.device, products=None), parts) == 0


def test_stretches_and_signals_that_cut_an_epoch(graphs_of_3, one_by_one, monkeypatch):
    short_stretches(monkeypatch, 5)
    problem = make_problem("logistic")

    def stopped_often(stack, state):
        records = []
        while state.step < 20:
            records.append(stack.advance(state, 20, should_stop=signal_after(1)))
        return records

    def training(advance):
        return bits(problem, stack_of(Cupy(), problem), advance)

    right = one_by_one(lambda: training(train))
    assert training(train) == training(stopped_often) == right


@pytest.mark.parametrize(("before", "taken"), [(6, [0, 0, 3, 3, 1, 0]), (7, [0, 0, 1, 1, 3, 1, 0])])
def test_the_first_full_batch_goes_by_itself_whatever_went_before(before, taken, graphs_of_3):
    problem, cupy = make_problem("softmax"), Cupy()
    stack = stack_of(cupy, problem)  # epochs of 7 full batches and a shorter one
    state = start(stack)
    stack.advance(state, before)
    later = Stack(stack.device, stack._model, stack.rows, problem.outputs, stack.settings)
    known = len(launches(cupy))
    later.advance(state, 8)  # where a stack that was parked goes on
    later.advance(state, 16)
    assert launches(cupy)[known:] == taken


def test_a_state_that_lies_elsewhere_is_gone_on_with(graphs_of_3, one_by_one):
    problem = make_problem("softmax")

    def moved(stack, state):
        records = []
        while state.step < 20:
            records.append(stack.advance(state, min(20, state.step + 4)))
            old = list(state.arrays.values())  # kept, so that nothing else lies there
            state.arrays = {name: one.copy() for name, one in state.arrays.items()}
            for one in old:
                one.fill(np.nan)
        return records

    def training(advance):
        return bits(problem, stack_of(Cupy(), problem, "adam"), advance)

    assert training(moved) == training(train) == one_by_one(lambda: training(train))


@pytest.mark.parametrize("gradients_every", [0, 4])
def test_early_stopping_compaction_and_snapshots(gradients_every, one_by_one):
    def training():
        cupy = Cupy()
        done, heard = run(
            on_double(cupy), "softmax", "auto", "adam", "of many steps", gradients_every
        )
        whole = {"weights": done.weights, "bias": done.bias} | done.metrics
        for number, one in enumerate(heard.snapshots):
            whole |= {f"{name} {number}": array for name, array in one.arrays.items()}
        for number, one in enumerate(heard.records):
            whole |= {f"{name} {number}": array for name, array in one.values.items()}
        found = {name: np.asarray(array).tobytes() for name, array in whole.items()}
        return found, done.outcomes, launches(cupy)

    *found, taken = training()
    *right, alone = one_by_one(training)
    assert found == right
    assert 1 in taken
    assert set(alone) == {0}


def test_the_launches_of_a_stretch():
    problem, cupy = make_problem("softmax", rows=1000), Cupy()
    stack = stack_of(cupy, problem, steps=900, lr=[0.01] * K)
    state = start(stack)
    stack.advance(state, 125)  # an epoch, in which its graphs are captured
    for until, copies in ((250, 4), (310, 4), (375, 3)):  # order, table, counters, the log
        steps = until - state.step
        before = cupy.counts.now()
        taken = len(launches(cupy))
        stack.advance(state, until)
        found = launches(cupy)[taken:]
        rest = steps % 32
        assert found == [*[32] * (steps // 32), *([1] * rest if rest > 1 else [0])]
        beside = 3 + 2 * (copies == 4)  # the ring is cleared; squares are summed, and copied to it
        counts = cupy.counts.since(before)
        assert counts[:2] == (copies, 1)
        assert counts.launches - beside - len(found) in (0, 4, 5), counts


def test_a_graph_is_captured_once(monkeypatch):
    captured, true = [], Products.captured
    monkeypatch.setattr(Products, "captured", lambda *given: captured.append(1) or true(*given))
    problem, cupy = make_problem("softmax", rows=1000), Cupy()
    stack = stack_of(cupy, problem, steps=500, lr=[0.01] * K)
    captured.clear()  # that of the smoke test
    train(stack, start(stack))
    assert set(launches(cupy)) == {0, 1, 32}
    assert len(captured) == 2


def test_a_stack_with_graphs_gives_its_memory_back_at_once():
    problem, cupy = make_problem("softmax", rows=1000), Cupy()
    place = on_double(cupy)
    gc.collect()
    gc.disable()
    try:
        before = cupy.pool.used
        stack = make_stack(problem, device=place, batch_size=8, steps=100)
        train(stack, start(stack))
        assert 32 in launches(cupy)
        del stack
        assert cupy.pool.used == before
    finally:
        gc.enable()


# --- faults -------------------------------------------------------------------------------------

FAULTS = {
    "the place is not moved on": ("? s.now[PLACE] + s.batch : 0", "? s.now[PLACE] : 0"),
    "the slot is not moved on": ("s.now[SLOT]++", "s.now[SLOT] = 0"),
    "every part moves the slot on": ("if (s.now && s.first && is", "if (s.now && is"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_changes_a_training(fault, graphs_of_3, monkeypatch):
    small_chunks(monkeypatch, 8 * 3 * K * 5)
    problem = make_problem("softmax")
    wrong, with_wrong = FAULTS[fault]
    right, text = bits(problem, stack_of(Cupy(), problem)), kernels.text()
    assert text.count(wrong) == 1
    monkeypatch.setattr(kernels, "text", lambda: text.replace(wrong, with_wrong))
    assert bits(problem, stack_of(Cupy(), problem), finite=False) != right


HIDDEN = {
    "an allocation": lambda halves: halves._xp.empty(3),
    "a wait": lambda halves: halves._xp.asnumpy(halves._now),
    "a copy": lambda halves: halves._now.set(np.zeros(2, np.int64)),
    "a launch that is not ours": lambda halves: halves._text.gradients[1].fill(0),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_what_a_graph_cannot_hold_ends_graphs_and_no_run(what, graphs_of_3, monkeypatch):
    problem, true = make_problem("softmax"), FusedHalves.move
    right = bits(problem, stack_of(Cupy(), problem))

    def hiding(self, *given):
        true(self, *given)
        if self._products._cupy.cuda.get_current_stream().is_capturing():
            HIDDEN[what](self)

    monkeypatch.setattr(FusedHalves, "move", hiding)
    cupy = Cupy()
    stack = stack_of(cupy, problem)
    assert bits(problem, stack) == right
    assert launches(cupy) == [0] * 20
    assert stack.device.products.failed.endswith("not permitted when stream is capturing")
    assert cupy.cuda.get_current_stream().ptr == 0


def test_products_that_cannot_be_had_end_no_run(monkeypatch):
    problem = make_problem("softmax")
    monkeypatch.setattr(shim, "COMPILER", None)
    place = on_double(Cupy())
    assert place.products is None
    assert "no g++" in kernels.told(place.no_graphs) or "launched one by one" in kernels.told(
        place.no_graphs
    )
    monkeypatch.undo()
    stack = make_stack(problem, device=place, batch_size=8, steps=20, lr=[0.1] * K)
    assert stack._halves.at_once == 1
    bits(problem, stack)
    assert launches(place.xp) == [0] * 20
