"""Evaluations go by in chunks: what is fetched from the device, and how many rows a chunk has."""

import numpy as np
import pytest
from double import Cupy
from stacks import CPU, initial, make_problem, make_stack, small_chunks, start

from trainer import device as devices
from trainer.data.rows import Rows
from trainer.machine.interrupted import Interrupted
from trainer.train import evaluate
from trainer.train.evaluate import Evaluator, HeldOut

K = 3


def evaluator(device, model, columns=K, **shape):
    problem = make_problem(model, **shape)
    stack = make_stack(problem, device=device, precision="float32", lr=[0.1] * columns)
    X, N = problem.X.astype(np.float32), len(problem.X)
    held = Rows("val", X, problem.y, problem.w, np.arange(N))
    made = Evaluator(stack, HeldOut(device, held, np.ones(problem.outputs)))
    return made, start(stack, *initial(problem, columns))


@pytest.fixture
def chunks_of_7_rows(monkeypatch):
    monkeypatch.setattr(evaluate, "_WIDE", 1)
    monkeypatch.setattr(evaluate, "_FEWEST_ROWS", 7)
    monkeypatch.setattr(devices.Device, "at_once", lambda self, cached: cached)
    small_chunks(monkeypatch, 4 * 3 * K * 7)


@pytest.mark.parametrize("model", ["linear", "poisson", "softmax"])
def test_sums_over_chunks_are_fetched_once(model, chunks_of_7_rows, monkeypatch):
    def read(device):
        made, state = evaluator(device, model)
        made.metrics(state)
        before = double.counts.syncs
        return made.metrics(state), double.counts.syncs - before

    double = Cupy()
    of_many, fetches = read(devices.from_cupy(double, "the double"))
    of_cpu, _ = read(CPU)
    assert of_many.keys() == of_cpu.keys()
    for name, values in of_cpu.items():  # the CPU's may be of the compiled step
        np.testing.assert_allclose(of_many[name], values, rtol=1e-6, err_msg=name)
    monkeypatch.undo()
    assert fetches == read(devices.from_cupy(double, "the double"))[1] == 1


@pytest.mark.parametrize("model", ["linear", "poisson"])
def test_chunks_change_no_metric(model, chunks_of_7_rows, monkeypatch):
    made, state = evaluator(CPU, model)
    found = made.metrics(state)
    monkeypatch.undo()
    whole = evaluator(CPU, model)[0].metrics(state)
    assert len(made._wide_buffers.z) == 7
    for name, values in whole.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9)


@pytest.mark.parametrize(("features", "columns"), [(5000, 1), (20, 9), (3, 600)])
def test_a_chunk_is_no_sliver_of_a_wide_problem(features, columns, monkeypatch):
    """Products of a few rows with many weights are read from memory again and again."""
    chunks, scores = [], evaluate.scores
    monkeypatch.setattr(evaluate, "squares_of", lambda *given: None)  # whose chunks are the same
    monkeypatch.setattr(evaluate, "scores", lambda *args: (chunks.append(1), scores(*args)))
    made, state = evaluator(CPU, "linear", columns, rows=600, features=features, outputs=1)
    made.metrics(state)
    assert 1 <= len(chunks) <= 3


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_compiled_metrics_are_those_of_the_text(outputs, columns, monkeypatch):
    """Of regressions, whose sums are compiled as a whole; without a library both are NumPy's."""
    made, state = evaluator(CPU, "linear", columns, outputs=outputs)
    state.bias[0, -1] = np.inf
    found = made.metrics(state)
    assert not np.isfinite(found["loss"][-1])
    monkeypatch.setattr(evaluate, "squares_of", lambda *given: None)
    of_text = made.metrics(state)
    assert found.keys() == of_text.keys() == {"loss", "r2", "rmse"}
    for name, values in of_text.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("model", ["linear", "poisson", "softmax", "logistic"])
def test_an_evaluation_asks_between_chunks_whether_to_stop(model, chunks_of_7_rows):
    made, state = evaluator(CPU, model)
    whole, asked = made.metrics(state), []
    rows = made._wide_buffers.z if made.stack.model.metrics.of_predictions else [0] * 7
    chunks = -(-60 // len(rows))
    assert made.metrics(state, lambda: asked.append(1)).keys() == whole.keys()
    assert len(asked) == chunks - 1 == 8
    for stop in (1, 8):
        asked.clear()
        with pytest.raises(Interrupted):
            made.metrics(state, lambda n=stop: asked.append(1) or len(asked) == n)
        assert len(asked) == stop
    again = made.metrics(state)  # nothing is left of what was cut
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_an_evaluation_of_one_chunk_is_quick_and_asks_nobody():
    made, state = evaluator(CPU, "softmax")
    assert made.metrics(state, pytest.fail) is not None
