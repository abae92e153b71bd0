"""Whole trainings through the compiled step: the promise of stacking, stops, snapshots, threads."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from stacks import (
    CPU,
    DEVICE,
    LOSSES,
    Recorder,
    fit,
    initial,
    joined,
    make_problem,
    make_stack,
    short_stretches,
    small_chunks,
    start,
    train,
)

from trainer.model import compiled
from trainer.optim.first_order import OPTIMIZERS
from trainer.train import twins
from trainer.train.halves import NumpyHalves
from trainer.train.twins import CompiledHalves

LIBRARY, WHY = compiled.load()
pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason=WHY),
    pytest.mark.skipif(DEVICE.kind == "gpu", reason="the twin is the CPU's"),
]
CASES = [(*model, name, batch) for model in LOSSES for name in OPTIMIZERS for batch in (23, None)]
K = 5


def trained(problem, name, batch, columns=K, steps=50, precision="float32", text=False, at=None):
    """Weights (D, C, K) and the log of columns, some of them with l1."""
    lr = np.geomspace(0.01, 0.1, K)[:columns] if at is None else [np.geomspace(0.01, 0.1, K)[at]]
    l1 = 0 if name in ("adamw", "lars") else 0.01
    with pytest.MonkeyPatch.context() as patch:
        if text:
            patch.setattr(compiled, "load", lambda: (None, "the text"))
        stack = make_stack(
            problem,
            name,
            precision=precision,
            device=CPU,
            batch_size=batch,
            lr=lr,
            l1=l1,
            l2=0.01,
            momentum=0.5,
            eps=1e-2,
            weight_decay=0.1,
            steps=steps,
        )
    assert isinstance(stack._halves, NumpyHalves if text else CompiledHalves)
    weights, bias = initial(problem, K)
    chosen = slice(0, columns) if at is None else slice(at, at + 1)
    state = start(stack, weights[:, :, chosen], bias[:, chosen])
    records = train(stack, state, steps)
    return state.weights.copy(), joined(records, "loss")


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 5 * 5 * 2


@pytest.mark.parametrize(("model", "loss", "name", "batch"), CASES)
def test_fifty_steps_end_where_the_text_ends(model, loss, name, batch):
    problem = make_problem(model, loss, weights="classes")
    # a rate that is a ratio of two norms makes roundings grow
    single = 1e-3 if name == "lars" else 1e-5
    for precision, close in (("float32", single), ("float64", 1e-13)):
        ours, logged = trained(problem, name, batch, precision=precision)
        right, told = trained(problem, name, batch, precision=precision, text=True)
        assert np.abs(ours - right).max() <= close * np.abs(right).max()
        assert np.abs(logged - told).max() <= close * np.abs(told).max()
        if precision == "float64":
            assert ((ours == 0) == (right == 0)).all()


@pytest.mark.parametrize("model", LOSSES)
@pytest.mark.parametrize("batch", [23, None])
def test_a_column_alone_is_the_column_of_a_stack(model, batch):
    problem = make_problem(*model, weights="rows")
    together, _ = trained(problem, "sgd", batch)
    for k in range(K):
        alone, _ = trained(problem, "sgd", batch, columns=1, at=k)
        assert np.abs(alone[..., 0] - together[..., k]).max() <= 1e-5 * np.abs(alone).max()


@pytest.mark.parametrize("columns", [5, 40])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("model", LOSSES)
def test_fifty_steps_beside_other_columns_change_no_bit(model, name, columns):
    problem, ends = make_problem(*model, weights="rows"), []
    l1 = 0 if name in ("adamw", "lars") else 0.01
    for lr, scale in ((0.05, 1.0), (0.5, 1e4)):  # of the others, some of which diverge
        rates = np.full(columns, lr)
        rates[2] = 0.02
        stack = make_stack(
            problem, name, precision="float32", device=CPU, batch_size=23, lr=rates, l1=l1, steps=50
        )
        weights, bias = initial(problem, columns)
        weights[:, :, np.arange(columns) != 2] *= scale
        state = start(stack, weights, bias)
        records = train(stack, state, 50)
        of_column = joined(records, "loss")[:, 2], joined(records, "grad_norm")[:, 2]
        ends.append([state.weights[..., 2].tobytes(), *(one.tobytes() for one in of_column)])
    assert isinstance(stack._halves, CompiledHalves)
    assert ends[0] == ends[1]


@pytest.mark.parametrize("columns", [1, K])
def test_twice_is_the_same_to_the_bit(columns):
    problem = make_problem("softmax")
    first, second = (trained(problem, "adam", 23, columns) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("text", [False, True])
def test_a_stack_that_nobody_holds_is_freed_at_once(text):
    with pytest.MonkeyPatch.context() as patch:
        if text:
            patch.setattr(compiled, "load", lambda: (None, "the text"))
        stack = make_stack(make_problem("softmax"), device=CPU, batch_size=23)
    train(stack, start(stack))
    held = weakref.ref(stack)
    gc.disable()  # what frees a circle of references only some time later
    try:
        del stack
        assert held() is None
    finally:
        gc.enable()


def narrow_stack(**keys):
    stack = make_stack(make_problem("softmax"), device=CPU, batch_size=23, lr=0.05, **keys)
    assert stack._halves.narrow
    return stack


@pytest.mark.parametrize("columns", [1, 40])
def test_how_steps_are_cut_into_pieces_changes_no_bit(columns, monkeypatch):
    ends, problem = [], make_problem("softmax")
    for flop, most in ((2e8, 256), (1, 256), (2e8, 2)):
        monkeypatch.setattr(twins, "_PIECE_FLOP", flop)
        short_stretches(monkeypatch, most)
        lr = np.geomspace(0.01, 0.1, columns)
        stack = make_stack(problem, device=CPU, batch_size=23, lr=lr, steps=9)
        assert stack._halves.narrow == (columns == 1)
        assert (stack._halves.at_once == 1) == (flop == 1)
        state = start(stack, *initial(problem, columns))
        records = train(stack, state)
        ends.append((state.weights.tobytes(), joined(records, "grad_norm").tobytes()))
    assert ends[0] == ends[1] == ends[2]


def test_a_stop_comes_between_pieces(monkeypatch):
    monkeypatch.setattr(twins, "_PIECE_FLOP", 4.0 * 23 * 4 * 3 * 2)  # two steps
    stack = narrow_stack(steps=9)
    state, asked = start(stack), []
    records = stack.advance(state, 6, should_stop=lambda: asked.append(state.step))
    assert (asked, state.step) == ([2, 3, 5, 6], 6)  # an epoch of three steps ends a piece
    records = stack.advance(state, 9, should_stop=lambda: True)
    assert (records.step.tolist(), state.step) == ([7, 8], 8)


@pytest.mark.parametrize("columns", [1, 40])
@pytest.mark.parametrize("every", [1, 5])
def test_a_stretch_over_epochs_is_one_of_each_epoch(columns, every):
    problem, ends = make_problem("softmax"), []
    for untils in ((9,), (3, 6, 9)):
        lr = np.geomspace(0.01, 0.1, columns)
        stack = make_stack(problem, device=CPU, batch_size=23, lr=lr, steps=9)
        stack.settings = replace(stack.settings, log_every=every)
        assert stack.steps_per_epoch == 3
        state = start(stack, *initial(problem, columns))
        records = [stack.advance(state, until) for until in untils]
        names = ("loss", "error_rms", "error_max", "dz_rms", "grad_norm", "lr")
        logged = {name: joined(records, name) for name in names}
        ends.append((state.weights, np.concatenate([one.epoch for one in records]), logged))
    np.testing.assert_equal(*ends)
    full = np.isfinite(ends[0][2]["grad_norm"]).all(axis=1)
    # whole at the ends of epochs, too
    assert full.tolist() == [every == 1 or step in (3, 5, 6, 9) for step in range(1, 10)]


def test_a_stop_before_a_snapshot_leaves_none_behind(monkeypatch):
    monkeypatch.setattr(twins, "_PIECE_FLOP", 4.0 * 12 * 4 * 3 * 3)  # three steps
    problem = make_problem("softmax")
    stack = make_stack(problem, device=CPU, batch_size=12, lr=0.05, steps=9)
    state = start(stack, *initial(problem, 1))
    heard = Recorder(state, 3)
    fit(stack, state, lambda state: {}, 5, None, heard, 4)
    assert (state.step, heard.snapshots) == (3, [])


@pytest.mark.parametrize("columns", [1, 40])
@pytest.mark.parametrize("batch", [23, None])
def test_snapshots_change_no_bit_and_are_the_texts(columns, batch):
    problem, ends, shown = make_problem("logistic", weights="classes"), [], []
    for every, text in ((0, False), (2, False), (2, True)):
        with pytest.MonkeyPatch.context() as patch:
            if text:
                patch.setattr(compiled, "load", lambda: (None, "the text"))
            stack = make_stack(
                problem, device=CPU, batch_size=batch, lr=[0.05] * columns, steps=7, l2=0.1
            )
        heard = Recorder()
        state = start(stack, *initial(problem, columns))
        done = fit(stack, state, lambda state: {}, 4, None, heard, every)
        ends.append(done.weights.tobytes())
        shown.append(heard.snapshots)
    assert ends[0] == ends[1]
    assert [one.step for one in shown[1]] == [2, 4, 6]
    for ours, right in zip(shown[1], shown[2], strict=True):
        for name, value in right.arrays.items():
            np.testing.assert_allclose(ours.arrays[name], value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("rows", [9, 23])
def test_chunks_of_a_batch_add_up(rows, monkeypatch):
    problem, ends = make_problem("softmax", weights="rows"), []
    for size in (16 * 2**20, 8 * 3 * K * rows):
        small_chunks(monkeypatch, size)
        ends.append(trained(problem, "sgd", None, steps=9, precision="float64"))
    for whole, cut in zip(*ends, strict=True):
        np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-13)


def test_stacks_in_threads_compute_what_they_do_alone():
    problems = [make_problem("softmax", seed=seed) for seed in range(4)]
    alone = [trained(one, "adam", 23, steps=200) for one in problems]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: trained(one, "adam", 23, steps=200), problems))
    for one, other in zip(alone, together, strict=True):
        assert one[0].tobytes() == other[0].tobytes()
